//! Reading request bodies within size and pace (HTTP-1, HTTP-2, HTTP-3).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::config::Settings;
use crate::error::{Error, Result};

/// Bytes of a body with many rows in it.
pub(crate) const LARGE: usize = 8 * 1024 * 1024;

/// Bytes that a body may have where it goes.
pub(crate) fn most_for(path: &str, settings: &Settings) -> usize {
    match path {
        "/v1/imports" | "/console/import" | "/console/import/check" => LARGE,
        _ => settings.limits.max_body_bytes,
    }
}

/// Reads a whole body: no larger than the configured limit, and once it takes longer than a header
/// may, no slower than the configured pace.
///
/// # Errors
/// 413 and 408 as `Error::Http`; `Error::Malformed` when the body breaks off.
pub(crate) async fn read_body<B>(body: B, settings: &Settings) -> Result<Bytes>
where
    B: Body<Data = Bytes>,
{
    read_body_up_to(body, settings, settings.limits.max_body_bytes).await
}

/// The same of a body that may be of another size.
///
/// # Errors
/// As [`read_body`].
pub(crate) async fn read_body_up_to<B>(body: B, settings: &Settings, most: usize) -> Result<Bytes>
where
    B: Body<Data = Bytes>,
{
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    let mut started = None;
    loop {
        // The first poll is free of timers: nearly every body is there already.
        let frame = match futures_util::FutureExt::now_or_never(body.frame()) {
            Some(frame) => frame,
            None => {
                let start = *started.get_or_insert_with(Instant::now);
                let timeouts = &settings.server.timeouts;
                let earned = whole.len() as u64 / timeouts.body_bytes_per_second.max(1);
                let deadline = start + timeouts.header + Duration::from_secs(earned);
                Box::pin(timeout_at(deadline, body.frame())).await.map_err(|_| too_slow())?
            }
        };
        match frame {
            None => return Ok(whole.freeze()),
            Some(Err(_)) => return Err(Error::malformed("", "broken_body", "the body broke off")),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if whole.len() + data.len() > most {
                    return Err(too_large(most));
                }
                if whole.is_empty() && body.is_end_stream() {
                    return Ok(data);
                }
                whole.extend_from_slice(&data);
            }
        }
    }
}

fn too_large(most: usize) -> Error {
    let detail = format!("the body is larger than {most} bytes");
    Error::Http { status: 413, code: "body_too_large", detail }
}

fn too_slow() -> Error {
    Error::Http { status: 408, code: "body_too_slow", detail: "the body came too slowly".into() }
}
