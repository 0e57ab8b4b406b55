//! Each format with a vector of its own: the credential works, and another text does not.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{SHA256, TEXT, import, imported, refused, row};
use crate::api::tenant;
use crate::support::{Answer, Server, client, text};

/// Format, credential, hash.
const FAST: [(&str, &str, &str); 6] = [
    ("sha256", TEXT, SHA256),
    ("unkey", "unkey_3ZzJ8kPq5Wc1YtNv6RbXhD", "uN976vB9rROo8fOFARgbhErPO7cNniLNqaIOyrgC478="),
    ("better_auth", "ba_HnT5uEw2RkYq8ZsLcVx7PdGm", "vQH--DnkeahZY79lkOs36ph9DIZ5M3qmjBt3BjtYIKI"),
    (
        "sha512",
        "sk-Vb6Ny3Mk9Jh2Gf5Ds8Aq1We4",
        "e6a33e488a0db43e5f467ef393be071948534950ecd3201046f10e8b09065a30c12c000fc8da314403caa40c6bae340027e61a4485646126de428f9d5343872b",
    ),
    (
        "sha512",
        "sk-Xc7Zv4Bn1Mq8Wp5Ls2Kd9Jf6",
        "v9/Y2xeQt2UcP5Z+VmEroal3Frq6qRM/MhHqdfhr2PW68ydOx2/SaOU67MJg8YcoK++J2kju6WAAdtoFf+mNEg==",
    ),
    (
        "drf_api_key",
        "Ab3Cd4Ef.Gh5Ij6Kl7Mn8Op9Qr0St1Uv2Wx3Yz4Aa",
        "sha512$$9fddc80f35a0f4183cecda3ab7b89dc3020b0c9d9f364f09a31b391d10ab4b5a1aa0f9f102d6f2da12319f27311524317620d4251345e3301e11e465f781b1a3",
    ),
];

#[test]
fn x_11_fast_hashes_of_every_format_work_at_once() {
    let server = Server::start();
    let root = server.root();
    for (number, (format, credential, hash)) in FAST.into_iter().enumerate() {
        assert_ne!(root.code(credential), "ok", "{format}");
        let key = imported(&root, format, row(&format!("{format} {number}"), hash));
        assert_eq!(key["imported"]["source"], "old");
        assert!(text(&key["imported"]["at"]).ends_with('Z'));
        assert!(text(&key["access_key"]).starts_with("kwa_"), "it has a public half of its own");
        let verified = root.verify(credential);
        assert_eq!((&verified["code"], &verified["key"]["id"]), (&json!("ok"), &key["id"]), "{format}");
        for wrong in [&format!("{credential}x"), &credential[1..], hash] {
            assert_ne!(root.code(wrong), "ok", "{format}: {wrong}");
        }
    }
}

#[test]
fn x_11_an_hmac_needs_its_key_and_keeps_it_sealed() {
    let server = Server::start();
    let root = server.root();
    let credential = "gw.Rt5Yu8Io2Pa6Sd9Fg3Hj";
    let hash = "b70c90f9cbfe57aa562cf76adf95c8f9bf0f68f939a3e0822973228d6c19f552";
    let body = |key: Value, name: &str, hash: &str| json!({ "source": "gateway", "format": "hmac_sha256", "hmac_key": key, "rows": [row(name, hash)] });
    root.post("/v1/imports", body(Value::Null, "a", hash)).refused(422, "invalid_value");
    root.post("/v1/imports", body(json!("short"), "a", hash)).refused(422, "invalid_value");
    assert_ne!(root.code(credential), "ok");
    assert_eq!(root.post("/v1/imports", body(json!("old gateway's key"), "a", hash)).ok()["imported"], 1);
    assert_eq!(root.code(credential), "ok");
    assert_ne!(root.code("gw.Rt5Yu8Io2Pa6Sd9Fg3Hk"), "ok");
    // The same key in another spelling is the same; another one is not.
    let spelled = json!("base64:b2xkIGdhdGV3YXkncyBrZXk=");
    assert_eq!(root.post("/v1/imports", body(spelled, "b", SHA256)).ok()["imported"], 1);
    root.post("/v1/imports", body(json!("another gateway's key"), "c", SHA256))
        .refused(409, "other_hmac_key");
    assert!(!server.place.dump().contains("old gateway's key"));
    let server = server.kill_and_restart();
    assert_eq!(server.root().code(credential), "ok", "also after a start");
}

#[test]
fn x_11_plain_keys_are_hashed_at_once_and_weak_ones_are_told_of() {
    let server = Server::start();
    let root = server.root();
    let report = import(
        &root,
        "kong",
        json!([row("long", "kong-Qz8Wx7Ec6Rv5Tb4Yn3Um2"), row("short", "hunter2-kong")]),
    )
    .ok();
    assert_eq!((&report["imported"], &report["warnings"][0]["code"]), (&json!(2), &json!("weak_key")));
    assert_eq!(report["warnings"][0]["external_id"], "short");
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(1));
    assert_eq!([root.code("kong-Qz8Wx7Ec6Rv5Tb4Yn3Um2"), root.code("hunter2-kong")], ["ok", "ok"]);
    assert_ne!(root.code("kong-Qz8Wx7Ec6Rv5Tb4Yn3Um3"), "ok");
    let dump = server.place.dump();
    assert!(!dump.contains("kong-Qz8Wx7Ec6Rv5Tb4Yn3Um2") && !dump.contains("hunter2-kong"));
    let log = root.get("/v1/audit-events?limit=200").text + &server.place.log();
    assert!(!log.contains("hunter2-kong") && !log.contains("kong-Qz8"));
}

#[test]
fn x_11_a_text_may_have_two_dots_and_must_have_a_form() {
    let server = Server::start();
    let root = server.root();
    imported(&root, "plain", row("dots", "live.Qz8Wx7Ec6Rv5.Tb4Yn3Um2"));
    assert_eq!(root.code("live.Qz8Wx7Ec6Rv5.Tb4Yn3Um2"), "ok", "it looks like a token");
    assert_eq!(root.code("live.Qz8Wx7Ec6Rv5.Tb4Yn3Um3"), "invalid_key");
    let longest = "x".repeat(512);
    imported(&root, "plain", row("long", &longest));
    assert_eq!(root.code(&longest), "ok");
    for bad in ["seven77", "with blank in it", "mit-ümlaut-drin", &"x".repeat(513)] {
        assert_eq!(refused(&root, "plain", row("bad", bad)), "bad_length", "{bad}");
    }
    assert_eq!(refused(&root, "plain", row("own", &root.secret)), "own_credential");
    assert_eq!(refused(&root, "sha256", row("bad", &SHA256[1..])), "bad_hash");
    assert_eq!(refused(&root, "bcrypt", row("bad", SHA256)), "bad_hash");
}

#[test]
fn x_11_key_12_every_way_to_present_a_key_takes_it() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let role = admin.role("reader", &["users:read", "verify:call"]);
    let mut wish = row("reader", SHA256);
    wish["class"] = json!("workspace");
    wish["roles"] = json!(["reader"]);
    let key = imported(&admin, "sha256", wish);
    assert_eq!(key["role_ids"], json!([role]));
    let own = text(&key["access_key"]);
    let get = |path: &str, headers: &[(&str, &str)]| {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        Answer::read(
            client().get(format!("{}{path}", server.url)).headers(headers).send().expect("an answer"),
        )
    };
    let bearer = format!("Bearer {TEXT}");
    for path in ["/v1/users", "/authz"] {
        get(path, &[("authorization", &bearer)]).expect(200);
        get(path, &[("x-api-key", TEXT)]).expect(200);
        get(path, &[("authorization", &format!("Bearer {TEXT}x"))]).expect(401);
        get(path, &[("x-api-key", &TEXT[1..])]).expect(401);
    }
    let basic = |user: &str, password: &str| {
        let request = client().get(format!("{}/authz", server.url)).basic_auth(user, Some(password));
        Answer::read(request.send().expect("an answer")).status
    };
    assert_eq!([basic(&own, TEXT), basic("", TEXT), basic("api", TEXT)], [200, 200, 200]);
    assert_eq!([basic("kwa_0123456789abcdef", TEXT), basic(&own, "wrong-password-of-it")], [401, 401]);
    let passed = get("/authz", &[("authorization", &bearer)]);
    assert_eq!(passed.header("x-auth-key-id"), text(&key["id"]));
    get("/v1/users", &[("authorization", &bearer), ("x-keyward-tenant", "primary")])
        .refused(404, "not_found");
    server.caller(TEXT).post("/v1/users", json!({ "username": "x" })).refused(403, "insufficient_rights");
}
