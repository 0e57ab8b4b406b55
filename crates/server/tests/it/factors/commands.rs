//! `keyward factors`, and `keyward login` with a code.

use serde_json::{Value, json};

use super::{Phone, unused};
use crate::logins::commands::run;
use crate::logins::{PASSWORD, somebody};
use crate::support::{Server, text};

#[track_caller]
fn json_of(server: &Server, args: &[&str]) -> Value {
    let args = [args, &["-o", "json"]].concat();
    serde_json::from_str(&run(server, &args, "", 0).out).expect("JSON")
}

#[test]
fn aut_4_a_factor_is_added_used_and_removed_from_the_command_line() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    run(&server, &["login", "--username", "grace"], PASSWORD, 0);
    // Where no terminal is, a secret is not printed unasked.
    run(&server, &["factors", "add", "phone"], "", 2);
    let file = server.place.folder.path().join("phone.uri");
    let at = file.to_str().expect("UTF-8");
    let told = run(&server, &["factors", "add", "phone", "--secret-out", at], "", 0);
    assert!(told.err.contains("keyward factors confirm factor_"), "{}", told.err);
    let uri = std::fs::read_to_string(&file).expect("an address");
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).expect("a seed");
    assert!(!told.out.contains(secret) && !told.err.contains(secret));
    let phone = Phone::new(secret);
    let id = told.err.split_whitespace().find(|word| word.starts_with("factor_")).expect("an id").to_owned();
    let codes = server.place.folder.path().join("codes.txt");
    let to = codes.to_str().expect("UTF-8");
    run(&server, &["factors", "confirm", &id, "--code", "000 00", "--secret-out", to], "", 1);
    run(&server, &["factors", "confirm", &id, "--code", &phone.code(), "--secret-out", to], "", 0);
    let codes: Vec<String> =
        std::fs::read_to_string(&codes).expect("codes").lines().map(ToOwned::to_owned).collect();
    assert_eq!(codes.len(), 10);
    let listed = json_of(&server, &["factors", "list"]);
    assert_eq!(listed["data"].as_array().or(listed.as_array()).map(Vec::len), Some(1), "{listed}");
    // The kept session has the new token.
    run(&server, &["whoami"], "", 0);
    unused(&server);
    let missing = run(&server, &["login", "--username", "grace"], PASSWORD, 2);
    assert!(missing.err.contains("--code"), "{}", missing.err);
    run(&server, &["login", "--username", "grace", "--code", "12345"], PASSWORD, 4);
    run(&server, &["login", "--username", "grace", "--code", &phone.code()], PASSWORD, 0);
    run(&server, &["login", "--username", "grace", "--code", &codes[0]], PASSWORD, 0);
    let new = json_of(&server, &["factors", "recovery-codes"]);
    assert_eq!(new["recovery_codes"].as_array().map(Vec::len), Some(10));
    run(&server, &["login", "--username", "grace", "--code", &codes[1]], PASSWORD, 4);
    run(&server, &["factors", "remove", &id], "", 2);
    run(&server, &["factors", "remove", &id, "--yes"], "", 0);
    run(&server, &["login", "--username", "grace"], PASSWORD, 0);
}

#[test]
fn aut_4_an_administrator_is_told_what_the_session_is_good_for() {
    let server = Server::start();
    let root = server.root();
    let id = text(&server.root["user_id"]);
    crate::logins::set_password(&root, &id, PASSWORD);
    let told = run(&server, &["login", "--username", "root"], PASSWORD, 0);
    assert!(told.err.contains("keyward factors add"), "{}", told.err);
    let refused = run(&server, &["users", "list"], "", 4);
    assert!(refused.err.contains("keyward factors add"), "{}", refused.err);
    let begun = json_of(&server, &["factors", "add"]);
    let (id, phone) = (text(&begun["id"]), Phone::new(&text(&begun["secret"])));
    let done = run(&server, &["factors", "confirm", &id, "--code", &phone.code(), "-o", "json"], "", 0);
    let done: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!((&done["token"], &done["session"]["enrolment_only"]), (&Value::Null, &json!(false)));
    run(&server, &["users", "list"], "", 0);
    // And helps somebody else who has lost the phone.
    let (grace, _) = super::somebody_with_factor(&server, "grace", &["me:read"]);
    run(&server, &["users", "factors", "grace"], "", 0);
    run(&server, &["users", "reset-factors", "grace"], "", 2);
    run(&server, &["users", "reset-factors", "grace", "--yes"], "", 0);
    assert_eq!(root.get(&format!("/v1/users/{grace}/factors")).ok()["factors"], json!([]));
}
