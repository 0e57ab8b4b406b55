//! When the last administrator is lost (OPS-2).

use serde_json::{Value, json};

use super::send;
use crate::support::{Place, Server, text};

fn recover(place: &Place) -> Value {
    let output = place.run(&["recover", "-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn ops_2_recover_makes_a_key_on_the_machine_itself_and_is_audited() {
    let server = Server::start();
    let root = server.root();
    let own = root.get("/v1/me").ok()["key"]["id"].clone();
    root.post(&format!("/v1/keys/{}/revoke", text(&own)), json!({ "reason": "lost" })).expect(200);
    root.get("/v1/me").refused(401, "revoked");
    let made = recover(&server.place);
    assert_eq!((&made["tenant_id"], &made["user_id"]), (&json!(server.tenant()), &Value::Null));
    let recovered = server.caller(&text(&made["secret"]));
    recovered.get("/v1/tenants").expect(200);
    let event = &recovered.get("/v1/audit-events?limit=1").ok()["data"][0];
    assert_eq!((&event["action"], &event["actor"]["id"]), (&json!("key.create"), &json!("recover")));
    assert_eq!(event["target"]["label"], "Recovery key");
    assert_eq!((&event["before"], &event["after"]["access_key"]), (&Value::Null, &made["access_key"]));
    root.get("/v1/me").refused(401, "revoked");
}

#[test]
fn ops_2_recover_needs_an_instance_and_its_root_key() {
    let place = Place::new();
    let nothing = place.run(&["recover", "-o", "json"]);
    assert_eq!((nothing.status.code(), nothing.stdout.as_slice()), (Some(5), &b""[..]));
    place.bootstrap();
    std::fs::write(place.data().join("root.key"), "0".repeat(64)).expect("written");
    let before = place.dump();
    let refused = place.run(&["recover", "-o", "json"]);
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(3), &b""[..]));
    assert_eq!(place.dump(), before);
}

#[test]
fn ops_2_nothing_of_the_kind_goes_over_http() {
    let server = Server::start();
    for path in [
        "recover",
        "recovery",
        "rekey",
        "rekey/cancel",
        "unseal",
        "seal",
        "init",
        "generate-root",
        "bootstrap",
        "pepper/rotate",
    ] {
        for prefix in ["/v1/", "/v1/instance/", "/", "/v1/sys/"] {
            let url = format!("{}{prefix}{path}", server.url);
            assert_eq!(send("POST", &url, &json!({})).status, 404, "{url}");
            assert_eq!(server.root().post(&format!("{prefix}{path}"), json!({})).status, 404, "{url}");
        }
    }
    let document = server.root().get("/openapi.json").ok();
    let open: Vec<_> = document["paths"]
        .as_object()
        .expect("an object")
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .expect("an object")
                .iter()
                .map(move |(method, operation)| (method, path, operation))
        })
        .filter(|(_, _, operation)| operation["security"] == json!([]))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let known = [
        "post /report-leak",
        "post /report-leak/github",
        "post /v1/auth/login",
        "post /v1/auth/login/factor",
        // Gives a challenge for a passkey, which is nothing yet.
        "post /v1/auth/login/options",
        "post /v1/auth/login/passkey",
        "post /v1/auth/password-reset",
        "post /v1/handovers/open",
        "post /v1/setup",
    ];
    assert_eq!(open, known, "the others take a credential in their body, or a signature over it");
}
