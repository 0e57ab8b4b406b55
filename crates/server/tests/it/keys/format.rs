//! The form of credentials, as a scanner sees it that knows nothing but the documentation.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::path;
use crate::support::{Answer, Caller, Server, client, text};
use crate::verify::{metered, metric};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// CRC-32 (IEEE) of the text in six base62 digits.
fn checksum(text: &str) -> String {
    let crc = !text.bytes().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    });
    let digit = |place: u32| ALPHABET[(crc / 62_u32.pow(place) % 62) as usize] as char;
    (0..6).rev().map(|place| if place == 5 { base62_high(crc) } else { digit(place) }).collect()
}

/// The sixth digit: 62^5 fits, 62^6 does not.
fn base62_high(crc: u32) -> char {
    ALPHABET[(crc / 62_u32.pow(5)) as usize] as char
}

/// The secret with other first characters and a right checksum.
pub(crate) fn resigned(body: &str) -> String {
    format!("{body}{}", checksum(body))
}

#[test]
fn x_9_key_1_key_2_key_7_form_of_every_secret() {
    let server = Server::start();
    let root = server.root();
    let bob = root.user("bob", &[]);
    let mut seen = HashSet::new();
    for (class, prefix) in [("member", "kwm_"), ("workspace", "kww_"), ("ingest", "kwi_")] {
        let owner = if class == "member" { json!(bob) } else { Value::Null };
        let key = root.key(json!({ "class": class, "label": "x", "owner_id": owner }));
        let secret = text(&key["secret"]);
        assert!(secret.starts_with(prefix), "{class}");
        assert_eq!(secret.len(), 69);
        assert!(
            secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "one double click selects it"
        );
        let (body, sum) = secret.split_at(63);
        assert_eq!(sum, checksum(body), "a scanner can check it offline");
        assert_eq!(key["access_key"], format!("kwa_{}", &secret[4..20]), "the key id is readable");
        let hint = format!("{prefix}…{}", &secret[65..]);
        assert_eq!(key["secrets"][0]["hint"], hint);
        for _ in 0..4 {
            let renewed = root.post(&format!("{}/secret", path(&key)), json!({})).ok();
            assert!(
                seen.insert(text(&renewed["secret"])[20..63].to_owned()),
                "the random part never repeats"
            );
        }
    }
}

#[test]
fn key_3_key_1_garbage_dies_before_the_store() {
    let (server, port) = metered("");
    let root = server.root();
    let bob = root.user("bob", &[]);
    let secret = text(&root.key(json!({ "class": "member", "owner_id": bob, "label": "x" }))["secret"]);
    assert_eq!(root.code(&secret), "ok");
    let before = metric(port, "keyward_store_reads_total");
    let flipped = (0..secret.len()).map(|place| {
        let mut bytes = secret.clone().into_bytes();
        bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
        String::from_utf8(bytes).expect("ASCII")
    });
    let bad = flipped.chain([
        String::new(),
        "x".into(),
        secret[..68].into(),
        format!("{secret}0"),
        format!(" {secret}"),
        format!("\"{secret}\""),
        format!("kwt{}", &secret[3..]),
        resigned(&format!("kwr{}", &secret[3..63])),
    ]);
    let requests: Vec<_> = bad.map(|credential| json!({ "credential": credential })).collect();
    let answer = root.post("/v1/verify/batch", json!({ "requests": requests })).ok();
    for (result, request) in answer["results"].as_array().expect("results").iter().zip(&requests) {
        assert_eq!((&result["valid"], &result["code"]), (&json!(false), &json!("invalid_key")), "{request}");
    }
    assert_eq!(metric(port, "keyward_store_reads_total"), before);
}

#[test]
fn key_1_a_prefix_of_another_kind_is_refused() {
    let server = Server::start();
    let root = server.root();
    let secret = text(&root.key(json!({ "class": "ingest", "label": "x" }))["secret"]);
    assert_eq!(root.code(&resigned(&secret[..63])), "ok", "the checksum of this test is the server's");
    for prefix in ["kwm", "kww", "kwt", "kwb", "kws", "kwr"] {
        let other = resigned(&format!("{prefix}{}", &secret[3..63]));
        assert_eq!(root.code(&other), "invalid_key", "{prefix}");
        server.caller(&other).get("/v1/me").refused(401, "invalid_key");
    }
}

/// What a caller is told, without request id and date.
fn told(caller: &Caller) -> (u16, String, String) {
    let answer = caller.get("/v1/me");
    let id = answer.header("x-request-id").to_owned();
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    (answer.status, answer.text.replace(&id, ""), headers.join("\n"))
}

#[test]
fn key_4_ver_10_a_stranger_learns_nothing() {
    let server = Server::start();
    let root = server.root();
    let dead = root.key(json!({ "class": "workspace", "label": "dead" }));
    root.delete(&path(&dead)).expect(204);
    let secret = text(&dead["secret"]);
    let wrong = resigned(&format!("{}{}", &secret[..20], "A".repeat(43)));
    let unknown = resigned(&format!("kww_{}{}", "0".repeat(16), "A".repeat(43)));
    let (status, body, headers) = told(&server.caller("nonsense"));
    assert_eq!(status, 401);
    assert!(headers.contains("www-authenticate"), "{headers}");
    for credential in [&wrong, &unknown, &secret[..40].to_owned()] {
        assert_eq!(told(&server.caller(credential)), (status, body.clone(), headers.clone()), "{credential}");
    }
    for tenant in ["acme", "1"] {
        let triple = format!("{tenant}::{}::{secret}", text(&dead["access_key"]));
        assert_eq!(told(&server.caller(&triple)).1, body, "the right secret for the wrong tenant");
    }
    server.caller(&secret).get("/v1/me").refused(401, "revoked");
    for credential in [&wrong, &unknown] {
        let answer = root.verify(credential);
        for field in ["key", "principal", "tenant", "expires_at"] {
            assert_eq!(answer[field], Value::Null, "{field}");
        }
        assert_eq!(answer["code"], "invalid_key");
    }
}

#[test]
fn key_6_the_public_id_never_authenticates() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let get = |header: &str, value: &str| {
        let request = client().get(format!("{}/v1/me", server.url)).header(header, value);
        Answer::read(request.send().expect("an answer"))
    };
    for id in [text(&key["access_key"]), text(&key["id"])] {
        get("authorization", &format!("Bearer {id}")).refused(401, "invalid_key");
        get("x-api-key", &id).refused(401, "invalid_key");
        for password in ["", id.as_str()] {
            let request = client().get(format!("{}/v1/me", server.url)).basic_auth(&id, Some(password));
            Answer::read(request.send().expect("an answer")).refused(401, "invalid_key");
        }
        for body in [json!({ "credential": id }), json!({ "access_key": id, "secret": id })] {
            assert_eq!(root.post("/v1/verify", body).ok()["code"], "invalid_key");
        }
    }
    get("x-api-key", &text(&key["secret"])).expect(200);
}
