//! Use of keys, gathered in memory and written behind (X8, KEY-14).
//!
//! A verification touches its own record only. The first use since the last flush puts the record
//! on a list; the flush drains the list in small transactions, so that a stalled database costs
//! verifications nothing and kill -9 loses the last few seconds at most.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use keyward_core::decide::Code;
use keyward_core::id::{KeyId, TenantId};

use super::facts::KeyRecord;
use crate::error::Result;
use crate::store::Db;
use crate::store::usage::{HourRow, SeenRow, add_uses, merge_seen};

const HOUR_MS: i64 = 3_600_000;
/// Records in one transaction, so that management writes never wait long behind a flush.
const BATCH: usize = 512;

/// What happened to one key since the last flush.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    listed: AtomicBool,
    counts: Mutex<Option<Box<Counts>>>,
}

#[derive(Debug, Default)]
struct Counts {
    allowed: u32,
    denied: Vec<(Code, u32)>,
    seen: Vec<Seen>,
}

/// The last allowed use of one secret version.
#[derive(Debug)]
struct Seen {
    generation: u32,
    at: i64,
    address: Option<IpAddr>,
    agent: Option<Box<str>>,
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
    listed: Mutex<Vec<Arc<KeyRecord>>>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Option<Box<Counts>>> {
        self.counts.lock().expect("no code panics while it counts")
    }
}

impl Usage {
    /// Notes an allowed use.
    pub(crate) fn allowed(&self, record: &Arc<KeyRecord>, generation: u32, sighting: Sighting<'_>, now: i64) {
        record.last_used_at.fetch_max(now, Ordering::Relaxed);
        let mut counts = record.tally.counts();
        let counts = counts.get_or_insert_default();
        counts.allowed = counts.allowed.saturating_add(1);
        match counts.seen.iter_mut().find(|seen| seen.generation == generation) {
            Some(seen) => {
                seen.at = now;
                seen.address = sighting.address;
                if seen.agent.as_deref() != sighting.agent {
                    seen.agent = sighting.agent.map(Into::into);
                }
            }
            None => counts.seen.push(Seen {
                generation,
                at: now,
                address: sighting.address,
                agent: sighting.agent.map(Into::into),
            }),
        }
        self.list(record);
    }

    /// Notes a refused use.
    pub(crate) fn denied(&self, record: &Arc<KeyRecord>, code: Code) {
        let mut counts = record.tally.counts();
        let counts = counts.get_or_insert_default();
        match counts.denied.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.denied.push((code, 1)),
        }
        self.list(record);
    }

    fn list(&self, record: &Arc<KeyRecord>) {
        if !record.tally.listed.swap(true, Ordering::AcqRel) {
            self.records().push(record.clone());
        }
    }

    fn records(&self) -> MutexGuard<'_, Vec<Arc<KeyRecord>>> {
        self.listed.lock().expect("no code panics while it lists")
    }

    /// Records that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.records().len()
    }

    /// Writes up to `most` records, the longest waiting first; returns how many were written.
    /// What cannot be written goes back on the list.
    pub(crate) async fn flush(&self, db: &Db, most: usize, now: i64) -> Result<usize> {
        let batch: Vec<_> = {
            let mut records = self.records();
            let count = most.min(records.len());
            records.drain(..count).collect()
        };
        for (at, records) in batch.chunks(BATCH).enumerate() {
            let drained: Vec<_> = records.iter().map(|record| (record, take(record))).collect();
            if let Err(error) = write(db, &drained, now).await {
                for (record, counts) in drained {
                    put_back(record, counts);
                }
                self.records().extend(batch[at * BATCH..].iter().cloned());
                return Err(error);
            }
        }
        Ok(batch.len())
    }
}

/// Takes the counts; a use that comes later lists the record again.
fn take(record: &KeyRecord) -> Option<Box<Counts>> {
    let mut counts = record.tally.counts();
    record.tally.listed.store(false, Ordering::Release);
    counts.take()
}

fn put_back(record: &KeyRecord, old: Option<Box<Counts>>) {
    let mut counts = record.tally.counts();
    record.tally.listed.store(true, Ordering::Release);
    let Some(mut old) = old else { return };
    if let Some(new) = counts.take() {
        old.allowed = old.allowed.saturating_add(new.allowed);
        for (code, count) in new.denied {
            match old.denied.iter_mut().find(|(known, _)| *known == code) {
                Some((_, sum)) => *sum = sum.saturating_add(count),
                None => old.denied.push((code, count)),
            }
        }
        old.seen.retain(|seen| new.seen.iter().all(|newer| newer.generation != seen.generation));
        old.seen.extend(new.seen);
    }
    *counts = Some(old);
}

async fn write(db: &Db, drained: &[(&Arc<KeyRecord>, Option<Box<Counts>>)], now: i64) -> Result<()> {
    let rows = Rows::of(drained, now - now.rem_euclid(HOUR_MS));
    let mut tx = db.begin().await?;
    merge_seen(tx.conn(), &rows.seen).await?;
    add_uses(tx.conn(), &rows.hours).await?;
    tx.commit().await
}

/// What a batch writes: merged, because a record that was reloaded meanwhile is listed twice, and
/// in the order of the tables.
struct Rows {
    seen: Vec<SeenRow>,
    hours: Vec<HourRow>,
}

impl Rows {
    fn of(drained: &[(&Arc<KeyRecord>, Option<Box<Counts>>)], hour: i64) -> Self {
        let (mut seen, mut hours) = (BTreeMap::new(), BTreeMap::new());
        for (record, counts) in drained {
            let Some(counts) = counts else { continue };
            for use_ in &counts.seen {
                let place = (record.tenant_id, record.id, use_.generation);
                let last = seen.entry(place).or_insert(use_);
                if use_.at > last.at {
                    *last = use_;
                }
            }
            let allowed = (counts.allowed > 0).then_some(("ok", counts.allowed));
            let denied = counts.denied.iter().map(|(code, count)| (code.as_str(), *count));
            for (outcome, uses) in allowed.into_iter().chain(denied) {
                *hours.entry((record.tenant_id, record.id, outcome)).or_insert(0) += i64::from(uses);
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
    SeenRow {
        tenant_id: tenant.to_string(),
        key_id: key.to_string(),
        generation: i64::from(seen.generation),
        seen_at: seen.at,
        address: seen.address.map(|address| address.to_string()),
        agent: seen.agent.as_deref().map(Into::into),
    }
}
