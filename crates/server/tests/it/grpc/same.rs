//! A check gets what `/authz` says of the same request (X1, HTTP-9).

use serde_json::{Value, json};

use super::{CLIENT, Check, Gate, Told, listening, start};
use crate::authz::ask;
use crate::process::Process;
use crate::support::{Answer, Place, Server, free_port, text, wait_until};

const IDENTITY: [&str; 9] = [
    "x-auth-subject",
    "x-auth-user",
    "x-auth-tenant",
    "x-auth-key-id",
    "x-auth-rights",
    "x-auth-actor",
    "x-auth-expires-at",
    "x-auth-status",
    "x-auth-code",
];

/// Both answers to a request that one gateway asks about over HTTP, and another over gRPC.
fn both(server: &Server, gate: &Gate, check: Check<'_>) -> (Answer, Told) {
    let named = [
        ("x-forwarded-method", check.method),
        ("x-forwarded-uri", check.target),
        ("x-forwarded-for", CLIENT),
    ];
    let right = check.extensions.iter().map(|(_, right)| ("x-keyward-right", *right));
    let headers: Vec<_> = check.headers.iter().copied().chain(named).chain(right).collect();
    (ask(&server.url, &headers), gate.ask(check))
}

/// Without what differs from request to request.
fn plain(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    body
}

#[track_caller]
fn assert_same_refusal((answer, told): (Answer, Told), status: u16, code: &str) {
    assert_eq!(plain(&answer.body), plain(&told.body));
    for name in ["www-authenticate", "content-type", "cache-control"] {
        let there: Vec<_> =
            answer.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect();
        assert_eq!(told.values(name), there, "{name}");
    }
    assert!(told.headers.iter().all(|(name, _)| !name.starts_with("x-auth-")), "{told:?}");
    answer.refused(status, code);
    told.refused(status, code);
}

#[test]
fn x_1_http_9_a_check_is_allowed_with_the_identity_headers_of_authz() {
    let (server, gate) = start("");
    let root = server.root();
    let (user, member) = root.member("ada", &["reports/emea:read"]);
    root.patch("/v1/policies", json!({ "workspace": { "never_expire": true } })).expect(200);
    let limits = json!([{ "name": "calls", "requests": 50, "per_seconds": 600 }]);
    let body = json!({ "class": "workspace", "label": "export", "expires": "never", "limits": limits });
    let workspace = root.key(body);
    for (key, subject) in [(&member, &user), (&workspace, &text(&workspace["id"]))] {
        let bearer = format!("Bearer {}", text(&key["secret"]));
        let check = Check { headers: &[("authorization", &bearer)], ..Check::default() };
        let (answer, told) = both(&server, &gate, check);
        let (answer, told) = (answer.expect(200), told.allowed());
        for name in IDENTITY {
            assert_eq!(told.values(name), [answer.header(name)], "{name}, also where it is empty");
        }
        assert_eq!(told.headers.len(), IDENTITY.len(), "nothing else reaches the application: {told:?}");
        assert_eq!(told.header("x-auth-subject"), subject);
        assert_eq!(told.removed, ["authorization"]);
        let limits: Vec<_> = told.beside.iter().filter(|(name, _)| name == "ratelimit-policy").collect();
        assert_eq!(limits.first().map_or("", |(_, value)| value.as_str()), answer.header("ratelimit-policy"));
        for (key, name) in [
            ("code", "x-auth-code"),
            ("tenant", "x-auth-tenant"),
            ("key_id", "x-auth-key-id"),
            ("subject", "x-auth-subject"),
            ("rights", "x-auth-rights"),
        ] {
            assert_eq!(told.metadata[key], answer.header(name), "{key}");
        }
    }
}

#[test]
fn x_1_key_12_the_header_of_the_credential_is_taken_away() {
    let (server, gate) = start("server: {api_key_header: X-Service-Key}");
    let secret = server.operator();
    let bearer = format!("Bearer {secret}");
    for (name, value) in [("authorization", &bearer), ("x-service-key", &secret)] {
        let told = gate.ask(Check { headers: &[(name, value), ("cookie", "a=b")], ..Check::default() });
        assert_eq!(told.allowed().removed, [name]);
    }
}

#[test]
fn x_1_http_9_a_check_is_refused_as_authz_refuses() {
    let (server, gate) = start("");
    let root = server.root();
    let (_, key) = root.member("ada", &["reports:read"]);
    let conditions = json!({ "cidrs": ["192.0.2.0/24"], "methods": ["GET"], "paths": ["/api/**"] });
    let body = json!({ "class": "workspace", "label": "bound", "conditions": conditions });
    let bound = format!("Bearer {}", text(&root.key(body)["secret"]));
    let elsewhere =
        json!({ "class": "workspace", "label": "far", "conditions": { "cidrs": ["10.0.0.0/8"] } });
    let elsewhere = format!("Bearer {}", text(&root.key(elsewhere)["secret"]));
    let ada = format!("Bearer {}", text(&key["secret"]));
    let bare = text(&key["secret"]);
    let exposing = format!("/things?year=2026&api_key={bare}");
    let free = Check::default();
    for (authorization, method, target, right, status, code) in [
        ("Bearer kwm_nothing", "GET", "/things", "", 401, "invalid_key"),
        ("Digest x", "GET", "/things", "", 401, "invalid_key"),
        (&ada, "GET", "/things", "reports:write", 403, "insufficient_rights"),
        (&ada, "GET", "/things", "no right", 403, "insufficient_rights"),
        (&ada, "GET", "/a/../b", "", 403, "ambiguous_request"),
        (&ada, "GET", &exposing, "", 401, "credential_in_url"),
        (&bound, "GET", "/things", "", 403, "condition_failed"),
        (&bound, "POST", "/api/x", "", 403, "condition_failed"),
        (&elsewhere, "GET", "/things", "", 403, "address_denied"),
    ] {
        let (headers, extensions) = ([("authorization", authorization)], [("right", right)]);
        let check = Check { method, target, headers: &headers, extensions: &extensions, ..free };
        assert_same_refusal(both(&server, &gate, check), status, code);
    }
    assert_same_refusal(both(&server, &gate, free), 401, "no_credential");
    let two = [("authorization", ada.as_str()), ("x-api-key", bare.as_str())];
    assert_same_refusal(both(&server, &gate, Check { headers: &two, ..free }), 401, "multiple_credentials");
    let fit = Check { target: "/api/x?y=1", headers: &[("authorization", &bound)], ..free };
    assert_eq!(both(&server, &gate, fit).0.expect(200).header("x-auth-code"), "ok");
    gate.ask(fit).allowed();
}

#[test]
fn x_1_x_6_limits_are_one_whatever_the_protocol_and_429_says_when_to_come_back() {
    let (server, gate) = start("");
    let limits = json!([{ "name": "calls", "requests": 2, "per_seconds": 600 }]);
    let body = json!({ "class": "workspace", "label": "limited", "role_ids": [], "limits": limits });
    let key = server.root().key(body);
    let bearer = format!("Bearer {}", text(&key["secret"]));
    let check = Check { headers: &[("authorization", &bearer)], ..Check::default() };
    let (answer, told) = both(&server, &gate, check);
    assert!(answer.expect(200).header("ratelimit").starts_with(r#""calls";r=1;t="#));
    let left = told.allowed().beside;
    assert!(left.iter().any(|(name, value)| name == "ratelimit" && value.starts_with(r#""calls";r=0;t="#)));
    let refused = gate.ask(check).refused(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=600).contains(&wait), "{wait}");
    let wished = Check { headers: &[("authorization", &bearer), ("x-keyward-deny-status", "403")], ..check };
    gate.ask(wished).refused(429, "rate_limited");
    wait_until(|| {
        let usage = server.root().get(&format!("/v1/keys/{}/usage", text(&key["id"]))).ok();
        usage["last_used_address"] == CLIENT
    });
}

#[test]
fn x_1_ver_1_a_revoked_key_is_refused_at_once() {
    let (server, gate) = start("");
    let key = server.root().key(json!({ "class": "workspace", "label": "short-lived" }));
    let secret = text(&key["secret"]);
    for _ in 0..3 {
        gate.ask_as(&secret, Check::default()).allowed();
    }
    let path = format!("/v1/keys/{}/revoke", text(&key["id"]));
    server.root().post(&path, json!({ "reason": "over" })).expect(200);
    assert_eq!(gate.ask_as(&secret, Check::default()).status, 401);
}

#[test]
fn x_1_r_4_what_cannot_be_known_is_503() {
    let place = Place::new();
    let port = free_port();
    let process = Process::start(&place, &listening(port), &[]);
    let told = Gate::connect(port).ask_as("kwm_nothing", Check::default());
    let answer = ask(&process.url(), &[("authorization", "Bearer kwm_nothing")]).expect(503);
    assert_eq!(plain(&answer.body), plain(&told.body));
    assert_eq!((told.status, told.header("retry-after")), (503, answer.header("retry-after")));
}
