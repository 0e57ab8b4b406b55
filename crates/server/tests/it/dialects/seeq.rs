//! Seeq's protocol: its manual walked from the first step to the last.

mod keys;
mod length;
mod validity;

use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

use crate::api::tenant;
use crate::factors::somebody_with_factor;
use crate::logins::{PASSWORD, set_password, somebody};
use crate::oauth::Holder;
use crate::support::{Answer, Caller, Server, client, text};

const ROOT: &str = "/dialects/seeq";
const SEEQ: &str = "application/vnd.seeq.v1+json";
const ON: &str = "dialects: {seeq: {enabled: true, hosts: [seeq.example.org]}}";
const NOT_RIGHT: &str = "the user name or access key, or its password, is not right, or the session is over";

fn server() -> Server {
    Server::with_config(ON)
}

/// A request without a credential.
fn request(url: &str, method: &str, path: &str) -> RequestBuilder {
    let method: reqwest::Method = method.parse().expect("a method");
    client().request(method, format!("{url}{ROOT}{path}"))
}

fn send(request: RequestBuilder, body: &Value) -> Answer {
    Answer::read(request.header("content-type", SEEQ).body(body.to_string()).send().expect("an answer"))
}

fn read(request: RequestBuilder) -> Answer {
    Answer::read(request.send().expect("an answer"))
}

fn log_in(url: &str, body: &Value) -> Answer {
    send(request(url, "POST", "/api/auth/login"), body)
}

/// As the manual has it: access key and password of a key.
fn pair(key: &Value) -> Value {
    json!({ "username": key["access_key"], "password": key["secret"] })
}

/// Somebody who is logged in.
struct Script {
    url: String,
    token: String,
}

impl Script {
    #[track_caller]
    fn log_in(server: &Server, body: &Value) -> Self {
        let opened = log_in(&server.url, body).expect(200);
        Self { url: server.url.clone(), token: opened.header("x-sq-auth").to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        read(request(&self.url, "GET", path).header("x-sq-auth", &self.token))
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        send(request(&self.url, "POST", path).header("x-sq-auth", &self.token), &body)
    }

    fn delete(&self, path: &str) -> Answer {
        read(request(&self.url, "DELETE", path).header("x-sq-auth", &self.token))
    }
}

/// A refusal in the shape of the product.
#[track_caller]
fn refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), SEEQ);
    let fields = answer.body.as_object().expect("an object");
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["statusMessage"], "{}", answer.text);
    assert!(text(&fields["statusMessage"]).contains(words), "{words}: {}", answer.text);
}

/// Sessions that were ever opened.
fn sessions(server: &Server) -> u64 {
    server.place.sql("UPDATE sessions SET agent = agent")
}

/// Sessions that were opened and not ended.
fn living(server: &Server) -> u64 {
    server.place.sql("UPDATE sessions SET agent = agent WHERE ended_at IS NULL")
}

#[test]
fn sq_5_access_key_and_password_are_exchanged_for_a_token() {
    let server = server();
    let root = server.root();
    let (user, key) = root.member("grace", &["models/**:read"]);
    let answer = log_in(&server.url, &pair(&key)).expect(200);
    assert_eq!(answer.header("content-type"), SEEQ);
    let token = answer.header("x-sq-auth").to_owned();
    let person = json!({
        "id": user, "type": "User", "username": "grace", "name": "grace", "isAdmin": false, "isEnabled": true,
        "datasourceClass": "Auth", "datasourceId": "Seeq", "AccessKeyValidityDuration": -1,
        "SessionDuration": -1,
    });
    assert_eq!(answer.body, person);
    assert!(!answer.text.contains(&token), "the token is in the header and the cookie alone");
    let cookies: Vec<_> =
        answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("text")).collect();
    assert_eq!(cookies[0], format!("sq-auth={token}; Path=/; HttpOnly; SameSite=Lax"));
    let (csrf, rest) =
        cookies[1].strip_prefix("sq-csrf=").and_then(|cookie| cookie.split_once(';')).expect("a cookie");
    assert_eq!((csrf.len(), rest), (32, " Path=/; SameSite=Lax"), "scripts of the page read it");

    let script = Script { url: server.url.clone(), token };
    assert_eq!(script.get("/api/users/me").ok(), person);
    script.get("/api/auth/validate").expect(200);
    assert_eq!(root.verify(&script.token)["key"]["id"], key["id"], "a session of that key");
    let out = script.post("/api/auth/logout", json!({})).expect(200);
    assert_eq!(out.body, json!({ "statusMessage": "logged out" }));
    let cleared: Vec<_> = out.headers.get_all("set-cookie").iter().collect();
    assert!(
        cleared.len() == 2
            && cleared.iter().all(|cookie| cookie.to_str().is_ok_and(|c| c.contains("Max-Age=0")))
    );
    refused(&script.get("/api/auth/validate"), 401, "ended");
    refused(&read(request(&server.url, "GET", "/api/users/me")), 401, "not logged in");
}

#[test]
fn sq_5_what_does_not_belong_together_opens_nothing() {
    let server = server();
    let root = server.root();
    let (user, key) = root.member("grace", &[]);
    let (_, other) = root.member("heidi", &[]);
    set_password(&root, &user, PASSWORD);
    let (access_key, secret) = (text(&key["access_key"]), text(&key["secret"]));
    for (username, password) in [
        (text(&other["access_key"]), secret.clone()),
        (access_key.clone(), text(&other["secret"])),
        (access_key.clone(), PASSWORD.into()),
        ("kwa_0000000000000000".into(), secret.clone()),
        // Copied with more than it is: the manual has no word of it, so it is another password.
        (access_key.clone(), format!("\"{secret}\"")),
        (access_key.clone(), format!(" {secret} ")),
        ("grace".into(), secret.clone()),
        ("grace".into(), "seven wet hats on a rope".into()),
        ("nobody".into(), PASSWORD.into()),
    ] {
        let answer = log_in(&server.url, &json!({ "username": username, "password": password }));
        refused(&answer, 401, NOT_RIGHT);
        assert!(answer.headers.get("set-cookie").is_none() && answer.headers.get("x-sq-auth").is_none());
    }
    for class in ["workspace", "ingest"] {
        let key = root.key(json!({ "class": class, "label": class }));
        assert_eq!(log_in(&server.url, &pair(&key)).status, 403, "{class} keys have no owner");
    }
    assert_eq!(sessions(&server), 0);
    // Blanks around the access key do no harm.
    log_in(&server.url, &json!({ "username": format!(" {access_key}\n"), "password": secret })).expect(200);
}

#[test]
fn sq_5_a_key_that_does_not_work_opens_nothing_and_its_holder_is_told_why() {
    let server = server();
    let (_, admin) = tenant(&server, "acme");
    let of = |name: &str| {
        let (user, key) = admin.member(name, &[]);
        (format!("/v1/users/{user}"), format!("/v1/keys/{}", text(&key["id"])), key)
    };
    let (_, revoked_at, revoked) = of("revoked");
    admin.post(&format!("{revoked_at}/revoke"), json!({})).expect(200);
    let (_, inactive_at, inactive) = of("inactive");
    admin.post(&format!("{inactive_at}/deactivate"), json!({})).expect(200);
    let (_, _, expired) = of("expired");
    server.place.sql("UPDATE keys SET expires_at = created_at + 1 WHERE label = 'expired''s key'");
    let (suspended_at, _, suspended) = of("suspended");
    admin.post(&format!("{suspended_at}/suspend"), json!({})).expect(200);
    let (_, _, good) = of("good");
    for (key, words) in [
        (&revoked, "revoked"),
        (&inactive, "switched off"),
        (&expired, "Extend the key"),
        (&suspended, "suspended the owner"),
    ] {
        refused(&log_in(&server.url, &pair(key)), 401, words);
        let stranger = json!({ "username": key["access_key"], "password": good["secret"] });
        refused(&log_in(&server.url, &stranger), 401, NOT_RIGHT);
    }
    admin.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).expect(200);
    refused(&log_in(&server.url, &pair(&good)), 401, "switched off this class");
    admin.patch("/v1/policies", json!({ "switches": { "member_keys": true } })).expect(200);
    assert_eq!(sessions(&server), 0);
    // A key knows its own tenant.
    let script = Script::log_in(&server, &pair(&good));
    assert_eq!([admin.code(&script.token), server.root().code(&script.token)], ["ok", "ok"]);
}

#[test]
fn sq_5_media_types_and_bodies() {
    let server = server();
    let (_, key) = server.root().member("grace", &[]);
    let login = || request(&server.url, "POST", "/api/auth/login");
    let body = pair(&key).to_string();
    let plain = login()
        .header("content-type", "application/json; charset=utf-8")
        .header("accept", "application/json");
    let plain = read(plain.body(body.clone())).expect(200);
    assert_eq!(plain.header("content-type"), "application/json");
    let opened = sessions(&server);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/vnd.seeq.v2+json"] {
        refused(&read(login().header("content-type", kind).body(body.clone())), 415, "JSON");
    }
    for accept in ["text/html", "application/xml, text/*"] {
        let answer = read(login().header("content-type", SEEQ).header("accept", accept).body(body.clone()));
        refused(&answer, 406, "application/vnd.seeq.v1+json");
    }
    let secret = text(&key["secret"]);
    for (sent, words) in [
        (String::new(), "username: this field is required"),
        ("{".into(), "EOF"),
        ("[]".into(), ""),
        (json!({ "username": "grace" }).to_string(), "password: this field is required"),
        (json!({ "username": 7, "password": secret }).to_string(), "username"),
        (
            json!({ "username": "grace", "password": 471_147_114_711_u64 }).to_string(),
            "password: expected a string",
        ),
        (json!({ "username": null, "password": secret }).to_string(), "username"),
    ] {
        let answer = read(login().header("content-type", SEEQ).body(sent));
        refused(&answer, 400, words);
        assert!(!answer.text.contains(&secret) && !answer.text.contains("471147114711"), "{}", answer.text);
    }
    let head = format!(
        "POST {ROOT}/api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: {SEEQ}\r\nContent-Length: 1048576\r\n\r\n"
    );
    let large = server.raw(head.as_bytes());
    assert!(large.starts_with("HTTP/1.1 413 ") && large.contains("{\"statusMessage\":\""), "{large}");
    assert_eq!(sessions(&server), opened);
    // Clients send more than we know.
    let more =
        json!({ "username": key["access_key"], "password": key["secret"], "code": null, "rememberMe": true });
    log_in(&server.url, &more).expect(200);
}

#[test]
fn sq_5_the_directory_is_seeq() {
    let server = server();
    let (_, key) = server.root().member("grace", &[]);
    let open = |path: &str| read(request(&server.url, "GET", path)).ok();
    let listed = open("/api/auth/providers");
    let provider = &listed["authProviders"][0];
    assert_eq!(listed["authProviders"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        [&provider["name"], &provider["datasourceClass"], &provider["datasourceId"], &provider["type"]],
        ["Seeq", "Auth", "Seeq", "Datasource"]
    );
    assert_eq!(provider["isArchived"], false);
    let status = open("/api/system/server-status");
    assert!(text(&status["version"]).starts_with("R66.0.0-keyward"), "{status}");
    assert_eq!(status["configurationOptions"], json!([]), "a stranger learns no rule");
    let named = |class: Value, id: Value| {
        let mut body = pair(&key);
        body["authProviderClass"] = class;
        body["authProviderId"] = id;
        log_in(&server.url, &body)
    };
    named(provider["datasourceClass"].clone(), provider["datasourceId"].clone()).expect(200);
    named(Value::Null, json!("")).expect(200);
    refused(&named(json!("Windows Auth"), json!("Windows Auth")), 404, "no such directory");
    refused(&named(json!("Auth"), json!("LDAP")), 404, "no such directory");
    assert_eq!(sessions(&server), 2);
}

#[test]
fn sq_5_users_log_in_with_a_password_if_that_is_enough() {
    let server = server();
    let root = server.root();
    somebody(&server, "grace", &["me:read"]);
    let login = |name: &str| log_in(&server.url, &json!({ "username": name, "password": PASSWORD }));
    assert_eq!(login("grace").ok()["username"], "grace");
    let before = living(&server);
    // An administrator needs a second factor, and has none yet: such a session would add one.
    somebody(&server, "boss", &["**:*"]);
    refused(&login("boss"), 401, "second factor");
    assert_eq!(living(&server), before, "what was opened for that has ended");
    somebody_with_factor(&server, "heidi", &["me:read"]);
    let before = living(&server);
    refused(&login("heidi"), 401, "second factor");
    assert_eq!(living(&server), before);
    // The directory is that of the primary tenant: another one has users of its own.
    let (_, admin) = tenant(&server, "acme");
    set_password(&admin, &admin.user("ivan", &[]), PASSWORD);
    refused(&login("ivan"), 401, NOT_RIGHT);
    let server = server.kill_and_restart_with(&format!("{ON}\nlogin: {{passwords: false}}"));
    let (_, key) = root_of(&server, &root).member("judy", &[]);
    let answer = log_in(&server.url, &json!({ "username": "grace", "password": PASSWORD }));
    refused(&answer, 403, "login.passwords");
    log_in(&server.url, &pair(&key)).expect(200);
}

/// The same caller after a restart.
fn root_of(server: &Server, caller: &Caller) -> Caller {
    server.caller(&caller.secret)
}

#[test]
fn sq_5_a_cookie_reads_and_changes_nothing_without_its_header() {
    let server = server();
    let (_, key) = server.root().member("grace", &[]);
    let opened = log_in(&server.url, &pair(&key)).expect(200);
    let token = opened.header("x-sq-auth").to_owned();
    let csrf = text(&json!(opened.headers.get_all("set-cookie").iter().nth(1).and_then(|c| c.to_str().ok())));
    let csrf = csrf.split(['=', ';']).nth(1).expect("a value").to_owned();
    let cookies = format!("sq-auth={token}; sq-csrf={csrf}");
    let with = |method: &str, path: &str| request(&server.url, method, path).header("cookie", &cookies);
    read(with("GET", "/api/users/me")).expect(200);
    let create = json!({ "label": "second" });
    refused(&send(with("POST", "/api/access-keys"), &create), 403, "x-sq-csrf");
    refused(
        &send(with("POST", "/api/access-keys").header("x-sq-csrf", "0".repeat(32)), &create),
        403,
        "x-sq-csrf",
    );
    let bare = request(&server.url, "POST", "/api/access-keys")
        .header("cookie", format!("sq-auth={token}; sq-csrf="));
    refused(&send(bare.header("x-sq-csrf", ""), &create), 403, "x-sq-csrf");
    refused(&send(with("POST", "/api/auth/logout"), &json!({})), 403, "x-sq-csrf");
    let listed = read(with("GET", "/api/access-keys")).ok();
    assert_eq!(listed["accessKeys"].as_array().map(Vec::len), Some(1), "nothing was made");
    send(with("POST", "/api/access-keys").header("x-sq-csrf", &csrf), &create).expect(200);
    // Two credentials could be of two people.
    let both = request(&server.url, "GET", "/api/users/me").header("x-sq-auth", &token).bearer_auth(&token);
    refused(&read(both), 400, "one credential");
    // Nor does a page of another site log anybody in.
    let page = request(&server.url, "POST", "/api/auth/login").header("sec-fetch-site", "cross-site");
    refused(&send(page, &pair(&key)), 403, "another site");
}

#[test]
fn sq_5_imp_2_a_token_tells_who_it_is_and_manages_nothing() {
    let server = server();
    let key = server.root().key(json!({ "class": "workspace", "label": "admin" }));
    let token = Holder::of(&server, &key).token(&[]);
    let script = Script { url: server.url.clone(), token };
    script.get("/api/users/me").expect(200);
    refused(&script.get("/api/access-keys?all=true"), 403, "Access tokens");
    refused(&script.get("/api/system/configuration/options"), 403, "Access tokens");
    refused(&script.post("/api/access-keys", json!({ "label": "x" })), 403, "Access tokens");
    refused(&script.post("/api/auth/logout", json!({})), 403, "session");
    assert_eq!(script.get("/api/system/server-status").ok()["configurationOptions"], json!([]));
}

#[test]
fn sq_5_whoever_is_refused_is_a_stranger_to_the_status_of_the_server() {
    let server = server();
    let status = |name: &str, value: &str| {
        let key = server.root().key(json!({ "class": "ingest", "label": "collector" }));
        let request = request(&server.url, "GET", "/api/system/server-status");
        let told = read(request.bearer_auth(text(&key["secret"])).header(name, value)).ok();
        assert_eq!(told["configurationOptions"], json!([]));
    };
    status("accept", "*/*");
    status("x-sq-auth", "kws_another");
}

#[test]
fn sq_5_it_answers_where_it_is_switched_on() {
    let off = Server::start();
    let (_, key) = off.root().member("grace", &[]);
    log_in(&off.url, &pair(&key)).refused(404, "not_found");
    let server = off.kill_and_restart_with(ON);
    let at_host = |host: &str, path: &str| {
        let request = client().post(format!("{}{path}", server.url)).header("host", host);
        send(request, &pair(&key))
    };
    at_host("seeq.example.org", "/api/auth/login").expect(200);
    at_host("SEEQ.example.org:34216", "/api/auth/login").expect(200);
    at_host("other.example.org", "/api/auth/login").refused(404, "not_found");
    refused(&at_host("seeq.example.org", "/api/auth/elsewhere"), 404, "");
    refused(&read(request(&server.url, "GET", "/api/auth/login")), 405, "");
    refused(&read(request(&server.url, "GET", "/api/items")), 404, "");
}
