//! What `/authz` would say, as the answer to a check.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc;
use http::StatusCode;
use http::header::{self, HeaderMap};
use tonic::Code;

use crate::config::Settings;
use crate::http::authz::Told;
use crate::http::dialects::door;

/// What begins so is about the caller: for the application, never for the client.
const IDENTITY: &str = "x-auth-";
/// What access logs and later filters find in the dynamic metadata, and the header that says it.
const METADATA: [(&str, &str); 5] = [
    ("code", "x-auth-code"),
    ("tenant", "x-auth-tenant"),
    ("key_id", "x-auth-key-id"),
    ("subject", "x-auth-subject"),
    ("rights", "x-auth-rights"),
];

/// The answer; `asked` are the headers of the client's request.
pub(super) fn of(told: &Told, asked: &HeaderMap, settings: &Settings) -> CheckResponse {
    let (code, http) = match told.status() {
        StatusCode::OK => (Code::Ok, HttpResponse::OkResponse(allow(told, asked, settings))),
        StatusCode::UNAUTHORIZED => (Code::Unauthenticated, deny(told)),
        StatusCode::TOO_MANY_REQUESTS => (Code::ResourceExhausted, deny(told)),
        status if status.is_server_error() => (Code::Unavailable, deny(told)),
        _ => (Code::PermissionDenied, deny(told)),
    };
    CheckResponse {
        status: Some(rpc::Status { code: code as i32, ..rpc::Status::default() }),
        dynamic_metadata: Some(metadata(told.headers())),
        http_response: Some(http),
    }
}

fn allow(told: &Told, asked: &HeaderMap, settings: &Settings) -> OkHttpResponse {
    // Whatever may have carried the credential. A cookie stays, with the application's own.
    let seeq = settings.dialects.seeq.enabled.then_some(door::SQ_AUTH);
    let own = [header::AUTHORIZATION, settings.server.api_key_header.clone()];
    let carriers = own.into_iter().chain(seeq).filter(|name| asked.contains_key(name));
    OkHttpResponse {
        headers: options(told.headers(), |name| name.starts_with(IDENTITY)),
        headers_to_remove: carriers.map(|name| name.to_string()).collect(),
        response_headers_to_add: options(told.headers(), |name| name.starts_with("ratelimit")),
        ..OkHttpResponse::default()
    }
}

fn deny(told: &Told) -> HttpResponse {
    HttpResponse::DeniedResponse(DeniedHttpResponse {
        status: Some(HttpStatus { code: told.status().as_u16().into() }),
        headers: options(told.headers(), |name| !name.starts_with(IDENTITY)),
        body: String::from_utf8_lossy(told.body()).into_owned(),
    })
}

/// The headers with such a name, to be set over whatever there is.
fn options(headers: &HeaderMap, is_meant: impl Fn(&str) -> bool) -> Vec<HeaderValueOption> {
    let mut options: Vec<HeaderValueOption> = Vec::new();
    for name in headers.keys().filter(|name| is_meant(name.as_str())) {
        for (at, value) in headers.get_all(name).iter().enumerate() {
            let action = match at {
                0 => HeaderAppendAction::OverwriteIfExistsOrAdd,
                _ => HeaderAppendAction::AppendIfExistsOrAdd,
            };
            let header = HeaderValue { key: name.to_string(), value: text(value), ..HeaderValue::default() };
            options.push(HeaderValueOption {
                header: Some(header),
                append_action: action.into(),
                keep_empty_value: true,
                ..HeaderValueOption::default()
            });
        }
    }
    options
}

fn metadata(headers: &HeaderMap) -> Struct {
    let field = |(key, name): (&str, &str)| {
        let kind = Kind::StringValue(headers.get(name).map(text).unwrap_or_default());
        (key.to_owned(), Value { kind: Some(kind) })
    };
    Struct { fields: METADATA.into_iter().map(field).collect() }
}

/// ASCII always: what is not was percent-encoded.
fn text(value: &http::HeaderValue) -> String {
    value.to_str().unwrap_or_default().to_owned()
}
