//! How long a key lives, in the words of the product: `30 days`, `Never expires (not recommended)`, or `Custom`
//! with a time beside it.

use crate::clock::parse_rfc3339;
use crate::error::{Error, Result};
use crate::keys::wire::KeyOut;

const NEVER: &str = "Never expires (not recommended)";
const CUSTOM: &str = "Custom";
const DAY_MS: i64 = 86_400_000;
/// A hundred years.
const MOST_DAYS: i64 = 36_500;

/// An end, in the three ways that operations take one.
#[derive(Default)]
pub(super) struct End {
    pub(super) ttl_seconds: Option<i64>,
    pub(super) expires_at: Option<String>,
    pub(super) expires: Option<String>,
}

/// What a client asks for; no wish is that of the policy for a new key, and no change for one that there is.
///
/// # Errors
/// `Error::Invalid` for a word that is none, and for `Custom` without a time.
pub(super) fn read(word: Option<&str>, time: Option<&str>) -> Result<Option<End>> {
    let Some(word) = word.map(str::trim).filter(|word| !word.is_empty()) else {
        return Ok(time.map(until));
    };
    if word.to_ascii_lowercase().starts_with("never") {
        return Ok(Some(End { expires: Some("never".into()), ..End::default() }));
    }
    if word.to_ascii_lowercase().starts_with("custom") {
        let missing = || Error::invalid("expiry_time", "required", "a custom end needs a time");
        return time.map(until).ok_or_else(missing).map(Some);
    }
    let days = word.strip_suffix(" days").or_else(|| word.strip_suffix(" day"));
    let days = days.and_then(|days| days.parse::<i64>().ok()).filter(|days| (1..=MOST_DAYS).contains(days));
    let known = || {
        let detail = format!("expected a number of days as in 30 days, {CUSTOM}, or {NEVER}");
        Error::invalid("expiry_enum", "bad_value", detail)
    };
    Ok(Some(End { ttl_seconds: Some(days.ok_or_else(known)? * 86_400), ..End::default() }))
}

/// Times of the product have no zone; they are UTC here. One with a zone is taken at its word.
fn until(time: &str) -> End {
    let time = time.trim();
    let zoned = if parse_rfc3339(time).is_some() { time.to_owned() } else { format!("{time}Z") };
    End { expires_at: Some(zoned), ..End::default() }
}

/// The word for the end of a key: so many days if it lives so long from its making or its last change.
pub(super) fn word(key: &KeyOut) -> String {
    let Some(end) = key.expires_at.as_deref().and_then(parse_rfc3339) else { return NEVER.into() };
    let begins = [&key.created_at, &key.updated_at].into_iter().filter_map(|text| parse_rfc3339(text));
    let whole = begins.map(|begin| end - begin).find(|span| *span > 0 && span % DAY_MS == 0);
    whole.map_or_else(|| CUSTOM.into(), |span| format!("{} days", span / DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(word: &str, time: Option<&str>) -> (Option<i64>, Option<String>, Option<String>) {
        let end = read(Some(word), time).expect("a word").expect("a wish");
        (end.ttl_seconds, end.expires_at, end.expires)
    }

    #[test]
    fn bm_4_the_words_of_the_product_are_days_a_date_or_never() {
        assert_eq!(end("30 days", None), (Some(30 * 86_400), None, None));
        assert_eq!(end(" 1 day ", Some("2030-01-01T00:00:00")), (Some(86_400), None, None));
        assert_eq!(end(NEVER, None), (None, None, Some("never".into())));
        let date = (None, Some("2030-01-31T23:59:59Z".to_owned()), None);
        assert_eq!(end(CUSTOM, Some("2030-01-31T23:59:59")), date);
        assert_eq!(end("custom date", Some("2030-01-31T23:59:59Z")), date);
        assert!(read(None, None).expect("no wish").is_none());
        assert!(read(None, Some("2030-01-31T23:59:59")).expect("a time alone").is_some());
        for wrong in ["0 days", "-3 days", "36501 days", "a month", "30"] {
            assert!(read(Some(wrong), None).is_err(), "{wrong}");
        }
        assert!(read(Some(CUSTOM), None).is_err());
    }
}
