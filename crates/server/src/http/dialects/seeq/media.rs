//! Media types: what is spoken, and what a client wants to hear.

use http::header::{ACCEPT, HeaderMap};

use crate::error::{Error, Result};

/// The product's own.
pub(super) const SEEQ: &str = "application/vnd.seeq.v1+json";
/// The same without a name.
const JSON: &str = "application/json";
/// Those that a body may have.
pub(super) const KINDS: [&str; 2] = [SEEQ, JSON];

/// The first of ours that `Accept` allows; the product's own where it is silent.
///
/// # Errors
/// 406 where it allows neither.
pub(super) fn wanted(headers: &HeaderMap) -> Result<&'static str> {
    if !headers.contains_key(ACCEPT) {
        return Ok(SEEQ);
    }
    let accepts = |kind: &str| {
        let values = headers.get_all(ACCEPT).iter();
        values
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .any(|range| allows(range, kind))
    };
    KINDS.into_iter().find(|kind| accepts(kind)).ok_or_else(|| Error::Http {
        status: 406,
        code: "not_acceptable",
        detail: format!("answers are {SEEQ} or {JSON}; accept one of these"),
    })
}

/// Whether one range of `Accept` (RFC 9110 §12.5.1) allows the type.
fn allows(range: &str, kind: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let fits = ["*/*", "application/*", kind].iter().any(|known| name.eq_ignore_ascii_case(known));
    let refused = |part: &str| {
        let weight = part.strip_prefix("q=").or(part.strip_prefix("Q="));
        weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
    };
    fits && !parts.any(refused)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn sq_5_the_first_that_is_accepted_is_spoken() {
        for (accept, kind) in [
            ("*/*", Some(SEEQ)),
            ("application/*;q=0.5", Some(SEEQ)),
            ("application/vnd.seeq.v1+json", Some(SEEQ)),
            ("text/html, application/JSON; q=0.9", Some(JSON)),
            ("application/json, application/vnd.seeq.v1+json;q=0", Some(JSON)),
            ("application/json, application/vnd.seeq.v1+json", Some(SEEQ)),
            ("text/html", None),
            ("*/*;q=0", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wanted(&headers).ok(), kind, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new()).ok(), Some(SEEQ));
    }
}
