//! `/v1/keys`: the life of a key.

use serde_json::json;

use crate::support::{Server, text};

#[test]
fn bm_7_key_5_mo_4_a_secret_is_shown_once() {
    let server = Server::start();
    let root = server.root();
    let created = root.post("/v1/keys", json!({ "class": "workspace", "label": "export" })).expect(201);
    assert_eq!(created.header("cache-control"), "no-store");
    let key = &created.body;
    let secret = text(&key["secret"]);
    assert_eq!(secret.len(), 69);
    let copy = format!("key:{}::{secret},tenant id: {}", text(&key["access_key"]), server.tenant());
    assert_eq!(key["copy"], copy, "bm_11");
    assert_eq!(root.code(&secret), "ok");
    let shown = root.get(&format!("/v1/keys/{}", text(&key["id"]))).expect(200);
    assert!(!shown.text.contains(&secret));
    assert!(!server.place.dump().contains(&secret), "va_3");
}
