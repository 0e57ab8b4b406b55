//! What the verification of access tokens needs besides keys: who asks for them, and which were ended.

use std::sync::Arc;

use keyward_core::decide::Now;
use keyward_core::token::AccessKey;

use super::{Cache, Need};
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

    /// Forgets revocations of tokens that are over.
    pub(crate) fn forget_revocations(&self, before_unix_seconds: i64) {
        if let Some(known) = self.revocations.load_full() {
            known.forget_before(before_unix_seconds);
        }
    }
}
