//! What pages send: `application/x-www-form-urlencoded`, with the mark of the session in it (WEB-1).

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::frame::Frame;
use super::typed::Typed;
use crate::app::App;
use crate::error::{Error, Fault, Result};
use crate::http::body::{most_for, read_body_up_to};
use crate::http::problem::Problem;
use crate::http::problems;

/// Fields in one form, at most.
const MOST: usize = 2_000;
const TOKEN: &str = "form_token";

/// A form. Fields that were left empty count as not sent; texts are trimmed of line breaks at their end.
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let frame = request.extensions().get::<Frame>().cloned();
        let frame = frame.ok_or_else(|| Error::internal("a form without its gate"))?;
        let typed = request.extensions().get::<Typed>().cloned();
        let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        if !kind.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded") {
            let detail = "send the form as application/x-www-form-urlencoded".into();
            return Err(Problem(Error::Http { status: 415, code: "unsupported_media_type", detail }));
        }
        let most = most_for(request.uri().path(), &app.settings);
        let body = read_body_up_to(request.into_body(), &app.settings, most).await?;
        let body = Zeroizing::new(body.to_vec());
        if let Some(typed) = typed {
            typed.keep(&body);
        }
        read(&body, &frame).map(Self).map_err(Problem)
    }
}

fn read<T: DeserializeOwned>(body: &[u8], frame: &Frame) -> Result<T> {
    let parts: Vec<&[u8]> = body.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).collect();
    if parts.len() > MOST {
        return Err(Error::malformed("", "too_long", "the form has too many fields"));
    }
    let mut token = None;
    let mut kept = Zeroizing::new(Vec::with_capacity(body.len()));
    for part in parts {
        match part.strip_prefix(TOKEN.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
            Some(value) => token = Some(percent_decode(value).collect::<Vec<u8>>()),
            None if part.ends_with(b"=") => {}
            None => {
                kept.extend_from_slice(part);
                kept.push(b'&');
            }
        }
    }
    if frame.visitor.is_some() {
        let token = token.unwrap_or_default();
        if !bool::from(token.ct_eq(frame.form_token().as_bytes())) {
            return Err(Error::forbidden("cross_site", problems::detail("cross_site")));
        }
    }
    let text = std::str::from_utf8(&kept).map_err(|_| bad("the form is not UTF-8"))?;
    serde_html_form::from_str(text.trim_end_matches('&')).map_err(|error| bad(&error.to_string()))
}

fn bad(detail: &str) -> Error {
    Error::malformed("", "bad_value", detail)
}

/// Lines of a field with several, without empty ones.
pub(crate) fn lines(text: Option<&str>) -> Vec<String> {
    let lines = text.unwrap_or_default().lines().flat_map(|line| line.split(','));
    lines.map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect()
}

/// The faults of a form, to be shown beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    /// What the person who filled the form in can set right; anything else goes on as an error.
    pub(crate) fn of(error: Error) -> Result<Self> {
        match error {
            Error::Malformed(faults) | Error::Invalid(faults) => Ok(Self(faults)),
            Error::Policy { rule, detail } => Ok(Self(vec![Fault::new(rule, "policy_violation", detail)])),
            Error::Conflict { code, detail } => Ok(Self(vec![Fault::new("", code, detail)])),
            Error::Forbidden { code, detail } if code != "step_up_required" => {
                Ok(Self(vec![Fault::new("", code, detail)]))
            }
            other => Err(other),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong about one field, whose JSON pointer begins with this.
    pub(crate) fn at(&self, field: &str) -> Option<&str> {
        let matches = |fault: &&Fault| {
            let place = fault.pointer.trim_start_matches('/');
            place.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.iter().find(matches).map(|fault| fault.detail.as_str())
    }
}

/// Whether a path may be gone to after a login: one of this console, and nothing that a browser would
/// read in another way (WEB-5).
pub(crate) fn is_own_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.?=&,+%:".contains(&byte);
    let below =
        path.strip_prefix("/console").is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let way = path.split('?').next().unwrap_or_default();
    below && path.bytes().all(plain) && !way.contains('%') && !way.contains("//") && !way.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_5_one_goes_to_paths_of_the_console_alone() {
        for good in ["/console", "/console/keys", "/console/keys?status=active&q=a%20b", "/console?x=1"] {
            assert!(is_own_path(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/console//evil.example",
            "/console/../..//evil.example",
            "/console%2f%2fevil.example",
            "/consolex",
            "console/keys",
            "/console/%2e%2e/x",
            "/console\r\nLocation: x",
            "/console/\t/x",
            "/v1/keys",
            "javascript:alert(1)",
            "/console@evil.example",
            "/console\u{2044}x",
        ] {
            assert!(!is_own_path(bad), "{bad}");
        }
    }

    #[test]
    fn lines_and_commas_part_values() {
        assert_eq!(lines(Some(" a, b\n\nc ,")), ["a", "b", "c"]);
        assert!(lines(None).is_empty());
    }
}
