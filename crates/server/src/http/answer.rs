//! What handlers answer with.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue, LOCATION, SET_COOKIE};
use serde::Serialize;

use super::problem::Problem;
use crate::error::Error;

/// The result of a handler.
pub(crate) type Answered = Result<Answer, Problem>;

/// A success.
pub(crate) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    version: Option<i64>,
    location: Option<String>,
    cookie: Option<String>,
}

impl Answer {
    /// 200 with an object or a list.
    pub(crate) fn ok(value: &impl Serialize) -> Answered {
        Self::with(StatusCode::OK, value)
    }

    /// 201 with the new object and where it is.
    pub(crate) fn created(value: &impl Serialize, location: String) -> Answered {
        Ok(Self { location: Some(location), ..Self::with(StatusCode::CREATED, value)? })
    }

    /// 202: taken, whatever becomes of it.
    pub(crate) fn accepted(value: &impl Serialize) -> Answered {
        Self::with(StatusCode::ACCEPTED, value)
    }

    /// 204.
    pub(crate) fn nothing() -> Answered {
        Ok(Self::of(StatusCode::NO_CONTENT, Vec::new()))
    }

    fn with(status: StatusCode, value: &impl Serialize) -> Answered {
        let body = serde_json::to_vec(value).map_err(Error::internal)?;
        Ok(Self::of(status, body))
    }

    fn of(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, body, version: None, location: None, cookie: None }
    }

    /// The same with the object's version as `ETag`.
    pub(crate) fn version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// The same with a cookie.
    pub(crate) fn cookie(mut self, cookie: String) -> Self {
        self.cookie = Some(cookie);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(version) = self.version
            && let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\""))
        {
            headers.insert(ETAG, tag);
        }
        if let Some(location) = self.location
            && let Ok(location) = HeaderValue::from_str(&location)
        {
            headers.insert(LOCATION, location);
        }
        if let Some(cookie) = self.cookie
            && let Ok(cookie) = HeaderValue::from_str(&cookie)
        {
            headers.insert(SET_COOKIE, cookie);
        }
        response
    }
}
