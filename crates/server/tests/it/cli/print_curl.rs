//! `--print-curl`: the request in words, without a secret, and nothing is sent.

use super::{NOWHERE, Run, SECRET, keyward};

fn printed(args: &[&str]) -> Run {
    let mut args = args.to_vec();
    args.extend(["--print-curl", "--url", NOWHERE, "--retries", "0"]);
    let run: Run = keyward(&args).env("KEYWARD_TOKEN", SECRET).output().expect("the binary runs").into();
    assert_eq!(run.code, 0, "{args:?}: {}", run.err);
    assert!(!run.out.contains(SECRET) && !run.err.contains(SECRET), "{args:?} printed the token");
    assert!(run.out.contains("$KEYWARD_TOKEN") && run.out.starts_with("curl "), "{}", run.out);
    assert!(run.out.contains(NOWHERE), "{}", run.out);
    run
}

#[test]
fn requests_of_every_kind_are_printed_and_not_sent() {
    for (args, part) in [
        (&["whoami"][..], "-X GET"),
        (&["keys", "list", "--where", "status=active", "--tenant", "acme"], "x-keyward-tenant: acme"),
        (&["keys", "create", "--label", "it's", "--ttl", "1d"], r#""label":"it'\''s","ttl_seconds":86400"#),
        (
            &["keys", "revoke", "kwa_0123456789abcdef", "--reason", "x"],
            "/v1/keys/kwa_0123456789abcdef/revoke",
        ),
        (&["keys", "revoke", "--where", "class=ingest", "--reason", "x"], r#""preview":true"#),
        (&["keys", "edit", "k", "--label", "x", "--if-match", "3"], "if-match: \"3\""),
        (&["users", "create", "alice", "--role", "member"], r#""role_ids":["member"]"#),
        (&["users", "delete", "alice"], "-X DELETE"),
        (&["groups", "add-member", "Administrators", "alice"], "-X PUT"),
        (&["tenants", "delete", "acme", "--confirm", "acme"], "?confirm=acme"),
        (&["policies", "edit", "--set", "member.idle_days=7", "--dry-run"], "validate_only=true"),
        (&["audit", "export", "--since", "2026-01-01"], "since=2026-01-01T00%3A00%3A00Z"),
        (&["openapi"], "/openapi.json"),
        (&["api", "PUT", "/v1/log-levels", "-f", "filter=info"], r#"{"filter":"info"}"#),
    ] {
        let run = printed(args);
        assert!(run.out.contains(part), "{args:?} lacks {part}:\n{}", run.out);
    }
}

#[test]
fn a_post_carries_an_idempotency_key_of_its_own() {
    let key = |run: Run| {
        let line =
            run.out.lines().find(|line| line.contains("idempotency-key: ")).expect("has one").to_owned();
        line.split("idempotency-key: ").nth(1).map(|rest| rest.trim_matches(['\'', '\\', ' ']).to_owned())
    };
    let (one, two) = (key(printed(&["users", "create", "a"])), key(printed(&["users", "create", "a"])));
    assert_ne!(one, two);
    assert_eq!(one.expect("a value").len(), 32);
}

#[test]
fn the_secret_to_verify_is_a_shell_variable() {
    let run = printed(&["verify", "--need", "models/emea:read"]);
    assert!(run.out.contains(r#"{"credential":"'"$KEYWARD_CREDENTIAL"'""#), "{}", run.out);
}

#[test]
fn the_printed_command_is_what_a_shell_understands() {
    let run = printed(&["keys", "create", "--label", "it's $HOME", "--tenant", "a'b"]);
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\nKEYWARD_TOKEN=tok\n{}", run.out);
    let shell = std::process::Command::new("sh").arg("-c").arg(script).output().expect("a shell");
    let words = String::from_utf8(shell.stdout).expect("UTF-8");
    assert!(words.contains("\nAuthorization: Bearer tok\n"), "{words}");
    assert!(words.contains("\nx-keyward-tenant: a'b\n"), "{words}");
    assert!(words.contains(r#""label":"it's $HOME""#), "{words}");
}
