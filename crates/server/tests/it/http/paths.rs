//! Paths, bodies and parameters that could be read in two ways (HTTP-6).

use serde_json::json;

use crate::socket::exchange;
use crate::support::{Answer, Server, text};

/// Refused before routing.
const PATHS: [&str; 17] = [
    "/v1/./me",
    "/v1/../v1/me",
    "/v1/keys/..",
    "/./v1/me",
    "//v1/me",
    "/v1//me",
    "/v1/me//",
    "/v1/%2e/me",
    "/v1/%2E%2e/v1/me",
    "/v1%2fme",
    "/v1%2Fme",
    "/v1/me;x=1",
    "/v1/me%3Bx",
    "/v1\\me",
    "/v1/me%00",
    "/v1/%252e%252e/me",
    "/v1/me//..;/keys",
];

#[test]
fn http_6_paths_that_read_in_two_ways_are_400() {
    let server = Server::start();
    for path in PATHS {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            server.operator()
        );
        let answer = exchange(&server.address(), request.as_bytes());
        assert_eq!(answer.statuses(), [400], "{path}: {}", answer.text);
        assert!(!answer.text.contains("access_key"), "{path}");
    }
    server.root().get("/v1/me").expect(200);
}

#[test]
fn http_6_x1_a_gateways_path_that_reads_in_two_ways_is_403() {
    let server = Server::start();
    let root = server.root();
    let ask = |name: &str, uri: &str| {
        let request = root.request("GET", "/authz").header(name, uri);
        Answer::read(request.send().expect("an answer"))
    };
    for path in PATHS {
        for name in ["X-Forwarded-Uri", "X-Original-Uri"] {
            ask(name, path).refused(403, "ambiguous_request");
        }
        let request = format!(
            "GET /authz{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            server.operator()
        );
        let answer = exchange(&server.address(), request.as_bytes());
        assert_eq!(answer.statuses(), [403], "{path}: {}", answer.text);
    }
    ask("X-Forwarded-Uri", "/v1/me").expect(200);
    let twice = root.request("GET", "/authz").header("X-Forwarded-Uri", "/a").header("X-Forwarded-Uri", "/b");
    Answer::read(twice.send().expect("an answer")).refused(403, "ambiguous_request");
    let contrary =
        root.request("GET", "/authz").header("X-Forwarded-Uri", "/a").header("X-Original-Uri", "/b");
    Answer::read(contrary.send().expect("an answer")).refused(403, "ambiguous_request");
}

#[test]
fn http_6_a_key_twice_in_one_object_is_400() {
    let server = Server::start();
    let root = server.root();
    let before = root.get("/v1/keys").text;
    let send = |path: &str, body: &str| {
        let request =
            root.request("POST", path).header("content-type", "application/json").body(body.to_owned());
        Answer::read(request.send().expect("an answer"))
    };
    for (path, body) in [
        ("/v1/keys", r#"{"class":"workspace","label":"one","label":"two"}"#),
        ("/v1/keys", r#"{"class":"workspace","label":"one","l\u0061bel":"two"}"#),
        (
            "/v1/keys",
            r#"{"class":"workspace","label":"one","conditions":{"methods":["GET"],"methods":["PUT"]}}"#,
        ),
        ("/v1/verify", r#"{"credential":"x","credential":"y"}"#),
        ("/v1/verify/batch", r#"{"requests":[{"credential":"x","credential":"y"}]}"#),
        ("/v1/users", r#"{"username":"ada","username":"ada"}"#),
    ] {
        send(path, body).refused(400, "malformed_request");
    }
    assert_eq!(root.get("/v1/keys").text, before);
}

#[test]
fn http_6_a_parameter_twice_is_400() {
    let server = Server::start();
    let root = server.root();
    for query in ["limit=1&limit=2", "limit=1&limit=1", "q=a&%71=b", "status=active&status=revoked"] {
        let refused = root.get(&format!("/v1/keys?{query}")).expect(400);
        assert_eq!(refused.body["errors"][0]["code"], "duplicate_parameter", "{query}");
    }
    root.get("/v1/keys?status=active,revoked").expect(200);
}

#[test]
fn http_6_unknown_fields_and_parameters_are_400_with_a_suggestion() {
    let server = Server::start();
    let root = server.root();
    let field = root.post("/v1/keys", json!({ "class": "workspace", "lable": "x" })).expect(400);
    assert_eq!((text(&field.body["errors"][0]["pointer"])), "/lable");
    assert!(text(&field.body["errors"][0]["detail"]).contains("label"));
    let parameter = root.get("/v1/keys?statsu=active").expect(400);
    assert!(text(&parameter.body["errors"][0]["detail"]).contains("status"));
}
