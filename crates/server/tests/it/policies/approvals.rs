//! Keys that work only when somebody else has approved them.

use serde_json::{Value, json};

use super::stale_session;
use crate::api::{all, built_in, person, snapshot, tenant};
use crate::keys::path;
use crate::notifications::kinds;
use crate::support::{Answer, Caller, Server, text, wait_until};

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
    let (me, _, approver) = person(&server, &root, "approver", &APPROVER);
    let me = json!(me);
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
    let (_, _, approver) = person(&server, &root, "approver", &APPROVER);
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
    let (bob_id, _, bob) = approved(&server, &root, "bob", &APPROVER);
    let (_, _, boss) = approved(&server, &root, "boss", &["**:*"]);
    let (_, _, low) = approved(&server, &root, "low", &APPROVER);
    let made = key(&boss, "made by boss");
    let approve = |caller: &Caller, key: &Value| caller.post(&format!("{}/approve", path(key)), json!({}));
    let reject = |caller: &Caller, key: &Value| caller.post(&format!("{}/reject", path(key)), json!({}));
    let before = snapshot(&root);
    approve(&boss, &made).refused(403, "own_approval");
    reject(&boss, &made).refused(403, "own_approval");
    assert_eq!(snapshot(&root), before);
    approve(&admin, &made).refused(404, "not_found");
    // Behind a key of the workspace may be anybody.
    approve(&root, &made).refused(403, "approval_by_key");
    reject(&root, &made).refused(403, "approval_by_key");
    // Bob may approve, yet not what is his, whoever made it.
    let of_bob = boss.key(json!({ "class": "member", "owner_id": bob_id, "label": "second" }));
    approve(&bob, &of_bob).refused(403, "own_approval");
    // A key that may do more than the one who approves.
    let above = boss.key(json!({ "class": "workspace", "label": "above" }));
    approve(&low, &above).refused(403, "above_caller");
    let (_, _, reader) = approved(&server, &root, "reader", &["keys:read", "ingest/**:*"]);
    approve(&reader, &made).refused(403, "insufficient_rights");
    let stale = stale_session(&server, "grace", &APPROVER);
    approve(&stale, &made).refused(403, "step_up_required");
    assert_eq!(root.code(&text(&made["secret"])), "approval_pending");
    approve(&low, &made).expect(200);
    assert_eq!(root.code(&text(&made["secret"])), "ok");
}

/// A person whose key somebody else approved.
fn approved(server: &Server, admin: &Caller, name: &str, rights: &[&str]) -> (String, String, Caller) {
    let person = person(server, admin, name, rights);
    server.place.sql("UPDATE keys SET awaits_approval = false WHERE label = 'own'");
    person
}

#[test]
fn x_5_a_rejected_key_has_ended() {
    let server = Server::start();
    let root = server.root();
    let (_, _, approver) = person(&server, &root, "approver", &APPROVER);
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

#[test]
fn x_5_az_6_four_eyes_are_those_of_two_people_whichever_keys_they_use() {
    let server = Server::start();
    let root = server.root();
    let (_, _, ada) = person(&server, &root, "ada", &["**:*"]);
    let (_, _, bob) = person(&server, &root, "bob", &["**:*"]);
    let (_, _, eve) = person(&server, &root, "eve", &["**:*"]);
    // A key of the workspace that Ada made, and one that this key made.
    let workspace = |caller: &Caller| caller.key(json!({ "class": "workspace", "label": "hers" }));
    let hers = server.caller(&text(&workspace(&ada)["secret"]));
    let further = server.caller(&text(&workspace(&hers)["secret"]));
    ask(&root, "ingest");
    let make = |caller: &Caller| caller.key(json!({ "class": "ingest", "label": "x" }));
    let decide =
        |caller: &Caller, key: &Value, verb: &str| caller.post(&format!("{}/{verb}", path(key)), json!({}));
    for maker in [&ada, &hers, &further] {
        let key = make(maker);
        for verb in ["approve", "reject"] {
            decide(&ada, &key, verb).refused(403, "own_approval");
            decide(&hers, &key, verb).refused(403, "approval_by_key");
        }
        assert_eq!(root.code(&text(&key["secret"])), "approval_pending");
        decide(&bob, &key, "approve").expect(200);
        assert_eq!(root.code(&text(&key["secret"])), "ok");
    }
    // Who rotated the key holds a secret of it, and who rotated a key that made it holds that.
    let key = make(&eve);
    decide(&bob, &key, "rotate").expect(200);
    decide(&bob, &key, "approve").refused(403, "own_approval");
    let lent = workspace(&eve);
    let key = make(&server.caller(&text(&lent["secret"])));
    decide(&bob, &lent, "rotate").expect(200);
    decide(&bob, &key, "approve").refused(403, "own_approval");
    // Who changed it has said what it is, also when somebody else changed it later.
    let key = make(&eve);
    let edit = |caller: &Caller, patch: Value| caller.patch(&path(&key), patch).expect(200);
    edit(&ada, json!({ "expires": "never" }));
    decide(&ada, &key, "approve").refused(403, "own_approval");
    edit(&bob, json!({ "label": "y" }));
    decide(&ada, &key, "approve").refused(403, "own_approval");
    decide(&bob, &key, "approve").refused(403, "own_approval");
    let (_, _, dora) = person(&server, &root, "dora", &["**:*"]);
    decide(&dora, &key, "approve").expect(200);
    assert_eq!(root.code(&text(&key["secret"])), "ok");
}

#[test]
fn x_5_az_10_what_is_approved_is_what_was_looked_at() {
    let server = Server::start();
    let root = server.root();
    let (_, _, bob) = person(&server, &root, "bob", &["**:*"]);
    ask(&root, "ingest");
    let key = root.key(json!({ "class": "ingest", "label": "x", "scopes": ["ingest/a:write"] }));
    let seen = bob.get(&path(&key)).expect(200).header("etag").to_owned();
    root.patch(&path(&key), json!({ "scopes": null })).expect(200);
    let approve = |version: &str| {
        let request = bob.request("POST", &format!("{}/approve", path(&key))).header("if-match", version);
        Answer::read(request.json(&json!({})).send().expect("an answer"))
    };
    approve(&seen).refused(412, "stale_version");
    assert_eq!(root.code(&text(&key["secret"])), "approval_pending");
    approve(bob.get(&path(&key)).expect(200).header("etag")).expect(200);
    assert_eq!(root.code(&text(&key["secret"])), "ok");
}

#[test]
fn x_5_what_widens_an_approved_key_waits_to_be_approved_again() {
    let server = Server::start();
    let root = server.root();
    let (_, _, bob) = person(&server, &root, "bob", &["**:*"]);
    let reader = root.role("reader", &["reports:read"]);
    let group = text(&root.post("/v1/groups", json!({ "name": "Loaders" })).ok()["id"]);
    ask(&root, "workspace");
    let key = root.key(json!({
        "class": "workspace", "label": "x", "role_ids": [reader], "scopes": ["reports:read"], "ttl_seconds": 86_400,
        "idle_seconds": 3600, "credits": 100, "conditions": { "cidrs": ["127.0.0.0/8", "10.0.0.0/8"] },
        "limits": [{ "name": "minute", "requests": 100, "per_seconds": 60 }],
    }));
    let (secret, at) = (text(&key["secret"]), path(&key));
    let code = || {
        root.post("/v1/verify", json!({ "credential": secret, "client_ip": "127.0.0.1" })).ok()["code"]
            .clone()
    };
    let approve = || bob.post(&format!("{at}/approve"), json!({})).expect(200);
    let requests = || all(&root, "/v1/audit-events?action=key.request_approval").len();
    approve();
    assert_eq!(code(), "ok");
    // Less is no new wish.
    for patch in [
        json!({ "label": "y" }),
        json!({ "scopes": [] }),
        json!({ "ttl_seconds": 3600 }),
        json!({ "idle_seconds": 1800 }),
        json!({ "conditions": { "cidrs": ["127.0.0.0/8"] } }),
        json!({ "limits": [{ "name": "minute", "requests": 50, "per_seconds": 60 }] }),
    ] {
        assert_eq!(root.patch(&at, patch.clone()).ok()["awaits_approval"], false, "{patch}");
    }
    assert_eq!((code(), requests()), (json!("ok"), 1));
    let wider = [
        json!({ "scopes": ["reports:read"] }),
        json!({ "expires": "never" }),
        json!({ "idle_seconds": null }),
        json!({ "conditions": null }),
        json!({ "limits": [] }),
        json!({ "credits": 1000 }),
        json!({ "credit_refill": { "amount": 10, "every": "day" } }),
        json!({ "role_ids": [reader, root.role("other", &["users:read"])] }),
        json!({ "group_ids": [group] }),
    ];
    for (number, patch) in wider.iter().enumerate() {
        let now = root.patch(&at, patch.clone()).ok();
        assert_eq!((&now["awaits_approval"], &now["approved_by"]), (&json!(true), &Value::Null), "{patch}");
        assert_eq!((code(), requests()), (json!("approval_pending"), 2 + number), "{patch}");
        approve();
        assert_eq!(code(), "ok", "{patch}");
    }
    // By the other ways too: an extension, and a group.
    root.patch(&at, json!({ "ttl_seconds": 3600 })).expect(200);
    assert_eq!(
        root.post(&format!("{at}/extend"), json!({ "ttl_seconds": 7200 })).ok()["awaits_approval"],
        true
    );
    approve();
    root.patch(&at, json!({ "group_ids": [] })).expect(200);
    assert_eq!(code(), "ok");
    root.put(&format!("/v1/groups/{group}/members/{}", text(&key["id"]))).expect(204);
    assert_eq!((code(), requests()), (json!("approval_pending"), 12));
    approve();
    // Without the rule an edit is an edit.
    root.patch("/v1/policies", json!({ "workspace": null })).expect(200);
    assert_eq!(root.patch(&at, json!({ "expires": "never" })).ok()["awaits_approval"], false);
}
