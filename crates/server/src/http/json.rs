//! Strict JSON in, exact errors out (HTTP-1, HTTP-6, AZ-8; `api.md` 8).
//!
//! Duplicate keys, unknown fields, deep nesting and unbounded structure are refused before a value
//! reaches an operation, each with its place and, for a slip, the name that was probably meant.

use std::collections::HashSet;
use std::fmt;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::body::read_body;
use super::problem::Problem;
use crate::app::App;
use crate::error::{Error, Fault, Result};

/// Nesting of a body, at most.
const MAX_DEPTH: usize = 32;
/// Values in a body, at most.
const MAX_VALUES: usize = 10_000;

/// A request body that was checked and read into `T`. An empty body reads as `{}`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<std::sync::Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &std::sync::Arc<App>) -> Result<Self, Problem> {
        let is_patch = request.method() == http::Method::PATCH;
        let kind = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes().to_vec());
        let body = read_body(request.into_body(), &app.settings).await?;
        if let Some(kind) = kind.or_else(|| (!body.is_empty()).then(Vec::new)) {
            check_type(&kind, is_patch)?;
        }
        parse(if body.is_empty() { b"{}" } else { &body }).map(Json).map_err(Problem)
    }
}

/// Refuses a body that is told to be something else than JSON, or nothing.
pub(super) fn check_kind(headers: &http::HeaderMap) -> Result<()> {
    check_type(headers.get(CONTENT_TYPE).map_or(b"", |kind| kind.as_bytes()), false)
}

fn check_type(kind: &[u8], is_patch: bool) -> Result<()> {
    let kind = std::str::from_utf8(kind).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (is_patch && essence == "application/merge-patch+json") {
        return Ok(());
    }
    Err(unsupported())
}

/// A body of another type.
pub(super) fn unsupported() -> Error {
    let detail = "send the body as Content-Type: application/json".into();
    Error::Http { status: 415, code: "unsupported_media_type", detail }
}

/// Reads strict JSON.
///
/// # Errors
/// `Error::Malformed` with the place of the first fault.
pub(crate) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T> {
    parse_up_to(body, MAX_VALUES)
}

/// The same of a body that may have more values, or must have fewer.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_up_to<'de, T: Deserialize<'de>>(body: &'de [u8], most: usize) -> Result<T> {
    let mut budget = Budget { values: 0, most };
    let mut reader = serde_json::Deserializer::from_slice(body);
    Shape { depth: 0, budget: &mut budget }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| Error::malformed("", "bad_json", plain(&error)))?;
    let mut reader = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = pointer(error.path());
        fault(&place, &plain(error.inner()))
    })
}

/// The reader's words without its position: the pointer says it better.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(words, _)| words.to_owned())
}

/// Turns serde's words about unknown and missing fields into faults with a code and a suggestion.
fn fault(place: &str, words: &str) -> Error {
    let quoted: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    if words.starts_with("unknown field") {
        let (unknown, known) = quoted.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
        // serde names the place of the unknown field already.
        let place = place.strip_suffix(&format!("/{unknown}")).unwrap_or(place);
        return Error::malformed(&format!("{place}/{unknown}"), "unknown_field", suggestion(unknown, known));
    }
    if words.starts_with("missing field") {
        let name = quoted.first().copied().unwrap_or_default();
        return Error::malformed(&format!("{place}/{name}"), "required", "this field is required");
    }
    let code = if words.starts_with("duplicate field") { "duplicate_field" } else { "bad_value" };
    Error::malformed(place, code, words)
}

/// "unknown; did you mean …?", or the names that exist.
pub(crate) fn suggestion(unknown: &str, known: &[&str]) -> String {
    match near(unknown, known) {
        Some(name) => format!("there is no {unknown}; did you mean {name}?"),
        None => format!("there is no {unknown}; known are {}", known.join(", ")),
    }
}

/// The name that was probably meant.
pub(crate) fn near<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), *name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

/// A JSON pointer (RFC 6901) from serde's path.
pub(crate) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => text.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { variant } => text.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
    }
    text
}

struct Budget {
    values: usize,
    most: usize,
}

/// Walks a document without keeping it: bounded depth, bounded size, no key twice.
struct Shape<'b> {
    depth: usize,
    budget: &'b mut Budget,
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.budget.values += 1;
        if self.budget.values > self.budget.most {
            return Err(D::Error::custom(format!("more than {} values", self.budget.most)));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        // PostgreSQL cannot keep it, and nothing that a client means holds it.
        if text.contains('\0') { Err(E::custom("a string holds the character NUL")) } else { Ok(()) }
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Shape { depth: self.depth + 1, budget: self.budget })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value_seed(Shape { depth: self.depth + 1, budget: self.budget })?;
            if let Some(twice) = seen.replace(name) {
                return Err(A::Error::custom(format!("the key {twice} stands twice in one object")));
            }
        }
        Ok(())
    }
}

/// Query parameters, each at most once, none unknown.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Query).map_err(Problem)
    }
}

/// Reads a query string by way of JSON, so that both have the same rules.
pub(crate) fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T> {
    let pairs = single(pairs(query)?)?;
    serde_path_to_error::deserialize(serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(
        pairs.iter().map(|(name, value)| (name.as_str(), Word(value))),
    ))
    .map_err(|error| {
        let place = pointer(error.path());
        let Error::Malformed(faults) = fault(&place, &error.inner().to_string()) else {
            return Error::malformed(&place, "bad_value", error.inner().to_string());
        };
        Error::Malformed(
            faults
                .into_iter()
                .map(|fault| Fault { pointer: fault.pointer.trim_start_matches('/').into(), ..fault })
                .collect(),
        )
    })
}

/// Decoded name and value of each parameter, as they come.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>> {
    let pair = |part: &str| -> Result<(String, String)> {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Ok((decode(name)?, decode(value)?))
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Parameters of which none stands twice.
pub(crate) fn single(pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>> {
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(known, _)| known == name) {
            return Err(Error::malformed(name, "duplicate_parameter", "a parameter may stand once only"));
        }
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .filter(|text| !text.contains('\0'))
        .map(Into::into)
        .ok_or_else(|| Error::malformed("", "bad_query", "the query string is not UTF-8, or holds NUL"))
}

/// A parameter's text, read as the type that the field wants.
struct Word<'a>(&'a str);

impl<'de> serde::de::IntoDeserializer<'de, serde::de::value::Error> for Word<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> serde::Deserializer<'de> for Word<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let number = self.0.parse().map_err(|_| Self::Error::custom("expected a whole number"))?;
        visitor.visit_i64(number)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let truth = self.0.parse().map_err(|_| Self::Error::custom("expected true or false"))?;
        visitor.visit_bool(truth)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        label: String,
        #[serde(default)]
        count: Option<i64>,
        #[serde(default)]
        more: serde_json::Value,
    }

    fn first(error: Error) -> Fault {
        let Error::Malformed(mut faults) = error else { panic!("{error:?}") };
        faults.remove(0)
    }

    fn refuse(body: &str) -> Fault {
        first(parse::<Sample>(body.as_bytes()).expect_err("must be refused"))
    }

    #[test]
    fn http_6_duplicate_keys_at_any_depth() {
        assert_eq!(refuse(r#"{"label":"a","label":"b"}"#).code, "bad_json");
        assert_eq!(refuse(r#"{"label":"a","more":{"x":[{"y":1,"y":2}]}}"#).code, "bad_json");
    }

    #[test]
    fn http_1_depth_and_size_are_bounded() {
        let deep = |n: usize| format!(r#"{{"label":"a","more":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert!(parse::<Sample>(deep(31).as_bytes()).is_ok());
        assert_eq!(refuse(&deep(33)).code, "bad_json");
        let wide = format!(r#"{{"label":"a","more":[{}1]}}"#, "1,".repeat(MAX_VALUES));
        assert_eq!(refuse(&wide).code, "bad_json");
    }

    #[test]
    fn unknown_missing_and_wrong_fields_are_named() {
        let unknown = refuse(r#"{"lable":"a"}"#);
        assert_eq!((unknown.code, unknown.pointer.as_str()), ("unknown_field", "/lable"));
        assert!(unknown.detail.contains("did you mean label?"), "{}", unknown.detail);
        let missing = refuse("{}");
        assert_eq!((missing.code, missing.pointer.as_str()), ("required", "/label"));
        let wrong = refuse(r#"{"label":"a","count":"x"}"#);
        assert_eq!((wrong.code, wrong.pointer.as_str()), ("bad_value", "/count"));
        assert_eq!(refuse("{").code, "bad_json");
        assert_eq!(refuse(r#"{"label":"a"} x"#).code, "bad_json");
    }

    #[derive(Debug, Deserialize, PartialEq, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Filter {
        limit: Option<i64>,
        q: Option<String>,
        unused: Option<bool>,
    }

    #[test]
    fn queries_are_typed_and_strict() {
        let good: Filter = parse_query("limit=5&q=a%20b+c&unused=true").expect("valid");
        assert_eq!(good, Filter { limit: Some(5), q: Some("a b c".into()), unused: Some(true) });
        let refuse = |query| first(parse_query::<Filter>(query).expect_err("must be refused"));
        assert_eq!(refuse("limit=5&limit=6").code, "duplicate_parameter");
        assert_eq!(refuse("limit=x").pointer, "limit");
        let unknown = refuse("lmit=5");
        assert_eq!((unknown.code, unknown.pointer.as_str()), ("unknown_field", "lmit"));
        assert!(unknown.detail.contains("limit"));
    }
}
