//! What a check asks, as the question of any gateway.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::{Address as Place, HeaderMap as RawHeaders};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::authz::{AUDIENCE, DENY_STATUS, Original, Question, RIGHT};
use crate::http::caller;
use crate::http::dispatch::Origin;

/// Why a check cannot be judged.
pub(super) enum Unread {
    /// No gateway means that: it is about no HTTP request.
    Garbage(&'static str),
    /// The client sent headers that cannot be.
    Headers(&'static str),
}

/// A check, read to its end.
pub(super) struct Check {
    /// Of the client's request. What only a gateway may say stands in them as its own configuration has it.
    pub(super) headers: HeaderMap,
    method: String,
    /// Path and query.
    target: String,
    /// The address of the gateway's client; empty where that is none, as with a socket of Unix.
    source: String,
}

impl Check {
    /// Reads a message.
    pub(super) fn read(asked: CheckRequest) -> Result<Self, Unread> {
        let attributes = asked.attributes.ok_or(Unread::Garbage("attributes are missing"))?;
        let http = attributes.request.and_then(|request| request.http);
        let http = http.ok_or(Unread::Garbage("attributes.request.http is missing"))?;
        let mut headers = read_headers(http.headers, http.header_map)?;
        // Envoy sends all that the client sent. A name for the audience would loosen the check; a needed right
        // can only narrow it, and counts as in `/authz` where the route names none.
        headers.remove(AUDIENCE);
        headers.remove(DENY_STATUS);
        for (name, key) in [(RIGHT, "right"), (AUDIENCE, "audience")] {
            if let Some(value) = attributes.context_extensions.get(key) {
                let value = HeaderValue::from_str(value);
                headers.insert(name, value.map_err(|_| Unread::Garbage("a context extension is no text"))?);
            }
        }
        let source = attributes.source.and_then(|peer| peer.address).map(host).unwrap_or_default();
        Ok(Self { headers, method: http.method, target: http.path, source })
    }

    /// It as a question; from others than trusted proxies without method, path and the client's address.
    pub(super) fn question<'q>(&'q self, origin: &'q Origin<'_>) -> Question<'q> {
        let trusted = origin.trusted.contains(origin.peer);
        let original =
            if trusted { Original::named(&self.method, &self.target) } else { Ok(Original::default()) };
        Question {
            headers: &self.headers,
            trusted,
            original,
            address: caller::client_behind(&self.source, &self.headers, origin.peer, origin.trusted),
            request_id: origin.request_id(),
        }
    }
}

/// The headers in either form; the one in bytes has a line for each that the client sent.
fn read_headers(joined: HashMap<String, String>, raw: Option<RawHeaders>) -> Result<HeaderMap, Unread> {
    let raw = raw.unwrap_or_default().headers;
    if !joined.is_empty() && !raw.is_empty() {
        return Err(Unread::Garbage("headers and header_map exclude each other"));
    }
    let joined = joined.into_iter().map(|(name, value)| (name, value.into_bytes()));
    let raw = raw.into_iter().map(|header| (header.key, header.raw_value));
    let mut headers = HeaderMap::new();
    // `:path` and its like stand in fields of their own.
    for (name, value) in joined.chain(raw).filter(|(name, _)| !name.starts_with(':')) {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unread::Headers("a header has no name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| Unread::Headers("a header has no value"))?;
        headers.try_append(name, value).map_err(|_| Unread::Headers("there are too many headers"))?;
    }
    Ok(headers)
}

fn host(place: Place) -> String {
    match place.address {
        Some(Address::SocketAddress(socket)) => socket.address,
        _ => String::new(),
    }
}
