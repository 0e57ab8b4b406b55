//! The first use of a credential whose hash is slow: computed once, in turn and few times for strangers,
//! and from then on found by its text.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyward_core::address::source_of;
use keyward_core::decide::{Code, Decision};
use keyward_core::limit::RateLimit;
use keyward_core::token::AccessKey;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{Foreign, ForeignRecord};
use crate::error::{Error, Result};
use crate::imports::slow::SlowHash;
use crate::imports::ways;
use crate::store::imports::ImportedRow;
use crate::verify::limits::{Arrivals, spend};
use crate::verify::{Ask, Verified, Verifier};

/// Keys with the same public part, as far as one text is tried on them.
const MOST_PROOFS: usize = 8;
/// Of one tenant: another's must have its turn.
const MOST_OF_TENANT: usize = 2;

/// What became of a proven credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It is found by its text from now on.
    Done,
    /// Somebody was faster, or the key is gone: it is to be looked up anew.
    Changed,
    /// Another key has this text.
    Taken,
}

/// What one slow hash told about a text.
enum Tried {
    Wrong,
    /// It is to be looked up anew.
    Again,
    /// It fits, and the text is another key's.
    Taken,
    /// Seconds until this source may try again.
    TooMany(u64),
}

impl Verifier {
    /// Computes the slow hash of a credential that is used for the first time, and takes it over when it
    /// fits: from then on it is found by its text, and the slow hash is gone. `None` when it is to be looked
    /// up anew.
    pub(in crate::verify) async fn prove(
        &self,
        ask: &Ask<'_>,
        records: &[Arc<ForeignRecord>],
    ) -> Result<Option<Verified>> {
        let Some(foreign) = Foreign::of(ask.presented) else {
            return Ok(Some(Verified::refused(Code::UnknownKey)));
        };
        let mut wait = None;
        for record in fairly(records) {
            match self.try_one(foreign.text, record, ask.sighting.address).await? {
                Tried::Again => return Ok(None),
                Tried::Taken => return Ok(Some(Verified::refused(Code::WrongSecret))),
                Tried::Wrong => self.note_wrong(record),
                Tried::TooMany(seconds) => wait = wait.max(Some(seconds)),
            }
        }
        let refused = Verified::refused(Code::WrongSecret);
        let Some(retry_after_seconds) = wait else { return Ok(Some(refused)) };
        let decision = Decision::Deny { code: Code::RateLimited, retry_after_seconds };
        Ok(Some(Verified { decision, ..refused }))
    }

    async fn try_one(&self, text: &str, record: &ForeignRecord, source: Option<IpAddr>) -> Result<Tried> {
        let Some(row) = &record.unproven else { return Ok(Tried::Wrong) };
        let guesses = self.guesses.of(record.access_key, source);
        // One after the other: of many first uses at once one computes, and the others find it done.
        let _turn = guesses.turn.lock().await;
        if !self.is_unproven(row) {
            return Ok(Tried::Again);
        }
        let place = self.hashers.place(source)?;
        // Counted before it is computed: whoever goes away meanwhile has guessed too.
        let before = guesses.arrival.load(Ordering::Relaxed);
        if let Some(seconds) = spend(&self.guesses.limit, &guesses.arrival, self.clock.now()) {
            return Ok(Tried::TooMany(seconds));
        }
        let hash = self.cache.unseal_import(row).await?;
        let hash = SlowHash::parse(&hash).map_err(|why| Error::Damaged(why.into()))?;
        let copy = Zeroizing::new(text.to_owned());
        if !self.hashers.compute(&place, move || hash.fits(&copy)).await? {
            return Ok(Tried::Wrong);
        }
        Ok(match self.adopt(row, text).await? {
            Adoption::Taken => {
                tracing::warn!(key = row.key_id, "an imported credential is that of another key already");
                Tried::Taken
            }
            Adoption::Done => {
                guesses.arrival.store(before, Ordering::Relaxed);
                Tried::Again
            }
            Adoption::Changed => Tried::Again,
        })
    }

    /// Whether nobody has proven it, as far as is known by now.
    fn is_unproven(&self, row: &ImportedRow) -> bool {
        let known = AccessKey::from_digits(&row.handle)
            .and_then(|handle| self.cache.foreign(handle, self.clock.now()).ok()?);
        known.is_some_and(|record| record.unproven.is_some())
    }

    /// From now on the credential is found by its text, and hashed as one of ours.
    async fn adopt(&self, row: &ImportedRow, text: &str) -> Result<Adoption> {
        let (handle, others) = {
            let ways = self.import_ways.load();
            let handle = ways::handle(&ways::text_fingerprint(ways.key(), text));
            (handle, ways.fast_fingerprints(text).map(|other| ways::handle(&other)).collect())
        };
        let (pepper, hash) = {
            let peppers = self.peppers.load();
            let newest = peppers.first().expect("start-up makes the first pepper");
            (newest.id(), newest.hash(text).to_hex())
        };
        self.cache.adopt_import(row, handle, others, (i64::from(pepper), hash)).await
    }

    fn note_wrong(&self, record: &ForeignRecord) {
        if let Ok(Some(found)) = self.find(record.access_key, self.clock.now())
            && let Some(key) = found.key()
        {
            self.usage.denied(key, Code::WrongSecret);
        }
    }
}

/// The records to try, each tenant's first one before anybody's second: none keeps another's from its turn.
fn fairly(records: &[Arc<ForeignRecord>]) -> Vec<&Arc<ForeignRecord>> {
    let (mut left, mut fair): (Vec<_>, Vec<_>) = (records.iter().collect(), Vec::new());
    for _ in 0..MOST_OF_TENANT {
        let mut met = HashSet::new();
        let (turn, rest) = left.into_iter().partition(|record| met.insert(record.tenant_id));
        fair.extend::<Vec<_>>(turn);
        left = rest;
    }
    fair.truncate(MOST_PROOFS);
    fair
}

/// Guesses at slow hashes by key and source; each costs a computation, so there are fewer than of others. A
/// stranger who guesses at one key keeps nobody from the first use of another.
pub(in crate::verify) struct Guesses {
    limit: RateLimit,
    sources: Arrivals<(AccessKey, Option<IpAddr>), Bucket>,
}

/// The guesses of one source at one key.
#[derive(Default)]
struct Bucket {
    arrival: AtomicU64,
    turn: Mutex<()>,
}

impl Default for Guesses {
    fn default() -> Self {
        let limit = RateLimit { name: "import_guesses".into(), requests: 10, per_seconds: 60, burst: None };
        Self { limit, sources: Arrivals::new(100_000) }
    }
}

impl Guesses {
    fn of(&self, key: AccessKey, source: Option<IpAddr>) -> Arc<Bucket> {
        self.sources.of(&(key, source.map(source_of)))
    }
}

#[cfg(test)]
mod tests {
    use keyward_core::id::TenantId;

    use super::*;
    use crate::verify::facts::Age;

    #[test]
    fn x_11_ver_5_no_tenant_keeps_another_from_its_turn() {
        let record = |tenant: u128, generation: u32| {
            Arc::new(ForeignRecord {
                tenant_id: TenantId::from_u128(tenant),
                access_key: AccessKey::from_digits("0123456789abcdef").expect("16 characters"),
                generation,
                unproven: None,
                age: Age::new(0),
            })
        };
        // The longest prefix first, as they come.
        let records: Vec<_> =
            (0..20).map(|number| record(1, number)).chain([record(2, 20), record(3, 21)]).collect();
        let told = |records: &[Arc<ForeignRecord>]| -> Vec<_> {
            fairly(records).iter().map(|record| record.generation).collect()
        };
        assert_eq!(told(&records), [0, 20, 21, 1]);
        let many: Vec<_> = (0..20).map(|number| record(number, 0)).collect();
        assert_eq!(told(&many).len(), MOST_PROOFS);
    }
}
