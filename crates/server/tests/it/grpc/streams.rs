//! Many calls on one connection, floods, and the end (HTTP-4, R6).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use prost::Message as _;
use serde_json::json;

use super::{Check, Told, start};
use crate::reliability::signal;
use crate::support::text;

/// Types of frames.
const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Flags.
pub(super) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection that sends what no client would.
pub(super) struct Raw(TcpStream);

/// A part of HTTP/2.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    payload: Vec<u8>,
}

impl Raw {
    pub(super) fn connect(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
        let mut raw = Self(stream);
        raw.frame(SETTINGS, 0, 0, &[]);
        raw
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.write_all(&frame(kind, flags, stream, payload)).expect("sent");
    }

    /// Begins a Check.
    pub(super) fn open(&mut self, stream: u32) {
        self.frame(HEADERS, END_HEADERS, stream, &head());
    }

    pub(super) fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        self.frame(DATA, if ends { END_STREAM } else { 0 }, stream, bytes);
    }

    /// The next frame; `None` at the end of the connection.
    fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Waits until the server has read all that was sent.
    fn ping(&mut self) {
        self.frame(PING, 0, 0, &[7; 8]);
        self.read_until(|frame| frame.kind == PING && frame.flags == 1);
    }

    /// Whether the server closed, and is not silent only.
    fn is_over(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// The first frame of this sort.
    #[track_caller]
    pub(super) fn read_until(&mut self, is_meant: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.read().expect("a frame before the end");
            if is_meant(&frame) {
                return frame;
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a Check after RFC 7541, without a dynamic table: POST, http, then texts whose names stand in the
/// static one, and one with its own name.
fn head() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let texts: [(&[u8], &str); 4] = [
        (&[0x04], "/envoy.service.auth.v3.Authorization/Check"),
        (&[0x01], "a"),
        (&[0x0f, 0x10], "application/grpc"),
        (b"\0\x02te", "trailers"),
    ];
    for (name, value) in texts {
        block.extend(name);
        block.push(u8::try_from(value.len()).expect("short"));
        block.extend(value.as_bytes());
    }
    block
}

fn opened_and_reset(stream: u32) -> Vec<u8> {
    let cancel = 8_u32.to_be_bytes();
    [frame(HEADERS, END_HEADERS, stream, &head()), frame(RST_STREAM, 0, stream, &cancel)].concat()
}

/// A message as it goes over the wire.
fn framed(check: Check<'_>) -> Vec<u8> {
    let message = check.message().encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).expect("a length").to_be_bytes());
    framed.extend(message);
    framed
}

#[test]
fn http_4_x_1_a_thousand_checks_at_once_on_one_connection() {
    let (server, gate) = start("");
    let (_, key) = server.root().member("ada", &["reports:read"]);
    let bearer = format!("Bearer {}", text(&key["secret"]));
    let answers = gate.runtime.block_on(futures_util::future::join_all((0..1000).map(|number| {
        let mut client = gate.client.clone();
        let right = if number % 2 == 0 { "reports:read" } else { "reports:write" };
        let (headers, extensions) = ([("authorization", bearer.as_str())], [("right", right)]);
        let message = Check { headers: &headers, extensions: &extensions, ..Check::default() }.message();
        async move { client.check(message).await }
    })));
    for (number, answer) in answers.into_iter().enumerate() {
        let told = Told::read(answer.expect("an answer").into_inner());
        assert_eq!(told.status, if number % 2 == 0 { 200 } else { 403 }, "{number}");
    }
}

#[test]
fn http_4_streams_and_headers_are_bounded_and_a_flood_of_resets_ends_the_connection() {
    let (server, gate) = start("");
    let mut raw = Raw::connect(gate.port);
    let told = raw.read_until(|frame| frame.kind == SETTINGS && frame.flags == 0);
    let setting = |id: u16| {
        let mut pairs = told.payload.chunks_exact(6).map(|pair| {
            let value = u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]);
            (u16::from_be_bytes([pair[0], pair[1]]), value)
        });
        pairs.find(|(name, _)| *name == id).map(|(_, value)| value)
    };
    assert_eq!((setting(3), setting(6)), (Some(200), Some(16 * 1024)), "RFC 9113 6.5.2");
    let flood: Vec<u8> = (1..2000_u32).step_by(2).flat_map(opened_and_reset).collect();
    // At once, so that they wait together. The server may close while we still write.
    let _ = raw.0.write_all(&flood);
    let _ = std::iter::from_fn(|| raw.read()).count();
    assert!(raw.is_over());
    gate.ask_as(&server.operator(), Check::default()).allowed();
}

#[test]
fn http_4_http_1_is_not_spoken() {
    let (server, gate) = start("");
    let request =
        format!("GET /authz HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", server.operator());
    let exchange = crate::socket::exchange(&format!("127.0.0.1:{}", gate.port), request.as_bytes());
    assert!(exchange.closed && !exchange.text.contains("200"), "{exchange:?}");
}

#[test]
fn r_6_a_stop_says_goaway_and_lets_checks_in_flight_end() {
    let (mut server, gate) = start("");
    let key = server.root().key(json!({ "class": "workspace", "label": "busy" }));
    let bearer = format!("Bearer {}", text(&key["secret"]));
    let message = framed(Check { headers: &[("authorization", &bearer)], ..Check::default() });
    let mut raw = Raw::connect(gate.port);
    raw.open(1);
    raw.data(1, &message[..10], false);
    raw.ping();
    gate.ask_as(&text(&key["secret"]), Check::default()).allowed();
    signal(server.pid(), "TERM");
    raw.read_until(|frame| frame.kind == GOAWAY);
    assert!(TcpStream::connect(("127.0.0.1", gate.port)).is_err(), "nobody new is let in");
    raw.data(1, &message[10..], true);
    let answer = raw.read_until(|frame| frame.kind == DATA && frame.stream == 1);
    let id = text(&key["id"]);
    let is_answer = answer.payload.windows(id.len()).any(|part| part == id.as_bytes());
    assert!(is_answer, "the identity of the key: {answer:?}");
    raw.read_until(|frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0);
    drop((raw, gate));
    let (took, code) = server.wait();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
