//! What the verification of access tokens needs besides keys: who asks for them, and which were ended.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use keyward_core::decide::Now;
use keyward_core::token::AccessKey;

use super::{Cache, Need};
use crate::error::Result;
use crate::verify::tokens::Revocations;
use crate::verify::trusted::TrustedRecord;

impl Cache {
    /// The trusted secret, `None` if there is none.
    pub(crate) fn trusted(&self, id: AccessKey, now: Now) -> Result<Option<Arc<TrustedRecord>>, Need> {
        let map = self.trusted.pin();
        self.usable(map.get(&id), |record| &record.age, Need::Trusted(id), now)
    }

    /// Every trusted secret in memory.
    pub(crate) fn trusted_records(&self) -> Vec<Arc<TrustedRecord>> {
        self.trusted.pin().values().cloned().collect()
    }

    /// The tokens that were revoked by their id.
    pub(crate) fn revocations(&self, now: Now) -> Result<Arc<Revocations>, Need> {
        let known = self.revocations.load_full();
        self.usable(known.as_ref(), |known| &known.age, Need::Revocations, now)?.ok_or(Need::Revocations)
    }

    /// One more token was revoked. It waits for nobody and restarts nothing: revocations may come faster
    /// than all of them can be read.
    pub(super) fn add_revocation(&self, subject: &str) {
        let mut late = self.late();
        if let Some(late) = late.as_mut() {
            late.push(subject.to_owned());
        }
        if let Some(known) = self.revocations.load().as_ref() {
            known.add(subject);
        }
    }

    /// Reads all revocations, and adds what came meanwhile.
    pub(super) async fn read_revocations(&self) -> Result<()> {
        loop {
            let seen = *self.shard(Need::Revocations);
            *self.late() = Some(Vec::new());
            self.reads.fetch_add(1, Ordering::Relaxed);
            let mut conn = self.db.read().await?;
            let (unix_ms, now_ms) = (self.clock.unix_ms(), self.clock.monotonic_ms());
            let fresh = Revocations::load(&mut conn, unix_ms, now_ms).await?;
            let shard = self.shard(Need::Revocations);
            let mut late = self.late();
            late.take().unwrap_or_default().iter().for_each(|subject| fresh.add(subject));
            // Only a gap in the feed counts here: then some may have been missed.
            if *shard == seen {
                self.revocations.store(Some(Arc::new(fresh)));
                return Ok(());
            }
        }
    }

    fn late(&self) -> MutexGuard<'_, Option<Vec<String>>> {
        self.late_revocations.lock().expect("no code panics while it holds this lock")
    }

    /// Forgets revocations of tokens that are over.
    pub(crate) fn forget_revocations(&self, before_unix_seconds: i64) {
        if let Some(known) = self.revocations.load_full() {
            known.forget_before(before_unix_seconds);
        }
    }
}
