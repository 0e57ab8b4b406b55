//! What is sealed and lies in memory whole: peppers, signing keys, ways to imported keys. It is read anew when the feed tells
//! of a change, when a fact names what is not known yet, and when it has become too old to be believed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keyward_core::secret::Pepper;
use tokio::sync::MutexGuard;

use super::Verifier;
use crate::error::{Error, Result};
use crate::store::changes::ChangeKind;

impl Verifier {
    /// Reads again what is of this kind; nothing for kinds that are not sealed.
    pub(crate) async fn reload(&self, kind: ChangeKind) -> Result<()> {
        if !kind.is_sealed() {
            return Ok(());
        }
        let _turn = self.turn().await?;
        self.take_over(kind).await
    }

    /// Reads the peppers before the feed tells of the new one.
    pub(super) async fn learn_pepper(&self, id: u32) -> Result<()> {
        let knows = || self.peppers.load().first().is_some_and(|newest| newest.id() >= id);
        let _turn = self.turn().await?;
        if !knows() {
            self.take_over(ChangeKind::Pepper).await?;
        }
        if knows() {
            return Ok(());
        }
        Err(Error::Damaged(format!("a secret is hashed under pepper {id}, which there is not")))
    }

    /// Reads the signing keys, unless somebody else has since this was asked.
    pub(super) async fn learn_signing_keys(&self) -> Result<()> {
        let asked_ms = self.clock.monotonic_ms();
        if self.cache.health.down.load(Ordering::Acquire) {
            // The feed keeps trying; callers must not pile up behind a database that is away.
            return Err(Error::outage("the database was away a moment ago"));
        }
        let _turn = self.turn().await?;
        if self.keyring.load().age.loaded_ms() > asked_ms {
            return Ok(());
        }
        self.take_over(ChangeKind::SigningKeys).await
    }

    /// Makes sure that the signing keys may be believed, before something is signed.
    ///
    /// # Errors
    /// `Error::Outage` when they would have to be read and cannot be.
    pub(crate) async fn confirm_signing_keys(&self) -> Result<()> {
        if self.cache.trusts(&self.keyring.load().age, self.clock.monotonic_ms()) {
            return Ok(());
        }
        self.learn_signing_keys().await
    }

    async fn turn(&self) -> Result<MutexGuard<'_, ()>> {
        let patience = self.cache.timeout();
        tokio::time::timeout(patience, self.sealed.lock()).await.map_err(Error::outage)
    }

    /// Reads and takes over; the caller holds the turn.
    async fn take_over(&self, kind: ChangeKind) -> Result<()> {
        match kind {
            ChangeKind::Pepper => {
                self.use_peppers(self.cache.read_peppers(self.root_key.clone()).await?);
            }
            ChangeKind::ImportWays => {
                self.import_ways.store(Arc::new(self.cache.read_import_ways().await?));
            }
            _ => self.keyring.store(Arc::new(self.cache.read_keyring().await?)),
        }
        Ok(())
    }

    /// From now on these are the peppers. Facts that rest on another one are read anew, and are
    /// known to be old before anybody misses the pepper.
    fn use_peppers(&self, peppers: Vec<Pepper>) {
        let live: Vec<u32> = peppers.iter().map(Pepper::id).collect();
        self.cache.expire_off(&live);
        self.peppers.store(Arc::new(peppers));
    }
}
