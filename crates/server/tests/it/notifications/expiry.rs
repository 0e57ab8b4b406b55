//! Keys that end: who is told, when, and how often.

use serde_json::json;

use super::{Postbox, wait_until_told, with_mail};
use crate::support::{Caller, Server, text, wait_until};

/// A moment of the walk, and the mails that come then: receiver and subject without the time.
type Step<'a> = (&'a str, &'a [(&'a str, &'a str)]);

#[test]
fn bm_8_a_key_from_its_making_to_ten_days_after_its_end() {
    let (mut server, postbox) = with_mail();
    let (key, people) = prepare(&server);
    let soon = "The key “nightly import” ends on …";
    let over = "The key “nightly import” has ended";
    // Ada made it, Bob owns it, Carol edited it last, Dora is an administrator, Eve is nobody to it.
    let told = |what| [("ada@", what), ("bob@", what), ("carol@", what), ("dora@", what)];
    let (soon, over) = (told(soon), told(over));
    let steps: [Step<'_>; 8] = [
        ("+1h", &[]),
        ("+45d23h", &[]),
        ("+46d1h", &soon),
        ("+53d1h", &soon),
        ("+57d23h", &[]),
        ("+58d1h", &soon),
        ("+60d1h", &over),
        ("+70d", &[]),
    ];
    let mut before = 0;
    for (clock, expect) in steps {
        server.place.ahead = Some(seconds(clock));
        server = server.kill_and_restart();
        wait_until_told(&server.root());
        let mails = postbox.mails();
        let mut new: Vec<_> = mails[before..].iter().map(short).collect();
        new.sort();
        let expect: Vec<_> = expect.iter().map(|(to, what)| ((*to).to_owned(), (*what).to_owned())).collect();
        assert_eq!(new, expect, "at {clock}");
        before = mails.len();
        no_secrets(&postbox, &people);
    }
    for (name, told) in [("ada", 4), ("bob", 4), ("carol", 4), ("dora", 4), ("eve", 0)] {
        let caller = server.caller(&people.iter().find(|(who, _)| *who == name).expect("made").1);
        let list = caller.get("/v1/notifications").ok();
        let about_key = |news: &&serde_json::Value| news["target"]["id"] == key.as_str();
        let news: Vec<_> = list["data"].as_array().expect("a list").iter().filter(about_key).collect();
        let ends = news.iter().filter(|news| text(&news["kind"]).starts_with("key_expir")).count();
        assert_eq!(ends, told, "{name}: {news:?}");
    }
}

/// The people around a key that lives for 60 days, each with a key of their own that never ends.
fn prepare(server: &Server) -> (String, Vec<(&'static str, String)>) {
    let root = server.root();
    let rules = json!({
        "owner_login_window_minutes": -1,
        "notices": { "days_before_expiry": [14, 7, 2] },
    });
    root.patch("/v1/policies", rules).expect(200);
    let (all, member) = (role(&root, "admin"), role(&root, "member"));
    let groups = root.get("/v1/groups?q=Administrators").ok();
    let administrators = text(&groups["data"][0]["id"]);
    let mut people = Vec::new();
    for (name, role) in [("ada", &all), ("bob", &member), ("carol", &all), ("dora", &member), ("eve", &all)] {
        let user = user(&root, name, role);
        let own = json!({ "class": "member", "owner_id": user, "label": name, "expires": "never" });
        people.push((name, user, text(&root.key(own)["secret"])));
    }
    let of = |name: &str| people.iter().find(|(who, ..)| *who == name).expect("made").clone();
    root.put(&format!("/v1/groups/{administrators}/members/{}", of("dora").1)).expect(204);
    let ada = server.caller(&of("ada").2);
    let body = json!({
        "class": "member", "owner_id": of("bob").1, "label": "nightly", "ttl_seconds": 60 * 86_400,
    });
    let key = text(&ada.key(body)["id"]);
    let carol = server.caller(&of("carol").2);
    carol.patch(&format!("/v1/keys/{key}"), json!({ "label": "nightly import" })).expect(200);
    (key, people.into_iter().map(|(name, _, secret)| (name, secret)).collect())
}

/// A user with an address from the start.
fn user(root: &Caller, name: &str, role: &str) -> String {
    let email = format!("{name}@example.org");
    text(&root.post("/v1/users", json!({ "username": name, "email": email, "role_ids": [role] })).ok()["id"])
}

fn role(root: &Caller, name: &str) -> String {
    let roles = root.get(&format!("/v1/roles?q={name}")).ok();
    let roles = roles["data"].as_array().expect("a list").clone();
    text(&roles.iter().find(|role| role["name"] == name).expect("built in")["id"])
}

/// Receiver up to the host, subject without the moment.
fn short(mail: &serde_json::Value) -> (String, String) {
    let to = text(&mail["to"][0]).replace("example.org", "");
    let subject = text(&mail["subject"]);
    let subject = match subject.split_once("ends on ") {
        Some((before, _)) => format!("{before}ends on …"),
        None => subject,
    };
    (to, subject)
}

/// `46d1h` in seconds, as libfaketime reads it.
fn seconds(text: &str) -> String {
    let (days, hours) = text.trim_start_matches('+').split_once('d').unwrap_or(("0", &text[1..]));
    let hours: u64 = hours.trim_end_matches('h').parse().unwrap_or(0);
    format!("+{}s", days.parse::<u64>().expect("days") * 86_400 + hours * 3_600)
}

fn no_secrets(postbox: &Postbox, people: &[(&str, String)]) {
    let all = serde_json::to_string(&postbox.mails()).expect("plain");
    for (_, secret) in people {
        assert!(!all.contains(secret.as_str()) && !all.contains(&secret[20..]), "a secret in a mail");
    }
    assert!(!all.contains("kwm_") && !all.contains("kww_"));
}

#[test]
fn bm_8_a_tenant_that_cannot_be_read_keeps_no_other_from_being_told() {
    let mut server = Server::start();
    let (_, acme) = crate::api::tenant(&server, "acme");
    let root = server.root();
    // The first to end is that of the tenant whose policy is damaged.
    acme.key(json!({ "class": "ingest", "label": "theirs", "ttl_seconds": 86_400 }));
    let body = json!({ "class": "ingest", "label": "ours", "ttl_seconds": 2 * 86_400 });
    let ours = root.key(body)["id"].clone();
    assert_eq!(server.place.sql("UPDATE tenants SET policy = 'damaged' WHERE slug = 'acme'"), 1);
    server.place.ahead = Some(seconds("+2d1h"));
    server = server.kill_and_restart();
    let root = server.root();
    let told = || root.get("/v1/audit-events?action=key.expired").ok()["data"].clone();
    wait_until(|| told().as_array().is_some_and(|told| told.len() == 1));
    assert_eq!(told()[0]["target"]["id"], ours);
    assert!(server.place.log().contains("nobody could be told of the end of a key"));
}

#[test]
fn bm_8_short_keys_and_policies_without_notices() {
    let (mut server, postbox) = with_mail();
    let root = server.root();
    let rules = json!({
        "max_keys_per_user": 5,
        "notices": { "days_before_expiry": [], "after_expiry": true },
    });
    root.patch("/v1/policies", rules).expect(200);
    for wrong in [json!([3]), json!([2, 2]), json!(["2"])] {
        let rules = json!({ "notices": { "days_before_expiry": wrong } });
        assert!((400..=422).contains(&root.patch("/v1/policies", rules).status));
    }
    let ada = user(&root, "ada", &role(&root, "member"));
    let key = |days: u32| {
        let body = json!({
            "class": "member", "owner_id": ada, "label": format!("{days} days"), "ttl_seconds": days * 86_400,
        });
        text(&root.key(body)["id"])
    };
    let (short, long, revoked) = (key(1), key(5), key(3));
    root.post(&format!("/v1/keys/{revoked}/revoke"), json!({ "reason": "not needed" })).expect(200);
    server.place.ahead = Some(seconds("+4d1h"));
    server = server.kill_and_restart();
    wait_until_told(&server.root());
    let over = ("ada@example.org".to_owned(), "The key “1 days” has ended".to_owned());
    assert_eq!(postbox.subjects(), std::slice::from_ref(&over), "{short} is over, {long} needs no notice");

    // A key of a day is not told of two days before its end: that was before it was made.
    let rules = json!({ "notices": { "days_before_expiry": [2] } });
    server.root().patch("/v1/policies", rules).expect(200);
    server = server.kill_and_restart();
    wait_until_told(&server.root());
    let subjects: Vec<_> = postbox.subjects().into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects[1].starts_with("The key “5 days” ends on "), "{subjects:?}");
}
