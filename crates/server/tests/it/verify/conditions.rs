//! Conditions, limits and credits.

use serde_json::{Value, json};

use crate::support::{Answer, Caller, Server, client, text};

fn ask(caller: &Caller, secret: &str, more: Value) -> Value {
    let mut body = json!({ "credential": secret });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    caller.post("/v1/verify", body).ok()
}

fn bound(root: &Caller, conditions: Value) -> String {
    text(&root.key(json!({ "class": "workspace", "label": "x", "conditions": conditions }))["secret"])
}

#[test]
fn x_6_key_13_networks_are_judged_on_the_end_clients_address() {
    let server = Server::start();
    let root = server.root();
    let secret = bound(&root, json!({ "cidrs": ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"] }));
    for (address, code) in [
        ("192.0.2.255", "ok"),
        ("192.0.3.0", "address_denied"),
        ("198.51.100.7", "ok"),
        ("198.51.100.8", "address_denied"),
        ("2001:db8:ffff::1", "ok"),
        ("2001:db9::1", "address_denied"),
        ("::ffff:192.0.2.9", "ok"),
        ("127.0.0.1", "address_denied"),
    ] {
        assert_eq!(ask(&root, &secret, json!({ "client_ip": address }))["code"], code, "{address}");
    }
    assert_eq!(ask(&root, &secret, json!({}))["code"], "address_denied", "no address fits no network");
}

#[test]
fn key_13_x_6_forwarded_addresses_count_from_trusted_proxies_only() {
    let me = |server: &Server, secret: &str, forwarded: &str| {
        let request = client().get(format!("{}/v1/me", server.url)).bearer_auth(secret);
        Answer::read(request.header("x-forwarded-for", forwarded).send().expect("an answer"))
    };
    let trusting = Server::start();
    let secret = bound(&trusting.root(), json!({ "cidrs": ["192.0.2.0/24"] }));
    me(&trusting, &secret, "192.0.2.7").expect(200);
    me(&trusting, &secret, "192.0.2.7, 203.0.113.9").refused(403, "address_denied");
    me(&trusting, &secret, "garbage").refused(403, "address_denied");
    let strict = Server::with_config("server: {trusted_proxies: []}");
    let secret = bound(&strict.root(), json!({ "cidrs": ["192.0.2.0/24"] }));
    me(&strict, &secret, "192.0.2.7").refused(403, "address_denied");
}

#[test]
fn x_6_methods_paths_and_resources() {
    let server = Server::start();
    let root = server.root();
    let secret = bound(&root, json!({ "methods": ["GET", "HEAD"], "paths": ["/reports/*", "/open/**"] }));
    for (method, path, code) in [
        ("GET", "/reports/7", "ok"),
        ("get", "/open/a/b/c", "ok"),
        ("HEAD", "/open", "ok"),
        ("POST", "/reports/7", "condition_failed"),
        ("GET", "/reports", "condition_failed"),
        ("GET", "/reports/7/raw", "condition_failed"),
        ("GET", "/opened", "condition_failed"),
        ("GET", "/open/../admin", "condition_failed"),
        ("GET", "/open/%2e%2e/admin", "condition_failed"),
        ("GET", "/open//admin", "condition_failed"),
        ("GET", "open/a", "condition_failed"),
    ] {
        let answer = ask(&root, &secret, json!({ "method": method, "path": path }));
        assert_eq!(answer["code"], code, "{method} {path}");
    }
    assert_eq!(ask(&root, &secret, json!({ "path": "/open/a" }))["code"], "condition_failed", "no method");
    let secret = bound(&root, json!({ "resources": ["models/emea/**"] }));
    for (rights, code) in [
        (json!(["models/emea/2026:read"]), "ok"),
        (json!(["models/apac:read"]), "condition_failed"),
        (json!(["models/emea:read", "models/apac:read"]), "condition_failed"),
        (json!([]), "condition_failed"),
    ] {
        assert_eq!(ask(&root, &secret, json!({ "rights": rights }))["code"], code, "{rights}");
    }
}

#[test]
fn x_6_named_limits_tell_what_remains_and_when_it_is_back() {
    let server = Server::start();
    let root = server.root();
    let limits = json!([
        { "name": "burst", "requests": 2, "per_seconds": 1 },
        { "name": "hour", "requests": 4, "per_seconds": 3600 },
    ]);
    let key = root.key(json!({ "class": "workspace", "label": "x", "limits": limits }));
    let secret = text(&key["secret"]);
    let first = ask(&root, &secret, json!({}));
    let hour = json!({ "name": "hour", "limit": 4, "remaining": 3, "reset_seconds": 900 });
    assert_eq!(first["limits"][1], hour);
    assert_eq!((&first["limits"][0]["name"], &first["limits"][0]["remaining"]), (&json!("burst"), &json!(1)));
    assert_eq!(first["cache_ttl_seconds"], 0, "what is counted is never cached");
    let asked = ask(&root, &secret, json!({ "cost": 0 }));
    assert_eq!(
        (&asked["code"], &asked["limits"][1]["remaining"]),
        (&json!("ok"), &json!(3)),
        "cost 0 spends nothing"
    );
    assert_eq!(ask(&root, &secret, json!({ "cost": 3 }))["code"], "rate_limited", "above the burst");
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    let rest = ask(&root, &secret, json!({ "cost": 2 }));
    assert_eq!(
        (&rest["code"], &rest["limits"][1]["remaining"]),
        (&json!("ok"), &json!(1)),
        "the refusal spent nothing"
    );
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    assert_eq!(ask(&root, &secret, json!({}))["limits"][1]["remaining"], 0);
    assert_eq!(ask(&root, &secret, json!({}))["code"], "rate_limited", "the slow limit binds too");
}

#[test]
fn x_6_limits_on_the_logical_key_bind_its_secrets_together() {
    let server = Server::start();
    let root = server.root();
    let limit = json!({ "name": "hour", "requests": 2, "per_seconds": 3600 });
    let key = root.key(json!({ "class": "workspace", "label": "x", "limits": [limit] }));
    let at = format!("/v1/keys/{}/rotate", text(&key["id"]));
    let new = text(&root.post(&at, json!({})).ok()["secret"]);
    let old = text(&key["secret"]);
    assert_eq!([root.code(&old), root.code(&new)], ["ok", "ok"]);
    assert_eq!([root.code(&old), root.code(&new)], ["rate_limited", "rate_limited"]);
}

#[test]
fn x_6_credits_and_limits_are_exact_under_parallel_use() {
    let server = Server::start();
    let root = server.root();
    let credits = text(&root.key(json!({ "class": "workspace", "label": "a", "credits": 137 }))["secret"]);
    let limit = json!({ "name": "hour", "requests": 150, "per_seconds": 360_000 });
    let limited = text(&root.key(json!({ "class": "workspace", "label": "b", "limits": [limit] }))["secret"]);
    for (secret, most, reason) in [(&credits, 137, "credits_exhausted"), (&limited, 150, "rate_limited")] {
        let batch = json!({ "requests": vec![json!({ "credential": secret }); 50] });
        let codes: Vec<String> = std::thread::scope(|scope| {
            let work = || {
                let answer = root.post("/v1/verify/batch", batch.clone()).ok();
                let results = answer["results"].as_array().expect("results").clone();
                results.iter().map(|result| text(&result["code"])).collect::<Vec<_>>()
            };
            let running: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
            running.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(codes.len(), 300);
        assert_eq!(codes.iter().filter(|code| *code == "ok").count(), most, "{reason}");
        assert_eq!(codes.iter().filter(|code| *code == reason).count(), 300 - most);
    }
}

#[test]
fn x_6_credits_survive_an_orderly_restart() {
    let mut server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x", "credits": 500 }));
    let secret = text(&key["secret"]);
    for _ in 0..3 {
        assert_eq!(root.code(&secret), "ok");
    }
    assert_eq!(server.terminate().1, Some(0));
    let server = server.restart();
    let shown = server.root().get(&format!("/v1/keys/{}", text(&key["id"]))).ok();
    assert_eq!(shown["credits"], json!({ "granted": 500, "remaining": 497 }));
    assert_eq!(server.root().code(&secret), "ok");
}
