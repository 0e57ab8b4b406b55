//! Envoy's question over gRPC, asked as Envoy asks it.

mod gateway;
mod messages;
mod same;
mod streams;

use std::collections::HashMap;
use std::net::TcpStream;

use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{Address as Place, HeaderValueOption, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use serde_json::Value;
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::transport::Channel;

use crate::support::{Server, free_port, wait_until};

/// The client's address that a check names unless told otherwise; no proxy of ours.
const CLIENT: &str = "192.0.2.7";

/// A connection of a gateway.
struct Gate {
    runtime: Runtime,
    client: AuthorizationClient<Channel>,
    port: u16,
}

/// A server with a gRPC listener, and a gateway that is connected to it.
fn start(config: &str) -> (Server, Gate) {
    let port = free_port();
    let server = Server::with_config(&format!("{}{config}", listening(port)));
    (server, Gate::connect(port))
}

/// The setting that switches it on.
fn listening(port: u16) -> String {
    format!("grpc: {{listen: '127.0.0.1:{port}'}}\n")
}

impl Gate {
    fn connect(port: u16) -> Self {
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        let builder = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = builder.expect("a runtime");
        let connected = runtime.block_on(AuthorizationClient::connect(format!("http://127.0.0.1:{port}")));
        Self { client: connected.expect("connects"), runtime, port }
    }

    /// What a message gets.
    fn send(&self, message: CheckRequest) -> Result<CheckResponse, Status> {
        let mut client = self.client.clone();
        self.runtime.block_on(client.check(message)).map(tonic::Response::into_inner)
    }

    /// What a check gets.
    #[track_caller]
    fn ask(&self, check: Check<'_>) -> Told {
        Told::read(self.send(check.message()).expect("an answer"))
    }

    /// The same with this secret as Bearer.
    #[track_caller]
    fn ask_as(&self, secret: &str, check: Check<'_>) -> Told {
        let bearer = format!("Bearer {secret}");
        let headers = [&[("authorization", bearer.as_str())][..], check.headers].concat();
        self.ask(Check { headers: &headers, ..check })
    }
}

/// What a gateway tells of its client.
#[derive(Clone, Copy)]
struct Check<'c> {
    method: &'c str,
    target: &'c str,
    source: &'c str,
    headers: &'c [(&'c str, &'c str)],
    /// Of the gateway's own configuration for the route.
    extensions: &'c [(&'c str, &'c str)],
}

impl Default for Check<'_> {
    fn default() -> Self {
        Self { method: "GET", target: "/things", source: CLIENT, headers: &[], extensions: &[] }
    }
}

impl Check<'_> {
    /// As Envoy sends it: with what HTTP/2 has before the headers among them.
    fn message(&self) -> CheckRequest {
        let mut headers = owned(&[(":method", self.method), (":path", self.target), (":authority", "a")]);
        headers.extend(owned(self.headers));
        let http = HttpRequest {
            method: self.method.into(),
            path: self.target.into(),
            host: "a".into(),
            scheme: "http".into(),
            headers,
            ..HttpRequest::default()
        };
        let socket = SocketAddress { address: self.source.into(), ..SocketAddress::default() };
        let address = Some(Place { address: Some(Address::SocketAddress(socket)) });
        let attributes = AttributeContext {
            source: Some(Peer { address, ..Peer::default() }),
            request: Some(Request { http: Some(http), ..Request::default() }),
            context_extensions: owned(self.extensions),
            ..AttributeContext::default()
        };
        CheckRequest { attributes: Some(attributes) }
    }
}

fn owned(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What a gateway is told.
#[derive(Debug)]
struct Told {
    /// Of the answer to the client; 200 for an allowance.
    status: u16,
    /// For the application when allowed, for the client when not.
    headers: Vec<(String, String)>,
    /// Taken out of the request before the application gets it.
    removed: Vec<String>,
    /// For the client, beside the application's answer.
    beside: Vec<(String, String)>,
    body: Value,
    metadata: HashMap<String, String>,
}

impl Told {
    #[track_caller]
    fn read(response: CheckResponse) -> Self {
        let metadata = response.dynamic_metadata.expect("metadata").fields.into_iter();
        let metadata = metadata.map(|(key, value)| match value.kind {
            Some(Kind::StringValue(text)) => (key, text),
            other => panic!("{key}: {other:?}"),
        });
        let allowed = response.status.expect("a status").code == 0;
        let told = match response.http_response.expect("an HTTP answer") {
            HttpResponse::OkResponse(ok) => Self {
                status: 200,
                headers: pairs(ok.headers),
                removed: ok.headers_to_remove,
                beside: pairs(ok.response_headers_to_add),
                body: Value::Null,
                metadata: metadata.collect(),
            },
            HttpResponse::DeniedResponse(denied) => Self {
                status: denied.status.expect("an HTTP status").code.try_into().expect("a status"),
                headers: pairs(denied.headers),
                removed: vec![],
                beside: vec![],
                body: serde_json::from_str(&denied.body).expect("a problem document"),
                metadata: metadata.collect(),
            },
            HttpResponse::ErrorResponse(error) => panic!("{error:?}"),
        };
        assert_eq!(allowed, told.status == 200, "{told:?}");
        told
    }

    /// All values of a header.
    fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// A header, empty if there is none.
    fn header(&self, name: &str) -> &str {
        self.values(name).first().copied().unwrap_or_default()
    }

    #[track_caller]
    fn allowed(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }

    #[track_caller]
    fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.metadata["code"], code);
        self
    }
}

/// Names and values; the first value of a name replaces what there is, and an empty one does so too.
#[track_caller]
fn pairs(options: Vec<HeaderValueOption>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for option in options {
        let header = option.header.expect("a header");
        let action = if pairs.iter().any(|(name, _)| *name == header.key) {
            HeaderAppendAction::AppendIfExistsOrAdd
        } else {
            HeaderAppendAction::OverwriteIfExistsOrAdd
        };
        assert_eq!((option.append_action, option.keep_empty_value), (action as i32, true), "{header:?}");
        pairs.push((header.key, header.value));
    }
    pairs
}
