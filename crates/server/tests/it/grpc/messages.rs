//! Messages that are no checks (HTTP-1, X1).

use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::streams::{END_STREAM, HEADERS, Raw};
use super::{Check, Gate, Told, start};
use crate::socket::now;

/// The status of a call whose message is these bytes.
fn call(gate: &Gate, path: &'static str, message: Vec<u8>) -> Code {
    let channel = Channel::from_shared(format!("http://127.0.0.1:{}", gate.port));
    let called = gate.runtime.block_on(async {
        let channel = channel.expect("an address").connect().await.expect("connects");
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.expect("ready");
        let path = http::uri::PathAndQuery::from_static(path);
        grpc.unary(tonic::Request::new(message), path, AnyBytes).await
    });
    called.map(|_| Code::Ok).unwrap_or_else(|status| status.code())
}

/// Messages of any bytes.
struct AnyBytes;

impl Codec for AnyBytes {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AnyBytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for AnyBytes {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        bytes.advance(bytes.remaining());
        Ok(Some(()))
    }
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

#[test]
fn x_1_http_1_garbage_is_an_invalid_argument_and_another_method_is_unimplemented() {
    let (server, gate) = start("");
    for garbage in [b"{\"attributes\":{}}".to_vec(), vec![0xff; 100], vec![0x0a, 0x7f, 1], vec![]] {
        assert_eq!(call(&gate, CHECK, garbage.clone()), Code::InvalidArgument, "{garbage:?}");
    }
    for path in ["/envoy.service.auth.v2.Authorization/Check", "/v1/me", "/authz", "/"] {
        assert_eq!(call(&gate, path, vec![]), Code::Unimplemented, "{path}");
    }
    gate.ask_as(&server.operator(), Check::default()).allowed();
}

/// A good check whose HTTP request was changed.
fn changed(change: impl FnOnce(&mut HttpRequest)) -> CheckRequest {
    let mut message = Check::default().message();
    let attributes = message.attributes.as_mut().expect("attributes");
    change(attributes.request.as_mut().and_then(|request| request.http.as_mut()).expect("an HTTP request"));
    message
}

#[test]
fn x_1_http_1_a_check_about_no_http_request_is_an_invalid_argument() {
    let (_server, gate) = start("");
    let mut missing = Check::default().message();
    missing.attributes.as_mut().expect("attributes").request = None;
    let raw = |key: &str, value: &[u8]| {
        let header = HeaderValue { key: key.into(), raw_value: value.into(), ..HeaderValue::default() };
        Some(HeaderMap { headers: vec![header] })
    };
    let named = |name: &str, value: &str| {
        let (name, value) = (name.to_owned(), value.to_owned());
        changed(|http| {
            http.headers.insert(name, value);
        })
    };
    let nul = changed(|http| {
        http.headers.clear();
        http.header_map = raw("x-nul", b"\0");
    });
    let status = gate.send(missing).expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    // What a client can send is a denial, whatever the gateway makes of checks that fail.
    for message in
        [nul, named("two words", "x"), named("", "x"), named("x-line", "a\r\nx-auth-subject: root")]
    {
        Told::read(gate.send(message).expect("an answer")).refused(403, "ambiguous_request");
    }
    let both = changed(|http| http.header_map = raw("authorization", b"Bearer x"));
    assert_eq!(gate.send(both).expect_err("refused").code(), Code::InvalidArgument);
}

#[test]
fn x_1_key_12_raw_headers_count_like_joined_ones_each_for_itself() {
    let (server, gate) = start("");
    let bearer = format!("Bearer {}", server.operator());
    let ask = |values: &[&str]| {
        let line = |value: &&str| HeaderValue {
            key: "authorization".into(),
            raw_value: value.as_bytes().into(),
            ..HeaderValue::default()
        };
        let headers = values.iter().map(line).collect();
        let message = changed(|http| {
            http.headers.clear();
            http.header_map = Some(HeaderMap { headers });
        });
        Told::read(gate.send(message).expect("an answer"))
    };
    ask(&[&bearer]).allowed();
    ask(&[&bearer, &bearer]).refused(401, "multiple_credentials");
    ask(&[]).refused(401, "no_credential");
}

#[test]
fn x_1_http_1_a_message_larger_than_64_kib_is_denied() {
    let (server, gate) = start("");
    let bearer = format!("Bearer {}", server.operator());
    let padded = |length: usize| {
        let padding = "a".repeat(length);
        let headers = [("authorization", bearer.as_str()), ("x-padding", padding.as_str())];
        gate.send(Check { headers: &headers, ..Check::default() }.message())
    };
    Told::read(padded(60_000).expect("an answer")).allowed();
    for length in [65_536, 1_000_000] {
        Told::read(padded(length).expect("an answer")).refused(413, "body_too_large");
    }
    Told::read(padded(1).expect("an answer")).allowed();
}

#[test]
fn x_1_http_3_a_message_that_does_not_come_is_given_up() {
    let (_server, gate) = start("server: {timeouts: {first_byte: 1s, header: 1s, idle: 1s}}");
    let mut raw = Raw::connect(gate.port);
    let started = now();
    raw.open(1);
    raw.data(1, &[0, 0], false);
    let told = raw.read_until(|frame| frame.kind == HEADERS && frame.stream == 1);
    assert_eq!(told.flags & END_STREAM, END_STREAM, "a status and nothing else");
    assert!(started.elapsed() > Duration::from_millis(500) && started.elapsed() < Duration::from_secs(5));
}
