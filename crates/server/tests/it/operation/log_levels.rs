//! Log levels that change while the server runs (VA9).

use std::process::Command;

use serde_json::json;

use crate::support::{Answer, Caller, Server, text};

fn put(caller: &Caller, filter: &str) -> Answer {
    let request = caller.request("PUT", "/v1/log-levels").json(&json!({ "filter": filter }));
    Answer::read(request.send().expect("an answer"))
}

/// What the server logs while this happens.
fn logged(server: &Server, work: impl FnOnce()) -> String {
    let before = server.place.log().len();
    work();
    server.place.log()[before..].to_owned()
}

#[test]
fn va_9_the_level_of_a_module_is_raised_at_run_time() {
    let server = Server::start();
    let root = server.root();
    assert_eq!(root.get("/v1/log-levels").ok()["filter"], "info");
    let use_it = || assert_eq!(root.code(&server.operator()), "ok");
    assert!(!logged(&server, use_it).contains("DEBUG"));
    assert_eq!(put(&root, "info,keyward::verify=debug").ok()["filter"], "info,keyward::verify=debug");
    assert_eq!(root.get("/v1/log-levels").ok()["filter"], "info,keyward::verify=debug");
    let debug = logged(&server, use_it);
    let line = debug.lines().find(|line| line.contains("\"DEBUG\"")).expect("a debug line");
    assert!(line.contains("keyward::verify"), "{line}");
    assert!(!debug.contains("sqlx") && !debug.contains("keyward::http::guard"), "that module alone: {debug}");
    assert!(!debug.contains(&server.operator()));
    put(&root, "info,keyward=debug").expect(200);
    let managed = logged(&server, || drop(root.get("/v1/me").expect(200)));
    assert!(managed.contains("\"operation\":\"show_me\"") || managed.contains("\"called\""), "{managed}");
    put(&root, "info").expect(200);
    assert!(!logged(&server, use_it).contains("DEBUG"), "and lowered again");
}

#[test]
fn va_9_aud_1_a_change_is_audited_with_both_filters() {
    let server = Server::start();
    let root = server.root();
    put(&root, "warn").expect(200);
    let event = &root.get("/v1/audit-events?limit=1").ok()["data"][0];
    assert_eq!(
        (&event["before"], &event["after"]),
        (&json!({ "filter": "info" }), &json!({ "filter": "warn" }))
    );
}

#[test]
fn va_9_az_1_only_operators_may() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = root.member("ada", &["**:*"]);
    let admin = server.caller(&text(&admin["secret"]));
    admin.get("/v1/log-levels").refused(403, "insufficient_rights");
    put(&admin, "trace").refused(403, "insufficient_rights");
    put(&server.caller("nothing"), "trace").refused(401, "invalid_key");
    root.post("/v1/tenants", json!({ "slug": "acme" })).expect(201);
    let visit = root
        .request("PUT", "/v1/log-levels")
        .header("X-Keyward-Tenant", "acme")
        .json(&json!({ "filter": "trace" }));
    assert_eq!(visit.send().expect("an answer").status(), 404, "it is no business of that tenant");
    assert_eq!(root.get("/v1/log-levels").ok()["filter"], "info");
    let own = root.role("log reader", &["instance/log:read"]);
    let user = root.user("log-reader", &[&own]);
    let reader = root.key(json!({ "class": "member", "owner_id": user, "label": "reads logs" }));
    let reader = server.caller(&text(&reader["secret"]));
    reader.get("/v1/log-levels").expect(200);
    put(&reader, "trace").refused(403, "insufficient_rights");
}

#[test]
fn va_9_a_filter_that_does_not_parse_changes_nothing() {
    let server = Server::start();
    let root = server.root();
    for bad in ["keyward=shout", "info,keyward::verify=loud", "[", "a=b=c"] {
        let refused = put(&root, bad).expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], "/filter", "{bad}");
    }
    assert_eq!(root.get("/v1/log-levels").ok()["filter"], "info");
    let unknown =
        root.request("PUT", "/v1/log-levels").json(&json!({ "levels": "info" })).send().expect("an answer");
    assert_eq!(unknown.status(), 400);
}

#[test]
fn va_9_the_command_shows_and_sets_them() {
    let server = Server::start();
    let run = |args: &[&str]| {
        let mut command: Command = server.place.keyward(args);
        command.env("KEYWARD_URL", &server.url).env("KEYWARD_TOKEN", server.operator());
        let output = command.output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(&["log-levels", "set", "info,keyward::verify=debug"]).0, Some(0));
    let (code, shown) = run(&["log-levels", "show"]);
    assert!(code == Some(0) && shown.contains("keyward::verify=debug"), "{shown}");
}
