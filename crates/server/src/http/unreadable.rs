//! hyper answers a head that it cannot read by itself, and without a body. Here such an answer gets its
//! problem document, and the headers of every answer.

use std::fmt::Write as _;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Collected};

use super::{dispatch, problems};
use crate::error::Error;
use crate::random;

/// The answer to send instead, if this is one that hyper made: a refusal of nothing but a head, without
/// the request id that each of ours has. `is_ambiguous`: the head was refused before hyper saw it.
pub(super) fn told(answer: &[u8], is_ambiguous: bool) -> Option<Bytes> {
    let head = answer.strip_prefix(b"HTTP/1.1 4")?.strip_suffix(b"\r\n\r\n")?;
    let error = refusal(head.first_chunk::<2>()?, is_ambiguous)?;
    let lacks = |part: &[u8]| memchr::memmem::find(head, part).is_none();
    if lacks(b"content-length: 0") || !lacks(b"x-request-id") {
        return None;
    }
    let own = std::str::from_utf8(&answer[..answer.len() - 2]).ok()?;
    Some(with_document(own, &error))
}

/// What there is against a head, by the digits behind the 4.
fn refusal(status: &[u8; 2], is_ambiguous: bool) -> Option<Error> {
    let (status, code, detail) = match status {
        b"00" if is_ambiguous => {
            (400, "ambiguous_request", "the head of the request can be read in two ways")
        }
        b"00" => (400, "malformed_request", "the head of the request cannot be read"),
        b"14" => (414, "uri_too_long", problems::detail("uri_too_long")),
        b"31" => (431, "headers_too_large", problems::detail("headers_too_large")),
        _ => return None,
    };
    Some(Error::Http { status, code, detail: detail.into() })
}

fn with_document(own: &str, error: &Error) -> Bytes {
    let request_id = random::hex::<8>();
    let (parts, body) = dispatch::tell(error, &request_id).into_parts();
    let body =
        body.collect().now_or_never().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
    let mut answer = own.replace("content-length: 0\r\n", "");
    for (name, value) in &parts.headers {
        let _ = write!(answer, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let _ = write!(answer, "x-request-id: {request_id}\r\ncontent-length: {}\r\n\r\n", body.len());
    [answer.as_bytes(), &body].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYPER: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Sun, 22 Nov 2026 08:00:00 GMT\r\n\r\n";

    #[test]
    fn http_5_an_answer_of_hyper_gets_its_document() {
        let told = told(HYPER.as_bytes(), false).expect("hyper's");
        let told = std::str::from_utf8(&told).expect("UTF-8");
        let (head, body) = told.split_once("\r\n\r\n").expect("two parts");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ndate: Sun"), "{head}");
        assert_eq!(head.matches("content-length").count(), 1);
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(body.contains("\"code\":\"malformed_request\""), "{body}");
    }

    #[test]
    fn our_own_answers_stay_as_they_are() {
        for own in [
            HYPER.replace("date:", "x-request-id: 1\r\ndate:"),
            HYPER.replace("content-length: 0", "content-length: 2") + "{}",
            HYPER.replace("400 Bad Request", "200 OK"),
            HYPER.replace("400 Bad Request", "404 Not Found"),
            "HTTP/1.1 4".into(),
            String::new(),
        ] {
            assert!(told(own.as_bytes(), true).is_none(), "{own}");
        }
    }
}
