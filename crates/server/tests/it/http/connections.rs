//! Slow and silent clients, and the caps on connections (HTTP-3).

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::socket::{connect, drip, is_closed, now, read};
use crate::support::{Server, client};

const SECOND: Duration = Duration::from_secs(1);
const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server that is as impatient as it can be told to be.
fn impatient() -> Server {
    Server::with_config("server: {timeouts: {first_byte: 1s, header: 1s, idle: 1s}}")
}

/// Waits for the server to close; how long that took.
fn until_closed(stream: &mut TcpStream) -> Duration {
    let started = now();
    let exchange = read(stream, 10 * SECOND);
    assert!(exchange.closed, "it stays open");
    assert_eq!(exchange.text, "");
    started.elapsed()
}

fn is_about_a_second(time: Duration) -> bool {
    time > SECOND / 2 && time < 5 * SECOND
}

#[test]
fn http_3_a_connection_that_sends_nothing_is_closed() {
    let server = impatient();
    let mut silent: Vec<_> = (0..20).map(|_| connect(&server.address())).collect();
    let first = until_closed(&mut silent[0]);
    assert!(is_about_a_second(first), "{first:?}");
    let started = now();
    assert!(silent[1..].iter_mut().all(|stream| read(stream, SECOND).closed));
    assert!(started.elapsed() < 2 * SECOND, "all of them, not one after the other");
}

#[test]
fn http_3_a_head_that_comes_in_drops_is_closed() {
    let server = impatient();
    let mut stream = connect(&server.address());
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ").expect("sent");
    let (time, exchange) = drip(&mut stream, b"a", 10 * SECOND);
    assert!(is_about_a_second(time), "{time:?} {exchange:?}");
    let mut lines = connect(&server.address());
    lines.write_all(b"GET /healthz HTTP/1.1\r\n").expect("sent");
    let (time, exchange) = drip(&mut lines, b"X-A: b\r\n", 10 * SECOND);
    assert!(is_about_a_second(time), "whole lines are no sign of life: {time:?} {exchange:?}");
}

#[test]
fn http_3_the_second_head_on_a_connection_may_not_be_slow_either() {
    let server = impatient();
    let mut stream = connect(&server.address());
    stream.write_all(GET).expect("sent");
    assert_eq!(read(&mut stream, SECOND / 5).statuses(), [200]);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ").expect("sent");
    let (time, exchange) = drip(&mut stream, b"a", 10 * SECOND);
    assert!(is_about_a_second(time), "{time:?} {exchange:?}");
}

#[test]
fn http_3_a_body_that_comes_in_drops_is_408() {
    let server = impatient();
    for path in ["/v1/verify", "/v1/keys"] {
        let mut stream = connect(&server.address());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: 5000\r\n\r\n",
            server.operator()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let (time, exchange) = drip(&mut stream, b"     ", 10 * SECOND);
        assert!(is_about_a_second(time), "{path}: {time:?}");
        assert_eq!((exchange.statuses(), exchange.code()), (vec![408], "body_too_slow".into()), "{path}");
    }
}

#[test]
fn http_3_a_body_at_the_pace_may_take_longer() {
    let server = impatient();
    let mut stream = connect(&server.address());
    let head = format!(
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 12018\r\n\r\n{{\"credential\":\"x\"}}",
        server.operator()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let (time, exchange) = drip(&mut stream, &[b' '; 1200], 10 * SECOND);
    assert!(time > SECOND, "longer than a header may take: {time:?}");
    assert_eq!(exchange.statuses(), [200], "{}", exchange.text);
}

#[test]
fn http_3_an_idle_connection_is_kept_and_then_closed() {
    let server = impatient();
    let mut stream = connect(&server.address());
    for _ in 0..3 {
        stream.write_all(GET).expect("sent");
        let answer = read(&mut stream, SECOND / 2);
        assert_eq!((answer.statuses(), answer.closed), (vec![200], false), "kept for the next request");
    }
    let time = until_closed(&mut stream);
    assert!(time < 5 * SECOND, "{time:?}");
}

fn is_served(server: &Server) -> bool {
    client().get(format!("{}/healthz", server.url)).send().is_ok_and(|answer| answer.status() == 200)
}

fn count_open(streams: &mut [TcpStream]) -> usize {
    streams.iter_mut().filter_map(|stream| (!is_closed(stream)).then_some(())).count()
}

fn a_full_cap_serves_newcomers(config: &str) {
    let server = Server::with_config(config);
    let mut idle: Vec<_> = (0..30).map(|_| connect(&server.address())).collect();
    for _ in 0..10 {
        assert!(is_served(&server), "whoever is idle makes room");
    }
    let open = count_open(&mut idle);
    assert!(open <= 4, "{open} of 30 idle connections are open, 4 may be");
    let mut used: Vec<_> = (0..30).map(|_| connect(&server.address())).collect();
    for stream in &mut used {
        let _ = stream.write_all(GET);
        read(stream, SECOND / 20);
    }
    for _ in 0..10 {
        assert!(is_served(&server), "so does whoever had an answer and went silent");
    }
    assert!(count_open(&mut used) <= 4);
}

#[test]
fn http_3_a_full_cap_of_one_address_serves_newcomers() {
    a_full_cap_serves_newcomers("server: {max_connections_per_address: 4}");
}

#[test]
fn http_3_a_full_cap_serves_newcomers() {
    a_full_cap_serves_newcomers("server: {max_connections: 4, max_connections_per_address: 4}");
    a_full_cap_serves_newcomers("server: {max_connections: 4}");
}

#[test]
fn http_3_a_request_at_work_is_never_cut_for_a_newcomer() {
    let server = Server::with_config("server: {max_connections_per_address: 3}");
    let body = r#"{"credential":"x"}"#;
    let head = format!(
        "POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        server.operator(),
        body.len()
    );
    let mut busy: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = connect(&server.address());
            stream.write_all(head.as_bytes()).expect("sent");
            std::thread::sleep(SECOND / 20);
            stream
        })
        .collect();
    std::thread::sleep(SECOND / 5);
    assert!(!is_served(&server), "all places are at work");
    for stream in &mut busy {
        stream.write_all(body.as_bytes()).expect("sent");
        assert_eq!(read(stream, SECOND / 2).statuses(), [200]);
    }
    assert!(is_served(&server), "they are idle now");
}
