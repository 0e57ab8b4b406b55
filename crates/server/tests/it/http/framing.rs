//! Heads that two servers could read in two ways (HTTP-5).

use crate::socket::exchange;
use crate::support::Server;

/// Each is refused with 400, and whatever follows on the connection is not read.
const DOUBTFUL: [(&str, &str); 21] = [
    ("length before coding", "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("coding before length", "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("two lengths", "Host: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n"),
    ("the same length twice", "Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("a list of lengths", "Host: a\r\nContent-Length: 5, 5\r\n\r\nhello"),
    ("a signed length", "Host: a\r\nContent-Length: +5\r\n\r\nhello"),
    ("a hexadecimal length", "Host: a\r\nContent-Length: 0x5\r\n\r\nhello"),
    ("an empty length", "Host: a\r\nContent-Length: \r\n\r\n"),
    ("another coding", "Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
    ("chunked and something", "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a blank before the colon", "Host: a\r\nContent-Length : 5\r\n\r\nhello"),
    ("a folded line", "Host: a\r\nX-One: 1\r\n two\r\n\r\n"),
    ("a line folded by a tab", "Host: a\r\nX-One: 1\r\n\ttwo\r\n\r\n"),
    ("a bare LF within the head", "Host: a\r\nX-One: 1\nX-Two: 2\r\n\r\n"),
    ("a bare LF at its end", "Host: a\r\nX-One: 1\r\n\n"),
    ("a bare CR", "Host: a\r\nX-One: 1\rX-Two: 2\r\n\r\n"),
    ("a NUL", "Host: a\r\nX-One: 1\x002\r\n\r\n"),
    ("a line without a colon", "Host: a\r\nX-One\r\n\r\n"),
    ("no Host", "X-One: 1\r\n\r\n"),
    ("two Hosts", "Host: a\r\nHost: b\r\n\r\n"),
];

/// Would make a key if it were read as a request of its own.
fn smuggled(server: &Server) -> String {
    let body = r#"{"class":"workspace","label":"smuggled"}"#;
    format!(
        "POST /v1/keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        server.operator(),
        body.len()
    )
}

#[test]
fn http_5_doubtful_heads_are_400_and_close_the_connection() {
    let server = Server::start();
    let behind = smuggled(&server);
    for (name, rest) in DOUBTFUL {
        for method in ["POST", "GET"] {
            let request = format!("{method} /v1/verify HTTP/1.1\r\n{rest}{behind}");
            let answer = exchange(&server.address(), request.as_bytes());
            assert_eq!(
                (answer.statuses(), answer.closed),
                (vec![400], true),
                "{method}, {name}: {}",
                answer.text
            );
            let code = answer.code();
            assert!(
                ["ambiguous_request", "malformed_request"].contains(&code.as_str()),
                "{name}: {}",
                answer.text
            );
            assert_eq!(answer.header("x-request-id").len(), 16, "{name}: {}", answer.text);
            assert_eq!(answer.header("connection"), "close", "{name}");
        }
    }
    let keys = server.root().get("/v1/keys?label=smuggled");
    assert!(!keys.text.contains("smuggled\",\"status"), "{}", keys.text);
    assert!(!server.root().get("/v1/keys").text.contains("smuggled"));
    let sound = exchange(&server.address(), behind.as_bytes());
    assert_eq!(sound.statuses(), [201], "the same request in front makes a key: {}", sound.text);
}

#[test]
fn http_5_a_doubtful_head_behind_good_ones_ends_the_connection_there() {
    let server = Server::start();
    let good = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    for (name, rest) in DOUBTFUL {
        let request = format!("{good}{good}POST /v1/verify HTTP/1.1\r\n{rest}{good}");
        let answer = exchange(&server.address(), request.as_bytes());
        assert_eq!(
            (answer.statuses(), answer.closed),
            (vec![200, 200, 400], true),
            "{name}: {}",
            answer.text
        );
        assert!(answer.text.contains("_request\",\"request_id\":"), "{name}: {}", answer.text);
    }
}

#[test]
fn http_5_a_head_that_nobody_can_read_gets_a_problem_document() {
    let server = Server::start();
    for head in [
        "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.7\r\nHost: a\r\n\r\n",
        "GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\r\n\r\n",
    ] {
        let answer = exchange(&server.address(), head.as_bytes());
        assert_eq!((answer.statuses(), answer.closed), (vec![400], true), "{head:?}: {}", answer.text);
        assert_eq!(answer.code(), "malformed_request", "{head:?}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let (_, body) = answer.text.split_once("\r\n\r\n").expect("a body");
        assert_eq!(answer.header("content-length"), body.len().to_string(), "{}", answer.text);
        assert!(body.contains(answer.header("x-request-id")), "{}", answer.text);
    }
}

#[test]
fn http_5_good_requests_may_be_pipelined() {
    let server = Server::start();
    let get = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let made = smuggled(&server);
    let answer = exchange(&server.address(), format!("{get}{made}{get}{made}{get}").as_bytes());
    assert_eq!((answer.statuses(), answer.closed), (vec![200, 201, 200, 201, 200], false), "{}", answer.text);
}

#[test]
fn http_5_pieces_of_a_head_are_one_head() {
    use std::io::Write as _;
    let server = Server::start();
    let mut stream = crate::socket::connect(&server.address());
    for piece in ["GET /heal", "thz HTTP/1.1\r", "\nHost: a\r\n", "\r", "\n"] {
        stream.write_all(piece.as_bytes()).expect("sent");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let answer = crate::socket::read(&mut stream, std::time::Duration::from_millis(300));
    assert_eq!((answer.statuses(), answer.closed), (vec![200], false));
}

#[test]
fn http_5_nothing_is_read_behind_a_chunked_body() {
    let server = Server::start();
    let chunked = format!(
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n12\r\n{{\"credential\":\"x\"}}\r\n0\r\n\r\n",
        server.operator()
    );
    let answer = exchange(&server.address(), format!("{chunked}{}", smuggled(&server)).as_bytes());
    assert_eq!((answer.statuses(), answer.closed), (vec![200], true), "{}", answer.text);
    assert_eq!(answer.header("connection"), "close");
    assert!(!server.root().get("/v1/keys").text.contains("smuggled"));
}

#[test]
fn http_5_http_1_0_needs_no_host() {
    let server = Server::start();
    let answer = exchange(&server.address(), b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!((answer.statuses(), answer.closed), (vec![200], true));
}
