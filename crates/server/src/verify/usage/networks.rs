//! Where keys are used from (BM9): a flush writes down what this node has not written down yet, and a job
//! tells of what is new to all of them.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use keyward_core::address::site_of;

use super::{Counts, Source};
use crate::store::key_networks::{NetworkRow, UNKNOWN};
use crate::verify::record::KeyRecord;

/// Of this process alone, so that nobody can look for a network with the mark of another.
static HASH: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);

/// The networks in a batch that are not known to be written down, each once, in the order of the table.
pub(super) fn new(drained: &[(&Arc<KeyRecord>, Counts)]) -> Vec<NetworkRow> {
    let mut rows = BTreeMap::new();
    for (record, counts) in drained.iter().filter(|(record, counts)| !is_known(record, counts)) {
        let (tenant, key) = (record.terms.tenant_id, record.id);
        let last = record.last_used_at.load(Ordering::Relaxed);
        let seen = counts.seen.iter().map(|seen| (seen.source.as_ref(), seen.at));
        for (source, at) in counts.elsewhere.iter().map(|source| (Some(source), last)).chain(seen) {
            let network = name(source);
            rows.entry((tenant, key, network)).or_insert((at, source));
        }
    }
    rows.into_iter()
        .map(|((tenant, key, network), (seen_at, source))| NetworkRow {
            tenant_id: tenant.to_string(),
            key_id: key.to_string(),
            network,
            seen_at,
            address: address(source).map(|address| address.to_string()),
            agent: source.and_then(|source| source.agent.as_deref()).map(Into::into),
        })
        .collect()
}

/// They are written down: the next use from the last of them asks nobody.
pub(super) fn remember(drained: &[(&Arc<KeyRecord>, Counts)]) {
    for (record, counts) in drained {
        if let Some(last) = counts.seen.last() {
            record.tally.network.store(mark(last.source.as_ref()), Ordering::Relaxed);
        }
    }
}

/// All of these uses came from the network that was written down last. One network in 65 thousand has the
/// mark of that one, and is noticed only after a use from a third.
fn is_known(record: &KeyRecord, counts: &Counts) -> bool {
    let known = record.tally.network.load(Ordering::Relaxed);
    counts.elsewhere.is_empty() && counts.seen.iter().all(|seen| mark(seen.source.as_ref()) == known)
}

/// A number that stands for a network; 0 is none.
fn mark(source: Option<&Source>) -> u16 {
    let network = address(source).map(site_of);
    (HASH.hash_one(network) as u16).max(1)
}

fn name(source: Option<&Source>) -> String {
    address(source).map_or_else(|| UNKNOWN.into(), |address| site_of(address).to_string())
}

fn address(source: Option<&Source>) -> Option<IpAddr> {
    source.and_then(|source| source.address)
}
