//! An API that checks the keys of its callers by itself.
//!
//!     KEYWARD_URL=http://127.0.0.1:8700 KEYWARD_TOKEN=kww_… cargo run --example axum
//!     curl http://127.0.0.1:9000/reports -H "Authorization: Bearer kwm_…"
//!
//! `GET /reports` needs the right `reports:read`, `POST` the right `reports:write`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use keyward_verify::{Decision, Question, Verifier};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let verifier = Verifier::new(&variable("KEYWARD_URL")?, &variable("KEYWARD_TOKEN")?)?;
    let listen = variable("LISTEN").unwrap_or_else(|_| "127.0.0.1:9000".into());
    let protected = Router::new()
        .route("/reports", get(list).post(create))
        .route_layer(from_fn_with_state(verifier, guard))
        .route("/healthz", get("fine"));
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, protected.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

async fn list(Extension(caller): Extension<Arc<Decision>>) -> String {
    format!("the reports of {}\n", name(&caller))
}

async fn create(Extension(caller): Extension<Arc<Decision>>) -> (StatusCode, String) {
    (StatusCode::CREATED, format!("a report of {}\n", name(&caller)))
}

fn name(caller: &Decision) -> &str {
    caller.principal.as_ref().map_or("nobody", |who| who.username.as_deref().unwrap_or(&who.id))
}

/// Lets through whom Keyward allows it; handlers find the decision in the extensions of the request.
async fn guard(
    State(verifier): State<Verifier>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(secret) = bearer(request.headers()) else { return challenge("no_credential") };
    let right = if *request.method() == Method::GET { "reports:read" } else { "reports:write" };
    let rights = [right];
    let question = Question::secret(secret)
        .rights(&rights)
        .method(request.method().as_str())
        .path(request.uri().path())
        .client_ip(peer.ip());
    let decided = verifier.verify(&question).await;
    match decided {
        Ok(decision) if decision.valid => {
            request.extensions_mut().insert(decision);
            next.run(request).await
        }
        Ok(decision) => refusal(&decision),
        // Neither yes nor no: never 401, or clients throw good keys away.
        Err(unknown) => {
            eprintln!("{unknown}");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(one), None) = (sent.next(), sent.next()) else { return None };
    let (scheme, secret) = one.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// 401, 403 or 429, with the reason code as the body.
fn refusal(decision: &Decision) -> Response {
    let status = StatusCode::from_u16(decision.status()).unwrap_or(StatusCode::FORBIDDEN);
    if status == StatusCode::UNAUTHORIZED {
        return challenge(&decision.code);
    }
    let mut response = (status, format!("{}\n", decision.code)).into_response();
    if let Some(seconds) = decision.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn challenge(code: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], format!("{code}\n")).into_response()
}
