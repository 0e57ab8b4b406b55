//! Who asks: each caller is judged once, and reaches the same keys in every form of the question.

use serde_json::{Value, json};

use crate::api::tenant;
use crate::keys::path;
use crate::support::{Answer, Caller, Server, text, wait_until};

/// Uses of a key that are written: allowed, denied.
fn total(root: &Caller, key: &Value) -> (i64, i64) {
    let usage = root.get(&format!("{}/usage", path(key))).ok();
    let count = |name: &str| usage["total"][name].as_i64().expect("a count");
    (count("allowed"), count("denied"))
}

#[test]
fn x_8_aud_1_whoever_asks_is_counted_once() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    let root = server.root();
    let (_, off) = root.member("ada", &["verify:call"]);
    root.post(&format!("{}/deactivate", path(&off)), json!({})).expect(200);
    let ingest = root.key(json!({ "class": "ingest", "label": "collector" }));
    let gateway = root.key(json!({ "class": "workspace", "label": "gateway" }));
    let asked = json!({ "credential": "x" });
    let ask = |key: &Value| server.caller(&text(&key["secret"])).post("/v1/verify", asked.clone());
    for _ in 0..3 {
        ask(&off).refused(401, "inactive");
        ask(&ingest).refused(403, "wrong_class");
        ask(&gateway).expect(200);
        let named = server.caller(&text(&gateway["secret"])).request("POST", "/v1/verify");
        let named = named.header("X-Keyward-Tenant", "primary").json(&asked);
        Answer::read(named.send().expect("an answer")).expect(200);
    }
    wait_until(|| total(&root, &gateway) == (6, 0));
    wait_until(|| total(&root, &off) == (0, 3));
    wait_until(|| total(&root, &ingest) == (3, 0));
}

/// The codes of the single question and of the batch.
fn codes(caller: &Caller, inside: Option<&str>, secret: &str) -> [String; 2] {
    let send = |path: &str, body: Value| {
        let request = caller.request("POST", path).json(&body);
        let request = match inside {
            Some(tenant) => request.header("X-Keyward-Tenant", tenant),
            None => request,
        };
        Answer::read(request.send().expect("an answer")).ok()
    };
    let one = json!({ "credential": secret });
    let single = send("/v1/verify", one.clone());
    let batch = send("/v1/verify/batch", json!({ "requests": [one] }));
    [text(&single["code"]), text(&batch["results"][0]["code"])]
}

#[test]
fn az_3_verify_and_batch_reach_the_same_keys() {
    let server = Server::start();
    let root = server.root();
    let (_, acme) = tenant(&server, "acme");
    let (_, globex) = tenant(&server, "globex");
    let (ok, unknown) = (["ok", "ok"], ["invalid_key", "invalid_key"]);
    assert_eq!(codes(&root, None, &acme.secret), ok, "an operator asks about any key");
    assert_eq!(codes(&root, None, &root.secret), ok);
    assert_eq!(codes(&root, Some("acme"), &acme.secret), ok);
    assert_eq!(codes(&root, Some("acme"), &globex.secret), unknown, "one who entered a tenant is in it");
    assert_eq!(codes(&root, Some("acme"), &root.secret), unknown);
    assert_eq!(codes(&root, Some("primary"), &globex.secret), ok, "one's own tenant is not entered");
    assert_eq!(codes(&acme, None, &acme.secret), ok);
    assert_eq!(codes(&acme, Some("acme"), &globex.secret), unknown);
    let globex_by_name = acme.request("POST", "/v1/verify").header("X-Keyward-Tenant", "globex");
    let answer = globex_by_name.json(&json!({ "credential": globex.secret })).send().expect("an answer");
    Answer::read(answer).refused(404, "not_found");
}
