//! Keys at the console.

use serde_json::json;

use super::{Browser, element, field};
use crate::logins::{ask_for_no_factor, somebody};
use crate::support::{Server, text};

#[test]
fn key_5_a_secret_stands_on_one_page_which_no_address_leads_to() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let grace = Browser::of(&server, "grace");
    let form = grace.get("/console/keys/new").expect(200).text;
    let fields = [("label", "nightly"), ("validity", "30"), ("once", &*field(&form, "once"))];
    let made = grace.submit("/console/keys", &fields).expect(200);
    assert_eq!(made.header("cache-control"), "no-store");
    let secret = element(&made.text, "secret");
    assert_eq!(server.root().code(&secret), "ok");
    let tenant = server.tenant();
    let line = format!("key:{}::{secret},tenant id: {tenant}", element(&made.text, "access-key"));
    assert_eq!(element(&made.text, "both"), line, "BM11");
    let by_access_key = format!("/v1/keys?q={}", element(&made.text, "access-key"));
    assert_eq!(server.root().get(&by_access_key).ok()["data"][0]["label"], "nightly");
    // Sent again, as by reloading: nothing more is made, and nothing shown.
    let again = grace.submit("/console/keys", &fields).expect(303);
    let place = again.header("location").to_owned();
    assert!(place.ends_with("?done=delivered"), "{place}");
    assert_eq!(server.root().get("/v1/keys?class=member").ok()["data"].as_array().map(Vec::len), Some(1));
    for path in [&*place, "/console", "/console/me/keys", "/console/keys/new"] {
        assert!(!grace.get(path).expect(200).text.contains(&secret), "{path}");
    }
    grace.get("/console/keys").expect(403);
}

#[test]
fn mo_8_a_member_makes_rotates_and_ends_keys_and_sees_no_others() {
    let server = Server::start();
    let root = server.root();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let mia = somebody(&server, "mia", &["me:read", "me/keys:*"]);
    let theirs = root.key(json!({ "class": "member", "owner_id": mia, "label": "of mia" }));
    let grace = Browser::of(&server, "grace");
    let made =
        grace.submit("/console/keys", &[("label", "nightly"), ("validity", "7"), ("once", "a1")]).expect(200);
    let secret = element(&made.text, "secret");
    let id = text(&root.get("/v1/keys?q=nightly").ok()["data"][0]["id"]);
    let path = format!("/console/keys/{id}");
    let page = grace.get("/console/me/keys").expect(200).text;
    assert!(page.contains("nightly") && !page.contains("of mia"), "{page}");
    let rotated =
        grace.submit(&format!("{path}/rotate"), &[("overlap_seconds", "0"), ("once", "a2")]).expect(200);
    let fresh = element(&rotated.text, "secret");
    assert_eq!((root.code(&secret), root.code(&fresh)), ("retired_secret".into(), "ok".into()));
    // In use, it ends by its name alone.
    server.caller(&fresh).get("/v1/me").expect(200);
    crate::support::wait_until(|| root.get(&format!("/v1/keys/{id}")).ok()["last_used_at"].is_string());
    let revoke = format!("{path}/revoke");
    grace.submit(&revoke, &[("how", "revoke"), ("label", "another")]).expect(422);
    assert_eq!(root.code(&fresh), "ok");
    grace.submit(&revoke, &[("how", "revoke"), ("label", "nightly"), ("reason", "over")]).expect(303);
    assert_eq!(root.code(&fresh), "revoked");
    let foreign = format!("/console/keys/{}", text(&theirs["id"]));
    grace.get(&foreign).expect(404);
    grace.submit(&format!("{foreign}/revoke"), &[("how", "revoke")]).expect(404);
    assert_eq!(root.code(&text(&theirs["secret"])), "ok");
}

#[test]
fn mo_5_bm_4_the_form_offers_what_the_policy_allows_and_refuses_the_rest() {
    let server = Server::start();
    let root = server.root();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let grace = Browser::of(&server, "grace");
    let form = grace.get("/console/keys/new").expect(200).text;
    assert!(form.contains("value=\"90\" checked"), "a key lives for 90 days unless told otherwise");
    root.patch(
        "/v1/policies",
        json!({ "member": { "max_ttl_days": 60, "default_ttl_days": 30, "never_expire": false } }),
    )
    .expect(200);
    let form = grace.get("/console/keys/new").expect(200).text;
    assert!(form.contains("value=\"30\" checked") && !form.contains("value=\"90\""), "{form}");
    assert!(form.contains("60 days at most") && !form.contains("value=\"never\""));
    for validity in ["90", "never", "soon"] {
        let fields = [("label", "long"), ("validity", validity), ("once", validity)];
        let refused = grace.submit("/console/keys", &fields).expect(422).text;
        assert!(refused.contains("value=\"long\""), "what was typed stays: {refused}");
    }
    assert_eq!(root.get("/v1/keys?class=member").ok()["data"], json!([]));
}

#[test]
fn several_keys_are_looked_at_before_they_are_switched_off_and_those_of_others_stay() {
    let server = Server::start();
    let root = server.root();
    let grace_id = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let mia = somebody(&server, "mia", &["me:read", "me/keys:*"]);
    let key = |owner: &str, label: &str| {
        let key = root.key(json!({ "class": "member", "owner_id": owner, "label": label }));
        (text(&key["id"]), text(&key["secret"]))
    };
    let (one, two, theirs) = (key(&grace_id, "first"), key(&grace_id, "second"), key(&mia, "of mia"));
    let grace = Browser::of(&server, "grace");
    let nothing = grace.submit("/console/keys/chosen", &[("action", "revoke")]).expect(422);
    assert!(nothing.text.contains("No key is selected."), "{}", nothing.text);
    let chosen = [("id", &*one.0), ("id", &*two.0), ("id", &*theirs.0), ("action", "deactivate")];
    let page = grace.submit("/console/keys/chosen", &chosen).expect(200).text;
    assert!(page.contains("first") && page.contains("second") && !page.contains("of mia"), "{page}");
    assert_eq!(root.code(&one.1), "ok", "a look changes nothing");
    let change = "/console/keys/chosen/change";
    let done = grace.submit(change, &chosen).expect(303);
    assert_eq!(done.header("location"), "/console/me/keys?done=chosen-off");
    assert!(root.code(&one.1) != "ok" && root.code(&two.1) != "ok");
    assert_eq!(root.code(&theirs.1), "ok");
    let again = grace.submit(change, &chosen).expect(422).text;
    assert!(again.contains("the key is inactive already"), "{again}");
    // Where to go back to is a path of the console alone.
    let back = [("id", &*one.0), ("action", "activate"), ("back", "https://evil.example/")];
    let done = grace.submit(change, &back).expect(303);
    assert_eq!(done.header("location"), "/console/me/keys?done=chosen-on");
}

#[test]
fn only_the_newest_secret_ends_the_waiting_for_a_first_call() {
    let server = Server::start();
    let root = server.root();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let grace = Browser::of(&server, "grace");
    let made = grace.submit("/console/keys", &[("label", "nightly"), ("once", "b1")]).expect(200).text;
    let id = text(&root.get("/v1/keys?q=nightly").ok()["data"][0]["id"]);
    let (old, panel) = (element(&made, "secret"), format!("/console/keys/{id}/first-call"));
    let works = || grace.get(&panel).expect(200).text.contains("It works");
    assert!(!works());
    server.caller(&old).get("/v1/me").expect(200);
    crate::support::wait_until(works);
    let rotated = [("overlap_seconds", "3600"), ("once", "b2")];
    let fresh =
        element(&grace.submit(&format!("/console/keys/{id}/rotate"), &rotated).expect(200).text, "secret");
    server.caller(&old).get("/v1/me").expect(200);
    assert!(!works(), "a call with the older secret proves nothing");
    server.caller(&fresh).get("/v1/me").expect(200);
    crate::support::wait_until(works);
}

#[test]
fn bm_5_several_keys_are_extended_together_and_those_beyond_the_policy_stay() {
    let server = Server::start();
    let root = server.root();
    ask_for_no_factor(&root);
    somebody(&server, "boss", &["**:*"]);
    let boss = Browser::of(&server, "boss");
    let grace = somebody(&server, "grace", &["me:read"]);
    let member =
        root.key(json!({ "class": "member", "owner_id": grace, "label": "of grace", "ttl_seconds": 86400 }));
    let ingest = root.key(json!({ "class": "ingest", "label": "collector", "ttl_seconds": 86400 }));
    root.patch("/v1/policies", json!({ "ingest": { "max_ttl_days": 60, "default_ttl_days": 30 } }))
        .expect(200);
    let (one, two) = (text(&member["id"]), text(&ingest["id"]));
    let end = |id: &str| text(&root.get(&format!("/v1/keys/{id}")).ok()["expires_at"]);
    let before = (end(&one), end(&two));
    let chosen = [("id", &*one), ("id", &*two), ("action", "extend")];
    let asked = boss.submit("/console/keys/chosen", &chosen).expect(200).text;
    assert!(asked.contains("Extend 2 keys") && asked.contains("name=\"validity\" value=\"90\""), "{asked}");
    // A day without its date is told on the page that asks for it.
    let dateless = [&chosen[..], &[("validity", "date")]].concat();
    let refused = boss.submit("/console/keys/chosen", &dateless).expect(422).text;
    assert!(refused.contains("choose the day on which the key ends"), "{refused}");
    let wish = [&chosen[..], &[("validity", "90")]].concat();
    let page = boss.submit("/console/keys/chosen", &wish).expect(200).text;
    assert!(page.contains("Extend 1 key?") && page.contains("1 key gets another end."), "{page}");
    assert!(page.contains("1 key stays as it is") && page.contains("policy allows an end up to"), "{page}");
    assert_eq!((end(&one), end(&two)), before, "a look changes nothing");
    let done = boss.submit("/console/keys/chosen/change", &wish).expect(200).text;
    assert!(done.contains("1 key was changed.") && done.contains("policy allows an end up to"), "{done}");
    assert!(end(&one) > before.0 && end(&two) == before.1);
    let event = root.get("/v1/audit-events?action=key.extend").ok();
    assert_eq!(event["data"].as_array().map(Vec::len), Some(1), "{event}");
    // Within the policy both move, and an end that comes sooner is told.
    let wish = [&chosen[..], &[("validity", "30")]].concat();
    let page = boss.submit("/console/keys/chosen", &wish).expect(200).text;
    assert!(page.contains("1 of them would end sooner than now."), "{page}");
    let done = boss.submit("/console/keys/chosen/change", &wish).expect(303);
    assert_eq!(done.header("location"), "/console/keys?done=chosen-extended");
}

#[test]
fn mo_7_all_keys_that_match_are_changed_if_they_are_as_many_as_was_told() {
    let server = Server::start();
    let root = server.root();
    ask_for_no_factor(&root);
    let grace_id = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let mia = somebody(&server, "mia", &["me:read", "me/keys:*"]);
    somebody(&server, "boss", &["**:*"]);
    let boss = Browser::of(&server, "boss");
    let owned = |owner: &str, label: &str| {
        text(&root.key(json!({ "class": "member", "owner_id": owner, "label": label }))["secret"])
    };
    let key = |at| text(&root.key(json!({ "class": "ingest", "label": format!("fleet {at}") }))["secret"]);
    let chosen: Vec<String> = (0..12).map(key).collect();
    let other = owned(&grace_id, "apart");
    let list = boss.get("/console/keys?q=fleet&limit=5").expect(200).text;
    assert!(list.contains("chosen=matching"), "{list}");
    let all = boss.get("/console/keys?q=fleet&limit=5&chosen=matching").expect(200).text;
    assert!(all.contains("All 12 keys that match are selected"), "{all}");
    let filter = field(&all, "filter");
    assert_eq!(filter, "q=fleet");
    let wish = [("matching", "yes"), ("filter", &*filter), ("action", "deactivate")];
    let page = boss.submit("/console/keys/chosen", &wish).expect(200).text;
    assert!(page.contains("Switch 12 keys off?") && page.contains("type: deactivate 12"), "{page}");
    let change = "/console/keys/chosen/change";
    // One more matches meanwhile: the number is told anew.
    let late = owned(&mia, "fleet late");
    let before = field(&page, "set");
    let sent = [&wish[..], &[("set", &*before), ("confirm", "deactivate 12")]].concat();
    let again = boss.submit(change, &sent).expect(422).text;
    assert!(again.contains("By now other keys match.") && again.contains("Switch 13 keys off?"), "{again}");
    assert_eq!((root.code(&chosen[0]), root.code(&late)), ("ok".into(), "ok".into()));
    let now = field(&again, "set");
    assert_ne!(now, before);
    let sent = [&wish[..], &[("set", &*now), ("confirm", "deactivate 12")]].concat();
    boss.submit(change, &sent).expect(422);
    assert_eq!(root.code(&chosen[0]), "ok");
    let sent = [&wish[..], &[("set", &*now), ("confirm", "deactivate 13")]].concat();
    let done = boss.submit(change, &sent).expect(303);
    assert_eq!(done.header("location"), "/console/keys?done=chosen-off");
    assert!(chosen.iter().all(|secret| root.code(secret) != "ok") && root.code(&late) != "ok");
    assert_eq!(root.code(&other), "ok");
    // Who sees its own keys alone reaches those alone, whatever filter it sends.
    let mine = Browser::of(&server, "mia");
    let theirs = format!("owner_id={grace_id}");
    let wish = [("matching", "yes"), ("filter", &*theirs), ("action", "revoke")];
    let page = mine.submit("/console/keys/chosen", &wish).expect(200).text;
    assert!(page.contains("fleet late") && !page.contains("apart"), "{page}");
    // A filter that finds nothing, and one that is none.
    let wish = [("matching", "yes"), ("filter", "q=nothing-like-it"), ("action", "revoke")];
    assert!(boss.submit("/console/keys/chosen", &wish).expect(422).text.contains("No key matches."));
    let wish = [("matching", "yes"), ("filter", "colour=red"), ("action", "revoke")];
    boss.submit("/console/keys/chosen", &wish).expect(400);
}
