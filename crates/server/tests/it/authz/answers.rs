//! What a gateway gets (`api.md` 12, HTTP-9).

use serde_json::json;

use super::{ask, ask_as};
use crate::support::{Answer, Server, client, text};

const IDENTITY: [&str; 7] = [
    "x-auth-subject",
    "x-auth-user",
    "x-auth-tenant",
    "x-auth-key-id",
    "x-auth-rights",
    "x-auth-actor",
    "x-auth-expires-at",
];

/// Every identity header is there once, and empty.
#[track_caller]
fn assert_nobody(answer: &Answer) {
    for name in IDENTITY {
        let values: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(values, [""], "{name} of {}", answer.text);
    }
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
    assert_eq!((answer.status, &answer.body["status"]), (status, &json!(status)), "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-auth-code"), text(&answer.body["code"]));
}

#[test]
fn http_9_x1_allow_is_200_empty_with_every_identity_header() {
    let server = Server::start();
    let (user, key) = server.root().member("ada", &["reports/emea:read"]);
    let answer = ask_as(&server.caller(&text(&key["secret"])), &[("X-Keyward-Right", "reports/emea:read")])
        .expect(200);
    assert_eq!(answer.text, "");
    assert_eq!(answer.header("x-auth-subject"), user);
    assert_eq!(answer.header("x-auth-user"), "ada");
    assert_eq!(answer.header("x-auth-tenant"), server.tenant());
    assert_eq!(answer.header("x-auth-key-id"), text(&key["id"]));
    assert_eq!(answer.header("x-auth-actor"), "");
    let verified = server.root().verify(&text(&key["secret"]));
    assert_eq!(answer.header("x-auth-expires-at"), text(&verified["expires_at"]));
    let mut rights: Vec<_> =
        answer.header("x-auth-rights").split([' ', ',']).filter(|word| !word.is_empty()).collect();
    rights.sort_unstable();
    assert_eq!(rights, ["me/keys:*", "me:read", "reports/emea:read"]);
    for name in IDENTITY {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name}");
    }
    assert_eq!(answer.header("cache-control"), "private, max-age=1");
    assert_eq!((answer.header("x-auth-status"), answer.header("x-auth-code")), ("200", "ok"));
    assert!(!answer.header("x-request-id").is_empty());
}

#[test]
fn http_9_a_workspace_key_without_end_has_empty_user_and_expiry() {
    let server = Server::start();
    let root = server.root();
    root.patch("/v1/policies", json!({ "workspace": { "never_expire": true } })).expect(200);
    let key = root.key(json!({ "class": "workspace", "label": "export", "expires": "never" }));
    let answer = ask_as(&server.caller(&text(&key["secret"])), &[]).expect(200);
    assert_eq!(answer.header("x-auth-subject"), text(&key["id"]));
    for name in ["x-auth-user", "x-auth-actor", "x-auth-expires-at"] {
        assert_eq!(answer.headers.get(name).map(|value| value.as_bytes()), Some(&b""[..]), "{name}");
    }
}

#[test]
fn http_9_x2_refusals_are_401_403_or_429_problems_with_every_header_empty() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("ada", &["reports:read"]);
    let ada = server.caller(&text(&key["secret"]));
    let none = ask(&server.url, &[]);
    assert_problem(&none, 401);
    assert_nobody(&none);
    assert_eq!(none.body["code"], "no_credential");
    assert!(none.header("www-authenticate").starts_with("Bearer realm="));
    let wrong = ask(&server.url, &[("Authorization", "Bearer kwm_nothing")]);
    assert_problem(&wrong, 401);
    assert_nobody(&wrong);
    assert_eq!(wrong.body["code"], "invalid_key");
    let unfit = ask_as(&ada, &[("X-Keyward-Right", "reports:write")]);
    assert_problem(&unfit, 403);
    assert_nobody(&unfit);
    assert_eq!(unfit.body["code"], "insufficient_rights");
    assert_eq!(unfit.header("www-authenticate"), "");
    root.post(&format!("/v1/keys/{}/deactivate", text(&key["id"])), json!({})).expect(200);
    let inactive = ask_as(&ada, &[]);
    assert_problem(&inactive, 401);
    assert_nobody(&inactive);
    assert_eq!(inactive.body["code"], "inactive", "whoever has the right secret may know why");
}

#[test]
fn http_9_every_method_is_answered_alike() {
    let server = Server::start();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        for path in ["/authz", "/authz/", "/authz/api/v2/things"] {
            let known = server.root().request(method, path).body("anything").send().expect("an answer");
            let known = Answer::read(known).expect(200);
            assert_eq!(
                (known.text.as_str(), known.header("x-auth-tenant")),
                ("", &*server.tenant()),
                "{method} {path}"
            );
            let stranger = server.caller("nothing").request(method, path).send().expect("an answer");
            let stranger = Answer::read(stranger).expect(401);
            assert_nobody(&stranger);
        }
    }
    let stranger = server.caller("nothing").get("/authzother");
    assert_eq!(stranger.status, 404, "another path is not ours");
}

#[test]
fn http_9_forged_identity_headers_are_overwritten() {
    let server = Server::start();
    let (user, key) = server.root().member("ada", &[]);
    let ada = server.caller(&text(&key["secret"]));
    let forged: Vec<_> = IDENTITY.iter().map(|name| (*name, "forged")).collect();
    let allowed = ask_as(&ada, &forged).expect(200);
    assert_eq!(allowed.header("x-auth-subject"), user);
    for name in IDENTITY {
        assert!(allowed.headers.get_all(name).iter().all(|value| value != "forged"), "{name}");
    }
    assert_nobody(&ask(&server.url, &forged).expect(401));
    let refused = ask_as(&ada, &[&forged[..], &[("X-Keyward-Right", "reports:write")]].concat()).expect(403);
    assert_nobody(&refused);
}

#[test]
fn http_9_x6_limits_are_told_and_429_says_when_to_come_back() {
    let server = Server::start();
    let limits = json!([{ "name": "calls", "requests": 2, "per_seconds": 600 }]);
    let body = json!({ "class": "workspace", "label": "limited", "role_ids": [], "limits": limits });
    let limited = server.caller(&text(&server.root().key(body)["secret"]));
    let first = ask_as(&limited, &[]).expect(200);
    assert_eq!(first.header("ratelimit-policy"), r#""calls";q=2;w=600"#);
    assert!(first.header("ratelimit").starts_with(r#""calls";r=1;t="#), "{:?}", first.headers);
    assert_eq!(first.header("cache-control"), "no-store", "a counted use must not be answered from a cache");
    ask_as(&limited, &[]).expect(200);
    let refused = ask_as(&limited, &[]);
    assert_problem(&refused, 429);
    assert_nobody(&refused);
    assert_eq!(refused.body["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=600).contains(&wait), "{wait}");
    let wished = ask_as(&limited, &[("X-Keyward-Deny-Status", "403")]);
    assert_eq!((wished.status, wished.header("x-auth-status")), (403, "429"));
    assert!(wished.header("retry-after").parse::<u64>().is_ok());
    assert_nobody(&wished);
}

#[test]
fn http_9_the_deny_status_never_makes_an_answer_an_allowance() {
    let server = Server::start();
    for wish in ["200", "204", "403", "500", "x"] {
        let none = ask(&server.url, &[("X-Keyward-Deny-Status", wish)]);
        assert_eq!(none.status, 401, "{wish}: whoever has no credential must be asked for one");
        let allowed = ask_as(&server.root(), &[("X-Keyward-Deny-Status", wish)]);
        assert_eq!(allowed.status, 200, "{wish}");
    }
}

#[test]
fn http_9_dir_6_names_that_headers_cannot_carry_are_percent_encoded() {
    let server = Server::start();
    for (name, shown) in [
        ("zoë", "zo%C3%AB"),
        ("東京", "%E6%9D%B1%E4%BA%AC"),
        ("zo%C3%AB", "zo%25C3%25AB"),
        ("a,b=c", "a,b=c"),
    ] {
        let user = server.root().post("/v1/users", json!({ "username": name })).ok();
        let key = server.root().key(json!({ "class": "member", "owner_id": user["id"], "label": "named" }));
        let answer = ask_as(&server.caller(&text(&key["secret"])), &[]).expect(200);
        assert_eq!(answer.header("x-auth-user"), shown, "no two names may share a header");
    }
}

#[test]
fn http_9_an_instance_that_is_not_set_up_allows_nothing() {
    let place = crate::support::Place::new();
    let server = crate::process::Process::start(&place, "", &[]);
    let answer = ask(&server.url(), &[("Authorization", "Bearer kwm_nothing")]).expect(503);
    assert_nobody(&answer);
    assert!(!answer.header("retry-after").is_empty());
}

#[test]
fn ver_5_key_4_a_flood_of_wrong_keys_is_429_and_good_keys_from_there_pass() {
    let server = Server::start();
    let root = server.root();
    let agent = client();
    for _ in 0..300 {
        let answer =
            agent.get(format!("{}/authz", server.url)).bearer_auth("kwm_wrong").send().expect("an answer");
        assert_eq!(answer.status(), 401);
    }
    // Five a second are let through again.
    let wrong = || ask(&server.url, &[("Authorization", "Bearer kwm_wrong")]);
    let throttled = (0..500).map(|_| wrong()).find(|answer| answer.status == 429).expect("a 429");
    assert_problem(&throttled, 429);
    assert_nobody(&throttled);
    assert!(throttled.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    ask_as(&root, &[]).expect(200);
    root.get("/v1/me").expect(200);
}
