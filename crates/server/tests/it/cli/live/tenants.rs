//! `keyward tenants`, `--tenant`

use serde_json::json;

use super::{Shell, refused, valid};
use crate::support::text;

#[test]
fn mo_3_tenants_from_beginning_to_end() {
    let shell = Shell::start();
    let made =
        shell.json(&["tenants", "create", "acme", "--name", "Acme Ltd", "--feature", "workspace_keys=false"]);
    let path = format!("/v1/tenants/{}", text(&made["id"]));
    let api = || shell.root().get(&path).ok();
    shell.ok(&["tenants", "create", "acme-north"]);
    assert_eq!(shell.json(&["tenants", "show", "acme"]), api(), "by slug, among others that hold it");
    assert_eq!(shell.json(&["tenants", "show", "current"])["slug"], "primary");
    assert_eq!(shell.json(&["tenants", "ls"]), shell.root().get("/v1/tenants").ok());
    shell.ends(6, &["tenants", "create", "acme"]);
    shell.ok(&["tenants", "edit", "acme", "--name", "Acme Limited"]);
    assert_eq!(
        (&api()["name"], &api()["features"]["workspace_keys"]),
        (&json!("Acme Limited"), &json!(false))
    );
    let refused = shell.ends(
        7,
        &["--tenant", "acme", "keys", "create", "--class", "workspace", "--label", "x", "-o", "json"],
    );
    assert!(refused.err.contains("workspace keys are switched off"), "{}", refused.err);
    shell.ok(&["tenants", "edit", "acme", "--feature", "workspace_keys=true"]);
    assert_eq!(api()["features"]["workspace_keys"], true);
}

#[test]
fn az_3_tenant_option_acts_inside_another_tenant() {
    let shell = Shell::start();
    shell.ok(&["tenants", "create", "acme"]);
    shell.ok(&["--tenant", "acme", "users", "create", "erin"]);
    let key = shell.json(&["keys", "create", "--tenant", "acme", "--owner", "erin", "--label", "hers"]);
    let (id, secret) = (text(&key["id"]), text(&key["secret"]));
    shell.ends(5, &["users", "show", "erin"]);
    shell.ends(5, &["keys", "show", &id]);
    assert_eq!(shell.json(&["keys", "show", &id, "--tenant", "acme"])["owner_username"], "erin");
    // Who is no operator finds no other tenant, not even whether there is one.
    let (_, member) = shell.root().member("frank", &["keys:read"]);
    for tenant in ["acme", "nowhere"] {
        let mut command = shell.command(&["keys", "ls", "--tenant", tenant]);
        let run: crate::cli::Run =
            command.env("KEYWARD_TOKEN", text(&member["secret"])).output().expect("runs").into();
        assert_eq!(run.code, 5, "{tenant}: {}", run.err);
    }
    shell.ends(5, &["keys", "ls", "--tenant", "nowhere"]);

    assert_eq!(shell.verify(&secret), valid());
    shell.ends(2, &["tenants", "suspend", "acme"]);
    shell.ok(&["tenants", "suspend", "acme", "--yes", "--reason", "unpaid"]);
    assert_eq!(shell.verify(&secret), refused("tenant_suspended"));
    shell.ok(&["tenants", "resume", "acme"]);
    assert_eq!(shell.verify(&secret), valid());
    shell.ends(2, &["tenants", "delete", "acme", "--yes"]);
    shell.ends(6, &["tenants", "delete", "acme", "--confirm", "amce"]);
    assert_eq!(shell.verify(&secret), valid(), "deleted without its name");
    shell.ok(&["tenants", "delete", "acme", "--confirm", "acme"]);
    shell.ends(5, &["tenants", "show", "acme"]);
    assert_eq!(shell.verify(&secret).0, 10);
}
