//! How a credential is presented (KEY-12, KEY-6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ask;
use crate::support::{Answer, Server, client, text};

fn me(server: &Server, headers: &[(&str, &str)]) -> Answer {
    let mut request = client().get(format!("{}/v1/me", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(request.send().expect("an answer"))
}

#[test]
fn key_12_mo_4_sq_9_each_way_to_present_a_key() {
    let server = Server::start();
    let (_, key) = server.root().member("ada", &[]);
    let (secret, access_key) = (text(&key["secret"]), text(&key["access_key"]));
    let basic = STANDARD.encode(format!("{access_key}:{secret}"));
    let ways = [
        ("Authorization", format!("Bearer {secret}")),
        ("authorization", format!("bearer {secret}")),
        ("Authorization", format!("Basic {basic}")),
        ("Authorization", format!("BASIC {basic}")),
        ("Authorization", format!("apiKey primary::{access_key}::{secret}")),
        ("Authorization", format!("apikey {}::{access_key}::{secret}", server.tenant())),
        ("Authorization", format!("apiKey 0::{access_key}::{secret}")),
        ("Authorization", format!("Bearer {}::{access_key}::{secret}", server.tenant())),
        ("X-API-Key", secret.clone()),
        ("x-api-key", secret.clone()),
    ];
    for (name, value) in &ways {
        assert_eq!(
            ask(&server.url, &[(name, value)]).expect(200).header("x-auth-user"),
            "ada",
            "{name}: {value}"
        );
        assert_eq!(
            me(&server, &[(name, value)]).expect(200).body["principal"]["username"],
            "ada",
            "{name}: {value}"
        );
    }
}

#[test]
fn key_12_key_6_what_is_no_credential_is_401() {
    let server = Server::start();
    let (_, key) = server.root().member("ada", &[]);
    let (secret, access_key) = (text(&key["secret"]), text(&key["access_key"]));
    let encode = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let bad = [
        ("Authorization", secret.clone()),
        ("Authorization", format!("Digest {secret}")),
        ("Authorization", "Bearer".into()),
        ("Authorization", "Bearer ".into()),
        ("Authorization", format!("Bearer {access_key}")),
        ("Authorization", format!("Bearer {secret} {secret}")),
        ("Authorization", format!("Bearer {access_key}::{secret}")),
        ("Authorization", format!("apiKey {secret}")),
        ("Authorization", "Basic !!!".into()),
        ("Authorization", encode("no-colon")),
        ("Authorization", encode(&format!(":{secret}"))),
        ("Authorization", encode(&format!("{access_key}:"))),
        ("Authorization", encode(&format!("ada:{secret}"))),
        ("Authorization", encode(&format!("{}:{secret}", text(&key["id"])))),
        ("X-API-Key", access_key.clone()),
        ("X-API-Key", format!("Bearer {secret}")),
        ("X-API-Key", text(&key["id"])),
        ("Cookie", format!("session={secret}")),
        ("Proxy-Authorization", format!("Bearer {secret}")),
    ];
    for (name, value) in &bad {
        assert_eq!(ask(&server.url, &[(name, value)]).status, 401, "{name}: {value}");
        assert_eq!(me(&server, &[(name, value)]).status, 401, "{name}: {value}");
    }
}

#[test]
fn key_12_two_credentials_or_a_repeated_header_are_refused() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("ada", &[]);
    let (one, two) = (format!("Bearer {}", text(&key["secret"])), format!("Bearer {}", server.operator()));
    let bare = text(&key["secret"]);
    let cases: [&[(&str, &str)]; 6] = [
        &[("Authorization", &one), ("X-API-Key", &bare)],
        &[("X-API-Key", &bare), ("Authorization", &two)],
        &[("Authorization", &one), ("Authorization", &two)],
        &[("Authorization", &one), ("Authorization", &one)],
        &[("X-API-Key", &bare), ("X-API-Key", &bare)],
        &[("Authorization", "Basic x"), ("X-API-Key", &bare)],
    ];
    for headers in cases {
        me(&server, headers).refused(400, "multiple_credentials");
        // A gateway would turn 400 into its own 500.
        let refused = ask(&server.url, headers);
        assert_eq!(refused.header("x-auth-subject"), "");
        refused.refused(401, "multiple_credentials");
        let mut verify = client().post(format!("{}/v1/verify", server.url)).body(r#"{"credential":"x"}"#);
        for (name, value) in headers {
            verify = verify.header(*name, *value);
        }
        Answer::read(verify.send().expect("an answer")).refused(400, "multiple_credentials");
    }
    let used = root.get(&format!("/v1/keys/{}", text(&key["id"]))).ok();
    assert!(used["last_used_at"].is_null(), "a refused request is no use of the key");
}

#[test]
fn key_12_the_header_for_keys_is_a_setting() {
    let server = Server::with_config("server: {api_key_header: X-Service-Key}");
    let secret = server.operator();
    ask(&server.url, &[("X-Service-Key", &secret)]).expect(200);
    ask(&server.url, &[("X-API-Key", &secret)]).refused(401, "no_credential");
    ask(&server.url, &[("X-Service-Key", &secret), ("Authorization", "Bearer x")])
        .refused(401, "multiple_credentials");
}
