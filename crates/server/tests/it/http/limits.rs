//! Limits of a request, each with its exact status (HTTP-1, HTTP-2).

use std::io::Write;

use serde_json::{Value, json};

use crate::socket::{Exchange, connect, exchange, read};
use crate::support::{Answer, Caller, Server};

fn get(server: &Server, target: &str, headers: &str) -> Exchange {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
    exchange(&server.address(), request.as_bytes())
}

fn count_keys(root: &Caller) -> usize {
    root.get("/v1/keys").ok()["data"].as_array().expect("a list").len()
}

fn send(
    caller: &Caller,
    method: &str,
    path: &str,
    kind: &str,
    body: impl Into<reqwest::blocking::Body>,
) -> Answer {
    let request = caller.request(method, path).header("content-type", kind).body(body);
    Answer::read(request.send().expect("an answer"))
}

#[test]
fn http_1_a_target_longer_than_8_kib_is_414() {
    let server = Server::start();
    let target = |length: usize| format!("/healthz?{}", "a".repeat(length - "/healthz?".len()));
    assert_eq!(get(&server, &target(8192), "").statuses(), [200]);
    for length in [8193, 20_000] {
        let refused = get(&server, &target(length), "");
        assert_eq!((refused.statuses(), refused.code()), (vec![414], "uri_too_long".into()), "{length}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(refused.closed);
    }
}

#[test]
fn http_1_headers_larger_than_16_kib_or_more_than_100_are_431() {
    let server = Server::start();
    let large = |length: usize| format!("X-Large: {}\r\n", "a".repeat(length));
    assert_eq!(get(&server, "/healthz", &large(16_000)).statuses(), [200]);
    let refused = get(&server, "/healthz", &large(16_385));
    assert_eq!((refused.statuses(), refused.code()), (vec![431], "headers_too_large".into()));
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    assert_eq!(get(&server, "/healthz", &many(98)).statuses(), [200]);
    let refused = get(&server, "/healthz", &many(99));
    assert_eq!((refused.statuses(), refused.closed), (vec![431], true));
    assert_eq!(refused.code(), "headers_too_large", "{}", refused.text);
    let spread: String = (0..50).map(|n| format!("X-{n}: {}\r\n", "a".repeat(400))).collect();
    assert_eq!(get(&server, "/healthz", &spread).statuses(), [431], "small ones add up");
}

#[test]
fn http_1_a_body_larger_than_64_kib_is_413() {
    let server = Server::start();
    let root = server.root();
    let padded = |path: &str, length: usize| {
        let body = if path == "/v1/keys" {
            json!({ "class": "workspace", "label": "padded" })
        } else {
            json!({ "credential": "x" })
        };
        let body = body.to_string();
        send(&root, "POST", path, "application/json", format!("{}{body}", " ".repeat(length - body.len())))
    };
    let before = count_keys(&root);
    for path in ["/v1/keys", "/v1/verify", "/v1/verify/batch"] {
        padded(path, 65_537).refused(413, "body_too_large");
    }
    assert_eq!(count_keys(&root), before);
    padded("/v1/keys", 65_536).expect(201);
    padded("/v1/verify", 65_536).expect(200);
    assert_eq!(count_keys(&root), before + 1);
}

#[test]
fn http_1_a_chunked_body_larger_than_64_kib_is_413() {
    let server = Server::start();
    for path in ["/v1/keys", "/v1/verify"] {
        let mut stream = connect(&server.address());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            server.operator()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
        for _ in 0..5 {
            let _ = stream.write_all(chunk.as_bytes());
        }
        let refused = read(&mut stream, std::time::Duration::from_secs(2));
        assert_eq!((refused.statuses(), refused.code()), (vec![413], "body_too_large".into()), "{path}");
        assert!(refused.closed, "what follows the body cannot be found");
    }
}

#[test]
fn http_1_the_limit_of_bodies_is_a_setting() {
    let server = Server::with_config("limits: {max_body_bytes: 1024}");
    let root = server.root();
    let label = |length: usize| json!({ "class": "workspace", "label": "x".repeat(length) });
    root.post("/v1/keys", label(2000)).refused(413, "body_too_large");
    root.post("/v1/keys", label(90)).expect(201);
}

#[test]
fn http_1_depth_and_number_of_values_are_bounded() {
    let server = Server::start();
    let root = server.root();
    let before = count_keys(&root);
    let body =
        |conditions: &str| format!(r#"{{"class":"workspace","label":"deep","conditions":{conditions}}}"#);
    let nested = |depth: usize| body(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let first_fault = |answer: Answer| {
        assert_eq!(answer.status, 400, "{}", answer.text);
        answer.body["errors"][0].clone()
    };
    let deep = first_fault(send(&root, "POST", "/v1/keys", "application/json", nested(33)));
    assert_eq!(deep["code"], "bad_json");
    assert!(deep["detail"].as_str().expect("a text").contains("32 levels"), "{deep}");
    let far_deeper = first_fault(send(&root, "POST", "/v1/keys", "application/json", nested(30_000)));
    assert_eq!(far_deeper["code"], "bad_json");
    let shallow = send(&root, "POST", "/v1/keys", "application/json", nested(31)).expect(422);
    assert_eq!(
        shallow.body["errors"][0]["pointer"], "/conditions",
        "it is read, and then it is no condition"
    );
    let wide = first_fault(send(
        &root,
        "POST",
        "/v1/keys",
        "application/json",
        body(&format!("[{}1]", "1,".repeat(10_000))),
    ));
    assert!(wide["detail"].as_str().expect("a text").contains("10000 values"), "{wide}");
    assert_eq!(count_keys(&root), before);
}

#[test]
fn http_1_another_media_type_is_415() {
    let server = Server::start();
    let root = server.root();
    let body = json!({ "class": "workspace", "label": "typed" }).to_string();
    let before = count_keys(&root);
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data", ""]
    {
        send(&root, "POST", "/v1/keys", kind, body.clone()).refused(415, "unsupported_media_type");
        send(&root, "POST", "/v1/verify", kind, r#"{"credential":"x"}"#)
            .refused(415, "unsupported_media_type");
    }
    let untyped = root.request("POST", "/v1/keys").body(body.clone()).send().expect("an answer");
    Answer::read(untyped).refused(415, "unsupported_media_type");
    assert_eq!(count_keys(&root), before);
    send(&root, "POST", "/v1/keys", "application/json; charset=utf-8", body).expect(201);
    let merge = r#"{"max_keys_per_user": 3}"#;
    send(&root, "PATCH", "/v1/policies", "application/merge-patch+json", merge).expect(200);
    send(&root, "POST", "/v1/roles", "application/merge-patch+json", "{}")
        .refused(415, "unsupported_media_type");
}

#[test]
fn http_1_another_method_is_405_and_names_those_there_are() {
    let server = Server::start();
    let root = server.root();
    let cases = [
        ("PUT", "/v1/keys", &["GET", "POST"][..]),
        ("DELETE", "/v1/policies", &["GET", "PATCH"]),
        ("BREW", "/v1/keys", &["GET", "POST"]),
        ("OPTIONS", "/v1/me", &["GET"]),
        ("GET", "/v1/verify", &["POST"]),
        ("POST", "/healthz", &["GET"]),
    ];
    for (method, path, allowed) in cases {
        let answer = Answer::read(root.request(method, path).send().expect("an answer"));
        let methods: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        assert!(allowed.iter().all(|method| methods.contains(method)), "{method} {path}: {methods:?}");
        assert!(!methods.contains(&method), "{method} {path}: {methods:?}");
        answer.refused(405, "method_not_allowed");
    }
}

#[test]
fn http_1_trace_and_connect_are_405_on_every_path() {
    let server = Server::start();
    for request in [
        "TRACE /v1/keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer canary-in-trace\r\n\r\n",
        "TRACE /authz HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer canary-in-trace\r\n\r\n",
        "TRACE /nowhere HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer canary-in-trace\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let refused = exchange(&server.address(), request.as_bytes());
        assert_eq!(
            (refused.statuses(), refused.code()),
            (vec![405], "method_not_allowed".into()),
            "{request}"
        );
        assert!(!refused.header("allow").is_empty(), "RFC 9110 wants Allow with every 405");
        assert!(!refused.text.contains("canary"), "nothing is reflected");
    }
}

#[test]
fn http_1_verify_has_no_query_parameters() {
    let server = Server::start();
    let refused = server.root().post("/v1/verify?explain=true", json!({ "credential": "x" })).expect(400);
    assert_eq!(refused.body["errors"][0]["pointer"], "explain");
    server.root().post("/v1/verify?", json!({ "credential": "x" })).expect(200);
}

#[test]
fn http_2_compressed_bodies_are_refused_before_they_are_read() {
    let server = Server::start();
    let root = server.root();
    // 20 bytes of gzip that would become a valid body.
    for (path, coding) in
        [("/v1/keys", "gzip"), ("/v1/verify", "gzip"), ("/v1/keys", "br"), ("/v1/verify", "zstd")]
    {
        let request = root.request("POST", path).header("content-type", "application/json");
        let request =
            request.header("content-encoding", coding).body(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
        Answer::read(request.send().expect("an answer")).refused(415, "unsupported_media_type");
    }
    let answer = Answer::read(
        root.request("GET", "/openapi.json").header("accept-encoding", "gzip").send().expect("one"),
    );
    assert_ne!(answer.body, Value::Null, "answers are not compressed either");
}
