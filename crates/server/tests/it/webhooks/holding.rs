//! What waits for a webhook that takes nothing, or whose tenant is suspended (OUT-3, OUT-4).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{actions, bring_about, deliveries, hook, hurry, path, scene, wait_for};
use crate::api;
use crate::support::{Server, engine, text, wait_until};

/// The webhook has taken nothing for longer by so many milliseconds than it has.
const LONGER: &str = "UPDATE webhooks SET failing_since = failing_since - 1500000";
const DAYS_LONGER: &str = "UPDATE webhooks SET failing_since = failing_since - 259200000";

#[test]
fn out_4_while_nothing_is_taken_one_message_is_tried_and_the_others_wait() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/down"), &["key.create"]);
    bring_about(&root, "first");
    wait_for(&root, &made, |row| row["attempts"] == 1);
    let labels: Vec<_> = (0..5).map(|number| bring_about(&root, &format!("key-{number}"))).collect();
    wait_until(|| deliveries(&root, &made).len() == 6);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(receiver.got().len(), 1, "the others wait: {labels:?}");
    for row in deliveries(&root, &made) {
        assert_eq!(row["state"], "waiting");
        assert!(text(&row["next_attempt_at"]) > text(&row["created_at"]), "held back: {row}");
    }
    // When it is time one is tried: that which waits longest, not the one that failed.
    server.place.sql("UPDATE webhooks SET probe_at = 0");
    receiver.wait_for("/down", 2);
    std::thread::sleep(Duration::from_millis(1_500));
    let ids: BTreeSet<_> = receiver.got().iter().map(super::receiver::Got::id).collect();
    assert_eq!((receiver.got().len(), ids.len()), (2, 2), "one message at a time");
    // A test goes past them.
    root.post(&format!("{}/test", path(&made)), json!({})).expect(200);
    receiver.wait_for("/down", 3);
    // It is back: one is taken, and then all.
    receiver.come_back();
    hurry(&server);
    let delivered = || deliveries(&root, &made).iter().filter(|row| row["state"] == "delivered").count();
    wait_until(|| delivered() == 6);
    assert!(root.get(&path(&made)).ok()["failing_since"].is_null());
    assert_eq!(actions(&root, &made), ["webhook.test", "webhook.create"], "nobody was told of it");
}

#[test]
fn out_4_a_webhook_is_told_of_after_half_an_hour_and_off_after_three_days_however_much_waits() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/fail"), &["key.create"]);
    bring_about(&root, "first");
    receiver.wait_for("/fail", 1);
    (0..20).for_each(|number| drop(bring_about(&root, &format!("key-{number}"))));
    wait_until(|| deliveries(&root, &made).len() == 21);
    let attempts = || -> i64 {
        deliveries(&root, &made).iter().map(|row| row["attempts"].as_i64().expect("a number")).sum()
    };
    let fail = |longer| {
        let before = attempts();
        server.place.sql(longer);
        server.place.sql("UPDATE webhooks SET probe_at = 0");
        wait_until(|| attempts() > before);
    };
    fail(LONGER);
    assert_eq!(actions(&root, &made), ["webhook.create"], "25 minutes are nothing yet");
    fail(LONGER);
    fail(LONGER);
    assert_eq!(actions(&root, &made), ["webhook.failing", "webhook.create"], "told once");
    assert_eq!(root.get(&path(&made)).ok()["enabled"], true);
    fail(DAYS_LONGER);
    assert_eq!(actions(&root, &made)[0], "webhook.disabled");
    let off = root.get(&path(&made)).ok();
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("failing")));
    // What waited ends, and its log tells why.
    wait_until(|| deliveries(&root, &made).iter().all(|row| row["state"] == "failed"));
    assert!(deliveries(&root, &made).iter().any(|row| text(&row["error"]).contains("switched off")));
}

#[test]
fn out_3_the_queue_of_a_webhook_is_bounded_and_its_log_tells_what_was_not_sent() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/down"), &["key.create"]);
    bring_about(&root, "first");
    wait_for(&root, &made, |row| row["attempts"] == 1);
    // As many as may wait; this one leads nowhere.
    let filled = server.place.sql(
        "INSERT INTO jobs (tenant_id, id, lane, kind, payload, attempts, due_at, created_at)
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 19999)
         SELECT tenant_id, id || n, lane, kind, '{\"webhook_id\": \"none\", \"delivery_id\": \"none\"}', 0,
            9000000000000, 0
         FROM jobs, numbers WHERE kind = 'webhook'",
    );
    assert_eq!(filled, 19_999);
    bring_about(&root, "one too many");
    let skipped = wait_for(&root, &made, |row| row["state"] == "failed");
    assert!(text(&skipped["error"]).contains("20000 messages wait"), "{skipped}");
    assert_eq!((&skipped["attempts"], &skipped["next_attempt_at"]), (&json!(0), &json!(null)));
    assert_eq!(server.place.sql("DELETE FROM jobs WHERE due_at = 9000000000000"), 19_999);
    // There is room again; what was left out can be sent.
    receiver.come_back();
    root.post(&format!("{}/deliveries/{}/replay", path(&made), text(&skipped["id"])), json!({})).expect(200);
    let done = wait_for(&root, &made, |row| row["state"] == "delivered");
    assert_eq!((&done["id"], &done["error"]), (&skipped["id"], &json!(null)));
}

#[test]
fn out_4_what_happened_in_a_tenant_waits_while_it_is_suspended() {
    let (server, receiver) = scene();
    let root = server.root();
    let (acme, admin) = api::tenant(&server, "acme");
    let made = hook(&admin, &receiver.url("/down"), &["key.create"]);
    bring_about(&admin, "before");
    wait_for(&admin, &made, |row| row["attempts"] == 1);
    root.post(&format!("/v1/tenants/{acme}/suspend"), json!({ "reason": "unpaid" })).expect(200);
    server.place.sql(DAYS_LONGER);
    let test = |label: &str| {
        let body = json!({ "class": "ingest", "label": label });
        api::inside(&root, &acme, "POST", "/v1/keys", &body).status
    };
    // What the operator does there meanwhile waits too, if they may do anything at all.
    let extra = usize::from(test("meanwhile") == 201);
    hurry(&server);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(receiver.got().len(), 1, "nothing leaves while it is suspended");
    root.post(&format!("/v1/tenants/{acme}/resume"), json!({})).expect(200);
    receiver.come_back();
    let count = 2 + extra;
    receiver.wait_for("/down", count);
    wait_until(|| deliveries(&admin, &made).iter().all(|row| row["state"] == "delivered"));
    assert_eq!(deliveries(&admin, &made).len(), 1 + extra);
    let after = admin.get(&path(&made)).ok();
    assert_eq!((&after["enabled"], &after["failing_since"]), (&json!(true), &json!(null)));
}

#[test]
fn out_1_out_4_what_cannot_be_signed_is_told_and_goes_once_it_can() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/ok"), &["key.create"]);
    server.place.sql("UPDATE webhook_secrets SET hmac = ed25519");
    bring_about(&root, "nightly");
    let failed = wait_for(&root, &made, |row| row["attempts"] == 1);
    assert!(text(&failed["error"]).contains("until the secret of this webhook is rotated"), "{failed}");
    assert_eq!((&failed["state"], &failed["status_code"]), (&json!("waiting"), &json!(null)));
    assert!(root.get(&path(&made)).ok()["failing_since"].is_string());
    assert!(receiver.got().is_empty(), "nothing goes out unsigned");
    let rotated = root.post(&format!("{}/rotate-secret", path(&made)), json!({ "overlap_seconds": 0 })).ok();
    hurry(&server);
    wait_for(&root, &made, |row| row["state"] == "delivered");
    assert!(receiver.at("/ok").iter().all(|sent| sent.is_by(&text(&rotated["secret"]))));
}

#[test]
fn out_4_a_webhook_is_deleted_in_the_order_in_which_an_attempt_ends() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/fail"), &["key.create"]);
    bring_about(&root, "nightly");
    wait_for(&root, &made, |row| row["attempts"] == 1);
    if engine() == "postgres" {
        between_both(&server, || root.delete(&path(&made)).status);
    } else {
        root.delete(&path(&made)).expect(204);
    }
    root.get(&path(&made)).refused(404, "not_found");
    for left in ["DELETE FROM webhook_deliveries", "DELETE FROM jobs", "DELETE FROM webhook_secrets"] {
        assert_eq!(server.place.sql(left), 0, "nothing of it is left");
    }
}

/// Does what an attempt does at its end, the delivery first and then its job, while somebody deletes both.
fn between_both(server: &Server, delete: impl FnOnce() -> u16 + Send) {
    use sqlx::{Connection as _, Executor as _};
    let url = server.place.database_url().expect("on PostgreSQL");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut conn = runtime.block_on(sqlx::PgConnection::connect(&url)).expect("connects");
    let mut run = |statement: &'static str| runtime.block_on(conn.execute(statement));
    run("BEGIN").expect("begins");
    run("UPDATE webhook_deliveries SET attempts = attempts").expect("held");
    std::thread::scope(|scope| {
        let deleted = scope.spawn(delete);
        std::thread::sleep(Duration::from_millis(700));
        run("SELECT 1 FROM jobs FOR UPDATE NOWAIT").expect("the jobs are not held meanwhile");
        run("UPDATE webhooks SET failing_since = failing_since").expect("nor the webhook");
        run("COMMIT").expect("ends");
        assert_eq!(deleted.join().expect("ends"), 204);
    });
}
