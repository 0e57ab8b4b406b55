//! What keeps the console from being misused.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Browser, as_form, element, field};
use crate::logins::{PASSWORD, somebody};
use crate::support::{Answer, Server, text, wait_until};

#[test]
fn sq_3_a_key_opens_no_page() {
    let server = Server::start();
    let root = server.root();
    let stranger = Browser::of_nobody(&server);
    let asked = |path: &str| stranger.request("GET", path);
    for request in [
        asked("/console/keys").bearer_auth(&root.secret),
        asked("/console/keys").header("x-api-key", &root.secret),
        asked("/console/keys").header("cookie", format!("__Host-keyward={}", root.secret)),
        asked("/console/keys"),
    ] {
        let answer = Answer::read(request.send().expect("an answer")).expect(303);
        assert_eq!(answer.header("location"), "/console/login?return_to=%2Fconsole%2Fkeys");
    }
    let access_key = text(&root.get("/v1/me").ok()["key"]["access_key"]);
    let pair = [("username", &*access_key), ("password", &*root.secret)];
    let refused = stranger.send("/console/login", &pair).expect(422);
    assert!(
        refused.header("set-cookie").is_empty() && refused.text.contains("no interactive session"),
        "{}",
        refused.text
    );
}

#[test]
fn web_1_a_form_needs_a_page_of_this_server_and_the_mark_of_its_session() {
    let server = Server::start();
    for name in ["grace", "mia"] {
        somebody(&server, name, &["me:read", "me/keys:*"]);
    }
    let (grace, mia) = (Browser::of(&server, "grace"), Browser::of(&server, "mia"));
    let token = grace.form_token();
    let (wrong, once) = (mia.form_token(), "00112233445566778899aabbccddeeff");
    let sent = |token: &str, headers: &[(&str, &str)]| {
        let fields = [("label", "nightly"), ("once", once), ("form_token", token)];
        let request = as_form(grace.request("POST", "/console/keys"), &fields);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::read(request.send().expect("an answer"))
    };
    let same = [("sec-fetch-site", "same-origin")];
    let origin = server.url.as_str();
    for refused in [
        sent("", &same),
        sent(&wrong, &same),
        sent(&token, &[("sec-fetch-site", "cross-site")]),
        sent(&token, &[("sec-fetch-site", "same-site")]),
        sent(&token, &[("sec-fetch-site", "none")]),
        sent(&token, &[]),
        sent(&token, &[("origin", "https://evil.example")]),
        sent(&token, &[("origin", "null")]),
        sent(&token, &[("sec-fetch-site", "cross-site"), ("origin", origin)]),
    ] {
        refused.expect(403);
    }
    let json = grace.request("POST", "/console/keys").header("sec-fetch-site", "same-origin");
    Answer::read(json.json(&json!({ "label": "x" })).send().expect("an answer")).expect(415);
    assert_eq!(server.root().get("/v1/keys?class=member").ok()["data"], json!([]), "nothing was made");
    sent(&token, &same).expect(200);
    for path in ["/console/login", "/console/password"] {
        let stranger = Browser::of_nobody(&server);
        let fields = [("username", "grace"), ("password", PASSWORD)];
        let bare = as_form(stranger.request("POST", path), &fields);
        let foreign = bare.header("sec-fetch-site", "cross-site").send().expect("an answer");
        Answer::read(foreign).expect(403);
    }
}

#[test]
fn web_3_web_4_every_page_has_a_policy_and_runs_no_script_but_its_own() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let (grace, stranger) = (Browser::of(&server, "grace"), Browser::of_nobody(&server));
    let pages = [
        (grace.get("/console"), 200),
        (grace.get("/console/keys/new"), 200),
        (grace.get("/console/nothing"), 404),
        (grace.get("/console/keys"), 403),
        (grace.get("/console/keys/key_x"), 404),
        (stranger.get("/console/login"), 200),
        (stranger.get("/console"), 303),
    ];
    let mut nonces = std::collections::HashSet::new();
    for (page, status) in pages {
        let page = page.expect(status);
        let policy = page.header("content-security-policy").to_owned();
        let (_, rest) = policy.split_once("script-src 'nonce-").expect(&policy);
        let nonce = rest.split('\'').next().expect("a nonce").to_owned();
        assert!(nonce.len() >= 32 && nonces.insert(nonce.clone()), "a nonce of its own");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), value, "{name}");
        }
        let scripts = page.text.matches("<script").count();
        assert_eq!(page.text.matches(&format!(" nonce=\"{nonce}\" ")).count(), scripts);
        for inline in [" style=", " onclick=", " onload=", "javascript:", "src=\"http", "href=\"http"] {
            assert!(!page.text.contains(inline), "{inline}");
        }
    }
    let style = stranger.get("/console/login").text;
    let (_, rest) = style.split_once("href=\"/console/assets/").expect("a style sheet");
    let asset =
        stranger.get(&format!("/console/assets/{}", rest.split('"').next().expect("a name"))).expect(200);
    assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
    stranger.get("/console/assets/console.css").expect(404);
}

#[test]
fn web_4_what_users_write_stands_there_as_text() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let label = "<img src=x onerror=alert(1)> \"'&{}";
    server.root().key(json!({ "class": "member", "owner_id": user, "label": label }));
    let page = Browser::of(&server, "grace").get("/console/me/keys?q=%3Cscript%3E").expect(200).text;
    assert!(page.contains("&#60;script&#62;") && !page.contains("<script>"), "{page}");
    let page = Browser::of(&server, "grace").get("/console/me/keys").expect(200).text;
    assert!(!page.contains("<img") && page.contains("&#60;img src=x onerror=alert(1)&#62;"), "{page}");
}

#[test]
fn web_5_a_login_goes_on_within_the_console() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let to = |path: &str| {
        let fields = [("username", "grace"), ("password", PASSWORD), ("return_to", path)];
        let answer = Browser::of_nobody(&server).send("/console/login", &fields).expect(303);
        answer.header("location").to_owned()
    };
    assert_eq!(to("/console/me/keys?sort=label"), "/console/me/keys?sort=label");
    for elsewhere in
        ["https://evil.example", "//evil.example", "/\\evil.example", "/console/..//evil.example", "/v1/keys"]
    {
        assert_eq!(to(elsewhere), "/console", "{elsewhere}");
    }
}

#[test]
fn aut_6_a_password_link_logs_nobody_in_and_its_token_stays_out_of_addresses() {
    let server = Server::with_config("server:\n  public_url: \"https://keys.example.org/base\"\n");
    let user = server.root().user("grace", &[]);
    let link = server.root().post(&format!("/v1/users/{user}/password-reset"), json!({})).ok();
    assert_eq!(link["redeem_url"], "https://keys.example.org/base/console/password");
    let token = text(&link["token"]);
    let stranger = Browser::of_nobody(&server);
    let page = stranger.get("/console/password").expect(200);
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let short =
        stranger.send("/console/password", &[("token", &token), ("password", "too short")]).expect(422);
    assert_eq!(field(&short.text, "token"), token, "nobody has to find it again");
    let done = stranger.send("/console/password", &[("token", &token), ("password", PASSWORD)]).expect(303);
    assert_eq!((done.header("location"), done.header("set-cookie")), ("/console/login?done=password", ""));
    let again = stranger.send("/console/password", &[("token", &token), ("password", PASSWORD)]).expect(422);
    assert!(again.text.contains("used up"), "{}", again.text);
    let in_query = stranger.get(&format!("/console/password?token={token}")).expect(400);
    assert!(!in_query.text.contains(&token));
}

#[test]
fn az_12_keys_of_another_tenant_have_no_page() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "keys:*", "me/keys:*"]);
    let other = server.operator();
    let grace = Browser::of(&server, "grace");
    let made = server.caller(&other).post("/v1/tenants", json!({ "slug": "other", "name": "Other" })).ok();
    assert!(made["id"].is_string());
    let inside = server.caller(&other).request("POST", "/v1/keys").header("x-keyward-tenant", "other");
    let key = inside.json(&json!({ "class": "workspace", "label": "theirs", "role_ids": [] })).send();
    let key = Answer::read(key.expect("an answer")).ok();
    let path = format!("/console/keys/{}", text(&key["id"]));
    grace.get(&path).expect(404);
    grace.submit(&format!("{path}/revoke"), &[("how", "revoke")]).expect(404);
    assert_eq!(server.caller(&other).code(&text(&key["secret"])), "ok");
    assert!(!element(&grace.get("/console/keys").expect(200).text, "content").contains("theirs"));
}

#[test]
fn ses_3_what_a_page_asks_for_by_itself_is_no_use_of_the_session() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    let grace_id = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let key = server.root().key(json!({ "class": "member", "owner_id": grace_id, "label": "waits" }));
    let panel = format!("/console/keys/{}/first-call", text(&key["id"]));
    let grace = Browser::of(&server, "grace");
    let begun = Instant::now();
    let used = || {
        let later = "UPDATE sessions SET handle = handle WHERE last_seen_at > started_at + 1500";
        server.place.sql(later)
    };
    wait_until(|| {
        let page = grace.get(&panel).expect(200).text;
        assert!(page.contains("hx-trigger") && page.contains("asked=1\""), "{page}");
        begun.elapsed() > Duration::from_secs(4)
    });
    assert_eq!(used(), 0, "a poll keeps no session alive");
    // It ends by itself, and goes on when somebody wants it.
    let over = grace.get(&format!("{panel}?asked=100")).expect(200).text;
    assert!(!over.contains("hx-trigger") && over.contains("Wait again"), "{over}");
    let token = grace.form_token();
    wait_until(|| used() == 1);
    grace.send("/console/logout", &[("form_token", &token)]).expect(303);
    let refused = grace.get(&panel).expect(401).text;
    assert!(!refused.contains("hx-") && !refused.contains("<html"), "{refused}");
}

#[test]
fn ses_6_a_form_that_is_sent_too_late_comes_back_as_it_was_typed() {
    let server = Server::start();
    let id = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let key = server.root().key(json!({ "class": "member", "owner_id": id, "label": "nightly" }));
    let grace = Browser::of(&server, "grace");
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 3600000");
    let path = format!("/console/keys/{}", text(&key["id"]));
    // The pages that lead to it ask before anything is typed.
    for page in ["/console/keys/new", &*format!("{path}/rotate"), &*format!("{path}/edit")] {
        let asked = grace.get(page).expect(303).header("location").to_owned();
        assert!(asked.starts_with("/console/step-up?return_to=%2Fconsole%2Fkeys%2F"), "{page}: {asked}");
    }
    let typed = [("label", "late"), ("once", "l1"), ("scopes", "me:read")];
    let asked = grace.submit("/console/keys", &typed).expect(303);
    let form = "%2Fconsole%2Fkeys%2Fnew%3Flabel%3Dlate%26scopes%3Dme%253Aread";
    assert_eq!(asked.header("location"), format!("/console/step-up?return_to={form}"));
    let asked = grace.submit(&format!("{path}/rotate"), &[("once", "l2")]).expect(303);
    assert!(asked.header("location").ends_with("%2Frotate"), "{}", asked.header("location"));
    assert_eq!(server.root().get("/v1/keys?q=late").ok()["data"], json!([]));
    let form = "/console/keys/new?label=late&scopes=me%3Aread";
    let proof = [("password", PASSWORD), ("return_to", form)];
    assert_eq!(grace.submit("/console/step-up", &proof).expect(303).header("location"), form);
}
