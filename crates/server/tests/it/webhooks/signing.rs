//! What is sent, and by which secrets (OUT-1, OUT-5, STO-6, KEY-5).

use serde_json::{Value, json};

use super::receiver::Receiver;
use super::{ALLOW, actions, bring_about, deliveries, hook, path, scene, wait_for};
use crate::api::{all, tenant};
use crate::support::{Place, Server, text, wait_until};

#[test]
fn out_1_out_5_an_event_is_sent_thin_and_signed_in_both_ways() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/ok?token=a"), &["key.*"]);
    let (secret, public) = (text(&made["secret"]), text(&made["secrets"][0]["public_key"]));
    let key = bring_about(&root, "nightly");
    let sent = receiver.wait_for("/ok?token=a", 1).remove(0);
    assert!(sent.is_by(&secret) && sent.fits(&public));
    assert_eq!(sent.counts(), (1, 1));
    assert_eq!(sent.header("content-type"), "application/json");
    assert!(sent.id().starts_with("delivery_") && !sent.id().contains('.'));
    assert!(sent.header("webhook-timestamp").bytes().all(|byte| byte.is_ascii_digit()));

    let body = sent.json();
    let event = all(&root, &format!("/v1/audit-events?target_id={key}")).remove(0);
    let expected = json!({
        "type": "key.create",
        "timestamp": event["at"],
        "data": {
            "event_id": event["id"],
            "tenant_id": server.tenant(),
            "actor": event["actor"],
            "target": { "kind": "key", "id": key, "label": "nightly" },
            "outcome": "success",
            "request_id": event["request_id"],
        },
    });
    assert_eq!(body, expected, "nothing else");
    // What a verifier must refuse.
    assert!(!sent.tampered("", &sent.body.replace("nightly", "weekly")).is_by(&secret));
    for (header, value) in [("webhook-id", "delivery_other"), ("webhook-timestamp", "1")] {
        let other = sent.tampered(header, value);
        assert!(!other.is_by(&secret) && !other.fits(&public), "{header}");
    }
    // Nothing else was asked for.
    root.user("ada", &[]);
    bring_about(&root, "weekly");
    let sent = receiver.wait_for("/ok?token=a", 2);
    assert!(sent.iter().all(|sent| sent.json()["type"] == "key.create"), "{sent:?}");
    let reason = json!({ "reason": "left the company" });
    root.post(&format!("/v1/keys/{key}/revoke"), reason).expect(200);
    let sent = receiver.wait_for("/ok?token=a", 3).remove(2).json();
    assert_eq!((&sent["type"], &sent["data"]["reason"]), (&json!("key.revoke"), &json!("left the company")));
}

#[test]
fn out_1_both_secrets_sign_while_one_is_replaced() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/ok"), &["key.create"]);
    let rotate = |body: Value| root.post(&format!("{}/rotate-secret", path(&made)), body);
    rotate(json!({ "overlap_seconds": -1 })).refused(422, "invalid_value");
    rotate(json!({ "overlap_seconds": 2_592_001 })).refused(422, "invalid_value");
    let first = text(&made["secret"]);
    let rotated = rotate(json!({})).ok();
    let second = text(&rotated["secret"]);
    assert_ne!(first, second);
    let secrets = rotated["secrets"].as_array().expect("a list").clone();
    assert_eq!((secrets.len(), &secrets[0]["generation"]), (2, &json!(2)));
    bring_about(&root, "one");
    let sent = receiver.wait_for("/ok", 1).remove(0);
    assert!(sent.is_by(&first) && sent.is_by(&second));
    assert!(secrets.iter().all(|secret| sent.fits(&text(&secret["public_key"]))));
    assert_eq!(sent.counts(), (2, 2));
    // A third would end one that somebody may still use: only if that is wanted.
    rotate(json!({ "overlap_seconds": 60 })).refused(409, "too_many_secrets");
    let third = text(&rotate(json!({ "overlap_seconds": 0 })).ok()["secret"]);
    bring_about(&root, "two");
    let sent = receiver.wait_for("/ok", 2).remove(1);
    assert!(sent.is_by(&third) && !sent.is_by(&first) && !sent.is_by(&second));
    assert_eq!(sent.counts(), (1, 1));
    assert_eq!(actions(&root, &made), ["webhook.rotate_secret", "webhook.rotate_secret", "webhook.create"]);
}

#[test]
fn key_5_out_5_the_secret_is_shown_once_and_stands_nowhere() {
    let place = Place::new();
    let root = place.bootstrap();
    let server = Server::serve(place, root, &format!("{ALLOW}log: {{filter: trace}}\n"));
    let (root, receiver) = (server.root(), Receiver::open());
    let url = receiver.url("/ok/path-of-the-canary");
    let body = json!({ "url": url, "events": ["*"] });
    let send = || {
        let request = root.request("POST", "/v1/webhooks").header("idempotency-key", "once").json(&body);
        crate::support::Answer::read(request.send().expect("an answer")).expect(201)
    };
    let made = send();
    assert_eq!(made.header("cache-control"), "no-store");
    let again = send().body;
    assert_eq!((&again["secret"], &again["secret_state"]), (&Value::Null, &json!("delivered")));
    assert_eq!(all(&root, "/v1/webhooks").len(), 1);
    let secret = text(&made.body["secret"]);
    let hook = made.body;
    let key = root.key(json!({ "class": "ingest", "label": "nightly" }));
    receiver.wait_for("/ok/path-of-the-canary", 2);
    wait_for(&root, &hook, |row| row["state"] == "delivered");
    let reads = ["", "/deliveries"].map(|part| root.get(&format!("{}{part}", path(&hook))).text);
    let sent: String = receiver.got().iter().map(|got| got.body.clone()).collect();
    let export = root.get("/v1/audit-events/export").text;
    let bare = secret.trim_start_matches("whsec_");
    for (place, content) in [
        ("answers", reads.concat() + &root.get("/v1/webhooks").text),
        ("messages", sent),
        ("database", server.place.dump()),
        ("log", server.place.log()),
        ("audit", export.clone()),
    ] {
        assert!(!content.contains(bare), "the secret stands in the {place}");
        assert!(!content.contains(&text(&key["secret"])), "the secret of the key stands in the {place}");
    }
    // Paths of webhooks are often secret: only those who may see webhooks see them.
    assert!(
        !export.contains("path-of-the-canary") && export.contains(&format!("127.0.0.1:{}", receiver.port()))
    );
}

#[test]
fn sto_6_secrets_of_webhooks_open_in_their_own_place_alone() {
    let (server, receiver) = scene();
    let root = server.root();
    let one = hook(&root, &receiver.url("/ok"), &["key.create"]);
    let two = hook(&root, &receiver.url("/ok"), &["user.create"]);
    assert_ne!(one["secret"], two["secret"]);
    let moved = server.place.sql(
        "UPDATE webhook_secrets SET hmac = (SELECT MAX(o.hmac) FROM webhook_secrets o
                                            WHERE o.webhook_id <> webhook_secrets.webhook_id)",
    );
    assert_eq!(moved, 2);
    bring_about(&root, "nightly");
    let waiting = || all(&root, "/v1/jobs?state=waiting");
    wait_until(|| waiting().iter().any(|job| job["last_error"].is_string()));
    let error = text(&waiting()[0]["last_error"]);
    assert!(error.contains("webhook_secrets.hmac") && error.contains("cannot be opened"), "{error}");
    assert!(receiver.got().is_empty(), "nothing is sent without its signature");
}

#[test]
fn az_3_az_4_a_tenants_events_go_to_its_own_webhooks_only() {
    let (server, receiver) = scene();
    let root = server.root();
    hook(&root, &receiver.url("/ok/primary"), &["key.create"]);
    let (_, admin) = tenant(&server, "acme");
    let own = hook(&admin, &receiver.url("/ok/acme"), &["key.create"]);
    bring_about(&admin, "of acme");
    bring_about(&root, "of the primary");
    let label = |path: &str| {
        let sent = receiver.wait_for(path, 1);
        sent.iter().map(|sent| text(&sent.json()["data"]["target"]["label"])).collect::<Vec<_>>()
    };
    assert_eq!(label("/ok/acme"), ["of acme"]);
    assert_eq!(label("/ok/primary"), ["of the primary"]);
    // Nobody else knows of them.
    root.get(&path(&own)).refused(404, "not_found");
    let delivery = wait_for(&admin, &own, |row| row["state"] == "delivered");
    let replay = format!("{}/deliveries/{}/replay", path(&own), text(&delivery["id"]));
    root.post(&replay, json!({})).refused(404, "not_found");
    assert_eq!(deliveries(&admin, &own).len(), 1);
}
