//! Cookies of dialects: whose they are, and who may ask for a change with them (WEB-1).

use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

use super::ask;
use crate::support::{Answer, Server, client, text};

const VALSIGHT: &str = "apiKeyAuth: { enabled: true }\n";
const THOUGHTSPOT: &str = "dialects: {thoughtspot: {enabled: true}}\n";
const V2: &str = "/dialects/thoughtspot/api/rest/2.0";

/// The token of a session that this key opens.
fn open(server: &Server, key: &Value) -> String {
    let body = json!({ "username": key["access_key"], "password": key["secret"] });
    text(&crate::logins::log_in(&server.url, body).ok()["token"])
}

fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().expect("an answer"))
}

#[test]
fn va_7_x_1_the_cookie_of_an_application_does_not_stand_in_the_way_and_two_of_ours_are_401() {
    let server = Server::with_config(VALSIGHT);
    let (_, key) = server.root().member("ada", &[]);
    let enter = || open(&server, &key);
    let (one, two) = (enter(), enter());
    let gate = |cookies: &str| ask(&server.url, &[("Cookie", cookies)]);
    // An application below a path has a cookie of its own of that name.
    gate(&format!("JSESSIONID=node01abc.node0; JSESSIONID={one}")).expect(200);
    gate(&format!("JSESSIONID={one}; a=b; JSESSIONID=node01abc.node0")).expect(200);
    gate("JSESSIONID=node01abc.node0; JSESSIONID=node02").refused(401, "no_credential");
    gate(&format!("JSESSIONID={one}; JSESSIONID={two}")).refused(401, "multiple_credentials");
}

#[test]
fn web_1_an_older_browser_tells_the_page_that_asks_for_a_change() {
    let server = Server::with_config(THOUGHTSPOT);
    let (_, key) = server.root().member("ada", &[]);
    let cookie = format!("JSESSIONID={}", open(&server, &key));
    let post = |origin: &str, site: Option<&str>| {
        let request = client().post(format!("{}{V2}/metadata/search", server.url)).json(&json!({}));
        let request = request.header("cookie", &cookie).header("origin", origin);
        send(if let Some(site) = site { request.header("sec-fetch-site", site) } else { request })
    };
    for foreign in ["https://evil.example", "null", "http://127.0.0.1"] {
        post(foreign, None).expect(403);
        // What the browser knows itself goes first.
        post(foreign, Some("same-origin")).expect(200);
    }
    post(&server.url, None).expect(200);
    post(&server.url, Some("cross-site")).expect(403);
    // A login sets a cookie.
    let login = client().post(format!("{}{V2}/auth/session/login", server.url)).json(&json!({}));
    send(login.bearer_auth(text(&key["secret"])).header("origin", "https://evil.example")).expect(403);
}

#[test]
fn web_1_with_a_cookie_a_body_tells_its_type_and_another_session_is_a_change() {
    let server = Server::with_config(THOUGHTSPOT);
    let (_, key) = server.root().member("ada", &[]);
    let cookie = format!("JSESSIONID={}", open(&server, &key));
    let search = || client().post(format!("{}{V2}/metadata/search", server.url));
    send(search().header("cookie", &cookie).body("{}")).expect(415);
    send(search().header("cookie", &cookie)).expect(200);
    send(search().bearer_auth(text(&key["secret"])).body("{}")).expect(200);
    let token = || client().get(format!("{}{V2}/auth/session/token", server.url));
    send(token().header("cookie", &cookie).header("sec-fetch-site", "cross-site")).expect(403);
    send(token().header("cookie", &cookie)).expect(200);
    send(token().bearer_auth(text(&key["secret"])).header("sec-fetch-site", "cross-site")).expect(200);
}

#[test]
fn ses_2_behind_a_proxy_that_ends_tls_cookies_are_kept_from_plain_http() {
    let server = Server::with_config(THOUGHTSPOT);
    let (_, key) = server.root().member("ada", &[]);
    let cookie_of = |proto: Option<&str>| {
        let login = client().post(format!("{}{V2}/auth/session/login", server.url)).json(&json!({}));
        let login = login.bearer_auth(text(&key["secret"]));
        let login = if let Some(proto) = proto { login.header("x-forwarded-proto", proto) } else { login };
        send(login).expect(204).header("set-cookie").to_owned()
    };
    for (proto, secure) in
        [(None, false), (Some("http"), false), (Some("https"), true), (Some("HTTPS, http"), true)]
    {
        assert_eq!(cookie_of(proto).contains("; Secure"), secure, "{proto:?}");
    }
}
