//! Limits in answers: as JSON for `/v1/verify`, as `RateLimit` fields for `/authz` (`api.md` 16).

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use keyward_core::decide::Decision;
use keyward_core::limit::RateLimit;
use serde::Serialize;
use smallvec::SmallVec;

use crate::clock::{Clock, Moment};
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

/// Credits after a request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CreditOut {
    /// Whose: `key` or `owner`.
    pub(crate) of: &'static str,
    pub(crate) granted: i64,
    /// What is left; where several nodes spend of it, as of this one's last look.
    pub(crate) remaining: i64,
    /// When more come by themselves.
    #[schema(value_type = Option<String>)]
    pub(crate) refills_at: Option<Moment>,
}

/// Credits of the key and of its owner, where they are counted.
pub(crate) type CreditsLeft = SmallVec<[CreditOut; 2]>;

/// What is left of credits, whatever the decision was.
pub(crate) fn credits(found: &Found) -> CreditsLeft {
    let each = ["key", "owner"].into_iter().zip(found.credits());
    each.filter_map(|(of, credits)| {
        let credits = credits?;
        let (granted, remaining) = (credits.granted, credits.remaining());
        Some(CreditOut { of, granted, remaining, refills_at: credits.refills_at().map(Moment) })
    })
    .collect()
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

/// Adds credits to both fields: the window is the time between two refills, and there is none without.
fn write_credits(policy: &mut String, state: &mut String, found: &Found, clock: Clock) {
    for (name, credits) in ["credits", "owner_credits"].into_iter().zip(found.credits()) {
        let Some(credits) = credits else { continue };
        let [before, ahead] = [&*policy, &*state].map(|text| if text.is_empty() { "" } else { ", " });
        let quota = credits.refill.map_or(credits.granted, |refill| refill.cap());
        let _ = write!(policy, "{before}\"{name}\";q={quota}");
        let _ = write!(state, "{ahead}\"{name}\";r={}", credits.remaining());
        if let Some(refill) = credits.refill {
            let now = clock.unix_ms();
            let wait = credits.refills_at().unwrap_or(now).saturating_sub(now);
            let _ = write!(policy, ";w={}", refill.window_seconds(now));
            let _ = write!(state, ";t={}", u64::try_from(wait).unwrap_or(0).div_ceil(1000));
        }
    }
}

/// Writes `RateLimit-Policy` and `RateLimit`.
pub(crate) fn write_headers(headers: &mut HeaderMap, found: &Found, decision: &Decision, clock: Clock) {
    let (mut policy, mut state) = (String::new(), String::new());
    for rule in rules(found) {
        let comma = if policy.is_empty() { "" } else { ", " };
        let _ = write!(policy, "{comma}\"{}\";q={};w={}", rule.name, rule.requests, rule.per_seconds);
    }
    for limit in after(found, decision) {
        let comma = if state.is_empty() { "" } else { ", " };
        let _ = write!(state, "{comma}\"{}\";r={};t={}", limit.name, limit.remaining, limit.reset_seconds);
    }
    write_credits(&mut policy, &mut state, found, clock);
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&value)
            && !value.is_empty()
        {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
