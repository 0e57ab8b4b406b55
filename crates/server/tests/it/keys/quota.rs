//! How many keys a user may own.

use serde_json::json;

use super::{count, path};
use crate::support::{Server, text};

#[test]
fn bm_2_az_10_of_32_parallel_creates_exactly_the_quota_wins() {
    let server = Server::start();
    let root = server.root();
    let bob = root.user("bob", &[]);
    let before = count(&root);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let make = |_| {
            let (root, bob) = (&root, &bob);
            scope.spawn(move || {
                root.post("/v1/keys", json!({ "class": "member", "owner_id": bob, "label": "x" }))
            })
        };
        let running: Vec<_> = (0..32).map(make).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (2, 30));
    for answer in lost {
        let refused = answer.refused(422, "quota_exceeded");
        assert_eq!(refused.body["policy"], "max_keys_per_user");
    }
    assert_eq!(count(&root), before + 2);
}

#[test]
fn bm_2_revoking_makes_room_policy_sets_the_number_and_admins_make_many() {
    let server = Server::start();
    let root = server.root();
    let (bob, first) = root.member("bob", &[]);
    let body = json!({ "class": "member", "owner_id": bob, "label": "x" });
    root.post("/v1/keys", body.clone()).expect(201);
    root.post("/v1/keys", body.clone()).refused(422, "quota_exceeded");
    server
        .caller(&text(&first["secret"]))
        .post("/v1/keys", json!({ "class": "member", "label": "x" }))
        .refused(422, "quota_exceeded");
    root.delete(&path(&first)).expect(204);
    root.post("/v1/keys", body.clone()).expect(201);
    root.patch("/v1/policies", json!({ "max_keys_per_user": 3 })).ok();
    root.post("/v1/keys", body.clone()).expect(201);
    root.post("/v1/keys", body).refused(422, "quota_exceeded");
    for _ in 0..6 {
        root.post("/v1/keys", json!({ "class": "workspace", "label": "many" })).expect(201);
    }
}

#[test]
fn bm_2_bm_5_az_10_an_expired_key_comes_back_only_within_the_quota() {
    let server = Server::start();
    let root = server.root();
    let bob = root.user("bob", &[]);
    let body = json!({ "class": "member", "owner_id": bob, "label": "x" });
    let short = root.key(json!({ "class": "member", "owner_id": bob, "label": "short", "ttl_seconds": 1 }));
    root.key(body.clone());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let third = root.key(body);
    let again = json!({ "ttl_seconds": 3600 });
    root.post(&format!("{}/extend", path(&short)), again.clone()).refused(422, "quota_exceeded");
    root.patch(&path(&short), again.clone()).refused(422, "quota_exceeded");
    assert_eq!(root.get(&path(&short)).ok()["status"], "expired");
    root.delete(&path(&third)).expect(204);
    assert_eq!(root.post(&format!("{}/extend", path(&short)), again).ok()["status"], "expiring");
}
