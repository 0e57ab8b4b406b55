//! Every reason that a key can be refused for, and who is told.

use serde_json::{Value, json};

use crate::keys::{path, rows, tenant};
use crate::support::{Caller, Server, text};

fn ask(caller: &Caller, secret: &Value, more: Value) -> Value {
    let mut body = json!({ "credential": secret });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    caller.post("/v1/verify", body).ok()
}

#[test]
fn x_2_mo_4_an_allowed_key_is_told_in_full() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &["reports:read"]);
    let answer = root.verify(&text(&key["secret"]));
    assert_eq!((&answer["valid"], &answer["code"]), (&json!(true), &json!("ok")));
    assert_eq!(answer["principal"], json!({ "kind": "user", "id": bob, "username": "bob" }));
    let expect = json!({
        "id": key["id"], "access_key": key["access_key"], "class": "member", "label": "bob's key",
    });
    assert_eq!(answer["key"], expect);
    assert_eq!((text(&answer["tenant"]["id"]), &answer["tenant"]["number"]), (server.tenant(), &json!(0)));
    assert_eq!(answer["rights"], key["effective_rights"]);
    assert!(answer["expires_at"].is_string());
    assert_eq!(answer["cache_ttl_seconds"], 1);
    assert_eq!(answer.get("explain"), None);
}

#[test]
fn x_2_reasons_of_the_key_itself() {
    let server = Server::start();
    let root = server.root();
    let make = |more: Value| {
        let mut body = json!({ "class": "workspace", "label": "x" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        root.key(body)
    };
    let later = make(json!({ "not_before": "2098-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z" }));
    assert_eq!(root.code(&text(&later["secret"])), "not_yet_valid");
    assert_eq!(root.get(&path(&later)).ok()["status"], "pending");
    let key = make(json!({
        "scopes": ["reports:read"], "credits": 1, "limits": [{ "name": "hour", "requests": 2, "per_seconds": 3600 }],
        "conditions": { "cidrs": ["192.0.2.0/24"], "methods": ["GET"] },
    }));
    let inside = json!({ "client_ip": "192.0.2.7" });
    let good = json!({ "client_ip": "192.0.2.7", "method": "get", "rights": ["reports:read"] });
    let code = |more: &Value| text(&ask(&root, &key["secret"], more.clone())["code"]);
    assert_eq!(code(&json!({})), "address_denied");
    assert_eq!(
        code(&json!({ "client_ip": "192.0.2.7", "rights": ["reports:write"] })),
        "insufficient_rights"
    );
    assert_eq!(code(&inside), "condition_failed");
    assert_eq!(code(&good), "ok");
    assert_eq!(code(&good), "credits_exhausted");
    root.patch(&path(&key), json!({ "credits": null })).ok();
    assert_eq!(code(&good), "ok");
    assert_eq!(code(&good), "rate_limited");
    let refused = ask(&root, &key["secret"], good);
    assert_eq!((&refused["rights"], &refused["expires_at"]), (&json!([]), &Value::Null));
    assert_eq!((&refused["key"]["id"], &refused["cache_ttl_seconds"]), (&key["id"], &json!(0)));
}

#[test]
fn x_2_the_first_reason_wins() {
    let server = Server::start();
    let (tenant_id, ada) = tenant(&server, "acme", "ada");
    let root = server.root();
    let (bob, key) = ada.member("bob", &[]);
    let limits = json!({ "conditions": { "cidrs": ["192.0.2.0/24"] }, "scopes": ["me:read"] });
    ada.patch(&path(&key), limits).ok();
    let code = || text(&ask(&root, &key["secret"], json!({ "rights": ["reports:read"] }))["code"]);
    let mut told = vec![code()];
    let login = json!({ "at": "2020-01-01T00:00:00Z" });
    ada.post(&format!("/v1/users/{bob}/record-login"), login).ok();
    told.push(code());
    ada.patch(&path(&key), json!({ "ttl_seconds": 1 })).ok();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    told.push(code());
    ada.post(&format!("{}/deactivate", path(&key)), json!({})).ok();
    told.push(code());
    ada.key(json!({ "class": "workspace", "label": "so that an administrator is left" }));
    ada.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).expect(200);
    told.push(code());
    // Ada's own key is a member key: from here on the operator acts.
    let visit = |method: &str, path: &str| {
        let request = root.request(method, path).header("x-keyward-tenant", "acme").json(&json!({}));
        crate::support::Answer::read(request.send().expect("an answer"))
    };
    visit("POST", &format!("/v1/users/{bob}/suspend")).ok();
    told.push(code());
    root.post(&format!("/v1/tenants/{tenant_id}/suspend"), json!({ "reason": "unpaid" })).ok();
    told.push(code());
    visit("POST", &format!("{}/revoke", path(&key))).ok();
    told.push(code());
    let expect = [
        "address_denied",
        "owner_login_lapsed",
        "expired",
        "inactive",
        "class_disabled",
        "owner_suspended",
        "tenant_suspended",
        "revoked",
    ];
    assert_eq!(told, expect);
}

#[test]
fn x_2_owner_and_tenant_come_back() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let secret = text(&key["secret"]);
    root.post(&format!("/v1/users/{bob}/suspend"), json!({ "reason": "on leave" })).ok();
    assert_eq!(root.code(&secret), "owner_suspended");
    assert_eq!(root.get(&path(&key)).ok()["status_cause"], "owner_suspended");
    root.post(&format!("/v1/users/{bob}/resume"), json!({})).ok();
    assert_eq!(root.code(&secret), "ok");
}

#[test]
fn x_2_ver_10_why_refused_is_for_owner_and_admins() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("bob", &["reports:read"]);
    let (_, stranger) = root.member("eve", &["verify:call"]);
    let (_, support) = root.member("sue", &["verify:call", "verify:explain", "keys:read"]);
    let caller = |key: &Value| server.caller(&text(&key["secret"]));
    let at = format!("{}/explain", path(&key));
    let question = json!({ "rights": ["reports:read", "models:read"], "client_ip": "192.0.2.7" });
    for who in [caller(&key), root.clone(), caller(&support)] {
        let answer = who.post(&at, question.clone()).ok();
        assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!("insufficient_rights")));
        let steps = answer["steps"].as_array().expect("steps");
        let failed: Vec<_> = steps.iter().filter(|step| step["passed"] == false).collect();
        assert_eq!(failed, [&json!({ "check": "insufficient_rights", "passed": false })]);
        assert_eq!(steps.len(), 19, "every check that a right secret can meet");
    }
    caller(&stranger).post(&at, question.clone()).refused(404, "not_found");
    let explained = json!({ "rights": ["models:read"], "explain": true });
    let told = ask(&caller(&support), &key["secret"], explained.clone());
    assert_eq!(told["explain"].as_array().expect("steps").len(), 19);
    let mut body = explained;
    body["credential"] = key["secret"].clone();
    caller(&stranger).post("/v1/verify", body.clone()).refused(403, "insufficient_rights");
    body["explain"] = json!(false);
    let told = caller(&stranger).post("/v1/verify", body).ok();
    assert_eq!((&told["code"], told.get("explain")), (&json!("insufficient_rights"), None));
    caller(&key)
        .post("/v1/verify", json!({ "credential": key["secret"] }))
        .refused(403, "insufficient_rights");
}

#[test]
fn x_2_explaining_spends_nothing() {
    let server = Server::start();
    let root = server.root();
    let limit = json!({ "name": "hour", "requests": 2, "per_seconds": 3600 });
    let key = root.key(json!({ "class": "workspace", "label": "x", "limits": [limit], "credits": 2 }));
    for _ in 0..5 {
        assert_eq!(root.post(&format!("{}/explain", path(&key)), json!({})).ok()["code"], "ok");
    }
    let secret = text(&key["secret"]);
    assert_eq!([root.code(&secret), root.code(&secret)], ["ok", "ok"]);
    assert_eq!(root.post(&format!("{}/explain", path(&key)), json!({})).ok()["code"], "rate_limited");
}

#[test]
fn x_1_a_batch_answers_each_in_its_place() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let pair = json!({ "access_key": key["access_key"], "secret": key["secret"] });
    let requests = json!([{ "credential": key["secret"] }, { "credential": "nonsense" }, pair]);
    let answer = root.post("/v1/verify/batch", json!({ "requests": requests })).ok();
    let results =
        rows(&json!({ "data": answer["results"] })).iter().map(|r| text(&r["code"])).collect::<Vec<_>>();
    assert_eq!(results, ["ok", "invalid_key", "ok"]);
    for count in [0, 101] {
        let requests = vec![json!({ "credential": "x" }); count];
        root.post("/v1/verify/batch", json!({ "requests": requests })).refused(422, "invalid_value");
    }
    for (body, status) in [
        (json!({}), 400),
        (json!({ "credential": "x", "secret": "y" }), 400),
        (json!({ "credential": "x", "right": ["a:b"] }), 400),
        (json!({ "credential": "x", "rights": ["no right"] }), 422),
        (json!({ "credential": "x", "client_ip": "somewhere" }), 400),
        (json!({ "credential": "x", "cost": -1 }), 400),
    ] {
        root.post("/v1/verify", body).expect(status);
    }
}
