//! Envoy's `ext_authz` over gRPC (X1): `envoy.service.auth.v3.Authorization/Check`.
//!
//! A check is translated into the question that `/authz` gets too, judged there, and what `/authz` would say
//! is translated back. Nothing is decided here. It runs on the thread that owns the connection.

mod answer;
mod check;
mod wire;

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tower::service_fn;

use self::check::{Check, Unread};
use self::wire::Wire;
use crate::error::Error;
use crate::http::connection::ConnectionState;
use crate::http::dispatch::Dispatch;
use crate::http::{authz, body, problem};

/// The only method.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Bytes of a message, at most (HTTP-1).
const MAX_MESSAGE: usize = 64 * 1024;
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Answers one call. Never fails: what goes wrong becomes a status.
pub(crate) async fn answer(
    dispatch: &Dispatch,
    connection: &Arc<ConnectionState>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let _in_flight = connection.begin();
    let called = AssertUnwindSafe(call(dispatch, connection.peer, request)).catch_unwind().await;
    Ok(called.unwrap_or_else(|_| {
        dispatch.app.metrics.panics.inc();
        Status::internal("a handler panicked").into_http()
    }))
}

async fn call(dispatch: &Dispatch, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() != CHECK {
        return Status::unimplemented("only Check of envoy.service.auth.v3.Authorization is answered")
            .into_http();
    }
    let (head, body) = request.into_parts();
    // Within size and pace first: to tonic a message may come as slowly as it likes.
    let (body, mut fault) =
        match body::read_body_up_to(body, &dispatch.app.settings, MAX_MESSAGE + PREFIX).await {
            Ok(body) if is_one_message(&body) => (body, None),
            Ok(_) => return Status::invalid_argument("the body is not one whole message").into_http(),
            Err(error) if problem::status(&error) == StatusCode::PAYLOAD_TOO_LARGE => {
                (Bytes::from_static(&[0; PREFIX]), Some(error))
            }
            Err(error) => return unread(&error).into_http(),
        };
    let answering = service_fn(move |asked: tonic::Request<CheckRequest>| {
        let fault = fault.take();
        async move {
            let told = match fault {
                Some(error) => Ok(deny(dispatch, error)),
                None => judge(dispatch, peer, asked.into_inner()).await,
            };
            told.map(tonic::Response::new)
        }
    });
    Grpc::new(Wire).unary(answering, Request::from_parts(head, Full::new(body))).await
}

async fn judge(dispatch: &Dispatch, peer: IpAddr, asked: CheckRequest) -> Result<CheckResponse, Status> {
    let check = match Check::read(asked) {
        Ok(check) => check,
        Err(Unread::Garbage(what)) => return Err(Status::invalid_argument(what)),
        Err(Unread::Headers(what)) => return Ok(deny(dispatch, Error::forbidden("ambiguous_request", what))),
    };
    let request_id = dispatch.request_id(&check.headers);
    let origin = dispatch.origin(peer, &request_id);
    let told = authz::judge(&dispatch.app, check.question(&origin)).await;
    Ok(answer::of(&told, &check.headers, &dispatch.app.settings))
}

/// What a client can bring about is a denial: to a gateway a failed check may be none at all.
fn deny(dispatch: &Dispatch, error: Error) -> CheckResponse {
    let asked = HeaderMap::new();
    let request_id = dispatch.request_id(&asked);
    let told = authz::deny(error, request_id.to_str().unwrap_or_default());
    answer::of(&told, &asked, &dispatch.app.settings)
}

/// Whether it is as long as it says. tonic would call it our fault if not.
fn is_one_message(body: &[u8]) -> bool {
    body.split_first_chunk::<PREFIX>()
        .is_some_and(|([_, length @ ..], message)| u32::from_be_bytes(*length) as usize == message.len())
}

/// A body that is too slow or broke off.
fn unread(error: &Error) -> Status {
    let detail = problem::detail(error);
    match problem::status(error) {
        StatusCode::REQUEST_TIMEOUT => Status::deadline_exceeded(detail),
        _ => Status::invalid_argument(detail),
    }
}
