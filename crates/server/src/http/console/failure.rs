//! How an error is told to a person: what happened, why, and a way on.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use super::frame::Frame;
use crate::error::{Error, Fault};
use crate::http::problem;

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    f: &'a Frame,
    heading: &'static str,
    detail: String,
    faults: &'a [Fault],
    code: &'static str,
    request_id: &'a str,
    /// Those hold the right may grant it.
    is_right: bool,
}

/// The page of an error.
pub(super) fn show(frame: &Frame, error: &Error, request_id: &str) -> Response {
    problem::log(error, request_id);
    let status = problem::status(error);
    let page = FailurePage {
        f: frame,
        heading: heading(frame, error),
        detail: problem::detail(error),
        faults: match error {
            Error::Malformed(faults) | Error::Invalid(faults) => faults,
            _ => &[],
        },
        code: problem::code(error),
        request_id,
        is_right: problem::code(error) == "insufficient_rights",
    };
    let html = page.render().unwrap_or_else(|_| problem::detail(error));
    let mut response = (status, axum::response::Html(html)).into_response();
    if let Error::RateLimited(seconds) = error {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

#[derive(Template)]
#[template(path = "poll_over.html")]
struct PollOver<'a> {
    f: &'a Frame,
}

/// The same for a part that a page asks for by itself: the page stays while the server is in trouble, and else it
/// asks no longer.
pub(super) fn poll(frame: &Frame, error: &Error, request_id: &str) -> Response {
    problem::log(error, request_id);
    let status = problem::status(error);
    if status.is_server_error() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let html = PollOver { f: frame }.render().unwrap_or_else(|_| problem::detail(error));
    (status, axum::response::Html(html)).into_response()
}

fn heading(frame: &Frame, error: &Error) -> &'static str {
    match error {
        Error::Malformed(_) | Error::Invalid(_) => frame.t("That cannot be done as it was sent"),
        Error::Unauthenticated(_) | Error::SecondFactor(_) => frame.t("Please log in"),
        Error::Forbidden { .. } => frame.t("You may not do that"),
        Error::NotFound => frame.t("There is nothing here"),
        Error::Conflict { .. } | Error::StaleVersion => frame.t("It has changed meanwhile"),
        Error::Policy { .. } => frame.t("A rule of the tenant stands against it"),
        Error::RateLimited(_) => frame.t("Too many attempts"),
        Error::NotSetUp => frame.t("This instance is not set up yet"),
        Error::Outage(_) => frame.t("The database cannot be reached"),
        Error::Http { .. } => frame.t("That was not understood"),
        _ => frame.t("Something went wrong on our side"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::console::frame::Frame;

    #[test]
    fn an_error_is_told_with_its_code_and_a_way_on() {
        let frame = Frame::sample();
        let error = Error::forbidden("insufficient_rights", "this needs the right keys:read");
        let response = show(&frame, &error, "request-1");
        assert_eq!(response.status(), 403);
    }
}
