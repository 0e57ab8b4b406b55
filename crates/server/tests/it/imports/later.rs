//! What becomes of an imported key: its first use, a secret of our own, its end.

use serde_json::json;

use super::{SHA256, TEXT, imported, row};
use crate::support::{Server, text, wait_until};

const FAST: &str = "verify:\n  usage_flush: 1s\n";

#[test]
fn x_11_the_first_use_hashes_it_as_one_of_ours() {
    let server = Server::with_config(FAST);
    let root = server.root();
    imported(&root, "sha256", row("a", SHA256));
    let unproven = || server.place.sql("UPDATE key_secrets SET hash = hash WHERE pepper_id = 0");
    assert_eq!(unproven(), 1);
    assert!(!server.place.dump().contains(SHA256), "the foreign hash is never written");
    assert_ne!(root.code(&format!("{TEXT}x")), "ok");
    assert_eq!(unproven(), 1, "a wrong text changes nothing");
    assert_eq!(root.code(TEXT), "ok");
    wait_until(|| unproven() == 0);
    assert_eq!(root.code(TEXT), "ok");
    let dump = server.place.dump();
    assert!(!dump.contains(SHA256) && !dump.contains(TEXT));
    // A pepper may go like those of other keys.
    assert!(server.place.run(&["pepper", "rotate"]).status.success());
    wait_until(|| {
        root.code(TEXT) == "ok"
            && server.place.sql("UPDATE key_secrets SET hash = hash WHERE pepper_id = 2") > 0
    });
    let server = server.kill_and_restart();
    assert_eq!(server.root().code(TEXT), "ok");
    assert!(!server.place.log().contains(TEXT));
}

#[test]
fn x_11_key_9_a_rotation_lets_the_foreign_secret_work_for_the_overlap() {
    let server = Server::start();
    let root = server.root();
    let key = imported(&root, "sha256", row("a", SHA256));
    let path = format!("/v1/keys/{}", text(&key["id"]));
    let renewed = root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 3600 })).ok();
    let own = text(&renewed["secret"]);
    assert!(own.starts_with("kwi_"), "the new one is ours");
    assert_eq!(renewed["imported"]["source"], "old");
    assert_eq!(renewed["secrets"].as_array().map(Vec::len), Some(2));
    assert_eq!([root.code(TEXT), root.code(&own)], ["ok", "ok"]);
    root.post(&format!("{path}/rotate/finish"), json!({})).expect(200);
    assert_eq!([root.code(TEXT).as_str(), root.code(&own).as_str()], ["retired_secret", "ok"]);
    let newest = text(&root.post(&format!("{path}/secret"), json!({})).ok()["secret"]);
    assert_eq!([root.code(&own).as_str(), root.code(&newest).as_str()], ["retired_secret", "ok"]);
    root.post(&format!("{path}/revoke"), json!({})).expect(200);
    assert_eq!([root.code(TEXT).as_str(), root.code(&newest).as_str()], ["revoked", "revoked"]);
}

#[test]
fn x_11_key_14_limits_uses_and_switches_are_those_of_every_key() {
    let server = Server::with_config(FAST);
    let root = server.root();
    let mut wish = row("a", SHA256);
    wish["limits"] = json!([{ "name": "minute", "requests": 2, "per_seconds": 60 }]);
    let key = imported(&root, "sha256", wish);
    let path = format!("/v1/keys/{}", text(&key["id"]));
    assert_eq!([root.code(TEXT), root.code(TEXT), root.code(TEXT)], ["ok", "ok", "rate_limited"]);
    wait_until(|| root.get(&format!("{path}/usage")).ok()["total"]["allowed"] == 2);
    root.post(&format!("{path}/deactivate"), json!({})).expect(200);
    assert_eq!(root.code(TEXT), "inactive");
    root.post(&format!("{path}/activate"), json!({})).expect(200);
    assert_eq!(root.code(TEXT), "rate_limited");
}
