//! A key as the cache holds it: small, because there may be millions, and close together, because
//! a verification that meets a key for the first time in a while waits for each line of memory.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use compact_str::CompactString;
use keyward_core::id::{KeyId, TenantId, UserId};
use keyward_core::key::{Conditions, Key, KeyClass, SecretVersion, Switch};
use keyward_core::limit::RateLimit;
use keyward_core::right::RightSet;
use keyward_core::secret::SecretHash;
use smallvec::SmallVec;

use super::credits::Credits;
use super::facts::{Age, Grant, grant, parse_json, unreadable};
use super::pool::Pool;
use super::usage::Tally;
use crate::error::{Error, Result};
use crate::store::keys::{KeyRow, SecretRow};

static TERMS: LazyLock<Pool<Terms>> = LazyLock::new(Pool::default);
static RIGHTS: LazyLock<Pool<RightSet>> = LazyLock::new(Pool::default);

/// What many keys have in common. Equal terms share one allocation.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub(crate) tenant_id: TenantId,
    pub(crate) owner_id: Option<UserId>,
    pub(crate) class: KeyClass,
    switch: Switch,
    canary: bool,
    awaits_approval: bool,
    pub(crate) scopes: Option<Arc<RightSet>>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) limits: Box<[RateLimit]>,
    not_before: Option<i64>,
    idle_seconds: Option<u32>,
    pub(crate) conditions: Option<Arc<Conditions>>,
}

/// What is known about a key.
#[derive(Debug)]
pub(crate) struct KeyRecord {
    pub(crate) id: KeyId,
    pub(crate) terms: Arc<Terms>,
    pub(crate) label: CompactString,
    expires_at: Ending,
    secrets: SmallVec<[StoredSecret; 1]>,
    meters: Meters,
    pub(crate) last_used_at: AtomicI64,
    pub(crate) tally: Tally,
    pub(crate) age: Age,
}

/// What is counted of a key; it outlives reloads of the record. Most have one limit at most, and no credits.
#[derive(Debug)]
enum Meters {
    One(AtomicU64),
    More(Box<More>),
}

#[derive(Debug)]
struct More {
    arrivals: Box<[AtomicU64]>,
    credits: Option<Box<Credits>>,
}

impl Meters {
    fn new(limits: usize, credits: Option<Box<Credits>>) -> Self {
        if limits <= 1 && credits.is_none() {
            return Self::One(AtomicU64::new(0));
        }
        let arrivals = (0..limits).map(|_| AtomicU64::new(0)).collect();
        Self::More(Box::new(More { arrivals, credits }))
    }

    fn arrivals(&self) -> &[AtomicU64] {
        match self {
            Self::One(arrival) => std::slice::from_ref(arrival),
            Self::More(more) => &more.arrivals,
        }
    }

    fn credits(&self) -> Option<&Credits> {
        match self {
            Self::One(_) => None,
            Self::More(more) => more.credits.as_deref(),
        }
    }
}

/// A time that may be never, in eight bytes.
#[derive(Clone, Copy, Debug)]
struct Ending(i64);

impl Ending {
    const NEVER: i64 = i64::MAX;

    fn new(at: Option<i64>) -> Self {
        Self(at.unwrap_or(Self::NEVER))
    }

    fn get(self) -> Option<i64> {
        (self.0 != Self::NEVER).then_some(self.0)
    }
}

#[derive(Debug)]
struct StoredSecret {
    hash: SecretHash,
    generation: u32,
    pepper: u32,
    created_at: i64,
    retires_at: Ending,
}

impl StoredSecret {
    fn version(&self) -> SecretVersion {
        SecretVersion {
            generation: self.generation,
            pepper: self.pepper,
            hash: self.hash,
            created_at: self.created_at,
            retires_at: self.retires_at.get(),
        }
    }
}

impl KeyRecord {
    /// The record of a row.
    pub(crate) fn of(row: &KeyRow, now_ms: u64) -> Result<Self> {
        let terms = terms(row)?;
        Ok(Self {
            id: row.id.parse().map_err(Error::internal)?,
            label: row.label.as_str().into(),
            expires_at: Ending::new(row.expires_at),
            secrets: row.secret_rows()?.iter().map(stored_secret).collect::<Result<_>>()?,
            meters: Meters::new(terms.limits.len(), Credits::of(&row.credits)?),
            last_used_at: AtomicI64::new(row.last_used_at.unwrap_or(0)),
            tally: Tally::default(),
            age: Age::new(now_ms),
            terms,
        })
    }

    /// The facts that the decision reads.
    pub(crate) fn key(&self) -> Key {
        Key {
            class: self.terms.class,
            switch: self.terms.switch,
            not_before: self.terms.not_before,
            expires_at: self.expires_at.get(),
            idle_seconds: self.terms.idle_seconds,
            conditions: self.terms.conditions.clone(),
            awaits_approval: self.terms.awaits_approval,
        }
    }

    /// The state of each limit of the terms.
    pub(crate) fn arrivals(&self) -> &[AtomicU64] {
        self.meters.arrivals()
    }

    /// Its credits, where they are counted.
    pub(crate) fn credits(&self) -> Option<&Credits> {
        self.meters.credits()
    }

    /// Whether a use of it is an alarm. One that is off or revoked is refused as any other.
    pub(crate) fn is_canary(&self) -> bool {
        self.terms.canary && self.terms.switch == Switch::On
    }

    /// Its secrets, oldest first.
    pub(crate) fn secrets(&self) -> impl DoubleEndedIterator<Item = SecretVersion> {
        self.secrets.iter().map(StoredSecret::version)
    }

    /// The generation of the only secret; `None` when there are several.
    pub(crate) fn only_generation(&self) -> Option<u32> {
        match self.secrets.as_slice() {
            [only] => Some(only.generation),
            _ => None,
        }
    }

    /// The newest secret that is live, or the newest of all when none is: an aborted rotation
    /// leaves a dead secret behind that is newer than the one in use.
    pub(crate) fn current_secret(&self, now: i64) -> Option<SecretVersion> {
        let live = |secret: &SecretVersion| secret.retires_at.is_none_or(|end| now < end);
        self.secrets().rev().find(live).or(self.secrets().next_back())
    }

    /// Takes over what outlives a reload: the state of limits, credits in hand, the last use.
    pub(crate) fn carry_on(&mut self, old: &Self) {
        for (limit, arrival) in self.terms.limits.iter().zip(self.arrivals()) {
            if let Some(at) = old.terms.limits.iter().position(|before| before == limit) {
                arrival.store(old.arrivals()[at].load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        if let Meters::More(more) = &mut self.meters
            && let (Some(before), Some(now)) = (old.credits(), &mut more.credits)
        {
            now.carry_on(before);
        }
        self.tally.carry_on(&old.tally);
        self.last_used_at.fetch_max(old.last_used_at.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn terms(row: &KeyRow) -> Result<Arc<Terms>> {
    let limits: Option<Box<[RateLimit]>> = parse_json(row.limits.as_deref())?;
    Ok(TERMS.share(Terms {
        tenant_id: row.tenant_id.parse().map_err(Error::internal)?,
        owner_id: row.owner_id.as_deref().map(str::parse).transpose().map_err(Error::internal)?,
        class: class(row)?,
        switch: switch(&row.switch)?,
        canary: row.canary,
        awaits_approval: row.awaits_approval,
        scopes: parse_json(row.scopes.as_deref())?.map(|scopes| RIGHTS.share(scopes)),
        grant: grant(row.role_ids.as_deref(), row.group_ids.as_deref())?,
        limits: limits.unwrap_or_default(),
        not_before: row.not_before,
        idle_seconds: row.idle_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
        conditions: parse_json(row.conditions.as_deref())?.map(Arc::new),
    }))
}

/// The class of a row.
pub(crate) fn class(row: &KeyRow) -> Result<KeyClass> {
    KeyClass::parse(&row.class).ok_or_else(|| unreadable("class"))
}

fn switch(word: &str) -> Result<Switch> {
    match word {
        "on" => Ok(Switch::On),
        "off" => Ok(Switch::Off),
        "revoked" => Ok(Switch::Revoked),
        _ => Err(unreadable("switch")),
    }
}

fn stored_secret(row: &SecretRow) -> Result<StoredSecret> {
    Ok(StoredSecret {
        hash: SecretHash::from_hex(&row.hash).ok_or_else(|| unreadable("hash"))?,
        generation: u32::try_from(row.generation).map_err(Error::internal)?,
        pepper: u32::try_from(row.pepper_id).map_err(Error::internal)?,
        created_at: row.created_at,
        retires_at: Ending::new(row.retires_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `performance.md`: 300 bytes for each key, everything included; this is the larger part. With the
    /// counts of its `Arc` it fills a block of 192 bytes; the next size is 224.
    #[test]
    fn a_record_stays_small() {
        assert!(size_of::<KeyRecord>() <= 176, "{}", size_of::<KeyRecord>());
    }
}
