//! Use of keys, gathered in memory and written behind (X8, KEY-14).
//!
//! A verification touches its own record only. The first use since the last flush puts the record
//! on a list; the flush drains the list in small transactions, so that a stalled database costs
//! verifications nothing and kill -9 loses the last few seconds at most.

mod backlog;
mod first_uses;
mod networks;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use keyward_core::address::site_of;
use keyward_core::decide::Code;
use keyward_core::id::{KeyId, TenantId};

use self::backlog::Backlog;
use self::first_uses::FirstUses;
use super::record::KeyRecord;
use crate::error::Result;
use crate::store::usage::{HourRow, SeenRow, add_uses, merge_seen};
use crate::store::{Db, key_networks};

const HOUR_MS: i64 = 3_600_000;
/// Records in one transaction, so that management writes never wait long behind a flush.
const BATCH: usize = 2048;
/// Networks of one key from one flush to the next, at most.
const MOST_NETWORKS: usize = 8;

/// What happened to one key since the last flush.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    allowed: AtomicU32,
    /// The mark of the network that the key was last used from, as far as that is written down.
    network: AtomicU16,
    listed: AtomicBool,
    notes: Mutex<Option<Box<Notes>>>,
}

/// What is known besides the count, where anything is.
#[derive(Debug, Default)]
struct Notes {
    /// Where uses came from before the last ones, as far as that is another network.
    elsewhere: Vec<Source>,
    /// Where the last allowed use of an only secret came from.
    source: Option<Source>,
    denied: Vec<(Code, u32)>,
    /// Uses of several secrets.
    seen: Vec<Seen>,
}

/// Where a use came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Source {
    address: Option<IpAddr>,
    agent: Option<Box<str>>,
}

/// The last allowed use of one secret version.
#[derive(Debug)]
struct Seen {
    generation: u32,
    at: i64,
    source: Option<Source>,
}

/// What a flush takes out of a record.
#[derive(Debug)]
struct Counts {
    allowed: u32,
    elsewhere: Vec<Source>,
    seen: Vec<Seen>,
    denied: Vec<(Code, u32)>,
}

/// Who used a key, from where.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sighting<'a> {
    pub(crate) address: Option<IpAddr>,
    pub(crate) agent: Option<&'a str>,
}

/// The records with something to write.
#[derive(Default)]
pub(crate) struct Usage {
    backlog: Backlog,
    /// Written already, and to be told.
    pub(crate) first_uses: FirstUses,
}

impl Sighting<'_> {
    /// Writes it over an older one; allocates only when something changed. Returns the older one if it is
    /// of another network.
    fn keep(self, source: &mut Option<Source>) -> Option<Source> {
        let (old_address, old_agent) =
            source.as_ref().map_or((None, None), |source| (source.address, source.agent.as_deref()));
        if (old_address, old_agent) == (self.address, self.agent) {
            return None;
        }
        let new = Source { address: self.address, agent: self.agent.map(Into::into) };
        let moved = old_address.map(site_of) != self.address.map(site_of);
        source.replace(new).filter(|old| moved && old.address.is_some())
    }

    fn is_empty(&self) -> bool {
        self.address.is_none() && self.agent.is_none()
    }
}

impl Tally {
    fn notes(&self) -> MutexGuard<'_, Option<Box<Notes>>> {
        self.notes.lock().expect("no code panics while it counts")
    }

    /// Takes over what outlives a reload of the record.
    pub(super) fn carry_on(&self, old: &Self) {
        self.network.store(old.network.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Takes the counts; a use that comes later lists the record again.
    fn take(&self, record: &KeyRecord) -> Counts {
        self.listed.swap(false, Ordering::AcqRel);
        let mut notes = self.notes();
        let allowed = self.allowed.swap(0, Ordering::Relaxed);
        let Notes { elsewhere, source, denied, mut seen } =
            notes.take().map(|notes| *notes).unwrap_or_default();
        if let Some(generation) = record.only_generation().filter(|_| allowed > 0) {
            seen.push(Seen { generation, at: record.last_used_at.load(Ordering::Relaxed), source });
        }
        Counts { allowed, elsewhere, seen, denied }
    }

    /// Takes back what could not be written. A use that came meanwhile is newer.
    fn put_back(&self, record: &KeyRecord, old: Counts) {
        let mut notes = self.notes();
        self.allowed.fetch_add(old.allowed, Ordering::Relaxed);
        self.listed.store(true, Ordering::Release);
        let notes = notes.get_or_insert_default();
        for (code, count) in old.denied {
            notes.deny(code, count);
        }
        old.elsewhere.into_iter().for_each(|source| notes.leave(source));
        for seen in old.seen {
            if record.only_generation() == Some(seen.generation) {
                notes.source = notes.source.take().or(seen.source);
            } else if notes.of(seen.generation).is_none() {
                notes.seen.push(seen);
            }
        }
    }
}

impl Notes {
    fn deny(&mut self, code: Code, count: u32) {
        match self.denied.iter_mut().find(|(known, _)| *known == code) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.denied.push((code, count)),
        }
    }

    fn of(&mut self, generation: u32) -> Option<&mut Seen> {
        self.seen.iter_mut().find(|seen| seen.generation == generation)
    }

    fn see(&mut self, generation: u32, sighting: Sighting<'_>, at: i64) {
        if self.of(generation).is_none() {
            self.seen.push(Seen { generation, at, source: None });
        }
        let left = self.of(generation).and_then(|seen| {
            seen.at = at;
            sighting.keep(&mut seen.source)
        });
        left.into_iter().for_each(|source| self.leave(source));
    }

    /// A use came from another network than this one.
    fn leave(&mut self, source: Source) {
        let known =
            self.elsewhere.iter().any(|other| other.address.map(site_of) == source.address.map(site_of));
        if !known && self.elsewhere.len() < MOST_NETWORKS {
            self.elsewhere.push(source);
        }
    }
}

impl Usage {
    /// Notes an allowed use.
    pub(crate) fn allowed(&self, record: &Arc<KeyRecord>, generation: u32, sighting: Sighting<'_>, now: i64) {
        record.last_used_at.fetch_max(now, Ordering::Relaxed);
        {
            let mut notes = record.tally.notes();
            record.tally.allowed.fetch_add(1, Ordering::Relaxed);
            if record.only_generation().is_none() {
                notes.get_or_insert_default().see(generation, sighting, now);
            } else if notes.is_some() || !sighting.is_empty() {
                let notes = notes.get_or_insert_default();
                let left = sighting.keep(&mut notes.source);
                left.into_iter().for_each(|source| notes.leave(source));
            }
        }
        self.list(record);
    }

    /// Notes a refused use.
    pub(crate) fn denied(&self, record: &Arc<KeyRecord>, code: Code) {
        record.tally.notes().get_or_insert_default().deny(code, 1);
        self.list(record);
    }

    fn list(&self, record: &Arc<KeyRecord>) {
        if !record.tally.listed.swap(true, Ordering::AcqRel) {
            self.backlog.push(record.clone());
        }
    }

    /// Records that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Writes up to `most` records; returns how many were written.
    /// What cannot be written goes back on the list.
    pub(crate) async fn flush(&self, db: &Db, most: usize, now: i64) -> Result<usize> {
        let batch = self.backlog.take(most);
        for (at, records) in batch.chunks(BATCH).enumerate() {
            let drained: Vec<_> = records.iter().map(|record| (record, record.tally.take(record))).collect();
            if let Err(error) = write(db, &drained, now).await {
                for (record, counts) in drained {
                    record.tally.put_back(record, counts);
                }
                self.backlog.put_back(&batch[at * BATCH..]);
                return Err(error);
            }
            networks::remember(&drained);
            self.first_uses.gather(&drained);
        }
        Ok(batch.len())
    }
}

async fn write(db: &Db, drained: &[(&Arc<KeyRecord>, Counts)], now: i64) -> Result<()> {
    let rows = Rows::of(drained, now - now.rem_euclid(HOUR_MS));
    let mut tx = db.begin().await?;
    merge_seen(tx.conn(), &rows.seen).await?;
    add_uses(tx.conn(), &rows.hours).await?;
    key_networks::add(tx.conn(), &networks::new(drained)).await?;
    tx.commit().await
}

/// What a batch writes: merged, because a record that was reloaded meanwhile is listed twice, and
/// in the order of the tables.
struct Rows {
    seen: Vec<SeenRow>,
    hours: Vec<HourRow>,
}

impl Rows {
    fn of(drained: &[(&Arc<KeyRecord>, Counts)], hour: i64) -> Self {
        let (mut seen, mut hours) = (BTreeMap::new(), BTreeMap::new());
        for (record, counts) in drained {
            for use_ in &counts.seen {
                let place = (record.terms.tenant_id, record.id, use_.generation);
                let last = seen.entry(place).or_insert(use_);
                if use_.at > last.at {
                    *last = use_;
                }
            }
            let allowed = (counts.allowed > 0).then_some(("ok", counts.allowed));
            let denied = counts.denied.iter().map(|(code, count)| (code.as_str(), *count));
            for (outcome, uses) in allowed.into_iter().chain(denied) {
                *hours.entry((record.terms.tenant_id, record.id, outcome)).or_insert(0) += i64::from(uses);
            }
        }
        Self {
            seen: seen.into_iter().map(|((tenant, key, _), seen)| seen_row(tenant, key, seen)).collect(),
            hours: hours
                .into_iter()
                .map(|((tenant, key, outcome), uses)| HourRow {
                    tenant_id: tenant.to_string(),
                    key_id: key.to_string(),
                    hour,
                    outcome: outcome.into(),
                    uses,
                })
                .collect(),
        }
    }
}

fn seen_row(tenant: TenantId, key: KeyId, seen: &Seen) -> SeenRow {
    let source = seen.source.as_ref();
    SeenRow {
        tenant_id: tenant.to_string(),
        key_id: key.to_string(),
        generation: i64::from(seen.generation),
        seen_at: seen.at,
        address: source.and_then(|source| source.address).map(|address| address.to_string()),
        agent: source.and_then(|source| source.agent.as_deref()).map(Into::into),
    }
}
