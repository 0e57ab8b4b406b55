//! Exit codes that need no server.

use super::{NOWHERE, SECRET, keyward, run};

#[test]
fn usage_errors_are_2_with_a_suggestion_and_nothing_on_stdout() {
    for (args, told) in [
        (&["kyes", "list"][..], "'keys'"),
        (&["keys", "lst"], "'list'"),
        (&["keys", "create"], "--label"),
        (&["keys", "list", "--stat", "x"], "--stat"),
        (&["keys", "list", "-o", "xml"], "json"),
        (&["keys", "create", "--label", "x", "--ttl", "1d", "--never"], "cannot be used with"),
        (&["keys", "create", "--label", "x", "--ttl", "soon"], "90d"),
        (&["keys", "list", "--url", "keyward.example.com"], "--url"),
        (&["keys", "revoke"], "<KEY>"),
        (&["keys", "revoke", "--where", "all=true"], "--reason"),
        (&["policies", "edit"], "--set"),
    ] {
        let run = run(args);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}: {}", run.err);
        assert!(run.err.contains(told), "{args:?} said {}", run.err);
    }
}

#[test]
fn a_prefix_of_a_command_is_no_command() {
    assert_eq!(run(&["key", "--help"]).code, 0);
    assert_eq!(run(&["ke", "--help"]).code, 2);
    assert_eq!(run(&["keys", "li", "--help"]).code, 2);
    assert_eq!(run(&["keys", "ls", "--help"]).code, 0);
    assert_eq!(run(&["keys", "rm", "--help"]).code, 0);
}

#[test]
fn without_a_token_it_is_4_and_says_where_to_put_one() {
    let run = run(&["whoami"]);
    assert_eq!((run.code, run.out.as_str()), (4, ""));
    assert!(run.err.contains("KEYWARD_TOKEN"), "{}", run.err);
}

#[test]
fn a_server_that_is_not_there_is_11() {
    let run = keyward(&["whoami", "--url", NOWHERE, "--retries", "1"]).env("KEYWARD_TOKEN", SECRET).output();
    let run: super::Run = run.expect("the binary runs").into();
    assert_eq!((run.code, run.out.as_str()), (11, ""));
    assert!(run.err.contains(NOWHERE) && run.err.contains("keyward doctor"), "{}", run.err);
    assert!(run.err.contains("trying again"), "{}", run.err);
    assert!(!run.err.contains(SECRET));
}

#[test]
fn files_that_cannot_be_read_are_3() {
    let missing = "no-such-folder/token";
    let run = run(&["whoami", "--token-file", missing]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains(missing), "{}", run.err);
    let run = super::run(&["whoami", "--cacert", missing]);
    assert_eq!(run.code, 3, "{}", run.err);
}

#[test]
fn a_token_with_a_line_break_inside_is_refused_and_not_shown() {
    let run = keyward(&["whoami"]).env("KEYWARD_TOKEN", "hush\nhush").output().expect("the binary runs");
    let run: super::Run = run.into();
    assert_eq!(run.code, 3);
    assert!(!run.err.contains("hush"), "{}", run.err);
}

#[test]
fn a_wrong_filter_is_told_before_anything_is_sent() {
    let run = keyward(&["keys", "list", "--where", "stauts=active", "--url", NOWHERE]).output();
    let run: super::Run = run.expect("the binary runs").into();
    assert_eq!(run.code, 2);
    assert!(run.err.contains("did you mean `status`?"), "{}", run.err);
}

#[test]
fn destructive_commands_name_the_option_when_nobody_can_be_asked() {
    for args in [
        &["keys", "revoke", "kwa_0123456789abcdef"][..],
        &["keys", "rotate", "finish", "kwa_0123456789abcdef"],
        &["keys", "new-secret", "kwa_0123456789abcdef"],
        &["users", "delete", "user_01h455vb4pex5vsknk084sn02q"],
        &["roles", "rm", "role_01h455vb4pex5vsknk084sn02q"],
    ] {
        let run = keyward(args).env("KEYWARD_TOKEN", SECRET).output().expect("the binary runs");
        let run: super::Run = run.into();
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}: {}", run.err);
        assert!(run.err.contains("add --yes"), "{args:?} said {}", run.err);
    }
}

#[test]
fn doctor_finds_that_nobody_answers() {
    let run = run(&["doctor", "--url", NOWHERE, "--retries", "0", "-o", "json"]);
    assert_eq!(run.code, 13, "{}", run.err);
    let report: serde_json::Value = serde_json::from_str(&run.out).expect("JSON");
    let checks = report["data"].as_array().expect("a list");
    let reachable = checks.iter().find(|check| check["check"] == "reachable").expect("is checked");
    assert_eq!(reachable["state"], "problem");
}
