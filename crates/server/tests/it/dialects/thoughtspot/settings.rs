//! `/auth/search` and `/auth/configure`: the secrets of Orgs (TS3, TS4, TS5, TS6).

use serde_json::{Value, json};

use super::{CONFIG, Scene, V1, bearer, form, post, refused};
use crate::api::{person, tenant};
use crate::logins::{PASSWORD, ask_for_no_factor, set_password};
use crate::support::{Answer, Server, client, text, wait_until};

fn ask(url: &str, secret: &str) -> Answer {
    post(url, "/auth/token/full", json!({ "username": "ada", "secret_key": secret }))
}

fn configure(url: &str, by: &str, body: Value) -> Answer {
    let mut body = body;
    body["auth_type"] = json!("TRUSTED_AUTH");
    bearer(url, by, "POST", "/auth/configure", Some(body))
}

fn search(url: &str, by: &str, scope: Option<&str>) -> Answer {
    let mut body = json!({ "auth_type": "TRUSTED_AUTH" });
    if let Some(scope) = scope {
        body["scope"] = json!(scope);
    }
    bearer(url, by, "POST", "/auth/search", Some(body))
}

fn switch(status: &str) -> Value {
    json!({ "cluster_preferences": { "auth_status": status } })
}

#[test]
fn ts_3_ts_5_ts_6_the_manual_from_enabling_to_disabling() {
    let server = Server::with_config(CONFIG);
    let (root, url, operator) = (server.root(), &server.url, server.operator());
    root.user("ada", &[]);
    // Before: every request is refused with a clear error, by version 1 as its manual says.
    let guess = "kwt_0000000000000000000000000000000000000000000000000000000000000000";
    let told = refused(ask(url, guess), 403, 10023);
    assert!(text(&told["debug"]).contains("not enabled"), "{told}");
    let request = client().post(format!("{url}{V1}/session/auth/token"));
    let request = form(request, &[("secret_key", guess), ("username", "ada"), ("access_level", "FULL")]);
    refused(Answer::read(request.send().expect("an answer")), 500, 10038);
    assert_eq!(
        search(url, &operator, Some("CLUSTER")).ok()["cluster_preferences"],
        json!({ "auth_status": "DISABLED" })
    );
    // Enabled: a secret is there, which can be copied, and is kept by enabling once more.
    configure(url, &operator, switch("ENABLED")).expect(204);
    let copy = || {
        let told = search(url, &operator, Some("CLUSTER")).ok();
        let cluster = &told["cluster_preferences"];
        assert_eq!(
            (&told["auth_type"], &cluster["auth_status"]),
            (&json!("TRUSTED_AUTH"), &json!("ENABLED"))
        );
        assert!(cluster["access_tokens"][0]["creation_time_in_millis"].is_i64());
        text(&cluster["access_tokens"][0]["key"])
    };
    let secret = copy();
    configure(url, &operator, switch("ENABLED")).expect(204);
    assert_eq!(copy(), secret);
    let events = root.get("/v1/audit-events?action=trusted.copy").ok();
    assert_eq!(events["data"].as_array().map(Vec::len), Some(2), "every look is in the log");
    assert!(!events.to_string().contains(&secret));
    refused(ask(url, guess), 401, 10097);
    let token = text(&ask(url, &secret).ok()["token"]);
    assert_eq!(root.code(&token), "ok");
    // Disabled: the secret is dead at once, and its tokens with it; the next one is another.
    configure(url, &operator, switch("DISABLED")).expect(204);
    refused(ask(url, &secret), 403, 10023);
    assert_ne!(root.code(&token), "ok");
    configure(url, &operator, switch("DISABLED")).expect(204);
    configure(url, &operator, switch("ENABLED")).expect(204);
    assert_ne!(copy(), secret);
    refused(ask(url, &secret), 403, 10023);
    assert_eq!(ask(url, &copy()).status, 200);
}

#[test]
fn ts_6_what_says_nothing_changes_nothing() {
    let scene = Scene::new();
    let (url, operator) = (&scene.server.url, scene.server.operator());
    refused(configure(url, &operator, json!({})), 400, 10002);
    refused(bearer(url, &operator, "POST", "/auth/configure", Some(switch("DISABLED"))), 400, 10002);
    refused(configure(url, &operator, switch("OFF")), 400, 10002);
    refused(bearer(url, &operator, "POST", "/auth/search", Some(json!({ "auth_type": "SAML" }))), 400, 10002);
    refused(search(url, &operator, Some("ALL")), 400, 10002);
    configure(url, &operator, json!({ "cluster_preferences": {} })).expect(204);
    assert_eq!(ask(url, &scene.secret).status, 200);
}

#[test]
fn ts_4_each_org_has_its_own_and_only_the_operator_switches_others() {
    let scene = Scene::new();
    let (url, operator) = (&scene.server.url, scene.server.operator());
    let (acme, admin) = tenant(&scene.server, "acme");
    let path = format!("/v1/tenants/{acme}");
    let orgs = |name: Value, status: &str| json!({ "org_preferences": [{ "org_identifier": name, "auth_status": status }] });
    // Not before the operator has switched the feature on.
    refused(configure(url, &admin.secret, orgs(json!("acme"), "ENABLED")), 400, 10002);
    scene.root.patch(&path, json!({ "features": { "trusted_secrets": true } })).expect(200);
    let number = scene.root.get(&path).ok()["number"].clone();
    configure(url, &admin.secret, orgs(json!("acme"), "ENABLED")).expect(204);
    admin.user("ada", &[]);
    let told = search(url, &admin.secret, None).ok();
    assert_eq!(told["cluster_preferences"], Value::Null);
    assert_eq!(told["org_preferences"][0]["org"]["id"], number);
    let secret = text(&told["org_preferences"][0]["access_tokens"][0]["key"]);
    assert_eq!(ask(url, &secret).ok()["scope"]["org_id"], number);
    assert_ne!(secret, scene.secret);
    // Others, and the cluster, are not for it.
    refused(search(url, &admin.secret, Some("CLUSTER")), 403, 10023);
    refused(configure(url, &admin.secret, switch("DISABLED")), 403, 10023);
    for org in [json!(0), json!("primary"), json!("no such")] {
        refused(configure(url, &admin.secret, orgs(org, "DISABLED")), 403, 10023);
    }
    assert_eq!(ask(url, &scene.secret).status, 200);
    // The operator enters.
    refused(configure(url, &operator, orgs(json!("no such"), "DISABLED")), 400, 10002);
    configure(url, &operator, orgs(number, "DISABLED")).expect(204);
    refused(ask(url, &secret), 403, 10023);
    assert_eq!(ask(url, &scene.secret).status, 200);
}

#[test]
fn ts_5_imp_2_tokens_and_keys_of_people_copy_nothing() {
    let scene = Scene::new();
    let (url, operator) = (&scene.server.url, scene.server.operator());
    scene
        .root
        .patch(&format!("/v1/trusted/{}", scene.id), json!({ "ceiling": { "admins": true } }))
        .expect(200);
    let of_root = text(&scene.mint("full", json!({ "username": "root" })).ok()["token"]);
    let (_, _, member) = person(&scene.server, &scene.root, "grace", &["**:*"]);
    let (_, _, nobody) = person(&scene.server, &scene.root, "eve", &["me:read"]);
    for by in [&of_root, &scene.token(), &member.secret, &nobody.secret] {
        refused(search(url, by, None), 403, 10023);
        refused(configure(url, by, switch("DISABLED")), 403, 10023);
    }
    refused(post(url, "/auth/search", json!({ "auth_type": "TRUSTED_AUTH" })), 401, 10097);
    assert_eq!((scene.count("trusted.copy"), scene.count("trusted.disable")), (0, 0));
    // A person who logged in with a password may.
    ask_for_no_factor(&scene.root);
    let root = text(&scene.server.root["user_id"]);
    set_password(&scene.root, &root, PASSWORD);
    let session = post(url, "/auth/token/full", json!({ "username": "root", "password": PASSWORD })).ok();
    let told = search(url, &text(&session["token"]), None).ok();
    assert_eq!(told["cluster_preferences"]["access_tokens"][0]["key"], scene.secret.as_str());
    assert_eq!(told["org_preferences"][0]["access_tokens"][0]["key"], scene.secret.as_str());
    assert_eq!(scene.count("trusted.copy"), 1, "one secret, told twice in one answer");
    assert_eq!(search(url, &operator, Some("ORG")).ok()["cluster_preferences"], Value::Null);
}

#[test]
fn aud_1_what_is_refused_stands_in_the_audit_log() {
    let scene = Scene::new();
    let url = &scene.server.url;
    let (_, admin) = tenant(&scene.server, "acme");
    let (_, _, member) = person(&scene.server, &admin, "eve", &["me:read"]);
    refused(search(url, &member.secret, None), 403, 10023);
    refused(search(url, &admin.secret, Some("CLUSTER")), 403, 10023);
    refused(configure(url, &admin.secret, switch("DISABLED")), 403, 10023);
    let count = |action: &str| {
        let told = admin.get(&format!("/v1/audit-events?outcome=refused&action={action}")).ok();
        told["data"].as_array().map_or(0, Vec::len)
    };
    wait_until(|| count("copy_trusted_secret") == 2 && count("configure_trusted") == 1);
}

#[test]
fn ts_3_a_wrong_secret_learns_nothing_about_orgs() {
    let server = Server::with_config(CONFIG);
    let (url, operator) = (&server.url, server.operator());
    let (acme, admin) = tenant(&server, "acme");
    let guess = |org: Value| {
        let body = json!({ "username": "ada", "secret_key": "kwt_guess", "org_identifier": org });
        post(url, "/auth/token/full", body)
    };
    let all = || [json!("acme"), json!(acme), json!(0), json!("no such"), json!(4711)];
    // Nobody has any.
    for org in all() {
        refused(guess(org), 403, 10023);
    }
    // Acme has, which its own clients must tell from a mistake of theirs.
    server
        .root()
        .patch(&format!("/v1/tenants/{acme}"), json!({ "features": { "trusted_secrets": true } }))
        .expect(200);
    configure(
        url,
        &admin.secret,
        json!({ "org_preferences": [{ "org_identifier": "acme", "auth_status": "ENABLED" }] }),
    )
    .expect(204);
    refused(guess(json!("acme")), 401, 10097);
    refused(guess(json!("no such")), 403, 10023);
    // The operator has, for all Orgs.
    configure(url, &operator, switch("ENABLED")).expect(204);
    for org in all() {
        refused(guess(org), 401, 10097);
    }
}
