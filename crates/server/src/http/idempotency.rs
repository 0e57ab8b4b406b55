//! `Idempotency-Key` on every POST (`api.md` 7): a repeated request gets the first answer, never a
//! second effect, and never a secret.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::body::{most_for, read_body_up_to};
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::random::to_hex;
use crate::store::Transaction;
use crate::store::idempotency::{self, IdempotencyKey, IdempotencyRow};

/// A request without an answer for longer than this has died.
const ABANDONED_MS: i64 = 60_000;

/// Runs a POST, once per key.
pub(crate) async fn run(app: &App, mut actor: Actor, mut request: Request, next: Next) -> Result<Response> {
    let Some(key) = request.headers().get("idempotency-key") else {
        request.extensions_mut().insert(actor);
        return Ok(next.run(request).await);
    };
    let key = IdempotencyKey {
        tenant: actor.tenant_id.clone(),
        principal: actor.principal.id.clone(),
        key: checked(key.to_str().unwrap_or_default())?,
    };
    let (parts, body) = request.into_parts();
    let most = most_for(parts.uri.path(), &app.settings);
    let body = read_body_up_to(body, &app.settings, most).await?;
    let hash = request_hash(app, parts.uri.path_and_query().map_or("", |path| path.as_str()), &body);
    if let Some(replay) = claim(app, &key, &hash).await? {
        return Ok(replay);
    }
    actor.idempotency = Some(key.clone());
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(actor);
    let response = next.run(request).await;
    keep(app, &key, response).await
}

/// What became of a form that carries a mark.
pub(crate) enum Sent {
    /// Nothing yet: it is to be carried out.
    Now,
    /// It was carried out before; here is what it made.
    Before(String),
}

/// The same for a form of the console: its mark is the key, and the place of what it made the answer.
pub(crate) async fn send_once(app: &App, actor: &mut Actor, mark: &str) -> Result<Sent> {
    let key = IdempotencyKey {
        tenant: actor.tenant_id.clone(),
        principal: actor.principal.id.clone(),
        key: format!("console-{}", checked(mark)?),
    };
    match claim(app, &key, "console form").await? {
        None => {
            actor.idempotency = Some(key);
            Ok(Sent::Now)
        }
        Some(replay) => {
            let location = replay.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            Ok(Sent::Before(location.unwrap_or("/console").to_owned()))
        }
    }
}

/// Keeps the place of what a form made; a refusal frees its mark.
pub(crate) async fn settle(app: &App, actor: &Actor, location: Option<&str>) -> Result<()> {
    let Some(key) = &actor.idempotency else { return Ok(()) };
    let mut tx = app.db.begin().await?;
    match location {
        Some(location) => idempotency::answer(tx.conn(), key, 303, location, "").await?,
        None => idempotency::release(tx.conn(), key).await?,
    }
    tx.commit().await
}

fn checked(text: &str) -> Result<String> {
    let good = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if good {
        return Ok(text.to_owned());
    }
    Err(Error::malformed("Idempotency-Key", "bad_value", "expected 1 to 255 visible ASCII characters"))
}

/// Keyed, because a body may hold a password (STO-4).
fn request_hash(app: &App, path: &str, body: &Bytes) -> String {
    to_hex(&app.root_key.mac(&[b"idempotent request v1\0", path.as_bytes(), b"\0", body].concat()))
}

/// Claims the key, or tells what became of the request that has it.
async fn claim(app: &App, key: &IdempotencyKey, hash: &str) -> Result<Option<Response>> {
    let now = app.clock.unix_ms();
    let mut tx = app.db.begin().await?;
    let claimed = claim_within(&mut tx, key, hash, now).await;
    // A transaction that is dropped costs its connection.
    match &claimed {
        Ok(None) => tx.commit().await?,
        _ => tx.rollback().await?,
    }
    claimed
}

async fn claim_within(
    tx: &mut Transaction,
    key: &IdempotencyKey,
    hash: &str,
    now: i64,
) -> Result<Option<Response>> {
    if idempotency::claim(tx.conn(), key, hash, now).await? {
        return Ok(None);
    }
    let earlier = idempotency::find(tx.conn(), key).await?;
    let earlier = earlier.ok_or_else(|| Error::outage("the earlier request vanished"))?;
    if earlier.request_hash != hash {
        return Err(Error::Http {
            status: 422,
            code: "idempotency_key_reused",
            detail: "the same Idempotency-Key came with another request before".into(),
        });
    }
    if earlier.status.is_some() {
        return replay(&earlier).map(Some);
    }
    if earlier.created_at + ABANDONED_MS > now {
        return Err(Error::conflict("request_in_progress", "the first request has not ended yet"));
    }
    if earlier.committed {
        return Err(Error::conflict("answer_lost", "the first request was carried out, its answer is lost"));
    }
    // It died before it changed anything: this one takes its place.
    idempotency::release(tx.conn(), key).await?;
    idempotency::claim(tx.conn(), key, hash, now).await?;
    Ok(None)
}

fn replay(row: &IdempotencyRow) -> Result<Response> {
    let status = u16::try_from(row.status.unwrap_or(200)).unwrap_or(200);
    let mut response = http::Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-replayed", "true");
    if let Some(location) = row.headers.as_deref().filter(|text| !text.is_empty()) {
        response = response.header(LOCATION, location);
    }
    response.body(Body::from(row.body.clone().unwrap_or_default())).map_err(Error::internal)
}

/// Keeps a success for replays; a refusal changed nothing and frees the key.
async fn keep(app: &App, key: &IdempotencyKey, response: Response) -> Result<Response> {
    let mut tx = app.db.begin().await?;
    if !response.status().is_success() {
        idempotency::release(tx.conn(), key).await?;
        tx.commit().await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(Error::internal)?.to_bytes();
    let location = parts.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = i64::from(parts.status.as_u16());
    idempotency::answer(tx.conn(), key, status, location, &without_secrets(&body)?).await?;
    tx.commit().await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The answer with its secret taken out: a replay says `"secret": null, "secret_state": "delivered"`.
fn without_secrets(body: &Bytes) -> Result<String> {
    if body.is_empty() {
        return Ok(String::new());
    }
    let mut value: Value = serde_json::from_slice(body).map_err(Error::internal)?;
    take_secrets_out(&mut value);
    Ok(value.to_string())
}

fn take_secrets_out(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    if fields.contains_key("secret") || fields.contains_key("secret_state") {
        for name in ["secret", "copy", "token", "uri", "recovery_codes"] {
            fields.entry(name).and_modify(|secret| *secret = Value::Null);
        }
        fields.insert("secret_state".into(), "delivered".into());
    }
    // The link of a secret that is handed over stands beside the key.
    fields.values_mut().for_each(take_secrets_out);
}
