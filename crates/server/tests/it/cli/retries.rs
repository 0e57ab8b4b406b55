//! Lost connections and busy servers: what is sent again, and what it becomes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use super::{Run, SECRET, keyward};

/// Answers each connection with the next text and hands out the requests it saw; an empty text
/// closes the connection without an answer.
fn answering(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = thread::spawn(move || {
        answers
            .iter()
            .map(|answer| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let request = read_request(BufReader::new(&mut stream));
                stream.write_all(answer.as_bytes()).expect("answered");
                request
            })
            .collect()
    });
    (address, seen)
}

fn read_request(mut reader: impl BufRead) -> String {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut request).expect("a request"), 0, "the request broke off");
    }
    let length = header(&request, "content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body).expect("a body");
    request + &body
}

fn header(request: &str, name: &str) -> Option<String> {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

fn run(args: &[&str], address: &str) -> Run {
    let mut command = keyward(args);
    command.env("KEYWARD_TOKEN", SECRET).env("KEYWARD_URL", address);
    command.output().expect("the binary runs").into()
}

#[test]
fn a_busy_server_and_a_lost_answer_are_tried_again_with_the_same_idempotency_key() {
    let done = answer("201 Created", "", r#"{"id":"user_1","username":"alice"}"#);
    let busy = answer("503 Service Unavailable", "retry-after: 0\r\n", "");
    let (address, seen) = answering(vec![busy, String::new(), done]);
    let run = run(&["users", "create", "alice", "-o", "json"], &address);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("user_1"), "{}", run.out);
    let requests = seen.join().expect("all were answered");
    let key = header(&requests[0], "idempotency-key").expect("has a key");
    assert!(requests.iter().all(|request| header(request, "idempotency-key").as_ref() == Some(&key)));
    assert!(requests.iter().all(|request| request.ends_with(r#"{"username":"alice"}"#)));
    assert_eq!(header(&requests[0], "authorization"), Some(format!("Bearer {SECRET}")));
}

#[test]
fn a_server_that_stays_busy_is_11() {
    let busy = answer("503 Service Unavailable", "retry-after: 0\r\n", "");
    let (address, seen) = answering(vec![busy.clone(), busy]);
    assert_eq!(run(&["whoami", "--retries", "1"], &address).code, 11);
    assert_eq!(seen.join().expect("all were answered").len(), 2);
}

#[test]
fn a_secret_lost_on_the_way_is_told_with_the_way_out() {
    let replay = r#"{"id":"key_1","secret":null,"secret_state":"delivered"}"#;
    let (address, _seen) = answering(vec![String::new(), answer("201 Created", "", replay)]);
    let run = run(&["keys", "create", "--label", "x", "-o", "json"], &address);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("keyward keys new-secret key_1"), "{}", run.err);
}

#[test]
fn refusals_are_told_with_their_exit_code_and_are_not_tried_again() {
    let problem = r#"{"title":"Too long","code":"policy_max_ttl","detail":"At most 90 days.","request_id":"req-1",
        "errors":[{"pointer":"/ttl_seconds","code":"too_long","detail":"is above the maximum"}],"policy":"member.max_ttl_days"}"#;
    let (address, seen) = answering(vec![answer("403 Forbidden", "", problem)]);
    let run = run(&["keys", "create", "--label", "x", "--ttl", "900d", "-o", "json"], &address);
    assert_eq!((run.code, run.out.as_str()), (7, ""));
    for part in
        ["Too long", "At most 90 days.", "/ttl_seconds: is above the maximum", "req-1", "member.max_ttl_days"]
    {
        assert!(run.err.contains(part), "{part} is missing: {}", run.err);
    }
    assert_eq!(seen.join().expect("all were answered").len(), 1);
}

#[test]
fn redirects_are_not_followed_with_the_token() {
    let (address, seen) =
        answering(vec![answer("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", "")]);
    assert_eq!(run(&["whoami"], &address).code, 1);
    assert_eq!(seen.join().expect("all were answered").len(), 1);
}

#[test]
fn ctrl_c_is_130() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let mut command = keyward(&["whoami", "--url", &address]);
    let child = command.env("KEYWARD_TOKEN", SECRET).spawn().expect("the binary runs");
    // Once it has connected it waits for an answer that never comes.
    let _connection = listener.accept().expect("a connection");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it still runs");
    let run: Run = child.wait_with_output().expect("it ends").into();
    assert_eq!((run.code, run.out.as_str()), (130, ""), "{}", run.err);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = keyward(&["completion", "bash"]).spawn().expect("the binary runs");
    drop(child.stdout.take());
    let run: Run = child.wait_with_output().expect("it ends").into();
    assert_eq!((run.code, run.err.as_str()), (0, ""));
}
