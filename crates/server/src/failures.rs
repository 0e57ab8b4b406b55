//! Credentials that are nobody's: counted by source, throttled, told in the audit log (VER-5,
//! AUD-1). Nothing here runs for a good credential, so that nobody's failures cost others anything.

use std::net::IpAddr;

use keyward_core::decide::{Code, Decision};
use keyward_core::id::TenantId;

use crate::app::App;
use crate::error::{Error, Result};
use crate::verify::Verified;

/// Notes a failure; the seconds to wait when its source, or all together, failed too often. The
/// tenant is that of a caller who asked about the credential.
pub(crate) fn note(
    app: &App,
    tenant: Option<TenantId>,
    surface: &'static str,
    source: Option<IpAddr>,
) -> Option<u64> {
    let now = app.clock.now();
    let now_ms = now.monotonic_ns / 1_000_000;
    app.notices.failed(tenant, surface, source, now_ms);
    let excess = app.failures.note(tenant, source, now);
    if excess.own.is_some() {
        app.notices.flooded(tenant, surface, source, now_ms);
    }
    if excess.all.is_some() {
        app.notices.flooded(None, surface, None, now_ms);
    }
    let wait = excess.own.max(excess.all)?;
    app.metrics.throttled.inc();
    Some(wait)
}

/// Refuses a source that failed too often before anything is spent on it: for what costs much.
pub(crate) fn must_not_flood(app: &App, source: Option<IpAddr>) -> Result<()> {
    app.failures
        .wait(None, source, app.clock.now())
        .map_or(Ok(()), |seconds| Err(Error::RateLimited(seconds)))
}

/// The same for a credential that a caller asked about: beyond the limit its refusal reads
/// `rate_limited`. What was found is never touched.
pub(crate) fn throttle(app: &App, verified: &mut Verified, tenant: TenantId, source: Option<IpAddr>) {
    if verified.found.is_some() || verified.token.is_some() {
        return;
    }
    if let Some(retry_after_seconds) = note(app, Some(tenant), "verify", source) {
        verified.decision = Decision::Deny { code: Code::RateLimited, retry_after_seconds };
    }
}
