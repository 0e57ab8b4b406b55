//! BMC Helix: the manual "Setting up access keys for programmatic access" from its first to its last step, and
//! what it refuses. Here the login and its tokens.

mod keys;
mod later;
mod lists;
mod rights;

use keyward_core::jwt::Compact;
use serde_json::{Value, json};

use crate::api::{person, snapshot, tenant};
use crate::oauth::Holder;
use crate::support::{Answer, Caller, Server, client, text};

const ON: &str = "dialects: {bmc_helix: {enabled: true, hosts: [bmc.example]}}\n";
/// Where the paths of the product begin.
const IMS: &str = "/dialects/bmc-helix/ims/api/v1";

fn start() -> Server {
    Server::with_config(ON)
}

/// A path of the product.
fn at(path: &str) -> String {
    format!("{IMS}{path}")
}

/// A POST without any credential.
fn post(server: &Server, path: &str, body: &Value) -> Answer {
    let request = client().post(format!("{}{}", server.url, at(path))).json(body);
    Answer::read(request.send().expect("an answer"))
}

/// The body of a login with a key that was just made, here or by `/v1`.
fn pair(key: &Value) -> Value {
    let secret = if key["secret"].is_null() { &key["access_secret_key"] } else { &key["secret"] };
    json!({ "access_key": key["access_key"], "access_secret_key": secret })
}

fn log_in(server: &Server, key: &Value) -> Answer {
    post(server, "/access_keys/login", &pair(key))
}

/// A caller with the JWT of a login.
#[track_caller]
fn enter(server: &Server, key: &Value) -> Caller {
    server.caller(&text(&log_in(server, key).ok()["json_web_token"]))
}

/// The operator, who may do everything in the primary tenant.
fn operator(server: &Server) -> Caller {
    enter(server, &server.root)
}

/// A refusal in exactly the shape of the product; returns its sentence.
#[track_caller]
fn refused(answer: &Answer, status: u16, message: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    let told = answer.body.as_object().unwrap_or_else(|| panic!("an object: {}", answer.text));
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!((&told["code"], &told["message"]), (&json!(status), &json!(message)), "{}", answer.text);
    assert!(format!("{}Z", text(&told["timestamp"])).parse::<jiff::Timestamp>().is_ok(), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    text(&told["error"])
}

/// Sessions that there are.
fn sessions(server: &Server) -> u64 {
    server.place.sql("UPDATE sessions SET agent = agent")
}

#[test]
fn bm_1_access_key_and_secret_log_in() {
    let server = start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "nightly" }));
    let told = log_in(&server, &key).ok();
    assert_eq!((&told["user_id"], &told["principal_id"]), (&key["id"], &key["access_key"]));
    assert_eq!(told["tenant_id"], json!(server.tenant()));
    assert_eq!(told["tenant_name"], root.get("/v1/me").ok()["tenant"]["name"]);
    let jwt = text(&told["json_web_token"]);
    let claims = Compact::parse(&jwt).expect("a JWT").claims().expect("claims");
    assert_eq!((claims.exp - claims.iat, claims.sub), (900, text(&key["id"])));
    // The refresh token is a session of a day.
    let session = server.caller(&text(&told["token"])).get("/v1/auth/session").ok();
    let time = |name: &str| text(&session[name]).parse::<jiff::Timestamp>().expect("a time").as_second();
    assert!(time("expires_at") - time("started_at") <= 86_400, "{session}");

    // A user's key speaks for the user.
    let (user, own) = root.member("grace", &["models/**:read"]);
    let told = log_in(&server, &own).ok();
    assert_eq!((&told["user_id"], &told["principal_id"]), (&json!(user), &json!("grace")));
    let info = enter(&server, &own).get(&at("/userinfo")).ok();
    assert_eq!((&info["user_id"], &info["full_name"]), (&json!(user), &json!("grace")));
    assert_eq!([&info["type"], &info["auth_type"], &info["user_status"]], ["USER", "ACCESS_KEY", "ACTIVE"]);
    assert_eq!((&info["tenant_id"], &info["groups"]), (&json!(server.tenant()), &json!([])));
    assert_eq!(info["roles"], json!(["role of grace"]));
    assert!(
        info["permissions"].as_array().is_some_and(|all| all.contains(&json!("models/**:read"))),
        "{info}"
    );
    let info = enter(&server, &key).get(&at("/userinfo")).ok();
    assert_eq!((&info["full_name"], &info["principal_id"]), (&json!("nightly"), &key["access_key"]));
    assert_eq!((&info["type"], &info["roles"]), (&json!("TENANT"), &json!(["admin"])));
}

#[test]
fn bm_1_what_does_not_belong_together_opens_nothing_nor_does_the_name() {
    let server = start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "nightly" }));
    let other = root.key(json!({ "class": "workspace", "label": "hourly" }));
    let (access_key, secret) = (text(&key["access_key"]), text(&key["secret"]));
    let mut told = Vec::new();
    for (access_key, secret) in [
        ("nightly".to_owned(), secret.clone()),
        (text(&key["id"]), secret.clone()),
        (text(&other["access_key"]), secret.clone()),
        (access_key.clone(), text(&other["secret"])),
        ("kwa_0000000000000000".into(), secret.clone()),
        (access_key.clone(), access_key.clone()),
        (access_key.clone(), String::new()),
        // Nothing is taken off what was pasted.
        (access_key.clone(), format!("\"{secret}\"")),
        (access_key.clone(), format!(" {secret} ")),
    ] {
        let body = json!({ "access_key": access_key, "access_secret_key": secret });
        let answer = post(&server, "/access_keys/login", &body);
        assert!(!answer.text.contains(&text(&key["secret"])[20..]), "{}", answer.text);
        told.push(refused(&answer, 401, "UNAUTHORIZED"));
    }
    assert!(told.iter().all(|sentence| *sentence == told[0]), "a stranger learns nothing: {told:?}");
    assert_eq!(sessions(&server), 0);
}

#[test]
fn bm_1_forms_that_are_none_are_bad_requests() {
    let server = start();
    let key = server.root().key(json!({ "class": "workspace", "label": "x" }));
    let (access_key, secret) = (&key["access_key"], &key["secret"]);
    for body in [
        json!({}),
        json!({ "access_key": access_key }),
        json!({ "access_secret_key": secret }),
        json!({ "access_key": 7, "access_secret_key": secret }),
        json!({ "access_key": access_key, "access_secret_key": secret, "tenant_id": 7 }),
        json!([access_key, secret]),
    ] {
        let answer = post(&server, "/access_keys/login", &body);
        refused(&answer, 400, "BAD_REQUEST");
        assert!(!answer.text.contains(&text(secret)), "{}", answer.text);
    }
    let url = format!("{}{}", server.url, at("/access_keys/login"));
    let send = |kind: &str, body: String| {
        Answer::read(client().post(&url).header("content-type", kind).body(body).send().expect("an answer"))
    };
    refused(&send("application/json", "{".into()), 400, "BAD_REQUEST");
    refused(&send("text/plain", pair(&key).to_string()), 415, "UNSUPPORTED_MEDIA_TYPE");
    // A megabyte is refused before it is read.
    let head = "host: a\r\ncontent-type: application/json\r\ncontent-length: 1048576\r\n\r\n";
    let large = server.raw(format!("POST {} HTTP/1.1\r\n{head}", at("/access_keys/login")).as_bytes());
    assert!(large.starts_with("HTTP/1.1 413 ") && large.contains("\"code\":413"), "{large}");
    let answer = Answer::read(client().get(&url).send().expect("an answer"));
    refused(&answer, 405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), "POST");
    refused(&post(&server, "/elsewhere", &json!({})), 404, "NOT_FOUND");
    assert_eq!(sessions(&server), 0);
    // Fields that nobody knows are let pass.
    let mut more = pair(&key);
    more["remember_me"] = json!(true);
    post(&server, "/access_keys/login", &more).expect(200);
}

#[test]
fn bm_11_a_tenant_that_is_not_the_keys_is_told_to_who_holds_the_key_alone() {
    let server = start();
    let (acme, admin) = tenant(&server, "acme");
    tenant(&server, "globex");
    let key = admin.key(json!({ "class": "workspace", "label": "x" }));
    let log_in = |tenant: &str, secret: &Value| {
        let body =
            json!({ "access_key": key["access_key"], "access_secret_key": secret, "tenant_id": tenant });
        post(&server, "/access_keys/login", &body)
    };
    for tenant in [server.tenant(), "globex".into(), "nowhere".into(), String::new()] {
        refused(&log_in(&tenant, &key["secret"]), 404, "NOT_FOUND");
        refused(&log_in(&tenant, &json!("kww_wrong")), 401, "UNAUTHORIZED");
    }
    assert_eq!(sessions(&server), 0);
    for tenant in [acme.as_str(), "acme"] {
        assert_eq!(log_in(tenant, &key["secret"]).ok()["tenant_id"], json!(acme));
    }
}

#[test]
fn bm_12_a_key_that_is_refused_opens_nothing_and_its_tokens_end() {
    let server = start();
    let (_, admin) = tenant(&server, "acme");
    let (user, key) = admin.member("grace", &[]);
    let told = log_in(&server, &key).ok();
    let (own, refresh) = (server.caller(&text(&told["json_web_token"])), json!({ "token": told["token"] }));
    let id = text(&key["id"]);
    let is_refused = |word: &str| {
        refused(&log_in(&server, &key), 401, "UNAUTHORIZED");
        refused(&own.get(&at("/userinfo")), 401, "UNAUTHORIZED");
        refused(&post(&server, "/auth/tokens", &refresh), 401, "UNAUTHORIZED");
        let before = sessions(&server);
        assert_eq!(before, 1, "{word}");
    };
    let works = || {
        own.get(&at("/userinfo")).expect(200);
        post(&server, "/auth/tokens", &refresh).expect(200);
    };
    works();
    admin.post(&format!("/v1/keys/{id}/deactivate"), json!({})).expect(200);
    is_refused("inactive");
    admin.post(&format!("/v1/keys/{id}/activate"), json!({})).expect(200);
    works();
    admin.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).expect(200);
    is_refused("switched off by the tenant");
    admin.patch("/v1/policies", json!({ "switches": { "member_keys": true } })).expect(200);
    let at_user = format!("/v1/users/{user}");
    admin.patch(&at_user, json!({ "owner_login_window_minutes": 0 })).expect(200);
    is_refused("the owner has to log in");
    admin.patch(&at_user, json!({ "owner_login_window_minutes": -1 })).expect(200);
    works();
    admin.delete(&format!("/v1/keys/{id}")).expect(204);
    is_refused("revoked");
}

#[test]
fn bm_3_an_api_key_does_not_log_in() {
    let server = start();
    let key = server.root().key(json!({ "class": "ingest", "label": "collector" }));
    refused(&log_in(&server, &key), 403, "FORBIDDEN");
    assert_eq!(sessions(&server), 0);
}

#[test]
fn bm_1_a_refresh_token_gives_tokens_and_the_header_beside_it_plays_no_part() {
    let server = start();
    let key = server.root().key(json!({ "class": "workspace", "label": "x" }));
    let told = log_in(&server, &key).ok();
    let stale = server.caller("not.a.token");
    let answer = stale.post(&at("/auth/tokens"), json!({ "token": told["token"] })).ok();
    assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1), "{answer}");
    server.caller(&text(&answer["json_web_token"])).get(&at("/userinfo")).expect(200);
    // Nothing else is a refresh token.
    for wrong in [&key["secret"], &told["json_web_token"], &key["access_key"], &json!("kws_x"), &json!("")] {
        let answer = post(&server, "/auth/tokens", &json!({ "token": wrong }));
        refused(&answer, 401, "UNAUTHORIZED");
    }
    refused(&post(&server, "/auth/tokens", &json!({})), 400, "BAD_REQUEST");
    refused(&post(&server, "/auth/tokens", &json!({ "token": 7 })), 400, "BAD_REQUEST");
    // A session of a person is none either.
    crate::logins::ask_for_no_factor(&server.root());
    crate::logins::somebody(&server, "grace", &["me:read"]);
    let person = crate::logins::session(&server.url, "grace");
    refused(&post(&server, "/auth/tokens", &json!({ "token": person.secret })), 401, "UNAUTHORIZED");
}

#[test]
fn bm_1_imp_2_only_the_token_of_this_login_stands_for_its_key_and_only_here() {
    let server = start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let own = enter(&server, &key);
    own.get(&at("/access_keys")).expect(200);
    own.get("/v1/keys").refused(403, "token_cannot_manage");
    own.post("/v1/keys", json!({ "class": "ingest", "label": "x" })).refused(403, "token_cannot_manage");
    // Another token of the same key, and one that was exchanged for that of the login.
    let holder = Holder::of(&server, &key);
    let exchanged = text(&holder.exchange(&own.secret, &[]).ok()["access_token"]);
    let before = snapshot(&root);
    for token in [holder.token(&[]), exchanged] {
        let other = server.caller(&token);
        other.get("/v1/me").expect(200);
        for path in ["/userinfo", "/access_keys"] {
            refused(&other.get(&at(path)), 403, "FORBIDDEN");
        }
        let body = json!({ "name": "x", "type": "API", "expiry_enum": "30 days" });
        refused(&other.post(&at("/access_keys"), body), 403, "FORBIDDEN");
    }
    assert_eq!(snapshot(&root), before);
    // It holds what the key holds, and no more.
    let (_, _, low) = person(&server, &root, "low", &["me:read", "me/keys:read"]);
    let key = low.get("/v1/keys").ok()["data"][0].clone();
    let body = json!({ "access_key": key["access_key"], "access_secret_key": low.secret });
    let token = post(&server, "/access_keys/login", &body).ok();
    let low = server.caller(&text(&token["json_web_token"]));
    assert_eq!(low.get(&at("/access_keys")).ok()["_metadata"]["total_count"], 1, "its own key alone");
    let wish = json!({ "name": "x", "type": "TENANT", "expiry_enum": "30 days" });
    refused(&low.post(&at("/access_keys"), wish), 403, "FORBIDDEN");
    for (secret, status, message) in [("x.y.z", 401, "UNAUTHORIZED"), ("kws_x", 401, "UNAUTHORIZED")] {
        refused(&server.caller(secret).get(&at("/userinfo")), status, message);
    }
    let none = client().get(format!("{}{}", server.url, at("/userinfo"))).send().expect("an answer");
    refused(&Answer::read(none), 401, "UNAUTHORIZED");
}

#[test]
fn bm_1_ses_4_ses_6_a_token_of_a_login_is_no_fresher_than_its_session_and_ends_with_it() {
    let server = start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let told = log_in(&server, &key).ok();
    let first = server.caller(&text(&told["json_web_token"]));
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    let again = post(&server, "/auth/tokens", &json!({ "token": told["token"] })).ok();
    let again = server.caller(&text(&again["json_web_token"]));
    let wish = json!({ "name": "x", "type": "TENANT", "expiry_enum": "30 days" });
    for old in [&first, &again] {
        refused(&old.post(&at("/access_keys"), wish.clone()), 403, "FORBIDDEN");
        old.get(&at("/access_keys")).expect(200);
    }
    enter(&server, &key).post(&at("/access_keys"), wish).ok();
    // A session that was opened elsewhere gives no such token.
    let plain = json!({ "username": key["access_key"], "password": key["secret"] });
    let plain = crate::logins::log_in(&server.url, plain).ok();
    refused(&post(&server, "/auth/tokens", &json!({ "token": plain["token"] })), 401, "UNAUTHORIZED");
    root.delete(&format!("/v1/keys/{}/sessions", text(&key["id"]))).ok();
    for ended in [&first, &again] {
        refused(&ended.get(&at("/access_keys")), 401, "UNAUTHORIZED");
    }
}

#[test]
fn bm_1_it_answers_where_it_is_switched_on_and_at_the_root_of_its_hosts() {
    let server = start();
    let key = server.root().key(json!({ "class": "workspace", "label": "x" }));
    let at_root = |server: &Server, host: &str| {
        let request = client().post(format!("{}/ims/api/v1/access_keys/login", server.url));
        Answer::read(request.header("host", host).json(&pair(&key)).send().expect("an answer"))
    };
    for host in ["bmc.example", "BMC.example:8443"] {
        at_root(&server, host).expect(200);
    }
    at_root(&server, "elsewhere.example").refused(404, "not_found");
    let server = server.kill_and_restart_with("dialects: {bmc_helix: {hosts: [bmc.example]}}\n");
    at_root(&server, "bmc.example").refused(404, "not_found");
    log_in(&server, &key).refused(404, "not_found");
}
