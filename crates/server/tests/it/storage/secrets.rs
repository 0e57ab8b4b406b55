//! Secrets are stored as keyed hashes only (STO-1, STO-2, STO-7, VA3).

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Server, text};

/// The hash of a secret stands in the dump as 64 hexadecimal digits.
fn digests(dump: &str) -> Vec<String> {
    dump.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() >= 64).map(Into::into).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn sto_1_va_3_no_credential_is_in_the_database() {
    let mut server = Server::start();
    let root = server.root();
    let mut secrets = vec![server.operator()];
    for class in ["workspace", "ingest"] {
        let key = root.key(json!({ "class": class, "label": class }));
        let path = format!("/v1/keys/{}", text(&key["id"]));
        secrets.push(text(&key["secret"]));
        secrets.push(text(&root.post(&format!("{path}/rotate"), json!({})).ok()["secret"]));
        secrets.push(text(&root.post(&format!("{path}/secret"), json!({})).ok()["secret"]));
    }
    secrets.push(text(&root.member("ada", &[]).1["secret"]));
    for secret in &secrets {
        root.code(secret);
    }
    let running = server.place.dump();
    server.terminate();
    let dump = running + &server.place.dump();
    for secret in &secrets {
        let random = &secret[20..63];
        assert!(!dump.contains(random), "no part of it that counts");
        assert!(dump.contains(&secret[4..20]), "its public half is there");
    }
}

#[test]
fn sto_1_sto_2_the_hashes_cannot_be_made_without_the_pepper() {
    let server = Server::start();
    let key = server.root().key(json!({ "class": "workspace", "label": "hashed" }));
    let secret = text(&key["secret"]);
    let dump = server.place.dump();
    let stored = digests(&dump);
    assert!(stored.len() >= 2, "there are hashes to look at");
    let random = &secret[20..63];
    for text in [secret.as_str(), random, &secret[4..], &secret[..63], &secret[20..]] {
        let plain = hex(&Sha256::digest(text.as_bytes()));
        assert!(!dump.contains(&plain), "a hash without a pepper");
        // All that a thief of the database has to key a hash with.
        for candidate in [&[0; 32][..], server.tenant().as_bytes(), text.as_bytes()] {
            let mut pepper = [0; 32];
            let length = candidate.len().min(32);
            pepper[..length].copy_from_slice(&candidate[..length]);
            let guessed = keyward_core::secret::Pepper::new(1, &pepper).hash(text).to_hex();
            assert!(!dump.contains(&guessed));
        }
    }
    let root_key = fs::read_to_string(server.place.data().join("root.key")).expect("a key");
    assert!(!dump.contains(root_key.trim()));
}

#[test]
fn sto_2_a_copy_of_the_database_under_another_root_key_is_worthless() {
    let server = Server::start();
    let thief = Server::start();
    let secret = text(&server.root().key(json!({ "class": "workspace", "label": "stolen" }))["secret"]);
    assert_eq!(thief.root().code(&secret), "invalid_key");
    // What the thief may change in an own database cannot make the stolen row verify there.
    let peppers = ["peppers", "data_keys"].map(|table| server.place.dump().matches(table).count());
    assert!(peppers.iter().all(|count| *count > 0), "sealed peppers are in the database");
    let mut server = server;
    server.terminate();
    fs::write(server.place.data().join("root.key"), "1".repeat(64)).expect("written");
    let refused = crate::process::refused_start(&server.place, "", &[]);
    assert_eq!(refused.code, 3, "{}", refused.err);
}

#[test]
fn sto_7_no_secret_is_cut_or_split() {
    let server = Server::start();
    let user = server.root().post("/v1/users", json!({ "username": "x".repeat(100) })).ok();
    let key = server.root().key(json!({ "class": "member", "owner_id": user["id"], "label": "long" }));
    let secret = text(&key["secret"]);
    let ask = |credential: String| -> Value { server.root().verify(&credential)["code"].clone() };
    assert_eq!(ask(secret.clone()), "ok");
    for end in ["\0", "\0more", " ", "x", "\u{0301}"] {
        assert_eq!(ask(format!("{secret}{end}")), "invalid_key", "{end:?}");
    }
    for at in [0, 4, 20, 63, 69] {
        let (head, tail) = secret.split_at(at);
        assert_eq!(ask(format!("{head}\0{tail}")), "invalid_key");
    }
    for length in 0..69 {
        assert_eq!(ask(secret[..length].to_owned()), "invalid_key", "{length}");
    }
}
