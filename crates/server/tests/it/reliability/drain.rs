//! An orderly stop (R6).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use super::signal;
use crate::support::{Caller, Server, text};

/// A verification whose body comes in two parts, with the stop signal in between.
struct Slow {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Slow {
    fn begin(server: &Server, secret: &str) -> Self {
        let body = json!({ "credential": secret }).to_string();
        let head = format!(
            "POST /v1/verify HTTP/1.1\r\nhost: keyward\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            server.operator(),
            body.len()
        );
        let mut stream = TcpStream::connect(server.address()).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("sets");
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(&body.as_bytes()[..10]).expect("sent");
        Self { stream, rest: body.as_bytes()[10..].to_vec() }
    }

    fn end(mut self) -> String {
        self.stream.write_all(&self.rest).expect("sent");
        let mut answer = String::new();
        let _ = self.stream.read_to_string(&mut answer);
        answer
    }
}

/// Verifies over one connection until it is closed; returns when the request that failed was sent.
fn verify_until_closed(caller: &Caller, secret: &str) -> Instant {
    let http =
        reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
    loop {
        let sent = Instant::now();
        let request = http.post(format!("{}/v1/verify", caller.url)).bearer_auth(&caller.secret);
        match request.json(&json!({ "credential": secret })).send() {
            Ok(answer) => assert_eq!(answer.status(), 200),
            Err(_) => return sent,
        }
    }
}

#[test]
fn r6_sigterm_under_load_fails_nothing_in_flight() {
    let mut server = Server::start();
    let root = server.root();
    let secret = text(&root.key(json!({ "class": "ingest", "label": "busy" }))["secret"]);
    let stopped = Mutex::new(Instant::now());
    let slow: Vec<_> = (0..8).map(|_| Slow::begin(&server, &secret)).collect();
    let (failed, answers) = std::thread::scope(|scope| {
        let load: Vec<_> = (0..4).map(|_| scope.spawn(|| verify_until_closed(&root, &secret))).collect();
        std::thread::sleep(Duration::from_millis(500));
        *stopped.lock().expect("no panic") = Instant::now();
        signal(server.pid(), "TERM");
        std::thread::sleep(Duration::from_millis(300));
        // Not ready at once: nobody new is let in.
        assert!(TcpStream::connect(server.address()).is_err(), "a draining server takes new connections");
        let answers: Vec<_> = slow.into_iter().map(Slow::end).collect();
        (load.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>(), answers)
    });
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"valid\":true"), "{answer:?}");
    }
    let stopped = *stopped.lock().expect("no panic");
    for sent in failed {
        assert!(sent >= stopped, "a request that was sent before the signal failed");
    }
    let (_, code) = server.wait();
    assert_eq!(code, Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(10), "it took {:?} to end", stopped.elapsed());
}

#[test]
fn r6_a_request_that_never_ends_does_not_keep_the_server_longer_than_told() {
    let mut server = Server::with_config("server: { drain: 1s }\n");
    let secret = text(&server.root().key(json!({ "class": "ingest", "label": "slow" }))["secret"]);
    let _never_ended = Slow::begin(&server, &secret);
    std::thread::sleep(Duration::from_millis(100));
    let (took, code) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(5), "it took {took:?}");
}
