//! A panic in a handler (HTTP-8).

use std::fs;

use crate::process::Process;
use crate::support::{Answer, Place, Server, client, free_port, text};

/// The route is in debug builds only, which tests are.
const FAULT: &str = "/v1/fault";

#[test]
fn http_8_a_panic_is_a_problem_document_and_harms_nobody_else() {
    let place = Place::new();
    let root = place.bootstrap();
    let metrics = format!("127.0.0.1:{}", free_port());
    let server = Process::start(&place, "", &[("KEYWARD_METRICS__LISTEN", &metrics)]);
    let caller = server.caller(&text(&root["secret"]));
    let pid = server.pid();
    for round in 1..=5 {
        let answer = caller.get(FAULT).expect(500);
        assert_eq!(
            (answer.header("content-type"), &answer.body["code"]),
            ("application/problem+json", &"internal".into())
        );
        assert_eq!(answer.header("x-request-id"), text(&answer.body["request_id"]));
        for trace in ["panic", "health.rs", "asked to", "stack", "src/", ".rs"] {
            assert!(!answer.text.contains(trace), "{trace}: {}", answer.text);
        }
        let counted = client()
            .get(format!("http://{metrics}/metrics"))
            .send()
            .expect("metrics")
            .text()
            .expect("a text");
        assert!(counted.contains(&format!("keyward_panics_total {round}\n")), "{counted}");
    }
    assert_eq!(caller.code(&text(&root["secret"])), "ok");
    caller.get("/v1/me").expect(200);
    assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "the process lives");
    assert!(place.log().contains("internal error"), "and the operator can read of it");
}

#[test]
fn http_8_a_panic_leaves_the_connection_usable() {
    let server = Server::start();
    let bytes = format!("GET {FAULT} HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let answers = crate::socket::exchange(&server.address(), bytes.as_bytes());
    assert_eq!((answers.statuses(), answers.closed), (vec![500, 200], false), "{}", answers.text);
}

#[test]
fn http_8_bm_7_errors_of_every_kind_are_problem_documents() {
    let server = Server::start();
    let root = server.root();
    for (method, path, status) in [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/v1/keys/key_00000000000000000000000000", 404),
        ("GET", "/v1/keys/%F0%28%8C%28", 400),
        ("GET", "/v1/keys?limit=x", 400),
        ("GET", "/v1/keys?cursor=bogus", 400),
        ("POST", "/v1/keys", 400),
        ("DELETE", "/v1/keys", 405),
    ] {
        let answer = Answer::read(root.request(method, path).send().expect("an answer")).expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
        for field in ["type", "title", "detail", "code", "request_id"] {
            assert!(!text(&answer.body[field]).is_empty(), "{method} {path}: {field}");
        }
        assert_eq!(answer.body["status"], status, "{method} {path}");
        let page =
            client().get(format!("{}{}", server.url, text(&answer.body["type"]))).send().expect("a page");
        assert_eq!(page.status(), 200, "the type leads to a page of this server");
    }
}
