//! Keys that work only when somebody else has approved them.

use serde_json::{Value, json};

use super::stale_session;
use crate::api::{all, built_in, person, snapshot, tenant, worker};
use crate::keys::path;
use crate::notifications::kinds;
use crate::support::{Caller, Server, text, wait_until};

const APPROVER: [&str; 5] = ["keys:read", "keys:approve", "me:read", "me/keys:*", "ingest/**:*"];

/// From now on keys of the class need an approval.
fn ask(admin: &Caller, class: &str) {
    admin.patch("/v1/policies", json!({ class: { "approval": true } })).expect(200);
}

#[test]
fn x_5_x_2_a_key_works_only_when_somebody_else_approved_it() {
    let server = Server::start();
    let node = server.second_node();
    let root = server.root();
    let old = root.key(json!({ "class": "ingest", "label": "old" }));
    ask(&root, "ingest");
    let key = root.key(json!({ "class": "ingest", "label": "new" }));
    let secret = text(&key["secret"]);
    assert_eq!(
        (&key["status"], &key["status_cause"], &key["awaits_approval"]),
        (&json!("pending"), &json!("approval_pending"), &json!(true))
    );
    let other = node.caller(&server.operator());
    assert_eq!([root.code(&secret), other.code(&secret)], ["approval_pending", "approval_pending"]);
    assert_eq!(root.code(&text(&old["secret"])), "ok", "what was made before needs none");
    let ids = |query: &str| all(&root, query).iter().map(|key| key["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids("/v1/keys?status=pending"), [key["id"].clone()]);
    assert_eq!(ids("/v1/keys?awaits_approval=true"), [key["id"].clone()]);
    assert!(!ids("/v1/keys?awaits_approval=false").contains(&key["id"]));
    let steps = root.post(&format!("{}/explain", path(&key)), json!({})).ok();
    assert_eq!(steps["code"], "approval_pending");
    let approver = worker(&server, &root, "approver", &APPROVER);
    let me = approver.get("/v1/me").ok()["key"]["id"].clone();
    let done = approver.post(&format!("{}/approve", path(&key)), json!({})).ok();
    assert_eq!(
        (&done["status"], &done["awaits_approval"], &done["approved_by"], &done["status_cause"]),
        (&json!("active"), &json!(false), &me, &Value::Null)
    );
    assert!(done["approved_at"].is_string());
    assert_eq!(root.code(&secret), "ok", "at once");
    wait_until(|| other.code(&secret) == "ok");
    approver.post(&format!("{}/approve", path(&key)), json!({})).refused(409, "no_change");
    approver.post(&format!("{}/reject", path(&key)), json!({})).refused(409, "no_change");
    let event = &root.get("/v1/audit-events?action=key.approve").ok()["data"][0];
    assert_eq!((&event["actor"]["id"], &event["before"]["status"]), (&me, &json!("pending")));
}

#[test]
fn x_5_the_reasons_around_an_approval_stand_in_their_order() {
    let server = Server::start();
    let root = server.root();
    ask(&root, "ingest");
    let key = root.key(
        json!({ "class": "ingest", "label": "x", "not_before": "2990-01-01T00:00:00Z", "expires": "never" }),
    );
    let (secret, at) = (text(&key["secret"]), |act: &str| format!("{}/{act}", path(&key)));
    assert_eq!(root.code(&secret), "approval_pending", "before not_yet_valid: time does not bring it");
    root.post(&at("deactivate"), json!({})).expect(200);
    assert_eq!(root.code(&secret), "inactive");
    root.post(&at("activate"), json!({})).expect(200);
    let rotated = text(&root.post(&at("rotate"), json!({})).ok()["secret"]);
    assert_eq!(root.code(&rotated), "approval_pending", "another secret is no way around");
    root.patch(&path(&key), json!({ "label": "y" })).expect(200);
    // Lifting the rule lets nothing through that nobody has looked at.
    root.patch("/v1/policies", json!({ "ingest": { "approval": false } })).expect(200);
    assert_eq!(root.code(&rotated), "approval_pending");
    let approver = worker(&server, &root, "approver", &APPROVER);
    approver.post(&at("approve"), json!({})).expect(200);
    assert_eq!(root.code(&rotated), "not_yet_valid");
    let wrong = format!("{}x", &rotated[..rotated.len() - 1]);
    assert_eq!(root.code(&wrong), "invalid_key", "a stranger learns nothing");
}

#[test]
fn x_5_az_6_nobody_approves_their_own_key_or_one_above_them() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    let key = |caller: &Caller, label: &str| caller.key(json!({ "class": "ingest", "label": label }));
    ask(&root, "ingest");
    ask(&root, "workspace");
    ask(&root, "member");
    let (bob_id, _, _) = person_approved(&server, &root, "bob");
    let boss = worker_approved(&server, &root, "boss", &["**:*"]);
    let low = worker_approved(&server, &root, "low", &APPROVER);
    let made = key(&boss, "made by boss");
    let approve = |caller: &Caller, key: &Value| caller.post(&format!("{}/approve", path(key)), json!({}));
    let reject = |caller: &Caller, key: &Value| caller.post(&format!("{}/reject", path(key)), json!({}));
    let before = snapshot(&root);
    approve(&boss, &made).refused(403, "own_approval");
    reject(&boss, &made).refused(403, "own_approval");
    assert_eq!(snapshot(&root), before);
    approve(&admin, &made).refused(404, "not_found");
    // Bob may approve, yet not what is his, whoever made it.
    let of_bob = boss.key(json!({ "class": "member", "owner_id": bob_id, "label": "second" }));
    let bob = server.caller(&approved_secret(&root, &bob_id));
    approve(&bob, &of_bob).refused(403, "own_approval");
    // A key that may do more than the one who approves.
    let above = boss.key(json!({ "class": "workspace", "label": "above" }));
    approve(&low, &above).refused(403, "above_caller");
    let reader = worker_approved(&server, &root, "reader", &["keys:read", "ingest/**:*"]);
    approve(&reader, &made).refused(403, "insufficient_rights");
    let stale = stale_session(&server, "grace", &APPROVER);
    approve(&stale, &made).refused(403, "step_up_required");
    assert_eq!(root.code(&text(&made["secret"])), "approval_pending");
    approve(&low, &made).expect(200);
    assert_eq!(root.code(&text(&made["secret"])), "ok");
}

/// A workspace key that somebody else approved for it.
fn worker_approved(server: &Server, admin: &Caller, name: &str, rights: &[&str]) -> Caller {
    let worker = worker(server, admin, name, rights);
    server.place.sql("UPDATE keys SET awaits_approval = false WHERE awaits_approval AND class <> 'ingest' AND label NOT IN ('above', 'second')");
    worker
}

/// The same for a user.
fn person_approved(server: &Server, admin: &Caller, name: &str) -> (String, String, Caller) {
    let person = person(server, admin, name, &[&APPROVER[..], &["keys:read"]].concat());
    server.place.sql("UPDATE keys SET awaits_approval = false WHERE awaits_approval AND class <> 'ingest' AND label NOT IN ('above', 'second')");
    person
}

/// A second secret of the user's first key.
fn approved_secret(root: &Caller, user: &str) -> String {
    let keys = all(root, &format!("/v1/keys?owner_id={user}&awaits_approval=false"));
    text(&root.post(&format!("{}/rotate", path(&keys[0])), json!({})).ok()["secret"])
}

#[test]
fn x_5_a_rejected_key_has_ended() {
    let server = Server::start();
    let root = server.root();
    let approver = worker(&server, &root, "approver", &APPROVER);
    ask(&root, "ingest");
    let key = root.key(json!({ "class": "ingest", "label": "x" }));
    let body = json!({ "reason": "a token is enough" });
    let done = approver.post(&format!("{}/reject", path(&key)), body).ok();
    assert_eq!((&done["status"], &done["revoked_reason"]), (&json!("revoked"), &json!("a token is enough")));
    assert_eq!(root.code(&text(&key["secret"])), "revoked");
    approver.post(&format!("{}/approve", path(&key)), json!({})).refused(409, "key_revoked");
    let event = &root.get("/v1/audit-events?action=key.reject").ok()["data"][0];
    assert_eq!(event["reason"], "a token is enough");
}

#[test]
fn x_5_bm_9_administrators_are_told_of_requests_and_owners_of_decisions() {
    let server = Server::start();
    let root = server.root();
    let (boss_id, _, boss) = person(&server, &root, "boss", &["**:*"]);
    let group = built_in(&root, "groups", "Administrators");
    root.put(&format!("/v1/groups/{group}/members/{boss_id}")).expect(204);
    let (_, _, mia) = person(&server, &root, "mia", &["me:read", "me/keys:*"]);
    ask(&root, "member");
    let own = mia.key(json!({ "class": "member", "label": "own" }));
    assert_eq!(own["status"], "pending");
    wait_until(|| kinds(&boss).contains(&"approval".to_owned()));
    assert!(!kinds(&mia).contains(&"approval".to_owned()));
    boss.post(&format!("{}/approve", path(&own)), json!({})).expect(200);
    wait_until(|| kinds(&mia).contains(&"approval".to_owned()));
    let told = mia.get("/v1/notifications?kind=approval").ok()["data"][0].clone();
    assert_eq!((&told["action"], &told["target"]["id"]), (&json!("key.approve"), &own["id"]));
    assert_eq!(kinds(&boss).iter().filter(|kind| *kind == "approval").count(), 1, "not of what they did");
    assert_eq!(root.code(&text(&own["secret"])), "ok");
}

/// The credentials go on working only when somebody else has approved their keys; an import asks once.
#[test]
fn x_5_x_11_imported_keys_wait_for_an_approval_and_administrators_are_told_once() {
    let server = Server::start();
    let root = server.root();
    let (boss_id, _, boss) = person(&server, &root, "boss", &["**:*"]);
    let group = built_in(&root, "groups", "Administrators");
    root.put(&format!("/v1/groups/{group}/members/{boss_id}")).expect(204);
    ask(&root, "ingest");
    let import = |names: &[&str]| {
        let rows: Vec<_> = names
            .iter()
            .map(|name| json!({ "external_id": name, "class": "ingest", "hash": format!("legacy-credential-of-{name}") }))
            .collect();
        root.post("/v1/imports", json!({ "source": "old", "format": "plain", "rows": rows })).ok()
    };
    assert_eq!(import(&["a", "b"])["imported"], 2);
    assert_eq!(import(&["c"])["imported"], 1);
    assert_eq!(root.code("legacy-credential-of-a"), "approval_pending");
    let requests = || root.get("/v1/audit-events?action=import.request_approval").ok()["data"].clone();
    assert_eq!(requests().as_array().map(Vec::len), Some(1), "the second request is of the same import");
    assert_eq!(requests()[0]["after"], json!({ "source": "old", "waiting": 2 }));
    let approvals = || kinds(&boss).iter().filter(|kind| *kind == "approval").count();
    wait_until(|| approvals() == 1);
    let told = boss.get("/v1/notifications?kind=approval").ok()["data"][0].clone();
    assert_eq!(told["title"], "Keys of the import “old” wait for an approval");
    for key in all(&boss, "/v1/keys?awaits_approval=true") {
        boss.post(&format!("{}/approve", path(&key)), json!({})).expect(200);
    }
    assert_eq!(root.code("legacy-credential-of-a"), "ok");
    assert_eq!(import(&["d"])["imported"], 1);
    wait_until(|| approvals() == 2);
    assert_eq!(root.code("legacy-credential-of-d"), "approval_pending");
    // Where no approval is asked for, nobody is asked.
    root.patch("/v1/policies", json!({ "ingest": { "approval": false } })).expect(200);
    assert_eq!(import(&["e"])["imported"], 1);
    assert_eq!(
        (root.code("legacy-credential-of-e").as_str(), requests().as_array().map(Vec::len)),
        ("ok", Some(2))
    );
}
