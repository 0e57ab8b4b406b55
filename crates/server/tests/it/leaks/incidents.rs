//! Many keys at once, and back.

use std::time::Duration;

use serde_json::{Value, json};

use super::events;
use crate::api::{inside, tenant, worker};
use crate::cli::run_with_input;
use crate::keys::many_keys;
use crate::logins::{PASSWORD, log_in, set_password};
use crate::support::{Answer, Caller, Server, client, text};

fn body(filter: Value, action: &str, confirm: &str) -> Value {
    json!({ "filter": filter, "action": action, "reason": "backup stolen", "confirm": confirm })
}

fn declare(caller: &Caller, filter: Value, action: &str, confirm: &str) -> Value {
    caller.post("/v1/incidents", body(filter, action, confirm)).ok()
}

fn ingest(root: &Caller, labels: &[&str]) -> Vec<Value> {
    labels.iter().map(|label| root.key(json!({ "class": "ingest", "label": label }))).collect()
}

fn code(root: &Caller, key: &Value) -> String {
    root.code(&text(&key["secret"]))
}

#[test]
fn x_10_an_incident_revokes_by_filter_after_a_preview_and_a_confirmation() {
    let server = Server::start();
    let root = server.root();
    let keys = ingest(&root, &["Nightly A", "nightly b", "daily"]);
    let filter = json!({ "label_contains": "NIGHTLY" });
    let preview = json!({ "filter": filter, "action": "revoke", "preview": true });
    let preview = root.post("/v1/incidents", preview).ok();
    assert_eq!(
        (&preview["id"], &preview["matched"], &preview["ended"]),
        (&Value::Null, &json!(2), &json!(0))
    );
    assert_eq!(
        (&preview["confirm"], preview["keys"].as_array().map(Vec::len)),
        (&json!("revoke 2"), Some(2))
    );
    for wrong in ["", "revoke 3", "deactivate 2", "yes"] {
        root.post("/v1/incidents", body(filter.clone(), "revoke", wrong)).refused(409, "not_confirmed");
    }
    assert_eq!(keys.iter().map(|key| code(&root, key)).collect::<Vec<_>>(), ["ok", "ok", "ok"]);
    assert_eq!(root.get("/v1/incidents").ok()["data"], json!([]));
    let done = declare(&root, filter.clone(), "revoke", "revoke 2");
    assert_eq!(keys.iter().map(|key| code(&root, key)).collect::<Vec<_>>(), ["revoked", "revoked", "ok"]);
    let path = format!("/v1/incidents/{}", text(&done["id"]));
    let shown = root.get(&path).ok();
    assert_eq!((&shown["matched"], &shown["filter"]), (&json!(2), &filter));
    assert_eq!((&shown["reason"], &shown["undone_at"]), (&json!("backup stolen"), &Value::Null));
    let mut ids = [text(&keys[0]["id"]), text(&keys[1]["id"])];
    ids.sort();
    assert_eq!(shown["key_ids"], json!(ids));
    let event = &events(&root, "incident.declare")[0];
    assert_eq!((&event["target"]["id"], &event["reason"]), (&done["id"], &json!("backup stolen")));
    assert_eq!(events(&root, "key.revoke").len(), 2);
    let refused = root.post(&format!("{path}/undo"), json!({})).refused(409, "cannot_be_undone");
    assert!(text(&refused.body["detail"]).starts_with("2 keys were revoked"), "{}", refused.text);
    assert_eq!(code(&root, &keys[0]), "revoked");
}

#[test]
fn x_10_what_an_incident_switched_off_comes_back_unless_somebody_changed_it() {
    let server = Server::start();
    let root = server.root();
    let keys = ingest(&root, &["a", "b", "c", "d"]);
    let at = |key: &Value, verb: &str| format!("/v1/keys/{}/{verb}", text(&key["id"]));
    root.post(&at(&keys[3], "deactivate"), json!({})).expect(200);
    let done = declare(&root, json!({ "class": "ingest" }), "deactivate", "deactivate 3");
    assert_eq!(
        (&done["matched"], &done["ended"]),
        (&json!(3), &json!(3)),
        "what is off already is none of it"
    );
    let codes = || keys.iter().map(|key| code(&root, key)).collect::<Vec<_>>();
    assert_eq!(codes(), ["inactive"; 4]);
    root.patch(&format!("/v1/keys/{}", text(&keys[1]["id"])), json!({ "label": "looked at" })).expect(200);
    root.post(&at(&keys[2], "revoke"), json!({})).expect(200);
    let path = format!("/v1/incidents/{}", text(&done["id"]));
    root.post(&format!("{path}/undo?validate_only=true"), json!({})).expect(200);
    assert_eq!(codes()[0], "inactive");
    let undone = root.post(&format!("{path}/undo"), json!({})).ok();
    assert_eq!(undone["reactivated"].as_array().expect("keys").len(), 1);
    let mut left = [text(&keys[1]["id"]), text(&keys[2]["id"])];
    left.sort();
    assert_eq!(undone["left"], json!(left));
    assert_eq!(codes(), ["ok", "inactive", "revoked", "inactive"]);
    let shown = root.get(&path).ok();
    assert_eq!((&shown["reactivated"], shown["undone_at"].is_string()), (&json!(1), true));
    root.post(&format!("{path}/undo"), json!({})).refused(409, "no_change");
    assert_eq!(events(&root, "incident.undo")[0]["after"]["reactivated"], 1);
    assert_eq!(events(&root, "key.activate")[0]["reason"], done["id"]);
}

#[test]
fn x_10_az_6_nobody_ends_or_revives_the_keys_of_their_betters() {
    let server = Server::start();
    let (id, admin) = tenant(&server, "acme");
    let strong = admin.key(json!({ "class": "workspace", "label": "strong" }));
    let weak = ingest(&admin, &["weak"]).remove(0);
    let limited = worker(&server, &admin, "limited", &["keys:read", "keys:edit", "ingest/**:*"]);
    let everything = json!({ "label": "strong" });
    let refused = limited.post("/v1/incidents", body(everything.clone(), "deactivate", "deactivate 1"));
    refused.refused(403, "above_caller");
    assert_eq!(code(&admin, &strong), "ok");
    limited
        .post("/v1/incidents", body(json!({ "label": "weak" }), "revoke", "revoke 1"))
        .refused(403, "insufficient_rights");
    let done = declare(&limited, json!({ "label": "weak" }), "deactivate", "deactivate 1");
    assert_eq!(code(&admin, &weak), "inactive");
    limited.post(&format!("/v1/incidents/{}/undo", text(&done["id"])), json!({})).expect(200);
    let done = declare(&admin, everything, "deactivate", "deactivate 1");
    let undo = format!("/v1/incidents/{}/undo", text(&done["id"]));
    limited.post(&undo, json!({})).refused(403, "above_caller");
    assert_eq!(code(&admin, &strong), "inactive");
    assert_eq!(admin.get(&undo[..undo.len() - 5]).ok()["undone_at"], Value::Null);
    server.root().post(&undo, json!({})).refused(404, "not_found");
    inside(&server.root(), &id, "POST", &undo, &json!({})).expect(200);
    assert_eq!(code(&admin, &strong), "ok");
}

#[test]
fn x_10_a_filter_must_say_what_it_means() {
    let server = Server::start();
    let root = server.root();
    let key = ingest(&root, &["a"]).remove(0);
    for filter in [json!({}), json!({ "all": true, "class": "ingest" }), json!({ "label_contains": "" })] {
        root.post("/v1/incidents", body(filter, "revoke", "revoke 1")).refused(422, "invalid_value");
    }
    let past = json!({ "class": "ingest", "created_before": "2020-01-01T00:00:00Z" });
    assert_eq!(declare(&root, past, "deactivate", "deactivate 0")["matched"], 0);
    let since = json!({ "class": "ingest", "created_after": "2020-01-01T00:00:00Z" });
    let preview = json!({ "filter": since, "action": "deactivate", "preview": true });
    assert_eq!(root.post("/v1/incidents", preview).ok()["matched"], 1);
    root.post("/v1/incidents", body(json!({ "all": true }), "explode", "")).refused(400, "malformed_request");
    assert_eq!(code(&root, &key), "ok");
    let page = root.get("/v1/incidents?limit=1").ok();
    assert_eq!((page["data"].as_array().map(Vec::len), &page["next_cursor"]), (Some(1), &Value::Null));
}

#[test]
fn x_10_ses_6_a_session_must_be_fresh() {
    let server = Server::with_config("login: {hashers: 1}\n");
    let root = server.root();
    let key = ingest(&root, &["a"]).remove(0);
    let role = root.role("responder", &["keys:read", "keys:edit", "keys:revoke", "ingest/**:*"]);
    let id = root.user("grace", &[&role]);
    set_password(&root, &id, PASSWORD);
    let opened = log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).ok();
    let session = server.caller(&text(&opened["token"]));
    let done = declare(&session, json!({ "label": "a" }), "deactivate", "deactivate 1");
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 700000");
    // The facts of the session are read anew after a restart.
    let server = server.kill_and_restart();
    let (root, session) = (server.root(), server.caller(&session.secret));
    let undo = format!("/v1/incidents/{}/undo", text(&done["id"]));
    session.post(&undo, json!({})).refused(403, "step_up_required");
    session
        .post("/v1/incidents", body(json!({ "class": "ingest" }), "revoke", "revoke 1"))
        .refused(403, "step_up_required");
    assert_eq!(code(&root, &key), "inactive");
    root.post(&undo, json!({})).expect(200);
}

#[test]
fn x_10_the_command_previews_confirms_and_undoes() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("mia", &[]);
    let other = ingest(&root, &["nightly"]).remove(0);
    let run = |args: &[&str]| {
        let mut command = server.place.keyward(&[&["incident"], args, &["--url", &server.url]].concat());
        run_with_input(command.env("KEYWARD_TOKEN", &root.secret), "")
    };
    let mia = ["revoke", "--where", "owner=mia", "--disable", "--reason", "laptop stolen"];
    let dry = run(&[&mia[..], &["--dry-run"]].concat());
    assert_eq!((dry.code, dry.out.contains("mia's key")), (0, true), "{}", dry.err);
    let asked = run(&mia);
    assert!(asked.code == 2 && asked.err.contains("deactivate 1"), "{} {}", asked.code, asked.err);
    assert_eq!(run(&[&mia[..], &["--confirm", "deactivate 2"]].concat()).code, 6);
    assert_eq!(code(&root, &key), "ok");
    let done = run(&[&mia[..], &["--confirm", "deactivate 1", "-o", "json"]].concat());
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!((code(&root, &key), code(&root, &other)), ("inactive".into(), "ok".into()));
    let listed = run(&["list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    let id = text(&listed["data"][0]["id"]);
    assert_eq!(run(&["show", &id]).code, 0);
    let undone = run(&["undo", &id]);
    assert!(undone.code == 0 && undone.err.contains("1 keys are on again"), "{}", undone.err);
    assert_eq!(code(&root, &key), "ok");
    let gone = run(&["revoke", "--where", "label~NIGHT", "--confirm", "revoke 1"]);
    assert_eq!(gone.code, 0, "{}", gone.err);
    assert_eq!(code(&root, &other), "revoked");
    assert_eq!(run(&["revoke", "--where", "owner=nobody", "--dry-run"]).code, 5);
    assert_eq!(run(&["revoke", "--where", "colour=red"]).code, 2);
}

#[test]
fn x_10_leak_3_undoing_revives_nothing_that_was_to_be_ended_again_since() {
    let server = Server::start();
    let root = server.root();
    root.patch("/v1/policies", json!({ "leaks": { "on_report": "deactivate" } })).expect(200);
    let keys = ingest(&root, &["reported", "again", "plain", "told before"]);
    let report = |key: &Value| {
        let body = json!({ "token": key["secret"], "url": "https://paste.example/raw/7" });
        Answer::read(client().post(format!("{}/report-leak", server.url)).json(&body).send().expect("sent"))
            .expect(202)
    };
    report(&keys[3]);
    root.post(&format!("/v1/keys/{}/activate", text(&keys[3]["id"])), json!({})).expect(200);
    let first = declare(&root, json!({ "class": "ingest" }), "deactivate", "deactivate 4");
    report(&keys[0]);
    report(&keys[3]);
    let second = declare(&root, json!({ "label": "again" }), "deactivate", "deactivate 0");
    assert_eq!((&second["matched"], &second["ended"]), (&json!(0), &json!(0)));
    let event = &events(&root, "incident.declare")[0]["after"];
    assert_eq!((&event["key_ids"], &event["off_before"]), (&json!([]), &json!([keys[1]["id"]])));
    let undo = |incident: &Value| {
        root.post(&format!("/v1/incidents/{}/undo", text(&incident["id"])), json!({})).ok()
    };
    let undone = undo(&first);
    assert_eq!(undone["reactivated"].as_array().map(Vec::len), Some(1));
    assert_eq!(undone["left"].as_array().map(Vec::len), Some(3));
    assert_eq!(undo(&second)["reactivated"], json!([]), "it was off before");
    let codes: Vec<_> = keys.iter().map(|key| code(&root, key)).collect();
    assert_eq!(codes, ["inactive", "inactive", "ok", "inactive"]);
}

#[test]
fn x_10_r_3_an_incident_ends_and_revives_more_keys_than_fit_into_one_transaction() {
    // A transaction may take twice as long.
    let server = Server::with_config("database: {timeout: 1s}\n");
    let root = server.root();
    many_keys(&server);
    let own = ingest(&root, &["one of some"]).remove(0);
    let other = ingest(&root, &["other"]).remove(0);
    assert_eq!(code(&root, &own), "ok");
    let post = |path: &str, body: Value| {
        let request = root.request("POST", path).json(&body).timeout(Duration::from_secs(120));
        Answer::read(request.send().expect("an answer")).ok()
    };
    let filter = json!({ "label": "one of some" });
    let done = post("/v1/incidents", body(filter, "deactivate", "deactivate 15001"));
    assert_eq!((&done["matched"], &done["ended"]), (&json!(15_001), &json!(15_001)));
    assert_eq!([code(&root, &own), code(&root, &other)], ["inactive", "ok"]);
    let path = format!("/v1/incidents/{}", text(&done["id"]));
    let shown = root.get(&path).ok();
    assert_eq!(
        (&shown["matched"], shown["key_ids"].as_array().map(Vec::len)),
        (&json!(15_001), Some(15_001))
    );
    let event = &events(&root, "incident.declare")[0]["after"];
    assert_eq!((&event["matched"], event["key_ids"].as_array().map(Vec::len)), (&json!(15_001), Some(1_000)));
    let undone = post(&format!("{path}/undo"), json!({}));
    assert_eq!((undone["reactivated"].as_array().map(Vec::len), &undone["left"]), (Some(15_001), &json!([])));
    assert_eq!(code(&root, &own), "ok");
    assert_eq!(root.get(&path).ok()["reactivated"], 15_001);
}
