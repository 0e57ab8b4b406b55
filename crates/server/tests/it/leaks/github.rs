//! Alerts of GitHub's secret scanning, signed by a key of our own.

use std::fs;
use std::time::Instant;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{events, made_up};
use crate::support::{Answer, Place, Server, client, text};

/// Somebody who signs alerts.
struct Signer {
    name: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(name: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a pair");
        Self { name, pair }
    }

    /// As the list of keys has it.
    fn entry(&self) -> Value {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("DER");
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        json!({ "key_identifier": self.name, "key": pem, "is_current": true })
    }

    fn sign(&self, body: &str) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), body.as_bytes()).expect("signed");
        STANDARD.encode(signature.as_ref())
    }
}

fn publish(place: &Place, signers: &[&Signer]) {
    let keys: Vec<_> = signers.iter().map(|signer| signer.entry()).collect();
    let text = json!({ "public_keys": keys }).to_string();
    fs::write(place.folder.path().join("github.json"), text).expect("written");
}

/// A server that takes alerts of the signer.
fn start(signer: &Signer) -> Server {
    let place = Place::new();
    let root = place.bootstrap();
    publish(&place, &[signer]);
    Server::serve(place, root, "leaks: {github: {enabled: true, keys_file: github.json}}\n")
}

fn send(server: &Server, identifier: Option<&str>, signature: Option<&str>, body: &str) -> Answer {
    let mut request = client().post(format!("{}/report-leak/github", server.url)).body(body.to_owned());
    request = request.header("Content-Type", "application/json");
    for (name, value) in
        [("Github-Public-Key-Identifier", identifier), ("Github-Public-Key-Signature", signature)]
    {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    Answer::read(request.send().expect("an answer"))
}

fn signed(server: &Server, signer: &Signer, body: &str) -> Answer {
    send(server, Some(signer.name), Some(&signer.sign(body)), body)
}

fn found(token: &str, url: &str) -> Value {
    json!({ "token": token, "type": "keyward_member_key", "url": url, "source": "content" })
}

#[test]
fn leak_2_leak_3_a_signed_alert_ends_what_is_ours_and_tells_what_was() {
    let signer = Signer::new("first");
    let server = start(&signer);
    let root = server.root();
    let (mia, key) = root.member("mia", &[]);
    let secret = text(&key["secret"]);
    let unknown = made_up("kwm", "0000000000000000");
    let url = "https://github.com/octocat/hello/blob/1/a.txt";
    let body = json!([
        found(&secret, url),
        found(&unknown, ""),
        found("NMIfyYncKcRALEXAMPLE", "a\nb"),
        found(&secret, "")
    ]);
    let told = signed(&server, &signer, &body.to_string()).ok();
    let labels: Vec<_> = told.as_array().expect("a list").iter().map(|f| text(&f["label"])).collect();
    assert_eq!(labels, ["true_positive", "false_positive", "false_positive", "true_positive"]);
    let hash = STANDARD.encode(Sha256::digest(secret.as_bytes()));
    assert_eq!(
        told[0],
        json!({ "token_hash": hash, "token_type": "keyward_member_key", "label": "true_positive" })
    );
    assert_eq!(root.code(&secret), "revoked");
    let event = &events(&root, "key.leak_reported")[0];
    assert_eq!((&event["actor"]["id"], &event["after"]["url"]), (&json!("github"), &json!(url)));
    assert_eq!((&event["after"]["owner_id"], &event["after"]["note"]), (&json!(mia), &json!("content")));
    let again = signed(&server, &signer, &body.to_string()).ok();
    assert_eq!(again, told, "dead or alive, it was ours");
    assert_eq!(events(&root, "key.leak_reported").len(), 1);
    assert_eq!(signed(&server, &signer, "[]").ok(), json!([]));
}

#[test]
fn leak_3_what_cannot_be_looked_up_keeps_nothing_else_back() {
    let signer = Signer::new("first");
    let server = start(&signer);
    let root = server.root();
    let make = |label: &str| text(&root.key(json!({ "class": "ingest", "label": label }))["secret"]);
    let [broken, good] = ["broken", "good"].map(make);
    let mend = "UPDATE keys SET scopes = NULL WHERE label = 'broken'";
    assert_eq!(server.place.sql("UPDATE keys SET scopes = '{' WHERE label = 'broken'"), 1);
    let server = server.kill_and_restart();
    let root = server.root();
    let body = json!([found(&broken, ""), found(&good, "")]).to_string();
    signed(&server, &signer, &body).expect(503);
    assert_eq!(root.code(&good), "revoked");
    assert_eq!(events(&root, "key.leak_reported").len(), 1);
    assert_eq!(server.place.sql(mend), 1);
    let told = signed(&server, &signer, &body).ok();
    assert!(told.as_array().expect("a list").iter().all(|found| found["label"] == "true_positive"), "{told}");
    assert_eq!(root.code(&broken), "revoked");
}

#[test]
fn leak_2_without_the_right_signature_nothing_changes() {
    let (signer, stranger) = (Signer::new("first"), Signer::new("first"));
    let server = start(&signer);
    let root = server.root();
    let (_, key) = root.member("mia", &[]);
    let secret = text(&key["secret"]);
    let body = json!([found(&secret, "https://github.com/x")]).to_string();
    let right = signer.sign(&body);
    let spaced = body.replace(',', ", ");
    for (identifier, signature, body) in [
        (None, None, &body),
        (Some("first"), None, &body),
        (None, Some(&right), &body),
        (Some("second"), Some(&right), &body),
        (Some("first"), Some(&"AAAA".to_owned()), &body),
        (Some("first"), Some(&stranger.sign(&body)), &body),
        (Some("first"), Some(&right), &spaced),
    ] {
        let answer = send(&server, identifier, signature.map(String::as_str), body);
        answer.refused(401, "invalid_signature");
    }
    assert_eq!(root.code(&secret), "ok");
    assert!(events(&root, "key.leak_reported").is_empty());
    for (wrong, status) in [("{}", 400), ("[{}]", 400), ("[", 400), ("[1]", 400)] {
        signed(&server, &signer, wrong).expect(status);
    }
    let large = format!("[{}]", " ".repeat(1024 * 1024));
    signed(&server, &signer, &large).refused(413, "body_too_large");
    send(&server, Some("first"), Some(&right), &body).expect(200);
    assert_eq!(root.code(&secret), "revoked");
}

#[test]
fn leak_2_new_keys_in_the_file_count_at_once_and_old_ones_no_more() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = start(&old);
    signed(&server, &old, "[]").expect(200);
    signed(&server, &new, "[]").refused(401, "invalid_signature");
    publish(&server.place, &[&new]);
    signed(&server, &new, "[]").expect(200);
    signed(&server, &old, "[]").refused(401, "invalid_signature");
    fs::write(server.place.folder.path().join("github.json"), "{}").expect("written");
    signed(&server, &new, "[]").refused(500, "internal");
}

#[test]
fn leak_2_ops_9_alerts_are_off_unless_configured_whole() {
    let server = Server::start();
    let signer = Signer::new("first");
    signed(&server, &signer, "[]").refused(404, "not_found");
    let place = Place::new();
    let file = place.folder.path().join("half.yml");
    fs::write(&file, "leaks: {github: {enabled: true}}\n").expect("written");
    let mut command = place.keyward(&["config", "check", "--config", file.to_str().expect("UTF-8")]);
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("leaks.github.keys_file"));
}

#[test]
fn leak_3_a_thousand_matches_are_handled_within_ten_seconds() {
    let signer = Signer::new("first");
    let server = start(&signer);
    let root = server.root();
    let keys: Vec<_> = (0..800)
        .map(|number| text(&root.key(json!({ "class": "ingest", "label": format!("k{number}") }))["secret"]))
        .collect();
    let unknown = (0..200).map(|number| made_up("kwi", &format!("{number:016}")));
    let tokens: Vec<_> = keys.iter().cloned().chain(unknown).collect();
    let matches: Vec<_> =
        tokens.iter().map(|token| found(token, "https://github.com/a/b/blob/1/c.txt")).collect();
    assert_eq!(matches.len(), 1_000);
    let body = json!(matches).to_string();
    assert!(body.len() > 65_536, "larger than other bodies may be: {}", body.len());
    for _ in 0..2 {
        let started = Instant::now();
        let told = signed(&server, &signer, &body).ok();
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
        let right = told.as_array().expect("a list").iter().filter(|f| f["label"] == "true_positive").count();
        assert_eq!(right, 800);
    }
    assert_eq!(events(&root, "key.leak_reported").len(), 800);
    assert!(keys.iter().all(|secret| root.code(secret) == "revoked"));
}
