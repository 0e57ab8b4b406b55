//! Drafts: what they are, and how one becomes the policy.

use serde_json::{Value, json};

use super::{draft, stale_session};
use crate::api::{all, snapshot, tenant, worker};
use crate::keys::fault;
use crate::logins::session;
use crate::support::{Answer, Server, text};

#[test]
fn x_5_a_draft_shows_what_it_would_change_and_changes_nothing() {
    let server = Server::start();
    let root = server.root();
    let before = root.get("/v1/policies").ok();
    let body = json!({ "patch": { "member": { "max_age_days": 60 } }, "note": "older keys are rotated" });
    let made = root.post("/v1/policies/drafts", body).expect(201);
    let path = made.header("location").to_owned();
    assert_eq!(root.get(&path).ok(), made.body);
    let made = made.body;
    assert!(text(&made["id"]).starts_with("draft_"));
    assert_eq!(
        (&made["state"], &made["based_on"], &made["stale"], &made["note"]),
        (&json!("draft"), &json!(1), &json!(false), &json!("older keys are rotated"))
    );
    let difference = json!([{ "path": "member.max_age_days", "before": null, "after": 60 }]);
    assert_eq!(made["differences"], difference);
    assert_eq!(
        (&made["policy"]["member"]["max_age_days"], &made["policy"]["ingest"]),
        (&json!(60), &before["ingest"])
    );
    // A whole policy, as it is shown: what is absent has its default.
    let mut whole = before.clone();
    whole["max_keys_per_user"] = json!(4);
    whole.as_object_mut().expect("an object").remove("login");
    let made = root.post("/v1/policies/drafts", json!({ "policy": whole })).expect(201).body;
    assert_eq!(made["differences"], json!([{ "path": "max_keys_per_user", "before": 2, "after": 4 }]));
    assert_eq!(all(&root, "/v1/policies/drafts").len(), 2);
    assert!(all(&root, "/v1/policies/drafts?state=applied").is_empty());
    root.get("/v1/policies/drafts?state=new").refused(400, "malformed_request");
    for (body, pointer) in [
        (json!({}), "/patch"),
        (json!({ "patch": {}, "policy": {} }), "/patch"),
        (json!({ "patch": [] }), "/patch"),
        (json!({ "policy": 1 }), "/policy"),
        (json!({ "patch": { "member": { "max_age_days": 0 } } }), "/member/max_age_days"),
        (json!({ "patch": {}, "note": "" }), "/note"),
    ] {
        let refused = root.post("/v1/policies/drafts", body.clone()).refused(422, "invalid_value");
        assert_eq!(fault(&refused).0, pointer, "{body}");
    }
    root.post("/v1/policies/drafts", json!({ "patch": { "membr": {} } })).expect(400);
    root.delete(&path).expect(204);
    root.get(&path).refused(404, "not_found");
    assert_eq!(all(&root, "/v1/policies/drafts").len(), 1);
    assert_eq!(root.get("/v1/policies").ok(), before);
}

#[test]
fn x_5_a_draft_is_applied_once() {
    let server = Server::start();
    let root = server.root();
    let path = draft(&root, json!({ "switches": { "ingest_keys": false } }));
    let key = root.key(json!({ "class": "ingest", "label": "x" }));
    let tried = root.post(&format!("{path}/apply?validate_only=true"), json!({})).ok();
    assert_eq!(tried["state"], "applied");
    assert_eq!(root.code(&text(&key["secret"])), "ok", "only tried");
    let applied = root.post(&format!("{path}/apply"), json!({})).ok();
    assert_eq!(
        (&applied["state"], &applied["applied_version"], &applied["stale"]),
        (&json!("applied"), &json!(2), &json!(false))
    );
    assert_eq!(root.code(&text(&key["secret"])), "class_disabled");
    for (method, action) in [("POST", "/apply"), ("POST", "/rebase"), ("DELETE", "")] {
        let again = root.request(method, &format!("{path}{action}")).json(&json!({}));
        Answer::read(again.send().expect("an answer")).refused(409, "no_change");
    }
    assert_eq!(root.get("/v1/policies").ok()["version"], 2);
    let event = &root.get("/v1/audit-events?action=policy.apply").ok()["data"][0];
    assert_eq!(event["after"]["switches"]["ingest_keys"], false);
}

#[test]
fn x_5_a_draft_of_an_older_version_is_stale_until_it_is_rebased() {
    let server = Server::start();
    let root = server.root();
    let path = draft(&root, json!({ "member": { "idle_days": 30 }, "max_keys_per_user": 3 }));
    root.patch("/v1/policies", json!({ "member": { "max_age_days": 99 }, "max_keys_per_user": 5 })).ok();
    let stands = root.get("/v1/policies").ok();
    let shown = root.get(&path).ok();
    assert_eq!((&shown["stale"], &shown["based_on"]), (&json!(true), &json!(1)));
    root.post(&format!("{path}/apply"), json!({})).refused(409, "stale_draft");
    let soon = json!({ "starts_at": "2999-01-01T00:00:00Z" });
    root.post(&format!("{path}/apply"), soon).refused(409, "stale_draft");
    assert_eq!(root.get("/v1/policies").ok(), stands);
    let rebased = root.post(&format!("{path}/rebase"), json!({})).ok();
    assert_eq!(
        rebased["differences"],
        json!([
            { "path": "max_keys_per_user", "before": 5, "after": 3 },
            { "path": "member.idle_days", "before": null, "after": 30 },
        ])
    );
    assert_eq!((&rebased["stale"], &rebased["based_on"]), (&json!(false), &json!(2)));
    root.post(&format!("{path}/apply"), json!({})).expect(200);
    let policy = root.get("/v1/policies").ok();
    assert_eq!((&policy["member"]["max_age_days"], &policy["member"]["idle_days"]), (&json!(99), &json!(30)));
    let stale = root.request("POST", &format!("{path}/rebase")).header("if-match", "\"1\"").json(&json!({}));
    Answer::read(stale.send().expect("an answer")).refused(412, "stale_version");
}

#[test]
fn az_10_x_5_of_two_who_apply_at_once_one_does() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    for round in 0..5 {
        let one = draft(&a, json!({ "max_keys_per_user": 100 + round }));
        let two = draft(&a, json!({ "max_keys_per_user": 200 + round }));
        let answers = std::thread::scope(|scope| {
            let apply = |caller: &crate::support::Caller, path: &str| {
                let (caller, path) = (caller.clone(), format!("{path}/apply"));
                scope.spawn(move || caller.post(&path, json!({})))
            };
            [apply(&a, &one), apply(&b, &two)].map(|thread| thread.join().expect("no panic"))
        });
        let mut statuses = [answers[0].status, answers[1].status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        let refused = answers.into_iter().find(|answer| answer.status == 409).expect("one was");
        refused.refused(409, "stale_draft");
        assert_eq!(a.get("/v1/policies").ok()["version"], 2 + round, "one version for both");
    }
}

#[test]
fn x_5_az_1_az_2_ses_6_drafts_need_the_right_a_fresh_proof_and_the_own_tenant() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    let path = draft(&root, json!({ "max_keys_per_user": 4 }));
    let reader = worker(&server, &root, "reader", &["policies:read", "keys:read"]);
    reader.get(&path).expect(200);
    let acts = ["/rebase", "/simulate", "/apply"].map(|act| ("POST", format!("{path}{act}")));
    let acts: Vec<_> =
        acts.into_iter().chain([("DELETE", path.clone()), ("GET", format!("{path}/impact"))]).collect();
    let stale = stale_session(&server, "grace", &["policies:*"]);
    let before = (snapshot(&root), root.get(&path).ok());
    for (method, path) in &acts {
        let send = |caller: &crate::support::Caller| {
            let request = caller.request(method, path);
            let request = if *method == "GET" { request } else { request.json(&json!({})) };
            Answer::read(request.send().expect("an answer"))
        };
        send(&reader).refused(403, "insufficient_rights");
        send(&admin).refused(404, "not_found");
    }
    reader.post("/v1/policies/drafts", json!({ "patch": {} })).refused(403, "insufficient_rights");
    stale.post(&format!("{path}/apply"), json!({})).refused(403, "step_up_required");
    let later = json!({ "starts_at": "2999-01-01T00:00:00Z" });
    stale.post(&format!("{path}/apply"), later).refused(403, "step_up_required");
    assert_eq!((snapshot(&root), root.get(&path).ok()), before);
    // A new draft: asking for no second factor made another version.
    let path = draft(&root, json!({ "max_keys_per_user": 4 }));
    session(&server.url, "grace").post(&format!("{path}/apply"), json!({})).expect(200);
}

#[test]
fn x_5_a_tenant_has_a_hundred_open_drafts_at_most() {
    let server = Server::start();
    let root = server.root();
    let first = draft(&root, json!({}));
    server.place.sql(
        "INSERT INTO policy_drafts (tenant_id, id, policy, based_on, state, created_at, created_by, updated_at,
            version)
         SELECT p.tenant_id, 'draft_' || CAST(a.seq AS TEXT) || CAST(b.seq AS TEXT), p.policy, 1, 'draft', 1, 'x', 1, 1
         FROM policy_drafts p,
              (SELECT 1 AS seq UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6
               UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a,
              (SELECT 10 AS seq UNION SELECT 11 UNION SELECT 12 UNION SELECT 13 UNION SELECT 14 UNION SELECT 15
               UNION SELECT 16 UNION SELECT 17 UNION SELECT 18 UNION SELECT 19 UNION SELECT 20) b",
    );
    assert_eq!(all(&root, "/v1/policies/drafts").len(), 100);
    root.post("/v1/policies/drafts", json!({ "patch": {} })).refused(409, "too_many_drafts");
    root.delete(&first).expect(204);
    root.post("/v1/policies/drafts", json!({ "patch": {} })).expect(201);
    assert_eq!(root.get("/v1/policies").ok()["version"], Value::from(1));
}
