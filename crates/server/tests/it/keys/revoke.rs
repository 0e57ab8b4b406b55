//! Ending one key for good.

use serde_json::json;

use super::{fault, path, rows};
use crate::support::{Server, text};

#[test]
fn mo_6_bm_12_revocation_is_final() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let (at, secret) = (path(&key), text(&key["secret"]));
    assert_eq!(root.code(&secret), "ok");
    let bad =
        root.post(&format!("{at}/revoke"), json!({ "reason": "two\nlines" })).refused(422, "invalid_value");
    assert_eq!(fault(&bad), ("/reason", "bad_characters"));
    assert_eq!(root.code(&secret), "ok");
    let revoked = root.post(&format!("{at}/revoke"), json!({ "reason": "leaked" })).expect(200).body;
    assert_eq!((&revoked["status"], &revoked["revoked_reason"]), (&json!("revoked"), &json!("leaked")));
    assert_eq!(root.code(&secret), "revoked");
    server.caller(&secret).get("/v1/me").refused(401, "revoked");
    root.post(&format!("{at}/revoke"), json!({})).refused(409, "already_revoked");
    for action in ["activate", "deactivate", "extend", "rotate", "rotate/finish", "rotate/abort", "secret"] {
        root.post(&format!("{at}/{action}"), json!({})).refused(409, "already_revoked");
    }
    root.patch(&at, json!({ "label": "alive" })).refused(409, "already_revoked");
    root.delete(&at).refused(409, "already_revoked");
    assert_eq!(root.get(&at).ok(), revoked, "the row stays as it was");
}

#[test]
fn mo_6_delete_is_revoke_and_the_row_stays() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "ingest", "label": "x" }));
    let deleted = root.delete(&format!("/v1/keys/{}", text(&key["access_key"]))).expect(204);
    assert_eq!(deleted.text, "");
    assert_eq!(root.get(&path(&key)).ok()["status"], "revoked");
    assert_eq!(rows(&root.get("/v1/keys?status=revoked").ok()).len(), 1);
}

#[test]
fn az_6_nobody_ends_or_renews_a_key_that_may_do_more() {
    let server = Server::start();
    let root = server.root();
    let strong = root.key(json!({ "class": "workspace", "label": "admin key" }));
    let (_, key) = root.member("helpdesk", &["keys:*"]);
    let desk = server.caller(&text(&key["secret"]));
    for action in ["revoke", "deactivate", "rotate", "secret", "extend"] {
        desk.post(&format!("{}/{action}", path(&strong)), json!({})).refused(403, "above_caller");
    }
    desk.patch(&path(&strong), json!({ "label": "x" })).refused(403, "above_caller");
    desk.delete(&path(&strong)).refused(403, "above_caller");
    assert_eq!(root.get(&path(&strong)).ok()["version"], 1);
    let (_, weak) = root.member("bob", &[]);
    desk.post(&format!("{}/revoke", path(&weak)), json!({})).ok();
}

#[test]
fn sq_7_dir_3_a_later_user_of_the_same_name_gets_nothing() {
    let server = Server::start();
    let root = server.root();
    let (old, key) = root.member("bob", &["reports:read"]);
    let secret = text(&key["secret"]);
    assert_eq!(root.code(&secret), "ok");
    root.delete(&format!("/v1/users/{old}")).expect(204);
    assert_eq!(root.code(&secret), "revoked");
    server.caller(&secret).get("/v1/me").refused(401, "revoked");
    let new = root.user("bob", &[]);
    assert_ne!(new, old);
    let user = root.get(&format!("/v1/users/{new}")).ok();
    assert_eq!((&user["key_count"], &user["rights"]), (&json!(0), &json!([])));
    assert_eq!(rows(&root.get(&format!("/v1/keys?owner_id={new}")).ok()).len(), 0);
    assert_eq!(root.code(&secret), "revoked", "the old key stays dead");
    let row = root.get(&path(&key)).ok();
    assert_eq!((text(&row["owner_id"]), &row["owner_username"]), (old.clone(), &json!(null)));
    root.post(&format!("{}/extend", path(&key)), json!({})).refused(409, "already_revoked");
    root.get(&format!("/v1/users/{old}")).refused(404, "not_found");
    let body = json!({ "class": "member", "owner_id": old, "label": "x" });
    root.post("/v1/keys", body).refused(404, "not_found");
}
