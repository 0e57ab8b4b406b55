//! Limits in answers: as JSON for `/v1/verify`, as `RateLimit` fields for `/authz` (`api.md` 16).

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use keyward_core::decide::Decision;
use keyward_core::limit::RateLimit;
use serde::Serialize;
use smallvec::SmallVec;

use crate::verify::Found;

/// One limit after a request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LimitOut<'a> {
    pub(crate) name: &'a str,
    /// Requests in a window.
    pub(crate) limit: u32,
    /// Requests that would pass at once now.
    pub(crate) remaining: u32,
    /// Seconds until all of them would pass again.
    pub(crate) reset_seconds: u64,
}

/// Limits after a request; most keys have two at most.
pub(crate) type After<'a> = SmallVec<[LimitOut<'a>; 2]>;

/// The limits that bound an allowed request.
pub(crate) fn after<'a>(found: &'a Found, decision: &Decision) -> After<'a> {
    let Decision::Allow { limits, .. } = decision else { return After::new() };
    rules(found)
        .zip(limits.as_slice())
        .map(|(rule, verdict)| LimitOut {
            name: &rule.name,
            limit: rule.requests,
            remaining: verdict.remaining,
            reset_seconds: verdict.wait_ns.div_ceil(1_000_000_000),
        })
        .collect()
}

fn rules(found: &Found) -> impl Iterator<Item = &RateLimit> {
    let own = found.key().map(|key| key.terms.limits.iter());
    let owners = found.key().and(found.owner.as_ref());
    let owners = owners.map(|_| found.tenant.tenant.policy.owner_limits.iter());
    own.into_iter().flatten().chain(owners.into_iter().flatten())
}

/// Writes `RateLimit-Policy` and `RateLimit`.
pub(crate) fn write_headers(headers: &mut HeaderMap, found: &Found, decision: &Decision) {
    let (mut policy, mut state) = (String::new(), String::new());
    for rule in rules(found) {
        let comma = if policy.is_empty() { "" } else { ", " };
        let _ = write!(policy, "{comma}\"{}\";q={};w={}", rule.name, rule.requests, rule.per_seconds);
    }
    for limit in after(found, decision) {
        let comma = if state.is_empty() { "" } else { ", " };
        let _ = write!(state, "{comma}\"{}\";r={};t={}", limit.name, limit.remaining, limit.reset_seconds);
    }
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&value)
            && !value.is_empty()
        {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
