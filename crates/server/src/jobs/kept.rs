//! For how long what is recorded is kept, where it is not for as long as what it is about. The page
//! `docs/reference/inventory.md` is written from here (AUD-7).

use keyward_core::jwt::LEEWAY_SECONDS;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Answers for replays are kept for a day (`api.md` 7).
pub(crate) const IDEMPOTENCY_MS: i64 = DAY_MS;
/// Feed entries are kept long enough for a node that was paused to catch up.
pub(crate) const FEED_MS: i64 = 10 * MINUTE_MS;
/// Jobs that were given up can be replayed for a month.
pub(crate) const FAILED_MS: i64 = 30 * DAY_MS;
/// What users were told is kept for three months.
pub(crate) const TOLD_MS: i64 = 90 * DAY_MS;
/// What webhooks were sent is kept for two weeks.
pub(crate) const SENT_MS: i64 = 14 * DAY_MS;
/// Drafts of policies that were applied or failed are kept for three months.
pub(crate) const DECIDED_MS: i64 = 90 * DAY_MS;
/// Ended sessions are kept for a week.
pub(crate) const ENDED_MS: i64 = 7 * DAY_MS;
/// No session lives longer than this.
pub(crate) const LONGEST_SESSION_MS: i64 = keyward_core::policy::MAX_SESSION_MINUTES as i64 * MINUTE_MS;
/// Names whose failed logins are remembered.
pub(crate) const MOST_NAMES: i64 = 100_000;
/// Revocations are kept for so long after the end of their token, whose clock may be another's.
pub(crate) const REVOKED_SECONDS: i64 = 3600 + LEEWAY_SECONDS;
