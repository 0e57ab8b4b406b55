//! `keyward login` and what goes with it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::{PASSWORD, ask_for_no_factor, log_in, session, somebody};
use crate::cli::{Run, run_with_input};
use crate::support::{Server, text};

/// A command that remembers sessions beside the server's own folder.
pub(crate) fn command(server: &Server, args: &[&str]) -> Command {
    let mut command = server.place.keyward(args);
    command.env("KEYWARD_URL", &server.url).env("XDG_STATE_HOME", server.place.folder.path().join("state"));
    command
}

/// Runs a command, which prints no token of a session and no challenge.
#[track_caller]
pub(crate) fn run(server: &Server, args: &[&str], input: &str, code: i32) -> Run {
    let run = run_with_input(&mut command(server, args), input);
    assert_eq!(run.code, code, "{args:?}: {}{}", run.out, run.err);
    for token in ["kws_", "kwf_"] {
        assert!(
            !run.out.contains(token) && !run.err.contains(token),
            "never printed: {}{}",
            run.out,
            run.err
        );
    }
    run
}

#[test]
fn sq_5_a_login_is_kept_for_later_commands_and_forgotten_by_logout() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    let signed_out = run(&server, &["whoami"], "", 4);
    assert!(signed_out.err.contains("keyward login"), "{}", signed_out.err);
    run(&server, &["login", "--username", "grace"], "seven wet hats on a rope\n", 4);
    let told = run(&server, &["login", "--username", "grace"], &format!("{PASSWORD}\n"), 0);
    assert!(told.err.contains("mode 0600") && !told.err.contains(PASSWORD), "{}", told.err);
    let file = server.place.folder.path().join("state/keyward/sessions.json");
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    let me: Value = serde_json::from_str(&run(&server, &["whoami", "-o", "json"], "", 0).out).expect("JSON");
    assert_eq!(
        (&me["principal"]["username"], &me["session"]["method"]),
        (&json!("grace"), &json!("password"))
    );
    let other = session(&server.url, "grace");
    let listed: Value =
        serde_json::from_str(&run(&server, &["sessions", "list", "-o", "json"], "", 0).out).expect("JSON");
    assert_eq!(listed["data"].as_array().expect("a list").len(), 2);
    let id = text(&other.get("/v1/auth/session").ok()["id"]);
    run(&server, &["sessions", "end", &id], "", 2);
    other.get("/v1/me").expect(200);
    run(&server, &["sessions", "end", &id, "--yes"], "", 0);
    other.get("/v1/me").refused(401, "revoked");
    run(&server, &["sessions", "show"], "", 0);
    // Another login replaces the session, and ends the one before.
    run(&server, &["login", "--username", "grace"], PASSWORD, 0);
    assert_eq!(server.place.sql("UPDATE sessions SET agent = agent WHERE ended_at IS NULL"), 1);
    // A file that others can read is not used.
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("set");
    run(&server, &["whoami"], "", 4);
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("set");
    run(&server, &["logout"], "", 0);
    assert_eq!(server.place.sql("UPDATE sessions SET agent = agent WHERE ended_at IS NULL"), 0);
    run(&server, &["whoami"], "", 4);
}

#[test]
fn aut_5_ops_2_a_first_password_comes_from_the_machine_or_an_administrator() {
    let server = Server::start();
    ask_for_no_factor(&server.root());
    let out = server.place.run(&["recover", "--password-reset", "root", "-o", "json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let link: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!((&link["kind"], &link["username"]), (&json!("invitation"), &json!("root")));
    assert!(!server.place.run(&["recover", "--password-reset", "nobody"]).status.success());
    let redeem = format!("{}\n{PASSWORD}\n", text(&link["token"]));
    run(&server, &["password", "redeem"], &redeem, 0);
    run(&server, &["password", "redeem"], &redeem, 4);
    run(&server, &["login", "--username", "root"], PASSWORD, 0);
    // root makes a link for somebody else, by the session.
    server.root().user("grace", &[]);
    run(&server, &["users", "password-reset", "grace"], "", 2);
    let token = server.place.folder.path().join("grace.token");
    let at = token.to_str().expect("UTF-8");
    run(&server, &["users", "password-reset", "grace", "--secret-out", at], "", 0);
    assert_eq!(std::fs::metadata(&token).expect("the file").permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&token).expect("a token");
    run(&server, &["password", "redeem"], &format!("{token}{PASSWORD}\n"), 0);
    let own = session(&server.url, "grace");
    run(&server, &["users", "sessions", "grace"], "", 0);
    run(&server, &["users", "unlock", "grace"], "", 0);
    run(&server, &["users", "end-sessions", "grace", "--yes"], "", 0);
    own.get("/v1/me").refused(401, "revoked");
    // And changes the own password, which gives another token.
    let new = "eleven cold spoons in a drawer";
    run(&server, &["password", "change"], &format!("{PASSWORD}\n{new}\n"), 0);
    run(&server, &["whoami"], "", 0);
    log_in(&server.url, json!({ "username": "root", "password": new })).expect(200);
}

#[test]
fn a_token_can_go_to_a_file_instead() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let file = server.place.folder.path().join("session.token");
    let at = file.to_str().expect("UTF-8");
    run(&server, &["login", "--username", "grace", "--secret-out", at], PASSWORD, 0);
    run(&server, &["whoami"], "", 4);
    run(&server, &["whoami", "--token-file", at], "", 0);
    let printed = run(&server, &["login", "--username", "grace", "--print-curl"], "", 0);
    assert!(printed.out.contains("$KEYWARD_CREDENTIAL"), "{}", printed.out);
}
