//! What clients of dialects send: read as the products read it, deaf to fields that they do not know.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::body::read_body;
use crate::http::json;
use crate::http::problem::Problem;

/// A whole body, within the limit of every other.
pub(crate) struct Whole(pub(crate) Bytes);

impl FromRequest<Arc<App>> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        Ok(Self(read_body(request.into_body(), &app.settings).await?))
    }
}

impl Whole {
    /// The JSON object in it; an empty body is an empty object. The type of the body must be one of these, or
    /// untold.
    ///
    /// # Errors
    /// 415 for another type, else as [`json::parse`].
    pub(crate) fn json<T: DeserializeOwned>(&self, headers: &HeaderMap, kinds: &[&str]) -> Result<T> {
        must_be_of(headers, kinds, "send the body as JSON")?;
        json::parse(if self.0.is_empty() { b"{}" } else { &self.0 })
    }

    /// The form in it.
    ///
    /// # Errors
    /// 415 for another type, `Error::Malformed` for what cannot be read.
    pub(crate) fn form<T: DeserializeOwned>(&self, headers: &HeaderMap) -> Result<T> {
        let kind = "application/x-www-form-urlencoded";
        must_be_of(headers, &[kind], "send the form as application/x-www-form-urlencoded")?;
        let text = std::str::from_utf8(&self.0).map_err(|_| bad("the form is not UTF-8"))?;
        query(text)
    }
}

/// The fields of a query or a form. NUL is in no text of ours, and PostgreSQL takes none.
///
/// # Errors
/// `Error::Malformed` for what cannot be read.
pub(crate) fn query<T: DeserializeOwned>(text: &str) -> Result<T> {
    if percent_decode_str(text).any(|byte| byte == 0) {
        return Err(bad("a field holds NUL"));
    }
    serde_html_form::from_str(text).map_err(|error| bad(&error.to_string()))
}

fn must_be_of(headers: &HeaderMap, kinds: &[&str], detail: &str) -> Result<()> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kinds.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(Error::Http { status: 415, code: "unsupported_media_type", detail: detail.into() })
}

fn bad(detail: &str) -> Error {
    Error::malformed("", "bad_value", detail)
}
