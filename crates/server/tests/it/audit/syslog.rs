//! Events leave as syslog (RFC 5424), at least once, whatever happens to either side.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{all, person, tenant};
use crate::support::{Place, Server, free_port, text, wait_until};

/// What a receiver does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Reads to the end and closes.
    Good,
    /// Reads a little and hangs up.
    Rude,
}

/// A receiver on loopback that keeps the messages of whole connections.
struct Receiver {
    messages: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<()>>,
}

impl Receiver {
    fn listen(port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        listener.set_nonblocking(true).expect("sets");
        let (messages, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (kept, ended): (Arc<Mutex<Vec<String>>>, _) = (Arc::clone(&messages), stop.clone());
        let work = std::thread::spawn(move || {
            while !ended.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((stream, _)) => kept.lock().expect("no panic").extend(take(stream, manner)),
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        Self { messages, stop, work: Some(work) }
    }

    fn messages(&self) -> Vec<String> {
        self.messages.lock().expect("no panic").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(work) = self.work.take() {
            let _ = work.join();
        }
    }
}

fn take(mut stream: TcpStream, manner: Manner) -> Vec<String> {
    stream.set_nonblocking(false).expect("sets");
    if manner == Manner::Rude {
        let _ = stream.read_exact(&mut [0; 40]);
        return Vec::new();
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_or_else(|_| Vec::new(), |_| frames(&bytes))
}

/// The messages of a stream with octet counting (RFC 6587).
fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ').expect("a count");
        let count: usize = std::str::from_utf8(&bytes[..blank]).expect("digits").parse().expect("a number");
        let (message, rest) = bytes[blank + 1..].split_at(count);
        messages.push(String::from_utf8(message.to_vec()).expect("ASCII"));
        bytes = rest;
    }
    messages
}

/// A parameter of the structured data.
fn parameter(message: &str, name: &str) -> String {
    let value = message.split_once(&format!(" {name}=\"")).expect("the parameter").1;
    value.split_once('"').expect("its end").0.to_owned()
}

fn body(message: &str) -> Value {
    serde_json::from_str(message.split_once("\"] ").expect("a body").1).expect("JSON")
}

/// How often each event of a tenant came, in the order of their first coming.
fn counts(messages: &[String], tenant: &str) -> (Vec<i64>, BTreeMap<i64, usize>) {
    let (mut order, mut counts) = (Vec::new(), BTreeMap::new());
    for message in messages.iter().filter(|message| parameter(message, "tenant") == tenant) {
        let seq = parameter(message, "seq").parse().expect("a number");
        let count = counts.entry(seq).or_insert(0);
        *count += 1;
        if *count == 1 {
            order.push(seq);
        }
    }
    (order, counts)
}

fn config(port: u16, transport: &str, more: &str) -> String {
    format!(
        "audit: {{ syslog: {{ address: \"127.0.0.1:{port}\", transport: {transport}, timeout: 1s{more} }} }}\n"
    )
}

/// Number of the newest event of the caller's tenant.
fn newest(server: &Server) -> i64 {
    server.root().get("/v1/audit-events?limit=1").ok()["data"][0]["seq"].as_i64().expect("a number")
}

#[test]
fn aud_3_every_event_of_every_tenant_leaves_as_rfc_5424_over_tcp() {
    let port = free_port();
    let receiver = Receiver::listen(port, Manner::Good);
    let server = Server::with_config(&config(port, "tcp", ""));
    let root = server.root();
    let (acme, admin) = tenant(&server, "acme");
    let (_, _, mia) = person(&server, &admin, "mia", &["a:read", "roles:write"]);
    let browser = mia.request("POST", "/v1/roles").header("user-agent", "Bröwser \u{1f511} [\"x\"] \\");
    let named = json!({ "name": "Pruefer", "description": "Prüfer \u{1f511} ]\" \\", "rights": ["a:read"] });
    crate::support::Answer::read(browser.json(&named).send().expect("an answer")).expect(201);
    let _ = root.role("in the primary tenant", &["a:read"]);
    let expected = all(&admin, "/v1/audit-events");
    wait_until(|| counts(&receiver.messages(), &acme).0.len() >= expected.len());
    wait_until(|| !counts(&receiver.messages(), &server.tenant()).0.is_empty());
    let messages = receiver.messages();
    for message in &messages {
        assert!(message.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{message}");
        let words: Vec<&str> = message.splitn(7, ' ').collect();
        assert_eq!((words[0], words[3], words[4]), ("<109>1", "keyward", "-"), "{message}");
        assert!(words[1].parse::<jiff::Timestamp>().is_ok() && !words[2].is_empty(), "{message}");
        assert_eq!(words[5], text(&body(message)["action"]), "{message}");
        assert!(words[6].starts_with("[keyward@32473 id=\"event_"), "{message}");
    }
    let (order, times) = counts(&messages, &acme);
    assert!(order.is_sorted() && times.values().all(|count| *count == 1), "{times:?}");
    for event in &expected {
        let seq = event["seq"].to_string();
        let of = |message: &&String| parameter(message, "tenant") == acme && parameter(message, "seq") == seq;
        assert_eq!(&body(messages.iter().find(of).expect("it came")), event, "as the API shows it");
    }
    assert!(expected.iter().any(|event| event["actor"]["label"] == "mia"), "{expected:?}");
}

#[test]
fn r_13_nothing_is_lost_while_the_receiver_is_away_hangs_up_or_the_server_is_killed() {
    let port = free_port();
    let server = Server::with_config(&config(port, "tcp", ""));
    let write = |server: &Server, name: &str| {
        (1..=10).for_each(|number| drop(server.root().role(&format!("{name}-{number}"), &["a:read"])));
    };
    write(&server, "nobody-listens");
    wait_until(|| server.place.log().contains("syslog does not take events"));
    let rude = Receiver::listen(port, Manner::Rude);
    write(&server, "hung-up");
    let refused = || server.place.log().matches("syslog does not take events").count();
    let before = refused();
    wait_until(|| refused() > before);
    drop(rude);
    write(&server, "before-the-kill");
    let server = server.kill_and_restart();
    let receiver = Receiver::listen(port, Manner::Good);
    write(&server, "after-the-kill");
    let (last, tenant) = (newest(&server), server.tenant());
    wait_until(|| counts(&receiver.messages(), &tenant).0.last() >= Some(&last));
    // It is killed while the receiver takes what comes, and stopped in order.
    write(&server, "taken");
    let mut server = server.kill_and_restart();
    write(&server, "more");
    server.terminate();
    let server = server.restart();
    let last = newest(&server);
    wait_until(|| counts(&receiver.messages(), &tenant).0.last() >= Some(&last));
    let (order, times) = counts(&receiver.messages(), &tenant);
    let reached = *order.last().expect("events");
    assert_eq!(order, (1..=reached).collect::<Vec<_>>(), "each came, in order");
    assert!(reached >= 60 && times.values().all(|count| *count <= 3), "{times:?}");
}

#[test]
fn of_several_nodes_one_sends() {
    let port = free_port();
    let receiver = Receiver::listen(port, Manner::Good);
    let server = Server::with_config(&config(port, "tcp", ""));
    let nodes = [server.second_node(), server.second_node()];
    for number in 0..20 {
        for node in &nodes {
            node.caller(&server.operator()).role(&format!("role-{number}-{}", node.pid()), &["a:read"]);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let (last, tenant) = (newest(&server), server.tenant());
    wait_until(|| counts(&receiver.messages(), &tenant).0.last() >= Some(&last));
    let (order, times) = counts(&receiver.messages(), &tenant);
    assert!(order.is_sorted() && times.values().all(|count| *count == 1), "{times:?}");
    // When the one that sends is gone, another goes on.
    let server = server.kill_and_restart();
    drop(nodes);
    server.root().role("later", &["a:read"]);
    let last = newest(&server);
    wait_until(|| counts(&receiver.messages(), &tenant).0.last() >= Some(&last));
}

#[test]
fn udp_takes_a_datagram_for_each_event_also_as_ocsf() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("sets");
    let port = socket.local_addr().expect("an address").port();
    let server = Server::with_config(&config(port, "udp", ", format: ocsf"));
    server.root().role("told", &["a:read"]);
    for seq in 1..=4 {
        let mut bytes = [0; 65_536];
        let length = socket.recv(&mut bytes).expect("a datagram");
        let message = std::str::from_utf8(&bytes[..length]).expect("ASCII");
        assert!(message.starts_with("<109>1 "), "no count before it: {message}");
        assert_eq!(parameter(message, "seq"), seq.to_string());
        let event = body(message);
        assert_eq!(
            (&event["metadata"]["sequence"], &event["metadata"]["version"]),
            (&json!(seq), &json!("1.3.0"))
        );
        let class = event["class_uid"].as_u64().expect("a class");
        assert_eq!(event["type_uid"], class * 100 + event["activity_id"].as_u64().expect("a number"));
    }
}

/// A receiver with TLS that appends what it reads to a file.
struct TlsReceiver(Child);

impl TlsReceiver {
    fn start(place: &Place, port: u16) -> Self {
        let path = |name: &str| place.folder.path().join(name).display().to_string();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=syslog"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args([
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-keyout",
                &path("key.pem"),
                "-out",
                &path("cert.pem"),
            ])
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/audit/syslog.py");
        let child = Command::new("python3")
            .args([script, &path("messages"), &port.to_string(), &path("cert.pem"), &path("key.pem")])
            .spawn()
            .expect("python3 runs");
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self(child)
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn over_tls_only_to_a_receiver_whose_certificate_is_trusted() {
    let place = Place::new();
    let root = place.bootstrap();
    let port = free_port();
    let _receiver = TlsReceiver::start(&place, port);
    let kept = place.folder.path().join("messages");
    let read = || frames(&std::fs::read(&kept).unwrap_or_default());
    let ca = place.folder.path().join("cert.pem").display().to_string();
    let server = Server::serve(place, root, &config(port, "tls", ""));
    wait_until(|| server.place.log().contains("certificate"));
    assert!(read().is_empty(), "a stranger gets nothing");
    let server = server.kill_and_restart_with(&config(port, "tls", &format!(", ca_file: \"{ca}\"")));
    let (last, tenant) = (newest(&server), server.tenant());
    wait_until(|| counts(&read(), &tenant).0.last() >= Some(&last));
    let (order, _) = counts(&read(), &tenant);
    assert_eq!(order[..3], [1, 2, 3]);
}

#[test]
fn aud_6_what_the_receiver_does_not_have_is_not_closed() {
    let port = free_port();
    let keep = config(port, "tcp", "").replace("audit: {", "audit: { keep: 1d,");
    let server = Server::with_config(&keep);
    server.root().role("old", &["a:read"]);
    let later = |mut server: Server, days: u32| {
        server.terminate();
        server.place.ahead = Some(format!("+{}s", days * 86_400));
        server.restart()
    };
    let server = later(server, 4);
    wait_until(|| server.place.log().matches("syslog does not take events").count() >= 2);
    let closed =
        |server: &Server| server.root().get("/v1/audit-events/verification").ok()["closed_through"].clone();
    assert_eq!(closed(&server), 0, "the receiver is away, and everything is still there");
    let receiver = Receiver::listen(port, Manner::Good);
    wait_until(|| !receiver.messages().is_empty());
    let server = later(server, 4);
    wait_until(|| closed(&server) != 0);
    let (order, _) = counts(&receiver.messages(), &server.tenant());
    assert!(order.last() >= Some(&closed(&server).as_i64().expect("a number")), "{order:?}");
}

#[test]
fn ops_9_a_receiver_that_cannot_be_one_stops_the_start() {
    let place = Place::new();
    let file = place.folder.path().join("wrong.yml");
    let cases = [
        ("address: \"siem\"", "audit.syslog.address"),
        ("address: \"siem:0\"", "audit.syslog.address"),
        ("address: \"fd00::1:514\"", "audit.syslog.address"),
        ("address: \"a b:514\"", "audit.syslog.address"),
        ("transport: relp", "audit.syslog.transport"),
        ("format: cef", "audit.syslog.format"),
        ("timeout: 2m", "audit.syslog.timeout"),
    ];
    for (setting, key) in cases {
        std::fs::write(&file, format!("audit: {{ syslog: {{ {setting} }} }}\n")).expect("written");
        let check = ["config", "check", "--config", file.to_str().expect("UTF-8")];
        let output = place.keyward(&check).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(3), "{setting}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(key), "{setting}");
    }
    for good in ["siem.example.org:6514", "10.0.0.1:514", "[fd00::1]:6514"] {
        std::fs::write(&file, format!("audit: {{ syslog: {{ address: \"{good}\" }} }}\n")).expect("written");
        let check = ["config", "check", "--config", file.to_str().expect("UTF-8")];
        assert!(place.keyward(&check).output().expect("the binary runs").status.success(), "{good}");
    }
}
