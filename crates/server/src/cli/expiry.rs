//! `--ttl`, `--expires-at` and `--never`: exactly the three ways of the API (`api.md` rule 10).

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::span;

/// When a key ends; at most one of the three.
#[derive(Args, Clone, Debug)]
#[group(id = "expiry", multiple = false)]
pub(crate) struct ExpiryArgs {
    /// Valid for this long from now: 90d, 12h, 30m
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub(crate) ttl: Option<Duration>,
    /// Valid until then: RFC 3339 or YYYY-MM-DD (00:00 UTC of that day)
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) expires_at: Option<Timestamp>,
    /// Never expires (not recommended; a policy may forbid it)
    #[arg(long)]
    pub(crate) never: bool,
}

impl ExpiryArgs {
    /// Adds the member of the request body that was asked for, if any.
    pub(crate) fn put(&self, body: &mut Map<String, Value>) {
        if let Some(ttl) = self.ttl {
            body.insert("ttl_seconds".to_owned(), json!(ttl.as_secs()));
        }
        if let Some(moment) = self.expires_at {
            body.insert("expires_at".to_owned(), json!(moment.to_string()));
        }
        if self.never {
            body.insert("expires".to_owned(), json!("never"));
        }
    }
}

/// Reads RFC 3339 or a date; a date is its first moment in UTC.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let wrong = || "expected 2026-12-31 or 2026-12-31T18:00:00Z".to_owned();
    if text.len() != "2026-12-31".len() {
        return Err(wrong());
    }
    let date: Date = text.parse().map_err(|_| wrong())?;
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339_or_a_date() {
        let read = |text| parse_moment(text).map(|moment| moment.to_string());
        assert_eq!(read("2026-12-31").as_deref(), Ok("2026-12-31T00:00:00Z"));
        assert_eq!(read("2026-12-31T20:00:00+02:00").as_deref(), Ok("2026-12-31T18:00:00Z"));
        for wrong in ["tomorrow", "2026-13-01", "31.12.2026", "2026-12-31 18:00", ""] {
            assert!(read(wrong).is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn the_body_says_it_in_the_words_of_the_api() {
        let body = |ttl, never| {
            let mut body = Map::new();
            ExpiryArgs { ttl, expires_at: None, never }.put(&mut body);
            Value::Object(body)
        };
        assert_eq!(body(Some(Duration::from_secs(60)), false), json!({"ttl_seconds": 60}));
        assert_eq!(body(None, true), json!({"expires": "never"}));
        assert_eq!(body(None, false), json!({}));
    }
}
