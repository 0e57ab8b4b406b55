//! Sessions of browsers: in a cookie, for pages of this server alone.

use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

use super::{PASSWORD, ask_for_no_factor, session, set_password, somebody};
use crate::api::all;
use crate::support::{Answer, Server, client, text, wait_until};

/// A browser with a cookie, on a page of the server.
struct Browser {
    url: String,
    token: String,
}

impl Browser {
    /// A request with the cookie and nothing that says where it comes from.
    fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method: reqwest::Method = method.parse().expect("a method");
        let request = client().request(method, format!("{}{path}", self.url));
        request.header("cookie", format!("theme=dark; __Host-keyward={}", self.token))
    }

    fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = self.bare(method, path).header("sec-fetch-site", "same-origin");
        let request = if method == "GET" { request } else { request.json(&body) };
        Answer::read(request.send().expect("an answer"))
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Value::Null)
    }
}

/// A login from a page, with `headers` that tell where it stands.
fn from_page(url: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let request = client().post(format!("{url}/v1/auth/login")).json(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Answer::read(request.send().expect("an answer"))
}

fn login() -> Value {
    json!({ "username": "grace", "password": PASSWORD, "cookie": true })
}

/// What the browser keeps of an answer.
fn kept(server: &Server, answer: &Answer) -> Browser {
    let cookie = answer.header("set-cookie");
    let (token, rest) =
        cookie.strip_prefix("__Host-keyward=").and_then(|cookie| cookie.split_once(';')).expect(cookie);
    assert_eq!(rest, " Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!((&answer.body["token"], &answer.body["secret_state"]), (&Value::Null, &json!("in_cookie")));
    assert!(!answer.text.contains(token), "scripts never see it");
    Browser { url: server.url.clone(), token: token.into() }
}

fn open(server: &Server) -> Browser {
    kept(server, &from_page(&server.url, &login(), &[("sec-fetch-site", "same-origin")]).expect(200))
}

#[test]
fn ses_2_ses_7_a_cookie_counts_as_cookie_and_a_bearer_token_as_bearer() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "me/sessions:*", "models/emea:read"]);
    let (browser, own) = (open(&server), session(&server.url, "grace"));
    assert_eq!(browser.get("/v1/me").ok()["session"]["method"], "password");
    let listed = all(&own, "/v1/auth/sessions");
    assert_eq!(listed.iter().filter(|session| session["in_cookie"] == true).count(), 1);
    // Each in the place of the other.
    server.caller(&browser.token).get("/v1/me").refused(401, "invalid_key");
    let swapped = Browser { token: own.secret.clone(), ..open(&server) };
    swapped.get("/v1/me").refused(401, "invalid_key");
    let request = client().get(format!("{}/v1/me", server.url)).header("x-api-key", &browser.token);
    Answer::read(request.send().expect("an answer")).refused(401, "invalid_key");
    assert_eq!(server.root().code(&browser.token), "invalid_key");
    // Verifications belong to programs: the cookie of a page asks none.
    browser.send("POST", "/v1/verify", json!({ "credential": own.secret })).refused(401, "no_credential");
    // A key that is sent along goes first, and gets no cookie.
    let both = browser.bare("GET", "/v1/me").bearer_auth(server.root().secret);
    let both = Answer::read(both.send().expect("an answer")).expect(200);
    assert_eq!((&both.body["session"], both.header("set-cookie")), (&Value::Null, ""));
    let twice = browser.bare("GET", "/v1/me").header("cookie", format!("__Host-keyward={}", own.secret));
    Answer::read(twice.send().expect("an answer")).refused(400, "multiple_credentials");
    let dump = server.place.dump();
    assert!(!dump.contains(&browser.token[4..]), "only a keyed hash is kept");
}

#[test]
fn web_1_a_change_by_cookie_needs_a_page_of_this_server() {
    let server = Server::start();
    ask_for_no_factor(&server.root());
    somebody(&server, "grace", &["**:*"]);
    let browser = open(&server);
    let group = text(&server.root().post("/v1/groups", json!({ "name": "Readers" })).ok()["id"]);
    let at = format!("/v1/groups/{group}");
    let own = server.url.as_str();
    let refused: [&[(&str, &str)]; 9] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", own)],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("referer", own)],
    ];
    for (method, path, body) in [
        ("POST", "/v1/groups", json!({ "name": "Others" })),
        ("PATCH", &at, json!({ "name": "Writers" })),
        ("DELETE", &at, json!({})),
        ("POST", "/v1/auth/logout", json!({})),
    ] {
        for headers in refused {
            let request = browser.bare(method, path).json(&body);
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            Answer::read(request.send().expect("an answer")).refused(403, "cross_site");
        }
        let form = browser.bare(method, path).header("sec-fetch-site", "same-origin").body("name=Others");
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        if method != "DELETE" {
            Answer::read(form.send().expect("an answer")).refused(415, "unsupported_media_type");
        }
    }
    let bare = browser.bare("POST", "/v1/auth/logout").header("sec-fetch-site", "same-origin");
    Answer::read(bare.send().expect("an answer")).refused(415, "unsupported_media_type");
    let names: Vec<_> = all(&server.root(), "/v1/groups").iter().map(|group| text(&group["name"])).collect();
    assert_eq!(names, ["Administrators", "Readers"], "nothing changed");
    // Reading is no change.
    let link = browser.bare("GET", &at).header("sec-fetch-site", "cross-site");
    Answer::read(link.send().expect("an answer")).expect(200);
    browser.send("PATCH", &at, json!({ "name": "Writers" })).expect(200);
    let older = browser.bare("DELETE", &at).header("origin", own);
    Answer::read(older.send().expect("an answer")).expect(204);
}

#[test]
fn web_1_a_login_into_a_cookie_needs_a_page_of_this_server() {
    let server = Server::with_config("server: {public_url: 'https://keys.example/keyward'}");
    somebody(&server, "grace", &["me:read"]);
    let count = || server.place.sql("UPDATE sessions SET agent = agent");
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "https://keys.example.evil.example")],
        &[("origin", server.url.as_str())],
    ] {
        let answer = from_page(&server.url, &login(), headers).refused(403, "cross_site");
        assert_eq!(answer.header("set-cookie"), "");
    }
    assert_eq!(count(), 0, "no session was made");
    let answer = from_page(&server.url, &login(), &[("origin", "https://keys.example")]).expect(200);
    kept(&server, &answer).get("/v1/me").expect(200);
    assert_eq!(count(), 1);
}

#[test]
fn ses_1_a_login_adopts_no_cookie_and_ends_the_session_before_it() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let first = open(&server);
    let again = |token: &str| {
        let cookie = format!("__Host-keyward={token}");
        let headers = [("sec-fetch-site", "same-origin"), ("cookie", cookie.as_str())];
        from_page(&server.url, &login(), &headers).expect(200)
    };
    let planted = format!("kws_{}", "0".repeat(65));
    assert_ne!(kept(&server, &again(&planted)).token, planted);
    let second = kept(&server, &again(&first.token));
    assert_ne!(second.token, first.token);
    first.get("/v1/me").refused(401, "revoked");
    let stepped = kept(&server, &second.send("POST", "/v1/auth/step-up", json!({ "password": PASSWORD })));
    second.get("/v1/me").refused(401, "invalid_key");
    let change = json!({ "old_password": PASSWORD, "new_password": "eleven cold spoons in a drawer" });
    let changed = kept(&server, &stepped.send("POST", "/v1/auth/password", change));
    stepped.get("/v1/me").refused(401, "invalid_key");
    let ended = changed.send("POST", "/v1/auth/logout", json!({})).expect(204);
    assert_eq!(
        ended.header("set-cookie"),
        "__Host-keyward=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
    );
    changed.get("/v1/me").refused(401, "revoked");
}

#[test]
fn sq_3_a_key_gets_no_cookie() {
    let server = Server::start();
    let root = server.root();
    let user = root.user("grace", &[]);
    set_password(&root, &user, PASSWORD);
    for body in [
        json!({ "class": "member", "owner_id": user, "label": "own" }),
        json!({ "class": "workspace", "label": "shop" }),
    ] {
        let key = root.key(body);
        let pair = json!({ "username": key["access_key"], "password": key["secret"], "cookie": true });
        let answer = from_page(&server.url, &pair, &[("sec-fetch-site", "same-origin")]);
        assert_eq!(answer.refused(403, "not_interactive").header("set-cookie"), "");
        assert_eq!(root.code(&text(&key["secret"])), "ok");
    }
    open(&server).get("/v1/auth/session").expect(200);
}

#[test]
fn x_1_a_gateway_takes_the_cookie_but_no_change_that_another_site_asks_for() {
    let server = Server::start();
    somebody(&server, "grace", &["models/emea:read"]);
    let browser = open(&server);
    let ask = |method: &str, site: &str| {
        let request = browser.bare("GET", "/authz").header("x-keyward-right", "models/emea:read");
        let request = request.header("x-forwarded-method", method).header("sec-fetch-site", site);
        Answer::read(request.send().expect("an answer"))
    };
    assert_eq!(ask("POST", "same-origin").expect(200).header("x-auth-user"), "grace");
    ask("GET", "cross-site").expect(200);
    for site in ["cross-site", "same-site", "none"] {
        ask("POST", site).refused(403, "cross_site");
    }
}

#[test]
fn key_12_a_cookie_in_a_url_ends_its_session_too() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let browser = open(&server);
    let url = format!("{}/v1/me?token={}", server.url, browser.token);
    Answer::read(client().get(url).send().expect("an answer")).refused(400, "credential_in_url");
    wait_until(|| browser.get("/v1/me").status == 401);
    browser.get("/v1/me").refused(401, "revoked");
}
