//! Mode: the manual from its first to its last step, by the paths and shapes of Mode's own API.

mod keys;
mod limits;

use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

use crate::api::{person, snapshot, tenant};
use crate::support::{Answer, Caller, Server, client, text};

const ON: &str = "dialects:\n  mode:\n    enabled: true\n    hosts: [\"mode.example.org\"]\n";
const HAL: &str = "application/hal+json; charset=utf-8";

/// A tenant, a workspace key of its that may do everything, and a user with a member key.
struct World {
    server: Server,
    id: String,
    admin: Caller,
    mia: Caller,
    mia_id: String,
}

impl World {
    fn new() -> Self {
        let server = Server::with_config(ON);
        let (id, admin) = tenant(&server, "acme");
        let (mia_id, _, mia) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
        Self { server, id, admin, mia, mia_id }
    }

    /// A request as Mode's client sends it.
    fn request(&self, method: &str, path: &str, who: &Caller) -> RequestBuilder {
        self.plain(method, path).basic_auth(token_of(who), Some(&who.secret))
    }

    /// The same without a credential.
    fn plain(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/dialects/mode{path}", self.server.url);
        client().request(method.parse().expect("a method"), url).header("accept", "application/hal+json")
    }

    fn get(&self, path: &str, who: &Caller) -> Answer {
        read(self.request("GET", path, who))
    }

    fn post(&self, path: &str, who: &Caller, body: &Value) -> Answer {
        read(self.request("POST", path, who).json(body))
    }

    fn delete(&self, path: &str, who: &Caller) -> Answer {
        read(self.request("DELETE", path, who))
    }

    /// The audit log, which is no HAL.
    fn log(&self, query: &str, who: &Caller) -> Answer {
        let path = format!("/api/acme/audit_logs?{query}");
        let url = format!("{}/dialects/mode{path}", self.server.url);
        let request = client().get(url).header("accept", "application/json");
        read(request.basic_auth(token_of(who), Some(&who.secret)))
    }

    /// Makes a key by Mode's words; the answer, and the key as a caller.
    fn make(&self, fields: &Value) -> (Value, Caller) {
        let made =
            self.post("/api/acme/api_keys", &self.admin, &json!({ "api_key": fields })).expect(201).body;
        let caller = self.server.caller(&text(&made["secret"]));
        (made, caller)
    }

    fn verifies(&self, who: &Caller) -> u16 {
        self.get("/api/verify", who).status
    }
}

fn read(request: RequestBuilder) -> Answer {
    Answer::read(request.send().expect("an answer"))
}

/// The public half of a caller's key, which stands in the middle of its secret.
fn token_of(who: &Caller) -> String {
    let parsed = keyward_core::token::parse(&who.secret, &keyward_core::token::Prefixes::default());
    parsed.expect("a secret").access_key.to_string()
}

/// Mode's shape of an error, and nothing else in it.
#[track_caller]
fn refused(answer: &Answer, status: u16, id: &str) -> String {
    assert_eq!((answer.status, &answer.body["id"]), (status, &json!(id)), "{}", answer.text);
    assert_eq!(answer.body.as_object().map(serde_json::Map::len), Some(2), "{}", answer.text);
    assert_eq!(answer.header("content-type"), HAL);
    let message = text(&answer.body["message"]);
    assert!(!message.is_empty());
    message
}

fn items<'a>(answer: &'a Answer, name: &str) -> &'a Vec<Value> {
    answer.body["_embedded"][name].as_array().unwrap_or_else(|| panic!("a list: {}", answer.text))
}

#[test]
fn mo_1_workspace_keys_administer_by_modes_words() {
    let world = World::new();
    let verified = world.get("/api/verify", &world.admin).expect(200);
    assert_eq!(verified.header("content-type"), HAL);
    let own = format!("/api/acme/api_keys/{}", token_of(&world.admin));
    let expected = json!({ "workspace": "acme", "workspace_token": world.id, "api_key_scope": "workspace",
        "_links": { "self": { "href": own } } });
    assert_eq!(verified.body, expected);
    let record = world.get(&own, &world.admin).expect(200).body;
    assert_eq!((&record["token_name"], &record["api_key_scope"]), (&json!("admin"), &json!("workspace")));
    assert_eq!(record["_links"]["member"], Value::Null, "nobody stands behind a workspace key");
    let workspace = world.get("/api/acme", &world.admin).expect(200).body;
    assert_eq!((&workspace["username"], &workspace["token"]), (&json!("acme"), &json!(world.id)));
    assert!(workspace["id"].is_string());
    let members = world.get("/api/acme/memberships/lite", &world.admin).expect(200);
    let member = &items(&members, "memberships")[0];
    assert_eq!((&member["username"], &member["admin"]), (&json!("mia"), &json!(false)));
    assert_eq!(member["member_token"], json!(world.mia_id));
    assert_eq!(items(&world.get("/api/acme/memberships", &world.admin), "memberships").len(), 1);
    let spaces = world.get("/api/acme/spaces?filter=all&page=1", &world.admin).expect(200);
    assert_eq!(spaces.body["_embedded"], json!({ "spaces": [] }));
    let page = json!({ "page": 1, "per_page": 30, "total_pages": 0, "total_count": 0 });
    assert_eq!(spaces.body["pagination"], page);
    assert!(items(&world.get("/api/acme/spaces/abc/reports", &world.admin), "spaces").is_empty());
    refused(&world.get("/api/acme/spaces/abc", &world.admin), 404, "not_found");
    refused(&world.get("/api/account", &world.admin), 400, "bad_request");
}

#[test]
fn mo_1_member_keys_administer_nothing() {
    let world = World::new();
    let boss = person(&world.server, &world.admin, "boss", &["**:*"]).2;
    let before = snapshot(&world.admin);
    let wish = json!({ "api_key": { "token_name": "x" } });
    let at = format!("/api/acme/api_keys/{}", token_of(&world.mia));
    for who in [&world.mia, &boss] {
        refused(&world.get("/api/acme/api_keys", who), 403, "forbidden");
        refused(&world.post("/api/acme/api_keys", who, &wish), 403, "forbidden");
        refused(&world.delete(&at, who), 403, "forbidden");
        let all = json!({ "api_key": { "confirm": "revoke 3" } });
        refused(&world.post("/api/acme/api_keys/revoke_all", who, &all), 403, "forbidden");
        let range = "start_timestamp=2020-01-01&end_timestamp=2099-01-01";
        refused(&world.log(range, who), 401, "unauthorized");
    }
    refused(&world.get("/api/acme/memberships", &world.mia), 403, "forbidden");
    world.get("/api/acme/memberships", &boss).expect(200);
    assert_eq!(snapshot(&world.admin), before, "nothing has changed");
    let narrow = world.admin.role("reader", &["reports:read"]);
    let key = world.admin.key(json!({ "class": "workspace", "label": "narrow", "role_ids": [narrow] }));
    let narrow = world.server.caller(&text(&key["secret"]));
    assert_eq!(world.verifies(&narrow), 200, "every key may ask about itself");
    refused(&world.get("/api/acme/api_keys", &narrow), 403, "forbidden");
    refused(&world.post("/api/acme/api_keys", &narrow, &wish), 403, "forbidden");
    refused(&world.delete(&at, &narrow), 404, "not_found");
}

#[test]
fn mo_2_member_keys_are_their_user_until_an_admin_switches_them_off() {
    let world = World::new();
    let verified = world.get("/api/verify", &world.mia).expect(200).body;
    assert_eq!(verified["api_key_scope"], "member");
    // As the client finds out who it is.
    let key = world.get(&text(&verified["_links"]["self"]["href"]), &world.mia).expect(200).body;
    assert_eq!(key["member_username"], "mia");
    let user = world.get(&text(&key["_links"]["member"]["href"]), &world.mia).expect(200).body;
    assert_eq!((&user["username"], &user["id"]), (&json!("mia"), &json!(world.mia_id)));
    assert_eq!(user["email"], Value::Null);
    world.get(&format!("/api/{}", world.mia_id), &world.mia).expect(200);
    let noah = person(&world.server, &world.admin, "noah", &["me:read"]).2;
    refused(&world.get("/api/noah", &world.mia), 404, "not_found");
    refused(&world.get("/api/nobody", &world.mia), 404, "not_found");
    let others = format!("/api/acme/api_keys/{}", token_of(&noah));
    refused(&world.get(&others, &world.mia), 404, "not_found");
    world.get("/api/noah", &world.admin).expect(200);
    for (on, status) in [(false, 401), (true, 200)] {
        world.admin.patch("/v1/policies", json!({ "switches": { "member_keys": on } })).ok();
        assert_eq!((world.verifies(&world.mia), world.verifies(&world.admin)), (status, 200), "{on}");
    }
    let at = format!("/v1/users/{}", world.mia_id);
    world.admin.post(&format!("{at}/suspend"), json!({})).ok();
    refused(&world.get("/api/verify", &world.mia), 401, "unauthorized");
    world.admin.post(&format!("{at}/resume"), json!({})).ok();
    world.admin.patch(&at, json!({ "owner_login_window_minutes": 0 })).ok();
    refused(&world.get("/api/verify", &world.mia), 401, "unauthorized");
}

#[test]
fn mo_3_a_plan_without_workspace_keys() {
    let world = World::new();
    let features = |on: bool| json!({ "features": { "workspace_keys": on } });
    let at = format!("/v1/tenants/{}", world.id);
    world.server.root().patch(&at, features(false)).ok();
    refused(&world.get("/api/verify", &world.admin), 401, "unauthorized");
    let wish = json!({ "api_key": { "token_name": "x" } });
    refused(&world.post("/api/acme/api_keys", &world.admin, &wish), 401, "unauthorized");
    assert_eq!(world.verifies(&world.mia), 200);
    world.server.root().patch(&at, features(true)).ok();
    world.admin.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).ok();
    let wish = json!({ "api_key": { "token_name": "x", "api_key_scope": "member", "member": "mia" } });
    refused(&world.post("/api/acme/api_keys", &world.admin, &wish), 403, "forbidden");
}

#[test]
fn mo_4_token_and_secret_by_basic_and_by_nothing_else() {
    let world = World::new();
    let (made, key) = world.make(&json!({ "token_name": "nightly" }));
    assert_eq!(made["token"], json!(token_of(&key)));
    let shown = world.get(&text(&made["_links"]["self"]["href"]), &world.admin).expect(200);
    assert!(!shown.text.contains(&key.secret), "the secret is shown once");
    assert_eq!(world.verifies(&key), 200);
    let (token, other) = (token_of(&key), tenant(&world.server, "globex").1);
    let url = "/api/verify";
    let wrong = [
        world.plain("GET", url),
        world.plain("GET", url).bearer_auth(&key.secret),
        world.plain("GET", url).header("x-api-key", &key.secret),
        world.plain("GET", url).header("authorization", format!("apiKey acme::{token}::{}", key.secret)),
        world.plain("GET", url).header("authorization", "Basic ???"),
        world.plain("GET", url).basic_auth(&token, Some("")),
        world.plain("GET", url).basic_auth(&token, Some(&other.secret)),
        world.plain("GET", url).basic_auth(token_of(&other), Some(&key.secret)),
        world.plain("GET", url).basic_auth("mia", Some(&world.mia.secret)),
        world.plain("GET", url).basic_auth(&token, Some(format!("\"{}\"", key.secret))),
        world.plain("GET", url).basic_auth(&token, Some(format!(" {} ", key.secret))),
    ];
    let mut messages = Vec::new();
    for request in wrong {
        let answer = read(request);
        messages.push(refused(&answer, 401, "unauthorized"));
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{:?}", answer.headers);
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "a stranger learns nothing: {messages:?}");
    for path in ["/api/acme", "/api/globex", "/api/mia", "/api/acme/api_keys", "/api/account"] {
        refused(&read(world.plain("GET", path)), 401, "unauthorized");
    }
    let dump = world.server.place.dump() + &world.server.place.log();
    assert!(!dump.contains(&key.secret));
}

#[test]
fn mo_4_another_workspace_is_as_if_it_did_not_exist() {
    let world = World::new();
    let other = tenant(&world.server, "globex").1;
    let key = token_of(&world.mia);
    let mut answers = Vec::new();
    for slug in ["acme", "nowhere"] {
        for noun in ["", "/api_keys", &format!("/api_keys/{key}"), "/memberships", "/spaces"] {
            let answer = world.get(&format!("/api/{slug}{noun}"), &other);
            answers.push(refused(&answer, 404, "not_found"));
        }
        let wish = json!({ "api_key": { "token_name": "x" } });
        refused(&world.post(&format!("/api/{slug}/api_keys"), &other, &wish), 404, "not_found");
        refused(&world.delete(&format!("/api/{slug}/api_keys/{key}"), &other), 404, "not_found");
    }
    refused(&world.get(&format!("/api/globex/api_keys/{key}"), &other), 404, "not_found");
    refused(&world.delete(&format!("/api/globex/api_keys/{key}"), &other), 404, "not_found");
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(world.verifies(&world.mia), 200);
}

#[test]
fn mo_1_bodies_that_cannot_be_read_change_nothing() {
    let world = World::new();
    let before = snapshot(&world.admin);
    let path = "/api/acme/api_keys";
    let send = |kind: &'static str, body: String| {
        read(world.request("POST", path, &world.admin).header("content-type", kind).body(body))
    };
    for body in
        ["", "{}", "[]", "{", r#"{"api_key":{}}"#, r#"{"api_key":{"token_name":7}}"#, r#"{"api_key":"x"}"#]
    {
        refused(&send("application/json", body.into()), 400, "bad_request");
    }
    for fields in [
        json!({ "token_name": "" }),
        json!({ "token_name": "x", "api_key_scope": "ingest" }),
        json!({ "token_name": "x", "api_key_scope": "member" }),
        json!({ "token_name": "x", "member": "mia" }),
        json!({ "token_name": "x", "expires_at": "soon" }),
    ] {
        let answer = world.post(path, &world.admin, &json!({ "api_key": fields }));
        refused(&answer, 400, "bad_request");
    }
    let whom = json!({ "api_key": { "token_name": "x", "api_key_scope": "member", "member": "nobody" } });
    refused(&world.post(path, &world.admin, &whom), 404, "not_found");
    refused(&send("text/plain", r#"{"api_key":{"token_name":"x"}}"#.into()), 415, "unsupported_media_type");
    // A body of a MiB is refused by its announcement.
    let head = "POST /dialects/mode/api/acme/api_keys HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                Content-Length: 1048576\r\n\r\n{";
    let told = world.server.raw(head.as_bytes());
    assert!(told.starts_with("HTTP/1.1 413") && told.contains(r#""id":"payload_too_large""#), "{told}");
    let put = read(world.request("PUT", path, &world.admin));
    refused(&put, 405, "method_not_allowed");
    assert!(put.header("allow").contains("POST"), "{:?}", put.headers);
    refused(&world.get("/api/acme/reports", &world.admin), 404, "not_found");
    refused(&world.get("/other", &world.admin), 404, "not_found");
    assert_eq!(snapshot(&world.admin), before);
    // Mode's clients send more than is known.
    let more = json!({ "api_key": { "token_name": "more", "color": "red" }, "x": 1 });
    world.post(path, &world.admin, &more).expect(201);
}

#[test]
fn mo_3_off_is_as_if_it_did_not_exist() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    for path in ["/dialects/mode/api/verify", "/dialects/mode/api/acme", "/dialects/mode"] {
        admin.get(path).refused(404, "not_found");
    }
    let at_root = client().get(format!("{}/api/verify", server.url)).header("host", "mode.example.org");
    read(at_root.basic_auth(token_of(&admin), Some(&admin.secret))).refused(404, "not_found");
}

#[test]
fn mo_4_at_the_root_of_its_host() {
    let world = World::new();
    let at = |host: &'static str, path: &str| {
        let request = client().get(format!("{}{path}", world.server.url)).header("host", host);
        read(request.basic_auth(token_of(&world.admin), Some(&world.admin.secret)))
    };
    for host in ["mode.example.org", "MODE.example.org:8443"] {
        assert_eq!(at(host, "/api/verify").expect(200).body["workspace"], "acme");
        assert_eq!(items(&at(host, "/api/acme/api_keys?per_page=1").expect(200), "api_keys").len(), 1);
        at(host, "/v1/me").expect(200);
    }
    at("other.example.org", "/api/verify").refused(404, "not_found");
}

#[test]
fn mo_4_classes_addresses_and_states_that_are_refused() {
    let world = World::new();
    let collector = world.admin.key(json!({ "class": "ingest", "label": "collector" }));
    let collector = world.server.caller(&text(&collector["secret"]));
    refused(&world.get("/api/verify", &collector), 403, "forbidden");
    let bound =
        json!({ "class": "workspace", "label": "bound", "conditions": { "cidrs": ["192.0.2.0/24"] } });
    let bound = world.server.caller(&text(&world.admin.key(bound)["secret"]));
    refused(&world.get("/api/verify", &bound), 403, "forbidden");
    let (made, off) = world.make(&json!({ "token_name": "off" }));
    let at = format!("/v1/keys/{}", text(&made["id"]));
    world.admin.post(&format!("{at}/deactivate"), json!({})).ok();
    refused(&world.get("/api/verify", &off), 401, "unauthorized");
    world.admin.post(&format!("{at}/activate"), json!({})).ok();
    assert_eq!(world.verifies(&off), 200);
    world.server.root().post(&format!("/v1/tenants/{}/suspend", world.id), json!({})).ok();
    refused(&world.get("/api/verify", &off), 401, "unauthorized");
}

#[test]
fn mo_2_the_owner_must_log_in_from_time_to_time() {
    let world = World::new();
    world.admin.patch("/v1/policies", json!({ "owner_login_window_minutes": 60 })).ok();
    assert_eq!(world.verifies(&world.mia), 200);
    world.server.place.sql("UPDATE users SET created_at = created_at - 7200000 WHERE username = 'mia'");
    world.admin.patch(&format!("/v1/users/{}", world.mia_id), json!({ "display_name": "Mia" })).ok();
    refused(&world.get("/api/verify", &world.mia), 401, "unauthorized");
    world.admin.post(&format!("/v1/users/{}/record-login", world.mia_id), json!({})).ok();
    assert_eq!(world.verifies(&world.mia), 200);
}
