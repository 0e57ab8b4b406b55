//! Every page of the map, as an administrator and as a member get it from a server with something of
//! everything: a template that does not fit its page shows here and not with the first user.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;

use super::{Browser, markup};
use crate::logins::{ask_for_no_factor, somebody};
use crate::process::Process;
use crate::support::{Answer, Place, Server, text};

/// The map of the console.
const MAP: &str = include_str!("../../../src/http/console.rs");
/// What it answers that is no page: files, and what scripts ask for.
const NO_PAGES: [&str; 5] = [
    "/console/audit/export.jsonl",
    "/console/me/session",
    "/console/settings/policy/drafts/{id}/impact.csv",
    "/console/setup",
    "/console/{*rest}",
];

static LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"place\(GET, "([^"]+)", "#).expect("a pattern"));

/// The paths of all pages, as the map has them.
fn paths() -> Vec<&'static str> {
    let all = LINE.captures_iter(MAP).filter_map(|found| found.get(1)).map(|path| path.as_str());
    all.filter(|path| !NO_PAGES.contains(path)).collect()
}

/// Something of everything: what stands in the place of the braces, by how the path begins.
fn fill(server: &Server) -> Vec<(&'static str, String)> {
    let root = server.root();
    ask_for_no_factor(&root);
    somebody(server, "boss", &["**:*", "instance/**:*"]);
    let grace = somebody(server, "grace", &["me:read", "me/keys:*", "me/sessions:*"]);
    let key = root.key(json!({ "class": "member", "owner_id": grace, "label": "nightly" }));
    root.key(json!({ "class": "ingest", "label": "broken" }));
    let group = root.post("/v1/groups", json!({ "name": "Readers" })).ok();
    root.put(&format!("/v1/groups/{}/members/{grace}", text(&group["id"])));
    let tenant = root.post("/v1/tenants", json!({ "slug": "other", "name": "Other" })).ok();
    let hook = json!({ "url": "https://hooks.example.com/secret", "events": ["key.create"] });
    let hook = root.post("/v1/webhooks", hook).ok();
    let trusted = root.post("/v1/trusted/enable", json!({ "name": "portal" })).ok();
    let incident = json!({ "filter": { "label_contains": "broken" }, "action": "deactivate", "confirm": "deactivate 1" });
    let incident = root.post("/v1/incidents", incident).ok();
    root.patch("/v1/policies", json!({ "ingest": { "approval": true } })).expect(200);
    let waits = root.key(json!({ "class": "ingest", "label": "waits" }));
    let draft =
        root.post("/v1/policies/drafts", json!({ "patch": { "member": { "max_age_days": 60 } } })).ok();
    let event = root.get("/v1/audit-events").ok()["data"][0]["id"].clone();
    vec![
        ("/console/approvals/", text(&waits["id"])),
        ("/console/audit/", text(&event)),
        ("/console/develop/security/", text(&trusted["id"])),
        ("/console/groups/", text(&group["id"])),
        ("/console/incidents/", text(&incident["id"])),
        ("/console/keys/", text(&key["id"])),
        ("/console/roles/", root.role("reader", &["x:read"])),
        ("/console/settings/features/", "ingest".into()),
        ("/console/settings/policy/drafts/", text(&draft["id"])),
        ("/console/settings/policy/versions/", "1".into()),
        ("/console/tenants/", text(&tenant["id"])),
        ("/console/users/", grace),
        ("/console/webhooks/", text(&hook["id"])),
    ]
}

/// A path with something in the place of its braces.
fn address(path: &str, things: &[(&'static str, String)]) -> String {
    if path == "/console/incidents/preview" {
        return format!("{path}?label_contains=nightly&action=deactivate");
    }
    let Some((before, rest)) = path.split_once('{') else { return path.to_owned() };
    let (_, after) = rest.split_once('}').expect(path);
    let (_, thing) = things.iter().find(|(start, _)| *start == before).expect(path);
    format!("{before}{thing}{after}")
}

/// What is wrong with an answer, each with where it was.
fn faults(who: &str, address: &str, answer: &Answer, statuses: &[u16]) -> Vec<String> {
    let mut faults = markup::faults(&answer.text);
    if !statuses.contains(&answer.status) {
        faults.insert(0, format!("status {}", answer.status));
    }
    if !answer.header("content-type").starts_with("text/html") {
        faults.insert(0, format!("is {}", answer.header("content-type")));
    }
    faults.into_iter().map(|fault| format!("{address} for {who}: {fault}")).collect()
}

#[test]
fn web_7_every_page_is_whole_for_administrator_and_member() {
    let server = Server::start();
    let things = fill(&server);
    let (boss, grace) = (Browser::of(&server, "boss"), Browser::of(&server, "grace"));
    let paths = paths();
    assert!(paths.len() > 60, "the map is read no more: {paths:?}");
    let mut wrong = Vec::new();
    for path in paths {
        let address = address(path, &things);
        wrong.extend(faults("boss", &address, &boss.get(&address), &[200]));
        // A member is told what it may not do, on a page too.
        wrong.extend(faults("grace", &address, &grace.get(&address), &[200, 403, 404]));
    }
    for path in ["/console/nothing", "/console/keys/key_x", "/console/keys?sort=nothing"] {
        wrong.extend(faults("boss", path, &boss.get(path), &[400, 404]));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn ops_1_the_first_page_of_a_new_server_is_whole() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let stranger = Browser::at(&server.url());
    let answer = stranger.get("/console/setup");
    let wrong = faults("nobody", "/console/setup", &answer, &[200]);
    assert!(wrong.is_empty(), "{wrong:#?}");
    let refused = stranger.send("/console/setup", &[("token", "kwb_x"), ("username", "ruth")]);
    let wrong = faults("nobody", "/console/setup", &refused, &[422]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
