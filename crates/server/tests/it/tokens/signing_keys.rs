//! `/v1/signing-keys` and `/.well-known/jwks.json` (OAU-8).

use serde_json::{Value, json};

use crate::api::{tenant, worker};
use crate::support::{Answer, Server, client, text, wait_until};

/// Others may keep the list for a second: the next key signs two seconds later.
const QUICK: &str = "tokens: {jwks_cache: 1s}";

fn published(url: &str) -> Answer {
    Answer::read(client().get(format!("{url}/.well-known/jwks.json")).send().expect("an answer"))
}

/// The ids of the published keys.
fn kids(url: &str) -> Vec<String> {
    let set = published(url).ok();
    set["keys"].as_array().expect("keys").iter().map(|key| text(&key["kid"])).collect()
}

/// Ids and states as the operator sees them.
fn states(server: &Server) -> Vec<(String, String)> {
    let list = server.root().get("/v1/signing-keys").ok();
    let rows = list["data"].as_array().expect("a list");
    rows.iter().map(|row| (text(&row["id"]), text(&row["state"]))).collect()
}

#[test]
fn oau_8_a_fresh_server_publishes_one_key_and_nothing_secret() {
    let server = Server::start();
    let answer = published(&server.url).expect(200);
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.body["keys"].as_array().expect("keys").clone();
    assert_eq!(keys.len(), 1);
    let members: Vec<_> = keys[0].as_object().expect("a key").keys().cloned().collect();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!((&keys[0]["alg"], &keys[0]["crv"]), (&json!("EdDSA"), &json!("Ed25519")));
    assert_eq!(states(&server), [(text(&keys[0]["kid"]), "current".to_owned())]);
    let before = kids(&server.url);
    let server = server.kill_and_restart();
    assert_eq!(kids(&server.url), before, "it survives a restart");
}

#[test]
fn oau_8_the_next_key_is_published_before_it_signs_and_the_old_one_stays() {
    let server = Server::with_config(QUICK);
    let node = server.second_node();
    let root = server.root();
    let first = kids(&server.url);
    let next = root.post("/v1/signing-keys/rotate", json!({})).expect(200).body;
    assert_eq!(next["state"], "next");
    assert_eq!(kids(&server.url), [text(&next["id"]), first[0].clone()], "published at once, signs later");
    wait_until(|| kids(&node.url).len() == 2);
    assert_eq!(kids(&node.url), kids(&server.url), "on every node");
    root.post("/v1/signing-keys/rotate", json!({})).refused(409, "rotation_pending");
    wait_until(|| states(&server)[0].1 == "current");
    assert_eq!(states(&server)[1], (first[0].clone(), "retired".to_owned()));
    let retired = root.get("/v1/signing-keys").ok()["data"][1].clone();
    assert!(!retired["removed_at"].is_null(), "it is told when it goes");
    assert_eq!(kids(&server.url).len(), 2, "the old one is still known");
}

#[test]
fn oau_8_a_removed_key_is_gone_at_once_everywhere_and_another_signs() {
    let server = Server::with_config(QUICK);
    let node = server.second_node();
    let root = server.root();
    let first = kids(&server.url).remove(0);
    root.delete(&format!("/v1/signing-keys/{first}")).expect(204);
    let second = kids(&server.url);
    assert_eq!(second.len(), 1, "a new one in its place");
    assert_ne!(second[0], first);
    assert_eq!(states(&server), [(second[0].clone(), "current".to_owned())], "it signs at once");
    wait_until(|| kids(&node.url) == second);
    root.delete(&format!("/v1/signing-keys/{first}")).refused(404, "not_found");
    // With a successor published already, that one takes its place.
    let next = text(&root.post("/v1/signing-keys/rotate", json!({})).ok()["id"]);
    root.delete(&format!("/v1/signing-keys/{}", second[0])).expect(204);
    assert_eq!(states(&server), [(next, "current".to_owned())]);
}

#[test]
fn oau_8_another_algorithm_comes_with_the_next_key() {
    let server = Server::with_config("tokens: {algorithm: ES256, jwks_cache: 1s}");
    let keys = published(&server.url).ok()["keys"].clone();
    let key = &keys[0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
    assert!(key["y"].is_string() && key["d"].is_null());
    assert_eq!(keys[1]["alg"], "EdDSA", "the one of the first start goes on until then");
    wait_until(|| states(&server)[0].1 == "current");
    assert_eq!(states(&server)[1].1, "retired");
}

#[test]
fn oau_8_az_1_signing_keys_are_the_operators() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let reader = worker(&server, &server.root(), "reader", &["instance/signing-keys:read"]);
    let before = kids(&server.url);
    let path = format!("/v1/signing-keys/{}", before[0]);
    for caller in [&admin, &reader] {
        caller.post("/v1/signing-keys/rotate", json!({})).refused(403, "insufficient_rights");
        caller.delete(&path).refused(403, "insufficient_rights");
    }
    admin.get("/v1/signing-keys").refused(403, "insufficient_rights");
    reader.get("/v1/signing-keys").expect(200);
    assert_eq!(kids(&server.url), before, "a refused request changed nothing");
    let tried = server.root().post("/v1/signing-keys/rotate?validate_only=true", json!({})).expect(200);
    assert_eq!((tried.body["state"].clone(), kids(&server.url)), (json!("next"), before));
}

#[test]
fn oau_8_sto_6_the_private_part_is_sealed_and_told_to_nobody() {
    let server = Server::start();
    let list = server.root().get("/v1/signing-keys").ok().to_string();
    assert!(!list.contains("sealed"), "{list}");
    // A sealed value opens only where it was sealed for.
    server.place.sql("UPDATE signing_keys SET kid = 'AAAAAAAAAAAAAAAA'");
    let mut server = server;
    server.terminate();
    let output = server.place.run(&["pepper", "status"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("signing_keys.sealed"), "{told}");
}

#[test]
fn oau_8_the_command_line_lists_rotates_and_removes() {
    let server = Server::with_config(QUICK);
    let run = |args: &[&str]| {
        let mut command = server.place.keyward(args);
        command.env("KEYWARD_URL", &server.url).env("KEYWARD_TOKEN", server.operator());
        let output = command.output().expect("the binary runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), told)
    };
    let list = || -> Value {
        let told = run(&["signing-keys", "list", "-o", "json"]).1;
        serde_json::from_str::<Value>(&told).expect("JSON")["data"].take()
    };
    let first = text(&list()[0]["id"]);
    assert_eq!(run(&["signing-keys", "rotate", "--dry-run"]).0, Some(0));
    assert_eq!(list().as_array().map(Vec::len), Some(1));
    let (code, _, told) = run(&["signing-keys", "rotate"]);
    assert!(code == Some(0) && told.contains("it signs from"), "{told}");
    assert_eq!(run(&["signing-keys", "rotate"]).0, Some(6), "one is pending");
    assert_eq!(run(&["signing-keys", "remove", &first, "--no-input"]).0, Some(2), "it asks first");
    assert_eq!(run(&["signing-keys", "remove", &first, "--yes"]).0, Some(0));
    assert_eq!(list().as_array().map(Vec::len), Some(1));
    assert_ne!(text(&list()[0]["id"]), first);
}
