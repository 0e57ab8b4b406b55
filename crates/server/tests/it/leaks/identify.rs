//! "What is this key?"

use serde_json::{Value, json};

use super::made_up;
use crate::api::{person, tenant, worker};
use crate::cli::run_with_input;
use crate::imports::{SHA256, TEXT, imported, row};
use crate::logins::key_session;
use crate::support::{Caller, Server, text};

fn ask(caller: &Caller, text: &str) -> Vec<Value> {
    let told = caller.post("/v1/identify", json!({ "text": text })).ok();
    told["found"].as_array().expect("a list").clone()
}

/// Another secret of the same key: the checksum holds, nothing else does.
fn forged(secret: &str) -> String {
    made_up(&secret[..3], &secret[4..20])
}

#[test]
fn x_10_a_find_is_told_to_those_who_may_know_and_never_echoed() {
    let server = Server::start();
    let root = server.root();
    let (mia, key) = root.member("mia", &["keys:read"]);
    let (secret, path) = (text(&key["secret"]), format!("/v1/keys/{}", text(&key["id"])));
    let npm = format!("npm_{}", "a1B2".repeat(9));
    let blob = format!("# .env\nTOKEN=\"{secret}\"\nNPM={npm}\nUSER={}\n", text(&key["access_key"]));
    let answer = root.post("/v1/identify", json!({ "text": blob }));
    for hidden in [&secret[20..60], &npm[4..30]] {
        assert!(!answer.text.contains(hidden), "{}", answer.text);
    }
    let found = ask(&root, &blob);
    let kinds: Vec<_> = found.iter().map(|f| (text(&f["kind"]), f["line"].clone())).collect();
    let expected = [("member_key", 2), ("foreign", 3), ("access_key", 4)];
    assert_eq!(kinds, expected.map(|(kind, line)| (kind.to_owned(), json!(line))));
    let first = &found[0];
    assert_eq!((&first["checksum"], &first["secret"]), (&json!("right"), &json!("live")));
    assert_eq!((&first["key"]["id"], &first["key"]["owner_id"]), (&key["id"], &json!(mia)));
    assert_eq!((&first["key"]["status"], &first["key"]["owner_username"]), (&json!("active"), &json!("mia")));
    assert!(
        first["links"]
            .as_array()
            .expect("links")
            .contains(&json!({ "rel": "revoke", "method": "POST", "href": format!("{path}/revoke") }))
    );
    assert_eq!((&found[1]["name"], &found[1]["key"]), (&json!("npm access token"), &Value::Null));
    assert_eq!((&found[2]["key"]["id"], &found[2]["secret"]), (&key["id"], &Value::Null));
    assert_eq!(first["key"]["last_used_at"], Value::Null, "to be looked at is no use");
    root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 0 })).ok();
    assert_eq!(ask(&root, &secret)[0]["secret"], "retired");
    root.post(&format!("{path}/revoke"), json!({})).ok();
    let found = ask(&root, &secret);
    assert_eq!(found[0]["key"]["status"], "revoked");
    assert_eq!(found[0]["links"].as_array().map(Vec::len), Some(2));
    assert!(!server.place.log().contains(&secret[20..60]) && !server.place.dump().contains(&secret[20..60]));
    assert!(!root.get("/v1/audit-events/export").expect(200).text.contains(&secret[20..60]));
}

#[test]
fn x_10_a_secret_that_is_not_the_keys_is_never_called_the_key() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("mia", &[]);
    let forged = forged(&text(&key["secret"]));
    let found = ask(&root, &forged);
    assert_eq!((&found[0]["checksum"], &found[0]["secret"]), (&json!("right"), &json!("not_its_secret")));
    assert!(text(&found[0]["advice"]).contains("no secret of it"));
    assert!(!found[0]["links"].to_string().contains("revoke"));
    let mut damaged = forged.clone();
    damaged.replace_range(30..31, if &forged[30..31] == "0" { "1" } else { "0" });
    let found = ask(&root, &damaged);
    assert_eq!((&found[0]["checksum"], &found[0]["key"]), (&json!("wrong"), &Value::Null));
    assert_eq!(root.get(&format!("/v1/keys/{}/usage", text(&key["id"]))).ok()["total"]["denied"], 0);
}

#[test]
fn x_10_az_2_others_learn_nothing_beyond_the_form() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    let (_, _, mia) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
    let (_, _, otto) = person(&server, &admin, "otto", &["me:read", "me/keys:*"]);
    let gone = made_up("kwm", "0000000000000000");
    let blank = |found: Vec<Value>| {
        let mut found = found[0].clone();
        found["hint"] = Value::Null;
        found["access_key"] = Value::Null;
        found
    };
    assert_eq!(ask(&mia, &mia.secret)[0]["secret"], "live", "one's own");
    assert_eq!(ask(&admin, &mia.secret)[0]["secret"], "live");
    for stranger in [&otto, &root] {
        assert_eq!(blank(ask(stranger, &mia.secret)), blank(ask(stranger, &gone)));
        assert_eq!(ask(stranger, &mia.secret)[0]["key"], Value::Null);
    }
    let nobody = worker(&server, &admin, "nobody", &["nothing:read"]);
    nobody.post("/v1/identify", json!({ "text": mia.secret })).refused(403, "insufficient_rights");
    Caller { secret: String::new(), ..mia.clone() }
        .post("/v1/identify", json!({ "text": mia.secret }))
        .expect(401);
    let session = key_session(&mia);
    assert!(session.starts_with("session_"));
    mia.post("/v1/identify", json!({ "text": "x", "more": 1 })).refused(400, "malformed_request");
    mia.post("/v1/identify", json!({ "text": "x".repeat(70_000) })).refused(413, "body_too_large");
}

#[test]
fn x_10_an_access_token_of_this_server_is_told_from_one_of_others() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    let secret = text(&root.post("/v1/trusted/enable", json!({})).ok()["secret"]);
    root.user("bea", &[]);
    let token = server.caller(&secret).post("/v1/trusted/tokens", json!({ "username": "bea" })).ok();
    let token = text(&token["token"]);
    let found = ask(&root, &format!("Authorization: Bearer {token}"));
    assert_eq!(
        (&found[0]["kind"], &found[0]["name"]),
        (&json!("access_token"), &json!("Keyward access token"))
    );
    let found = ask(&admin, &token);
    assert_eq!((&found[0]["kind"], &found[0]["name"]), (&json!("foreign"), &json!("JSON Web Token")));
    assert_eq!(ask(&root, &secret)[0]["kind"], "trusted_secret");
}

#[test]
fn x_10_the_command_asks_the_server_and_without_a_token_itself() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("mia", &[]);
    let secret = text(&key["secret"]);
    let file = format!("\n\n{secret}\nxoxb-{}\n", "1a".repeat(12));
    let run = |token: Option<&str>, args: &[&str], input: &str| {
        let mut command = server.place.keyward(&[&["identify", "--url", &server.url], args].concat());
        if let Some(token) = token {
            command.env("KEYWARD_TOKEN", token);
        }
        let run = run_with_input(&mut command, input);
        assert!(!run.out.contains(&secret[20..60]) && !run.err.contains(&secret[20..60]));
        run
    };
    let told = run(Some(&root.secret), &["-o", "json"], &file);
    assert_eq!(told.code, 0, "{}", told.err);
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!((&told["found"][0]["line"], &told["found"][0]["key"]["id"]), (&json!(3), &key["id"]));
    assert_eq!((&told["found"][1]["line"], &told["found"][1]["name"]), (&json!(4), &json!("Slack token")));
    for (token, args) in [(None, &[][..]), (Some(&*root.secret), &["--offline"])] {
        let told = run(token, &[args, &["-o", "json"]].concat(), &file);
        let told: Value = serde_json::from_str(&told.out).expect("JSON");
        assert_eq!(
            (&told["found"][0]["checksum"], &told["found"][0]["key"]),
            (&json!("right"), &Value::Null)
        );
    }
    assert_eq!(run(Some(&root.secret), &[], &forged(&secret)).code, 10);
    assert_eq!(run(Some("kwm_wrong"), &[], &file).code, 4, "who is signed in wrongly is told");
}

#[test]
fn x_10_x_11_an_imported_credential_is_known_again() {
    let server = Server::start();
    let root = server.root();
    let (_, stranger) = tenant(&server, "globex");
    let key = imported(&root, "sha256", row("a", SHA256));
    // One that looks like somebody else's is known by its text too.
    let openai = format!("sk-{}", "a1B2c3".repeat(5));
    let second = imported(&root, "plain", row("b", &openai));
    let answer = root.post("/v1/identify", json!({ "text": format!("  {TEXT}\n") }));
    assert!(!answer.text.contains(&TEXT[..12]), "{}", answer.text);
    for (asked, key) in [(TEXT, &key), (&*format!("KEY={openai}\n"), &second)] {
        let found = ask(&root, asked);
        assert_eq!((&found[0]["kind"], &found[0]["secret"]), (&json!("imported_key"), &json!("live")));
        assert_eq!((&found[0]["key"]["id"], found.len()), (&key["id"], 1));
        assert!(found[0]["links"].to_string().contains("/revoke"));
    }
    assert_eq!(ask(&stranger, TEXT), Vec::<Value>::new());
    assert_eq!(ask(&stranger, &openai)[0]["kind"], "foreign");
    assert_eq!(ask(&root, &format!("{TEXT}x")), Vec::<Value>::new());
    assert_eq!(root.get(&format!("/v1/keys/{}", text(&key["id"]))).ok()["last_used_at"], Value::Null);
}
