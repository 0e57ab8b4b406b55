//! The database has another history than the one that was followed: a standby that lacked something was promoted.

use serde_json::json;

use crate::support::{Server, text, wait_until};

/// What makes the history another one, while the nodes follow it.
const OTHER_HISTORIES: [&str; 3] = [
    // As many changes, and another last one.
    "UPDATE changes SET at = at - 1 WHERE seq = (SELECT seq FROM change_clock WHERE id = 1)",
    // Fewer.
    "UPDATE change_clock SET seq = seq - 1 WHERE id = 1",
    // More, of which the one with the last number that was followed is another.
    "BEGIN;
     UPDATE changes SET at = at - 1 WHERE seq = (SELECT seq FROM change_clock WHERE id = 1);
     INSERT INTO changes (seq, at, kind, tenant_id, subject)
        SELECT seq + 1, at, 'session', tenant_id, '0000000000000000' FROM changes
        WHERE seq = (SELECT seq FROM change_clock WHERE id = 1);
     UPDATE change_clock SET seq = seq + 1 WHERE id = 1;
     COMMIT",
];

#[test]
fn x_7_r_2_nothing_of_before_is_believed_when_the_feed_is_another() {
    for other_history in OTHER_HISTORIES {
        let server = Server::start();
        let node = server.second_node();
        let (a, b) = (server.root(), node.caller(&server.operator()));
        let key = a.key(json!({ "class": "ingest", "label": "of both histories" }));
        let secret = text(&key["secret"]);
        let last = a.key(json!({ "class": "ingest", "label": "last" }));
        assert_eq!((b.code(&secret), b.code(&text(&last["secret"]))), ("ok".into(), "ok".into()));
        // When the other node knows the last change, it has followed the feed to its end.
        a.post(&format!("/v1/keys/{}/revoke", text(&last["id"])), json!({})).ok();
        wait_until(|| b.code(&text(&last["secret"])) == "revoked");
        // The other history knows a revocation that no entry behind the last one tells of.
        server.place.sql("UPDATE keys SET switch = 'revoked' WHERE label = 'of both histories'");
        server.place.sql(other_history);
        wait_until(|| b.code(&secret) == "revoked");
    }
}
