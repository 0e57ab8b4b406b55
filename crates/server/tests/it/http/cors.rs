//! Which pages of other origins may read answers (WEB-2).

use reqwest::header::HeaderMap;
use serde_json::json;

use crate::logins::{PASSWORD, ask_for_no_factor, set_password, somebody};
use crate::support::{Caller, Server, client, text};
use crate::tokens::enable;

const PAGE: &str = "https://app.example.org";
const LOCAL: &str = "http://127.0.0.1:3000";
const LISTED: &str =
    "server: {cors: {allowed_origins: ['https://app.example.org', 'http://127.0.0.1:3000']}}";

/// What is open to a listed page, with the status of a caller who may.
const OPEN: [(&str, &str, u16); 8] = [
    ("GET", "/v1/me", 200),
    ("HEAD", "/v1/me", 200),
    ("GET", "/v1/keys?limit=1", 200),
    ("GET", "/v1/nothing-like-it", 404),
    ("POST", "/v1/verify", 200),
    ("PATCH", "/v1/me", 405),
    ("GET", "/openapi.json", 200),
    ("GET", "/.well-known/jwks.json", 200),
];

/// What no page of another origin ever reads.
const CLOSED: [(&str, &str); 17] = [
    ("POST", "/v1/auth/login"),
    ("POST", "/v1/auth/login/factor"),
    ("POST", "/v1/auth/password-reset"),
    ("POST", "/v1/auth/step-up"),
    ("GET", "/v1/auth/session"),
    ("POST", "/v1/setup"),
    ("GET", "/v1/trusted"),
    ("POST", "/v1/trusted/enable"),
    ("POST", "/v1/trusted/copy"),
    ("POST", "/v1/trusted/tokens"),
    ("POST", "/v1/trusted/tokens/validate"),
    ("POST", "/oauth2/token"),
    ("POST", "/oauth2/introspect"),
    ("POST", "/oauth2/revoke"),
    ("GET", "/authz"),
    ("GET", "/healthz"),
    ("GET", "/problems"),
];

/// Status and headers of an answer to a page of these origins.
fn ask(caller: &Caller, method: &str, path: &str, origins: &[&str]) -> (u16, HeaderMap) {
    let mut request = caller.request(method, path);
    for origin in origins {
        request = request.header("origin", *origin);
    }
    if method == "POST" {
        request = request.json(&json!({ "credential": "kwm_x" }));
    }
    let answer = request.send().expect("an answer");
    (answer.status().as_u16(), answer.headers().clone())
}

/// The same for a browser that asks beforehand.
fn preflight(caller: &Caller, method: &str, path: &str, origin: &str) -> (u16, HeaderMap) {
    let request = client()
        .request(reqwest::Method::OPTIONS, format!("{}{path}", caller.url))
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type");
    let answer = request.send().expect("an answer");
    (answer.status().as_u16(), answer.headers().clone())
}

fn of<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[track_caller]
fn must_say_nothing(headers: &HeaderMap, what: &str) {
    let said: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
    assert!(said.is_empty(), "{what}: {said:?}");
}

fn depends_on_origin(headers: &HeaderMap) -> bool {
    headers.get_all("vary").iter().any(|value| value == "origin")
}

#[test]
fn web_2_listed_origins_read_the_api_and_no_others() {
    let server = Server::with_config(LISTED);
    let root = server.root();
    for (method, path, status) in OPEN {
        for page in [PAGE, LOCAL] {
            let (told, headers) = ask(&root, method, path, &[page]);
            assert_eq!((told, of(&headers, "access-control-allow-origin")), (status, page), "{path}");
            assert!(depends_on_origin(&headers), "{method} {path}");
            assert_eq!(of(&headers, "access-control-allow-credentials"), "", "{path}");
            assert!(of(&headers, "access-control-expose-headers").contains("etag"), "{path}");
            let (told, headers) = preflight(&root, method, path, page);
            assert_eq!((told, of(&headers, "access-control-allow-origin")), (204, page), "{path}");
            assert!(of(&headers, "access-control-allow-methods").contains("PATCH"), "{path}");
            assert!(of(&headers, "access-control-allow-headers").contains("authorization"), "{path}");
            assert_eq!(of(&headers, "access-control-allow-credentials"), "", "{path}");
            assert_eq!(of(&headers, "access-control-max-age"), "600", "{path}");
            assert!(depends_on_origin(&headers), "{method} {path}");
        }
        let strangers: [&[&str]; 9] = [
            &["https://evil.example"],
            &["null"],
            &["*"],
            &["http://app.example.org"],
            &["https://app.example.org:8443"],
            &["https://app.example.org.evil.example"],
            &["https://APP.example.org"],
            &[PAGE, PAGE],
            &[PAGE, "https://evil.example"],
        ];
        for origins in strangers {
            let (told, headers) = ask(&root, method, path, origins);
            assert_eq!(told, status, "{path}: it is answered, and the browser keeps it to itself");
            must_say_nothing(&headers, path);
            assert!(depends_on_origin(&headers), "{method} {path} {origins:?}");
            let (told, headers) = preflight(&root, method, path, origins[origins.len() - 1]);
            if origins.last() != Some(&PAGE) {
                assert_ne!(told, 204, "{path}");
                must_say_nothing(&headers, path);
            }
        }
        let (_, headers) = ask(&root, method, path, &[]);
        must_say_nothing(&headers, path);
        assert_eq!(depends_on_origin(&headers), method == "GET" || method == "HEAD", "{method} {path}");
    }
    // Who may not is told so by words that the page can read.
    let (told, headers) = ask(&root_of(&server, "kwm_x"), "GET", "/v1/me", &[PAGE]);
    assert_eq!((told, of(&headers, "access-control-allow-origin")), (401, PAGE));
}

fn root_of(server: &Server, secret: &str) -> Caller {
    server.caller(secret)
}

#[test]
fn web_2_ts_7_imp_8_logins_set_up_mint_and_oauth_are_closed_to_listed_origins() {
    let server = Server::with_config(LISTED);
    let root = server.root();
    for (method, path) in CLOSED {
        let (_, headers) = ask(&root, method, path, &[PAGE]);
        must_say_nothing(&headers, path);
        assert!(!depends_on_origin(&headers), "{path}");
        let (told, headers) = preflight(&root, method, path, PAGE);
        assert_ne!(told, 204, "{path}");
        must_say_nothing(&headers, path);
    }
    let (backend, _) = enable(&root, json!({}));
    root.user("ada", &[]);
    let wish = json!({ "username": "ada" });
    let page = backend.request("POST", "/v1/trusted/tokens").header("origin", PAGE).json(&wish);
    crate::support::Answer::read(page.send().expect("an answer")).refused(403, "browser_call");
    backend.post("/v1/trusted/tokens", wish).expect(200);
}

/// A cookie never counts for another origin: its answers are not readable, its changes not made.
#[test]
fn web_2_web_1_ses_7_a_cookie_opens_nothing_to_a_listed_origin() {
    let server = Server::with_config(LISTED);
    let root = server.root();
    ask_for_no_factor(&root);
    let user = somebody(&server, "grace", &["me:read", "users:write", "groups:write"]);
    set_password(&root, &user, PASSWORD);
    let body = json!({ "username": "grace", "password": PASSWORD, "cookie": true });
    let url = |path: &str| format!("{}{path}", server.url);
    let login = client().post(url("/v1/auth/login")).header("sec-fetch-site", "same-origin").json(&body);
    let opened = login.send().expect("an answer");
    assert_eq!(opened.status(), 200);
    let cookie = text(&json!(of(opened.headers(), "set-cookie")));
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let read = client().get(url("/v1/me")).header("cookie", &cookie).header("origin", PAGE);
    let read = read.send().expect("an answer");
    assert_eq!((read.status().as_u16(), of(read.headers(), "access-control-allow-credentials")), (200, ""));
    let change = client()
        .post(url("/v1/groups"))
        .header("cookie", &cookie)
        .header("origin", PAGE)
        .header("sec-fetch-site", "cross-site")
        .json(&json!({ "name": "theirs" }));
    crate::support::Answer::read(change.send().expect("an answer")).refused(403, "cross_site");
    assert!(!root.get("/v1/groups").ok().to_string().contains("theirs"));
}

#[test]
fn web_2_unless_told_no_other_origin_reads_anything() {
    let server = Server::start();
    let root = server.root();
    for (method, path, status) in OPEN {
        let (told, headers) = ask(&root, method, path, &[PAGE]);
        assert_eq!(told, status, "{path}");
        must_say_nothing(&headers, path);
        assert!(!depends_on_origin(&headers), "{path}");
        let (told, headers) = preflight(&root, method, path, PAGE);
        assert_ne!(told, 204, "{path}");
        must_say_nothing(&headers, path);
    }
}
