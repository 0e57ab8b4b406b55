//! Names that would forge lines or steer terminals (AUD-3).

use serde_json::{Value, json};

use crate::cli::Run;
use crate::support::{Server, text};

/// A line feed, an escape sequence, a carriage return, C1 control, a direction mark.
const FORGERIES: [&str; 5] = [
    "ada\n{\"level\":\"INFO\",\"message\":\"forged\"}",
    "ada\u{1b}[2J\u{1b}[31m",
    "ada\r\nforged: 1",
    "ada\u{9b}31m",
    "ada\u{202e}nimda",
];

#[test]
fn aud_3_dir_6_names_with_control_characters_are_refused() {
    let server = Server::start();
    let root = server.root();
    let key = format!(
        "/v1/keys/{}",
        text(&root.key(json!({ "class": "workspace", "label": "fine", "role_ids": [] }))["id"])
    );
    let before = ["/v1/users", "/v1/keys", "/v1/roles", "/v1/groups", "/v1/tenants"]
        .map(|path| super::without_use(root.get(path).ok()));
    for forged in FORGERIES {
        for (path, body) in [
            ("/v1/users", json!({ "username": forged })),
            ("/v1/users", json!({ "username": "ada", "display_name": forged })),
            ("/v1/users", json!({ "username": "ada", "email": format!("{forged}@example.org") })),
            ("/v1/keys", json!({ "class": "workspace", "label": forged })),
            ("/v1/keys", json!({ "class": "workspace", "label": "x", "scopes": [format!("{forged}:read")] })),
            ("/v1/roles", json!({ "name": forged, "rights": ["a:read"] })),
            ("/v1/roles", json!({ "name": "x", "description": forged, "rights": ["a:read"] })),
            ("/v1/roles", json!({ "name": "x", "rights": [format!("{forged}:read")] })),
            ("/v1/groups", json!({ "name": forged })),
            ("/v1/groups", json!({ "name": "x", "description": forged })),
            ("/v1/tenants", json!({ "slug": forged })),
            ("/v1/tenants", json!({ "slug": "fine", "name": forged })),
            (&*format!("{key}/deactivate"), json!({ "reason": forged })),
            (&*format!("{key}/revoke"), json!({ "reason": forged })),
        ] {
            let refused = root.post(path, body.clone());
            assert!(
                [400, 403, 422].contains(&refused.status),
                "{path} {body}: {} {}",
                refused.status,
                refused.text
            );
            assert!(
                !refused.text.contains(|c: char| c.is_control()),
                "nothing raw comes back: {path} {body}"
            );
        }
        assert_eq!(root.patch(&key, json!({ "label": forged })).status, 422);
    }
    let after = ["/v1/users", "/v1/keys", "/v1/roles", "/v1/groups", "/v1/tenants"]
        .map(|path| super::without_use(root.get(path).ok()));
    assert_eq!(after, before);
}

fn run(server: &Server, args: &[&str]) -> Run {
    let mut command = server.place.keyward(args);
    command.env("KEYWARD_TOKEN", server.operator()).env("KEYWARD_URL", &server.url);
    command.output().expect("the binary runs").into()
}

#[test]
fn aud_3_what_got_in_another_way_comes_out_escaped() {
    let server = Server::start();
    let root = server.root();
    let (user, _) = root.member("ada", &[]);
    // Nobody can write this through the API; a restored or older database may hold it.
    let statement = match crate::support::engine() {
        "postgres" => {
            "UPDATE users SET display_name = 'x' || chr(27) || '[31m' || chr(10) || 'forged' WHERE username = 'ada'"
        }
        _ => {
            "UPDATE users SET display_name = 'x' || char(27) || '[31m' || char(10) || 'forged' WHERE username = 'ada'"
        }
    };
    assert_eq!(server.place.sql(statement), 1);
    let path = format!("/v1/users/{user}");
    assert_eq!(root.get(&path).ok()["display_name"], "x\u{1b}[31m\nforged");
    root.patch(&path, json!({ "email": "ada@example.org" })).expect(200);
    let export = root.get("/v1/audit-events/export").expect(200).text;
    assert!(export.contains(r"x\u001b[31m\nforged"), "{export}");
    assert!(export.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "one line is one event");
    for args in [
        &["users", "list"][..],
        &["users", "show", &user],
        &["audit", "list"],
        &["users", "list", "-o", "table"],
    ] {
        let shown = run(&server, args);
        assert_eq!(shown.code, 0, "{args:?}: {}", shown.err);
        assert!(!shown.out.contains('\u{1b}'), "{args:?}: {:?}", shown.out);
        assert!(!shown.out.lines().any(|line| line.starts_with("forged")), "{args:?}: {:?}", shown.out);
    }
}

#[test]
fn aud_3_log_lines_cannot_be_forged_from_outside() {
    for format in ["json", "text"] {
        let server = Server::with_config(&format!("log: {{filter: trace, format: {format}}}"));
        let bytes = [
            &b"GET /v1/me HTTP/1.1\r\nHost: a\r\nUser-Agent: x\xc2\x9b31m forged-agent\r\nX-Request-Id: a\xc2\x9b2Jforged\r\n"[..],
            format!("Authorization: Bearer {}\r\nConnection: close\r\n\r\n", server.operator()).as_bytes(),
        ]
        .concat();
        assert_eq!(crate::socket::exchange(&server.address(), &bytes).statuses(), [200]);
        for (name, value) in
            [("User-Agent", "x\tforged"), ("X-Request-Id", "short"), ("X-Forwarded-For", "forged\tline")]
        {
            server.root().request("GET", "/v1/me").header(name, value).send().expect("an answer");
        }
        server.root().get("/v1/keys/%0A%7B%22forged%22%3A1%7D%1B%5B31m").expect(404);
        server.root().get("/v1/keys?q=%0Aforged%1B%5B31m").expect(200);
        let log = server.place.log();
        assert!(
            log.len() > 200 && !log.contains(|c: char| c.is_control() && c != '\n' && c != '\t'),
            "{log}"
        );
        assert!(!log.lines().any(|line| line.trim_start().starts_with("forged")), "{log}");
        if format == "json" {
            assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
        }
    }
}

#[test]
fn aud_3_request_ids_are_taken_only_when_well_formed() {
    let server = Server::start();
    let echoed = |sent: &str| {
        let answer =
            server.root().request("GET", "/v1/me").header("X-Request-Id", sent).send().expect("an answer");
        answer.headers()["x-request-id"].to_str().expect("ASCII").to_owned()
    };
    for good in ["12345678", "a_b-c_d-e", &"x".repeat(64)] {
        assert_eq!(echoed(good), good);
    }
    for bad in ["1234567", &"x".repeat(65), "with blank", "semi;colon", "angle<bracket>", "quote\"quote"] {
        let made = echoed(bad);
        assert_ne!(made, bad);
        assert!((8..=64).contains(&made.len()) && made.bytes().all(|b| b.is_ascii_alphanumeric()), "{made}");
    }
}
