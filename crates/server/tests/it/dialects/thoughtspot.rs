//! ThoughtSpot's trusted authentication and login, as its clients and its manual have it (TS1 to TS8).

mod people;
mod sessions;
mod settings;
mod tokens;
mod version_1;

use percent_encoding::NON_ALPHANUMERIC;
use serde_json::{Value, json};

use crate::logins::{PASSWORD, set_password};
use crate::support::{Answer, Caller, Server, client, text};
use crate::tokens::enable;

/// The dialect, and a name for all of its tokens.
const CONFIG: &str = "server: {public_url: 'https://keys.example.org'}\n\
                      dialects: {thoughtspot: {enabled: true, hosts: ['ts.example.org']}}\n";
const V2: &str = "/dialects/thoughtspot/api/rest/2.0";
const V1: &str = "/dialects/thoughtspot/callosum/v1/tspublic/v1";

/// A server with the dialect, trusted authentication, and `ada`, who may read and write models and has a
/// password.
struct Scene {
    server: Server,
    root: Caller,
    /// The trusted secret.
    secret: String,
    /// Its id.
    id: String,
    ada: String,
    role: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::with_config(CONFIG);
        let root = server.root();
        let (backend, id) = enable(&root, json!({}));
        let role = root.role("modeller", &["me:read", "me/sessions:end", "models/**:*", "reports:read"]);
        let ada = root.user("ada", &[&role]);
        set_password(&root, &ada, PASSWORD);
        Self { server, root, secret: backend.secret, id, ada, role }
    }

    /// Sends JSON to version 2 without any credential.
    fn post(&self, path: &str, body: Value) -> Answer {
        post(&self.server.url, path, body)
    }

    /// Asks for a token with the secret key.
    fn mint(&self, kind: &str, mut body: Value) -> Answer {
        body["secret_key"] = json!(self.secret);
        self.post(&format!("/auth/token/{kind}"), body)
    }

    /// A full token of `ada`.
    fn token(&self) -> String {
        text(&self.mint("full", json!({ "username": "ada" })).ok()["token"])
    }

    /// What the verifier says of a token and a right.
    fn code(&self, token: &str, right: &str) -> String {
        let told = self.root.post("/v1/verify", json!({ "credential": token, "rights": [right] })).ok();
        text(&told["code"])
    }

    fn user(&self, id: &str) -> Value {
        self.root.get(&format!("/v1/users/{id}")).ok()
    }

    /// How many events of an action there are.
    fn count(&self, action: &str) -> usize {
        let events = self.root.get(&format!("/v1/audit-events?action={action}")).ok();
        events["data"].as_array().map_or(0, Vec::len)
    }
}

/// Sends JSON to version 2 without any credential.
fn post(url: &str, path: &str, body: Value) -> Answer {
    Answer::read(client().post(format!("{url}{V2}{path}")).json(&body).send().expect("an answer"))
}

/// A form, ready to be sent.
fn form(
    request: reqwest::blocking::RequestBuilder,
    fields: &[(&str, &str)],
) -> reqwest::blocking::RequestBuilder {
    let encode = |text: &str| percent_encoding::utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    request.header("content-type", "application/x-www-form-urlencoded").body(pairs.join("&"))
}

/// Sends something to version 2 with a Bearer token.
fn bearer(url: &str, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let request = client().request(method.parse().expect("a method"), format!("{url}{V2}{path}"));
    let request = request.bearer_auth(token);
    let request = if let Some(body) = body { request.json(&body) } else { request };
    Answer::read(request.send().expect("an answer"))
}

/// The same with the cookie.
fn cookie(url: &str, token: &str, method: &str, path: &str) -> Answer {
    let request = client().request(method.parse().expect("a method"), format!("{url}{path}"));
    let request = request.header("cookie", format!("theirs=x; JSESSIONID={token}"));
    Answer::read(request.send().expect("an answer"))
}

/// The token in the cookie that an answer sets.
#[track_caller]
fn session_of(answer: &Answer) -> String {
    let line = answer.header("set-cookie");
    assert!(line.contains("; HttpOnly") && line.contains("; Path=/"), "{line}");
    let pair = line.split(';').next().expect("a pair");
    pair.strip_prefix("JSESSIONID=").expect("the product's cookie").to_owned()
}

/// A refusal in the shape of the product.
#[track_caller]
fn refused(answer: Answer, status: u16, code: i64) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    let message = answer.body["error"]["message"].clone();
    assert_eq!(message["code"], code, "{}", answer.text);
    for field in ["incident_id_guid", "trace_id_guid", "debug"] {
        assert!(!text(&message[field]).is_empty(), "{field}: {}", answer.text);
    }
    assert_eq!(answer.body, json!({ "error": { "message": message } }), "nothing else");
    assert!(message.as_object().is_some_and(|fields| fields.len() == 4), "{message}");
    message
}

#[test]
fn ts_1_off_it_is_as_if_it_did_not_exist() {
    let server = Server::start();
    for path in ["/auth/token/full", "/metadata/search"] {
        post(&server.url, path, json!({})).refused(404, "not_found");
    }
}

#[test]
fn ts_1_at_the_root_of_its_host_it_answers_as_below_its_prefix() {
    let scene = Scene::new();
    let send = |host: &str, path: &str| {
        let request = client().post(format!("{}{path}", scene.server.url)).header("host", host);
        let body = json!({ "username": "ada", "secret_key": scene.secret });
        Answer::read(request.json(&body).send().expect("an answer"))
    };
    assert_eq!(send("ts.example.org", "/api/rest/2.0/auth/token/full").ok()["valid_for_username"], "ada");
    assert_eq!(send("TS.example.org:8700", "/api/rest/2.0/auth/token/full").status, 200);
    send("other.example.org", "/api/rest/2.0/auth/token/full").refused(404, "not_found");
    refused(send("ts.example.org", "/api/rest/2.0/no/such/thing"), 404, 10002);
    refused(send("ts.example.org", "/api/rest/2.0/auth/session/user"), 405, 10002);
}
