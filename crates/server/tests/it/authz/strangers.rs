//! A stranger learns nothing (KEY-4): golden comparison of every refusal, byte by byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_core::token::{self, AccessKey};
use serde_json::{Value, json};

use crate::socket::exchange;
use crate::support::{Server, text};

fn fill(out: &mut [u8]) {
    getrandom::fill(out).expect("randomness");
}

/// A well-formed secret that was never issued.
fn made_up(prefix: &str, access_key: AccessKey) -> String {
    token::generate(prefix, access_key, &mut fill).expose().to_owned()
}

struct Case {
    name: &'static str,
    authorization: String,
    /// As it is presented to `/v1/verify`.
    body: Value,
}

fn bearer(name: &'static str, secret: &str) -> Case {
    Case { name, authorization: format!("Bearer {secret}"), body: json!({ "credential": secret }) }
}

fn pair(name: &'static str, access_key: &str, secret: &str) -> Case {
    let basic = STANDARD.encode(format!("{access_key}:{secret}"));
    let body = json!({ "access_key": access_key, "secret": secret });
    Case { name, authorization: format!("Basic {basic}"), body }
}

/// Everything that a stranger could try about this key.
fn cases(key: &Value, other: &Value) -> Vec<Case> {
    let (secret, access_key) = (text(&key["secret"]), text(&key["access_key"]));
    let id = AccessKey::parse(&access_key).expect("an access key");
    let last = if secret.ends_with('0') { '1' } else { '0' };
    let mut cases = vec![
        bearer("malformed", "garbage"),
        bearer("empty", "\"\""),
        bearer("wrong checksum", &format!("{}{last}", &secret[..68])),
        bearer("cut", &secret[..68]),
        bearer("longer", &format!("{secret}0")),
        bearer("unknown", &made_up("kwm", AccessKey::generate(&mut fill))),
        bearer("wrong secret", &made_up("kwm", id)),
        bearer("wrong class", &made_up("kww", id)),
        bearer("the access key alone", &access_key),
        bearer("the id of the key", &text(&key["id"])),
        pair("wrong secret in a pair", &access_key, &made_up("kwm", id)),
        pair("the secret of another key", &text(&other["access_key"]), &secret),
        pair("an unknown access key", "kwa_0000000000000000", &secret),
        pair("the label as user name", &text(&key["label"]), &secret),
    ];
    for (name, tenant) in
        [("the wrong tenant", "other"), ("an unknown tenant", "nowhere"), ("the wrong number", "1")]
    {
        let authorization = format!("apiKey {tenant}::{access_key}::{secret}");
        cases.push(Case { name, authorization: authorization.clone(), body: Value::Null });
        cases.push(Case {
            name,
            authorization: authorization.replace("apiKey", "Bearer"),
            body: Value::Null,
        });
    }
    cases
}

/// The whole answer without its date.
fn answer(server: &Server, head: &str, authorization: &str, body: &str) -> String {
    let request = format!(
        "{head} HTTP/1.1\r\nHost: a\r\nX-Request-Id: the-same-every-time\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = exchange(&server.address(), request.as_bytes());
    assert!(exchange.closed);
    let lines = exchange.text.split_inclusive("\r\n");
    lines.filter(|line| !line.to_ascii_lowercase().starts_with("date:")).collect()
}

struct Scene {
    server: Server,
    key: Value,
    other: Value,
}

fn scene() -> Scene {
    let server = Server::start();
    let root = server.root();
    root.post("/v1/tenants", json!({ "slug": "other" })).expect(201);
    let (_, key) = root.member("ada", &["verify:call"]);
    let (_, other) = root.member("bob", &["verify:call"]);
    Scene { server, key, other }
}

#[test]
fn key_4_every_refusal_of_a_stranger_is_the_same_to_the_byte() {
    let Scene { server, key, other } = scene();
    for (head, body) in
        [("GET /authz", ""), ("GET /v1/me", ""), ("POST /v1/keys", "{}"), ("POST /v1/verify", "{}")]
    {
        let golden = answer(&server, head, "Bearer garbage", body);
        assert!(
            golden.starts_with("HTTP/1.1 401 ") && golden.contains(r#""code":"invalid_key""#),
            "{golden}"
        );
        for case in cases(&key, &other) {
            assert_eq!(answer(&server, head, &case.authorization, body), golden, "{head}, {}", case.name);
        }
    }
    let good = format!("Bearer {}", text(&key["secret"]));
    assert!(answer(&server, "GET /v1/me", &good, "").starts_with("HTTP/1.1 200 "), "the right one passes");
    let scheme = format!("apiKey primary::{}::{}", text(&key["access_key"]), text(&key["secret"]));
    assert!(
        answer(&server, "GET /authz", &scheme, "").starts_with("HTTP/1.1 200 "),
        "so does the right tenant"
    );
}

#[test]
fn key_4_ver_10_verify_tells_every_stranger_the_same() {
    let Scene { server, key, other } = scene();
    let operator = format!("Bearer {}", server.operator());
    let ask = |body: &Value| answer(&server, "POST /v1/verify", &operator, &body.to_string());
    let golden = ask(&json!({ "credential": "garbage" }));
    assert!(golden.starts_with("HTTP/1.1 200 ") && golden.contains(r#""code":"invalid_key""#), "{golden}");
    for case in cases(&key, &other).into_iter().filter(|case| !case.body.is_null()) {
        assert_eq!(ask(&case.body), golden, "{}", case.name);
    }
    let good = ask(&json!({ "access_key": key["access_key"], "secret": key["secret"] }));
    assert!(good.contains(r#""valid":true"#), "{good}");
}

#[test]
fn key_4_az_3_a_key_of_another_tenant_does_not_exist_for_verify() {
    let Scene { server, key, .. } = scene();
    let made = server.root().request("POST", "/v1/keys").header("X-Keyward-Tenant", "other");
    let made = made.json(&json!({ "class": "workspace", "label": "gateway" })).send().expect("an answer");
    let foreign = text(&crate::support::Answer::read(made).ok()["secret"]);
    let authorization = format!("Bearer {foreign}");
    let ask = |secret: &str| {
        let body = json!({ "credential": secret }).to_string();
        answer(&server, "POST /v1/verify", &authorization, &body)
    };
    let golden = ask("garbage");
    assert!(golden.contains(r#""code":"invalid_key""#), "{golden}");
    assert_eq!(ask(&text(&key["secret"])), golden, "the right secret, asked for in the wrong tenant");
    let unknown = made_up("kwm", AccessKey::generate(&mut fill));
    assert_eq!(ask(&unknown), golden);
    assert_eq!(server.caller(&foreign).code(&foreign), "ok", "its own it may verify");
}

#[test]
fn key_4_only_the_right_secret_learns_why() {
    let Scene { server, key, other } = scene();
    let root = server.root();
    let path = format!("/v1/keys/{}", text(&key["id"]));
    let golden = answer(&server, "GET /authz", "Bearer garbage", "");
    root.post(&format!("{path}/revoke"), json!({ "reason": "test" })).expect(200);
    for case in cases(&key, &other) {
        assert_eq!(answer(&server, "GET /authz", &case.authorization, ""), golden, "{}", case.name);
    }
    let told = answer(&server, "GET /authz", &format!("Bearer {}", text(&key["secret"])), "");
    assert!(told.contains(r#""code":"revoked""#), "{told}");
}
