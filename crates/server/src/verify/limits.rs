//! Rate limits of the verify path (X6), and the throttle on failures (VER-5).

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyward_core::address::source_of;
use keyward_core::decide::{LimitState, Now, Verdicts};
use keyward_core::id::TenantId;
use keyward_core::limit::RateLimit;
use keyward_core::token::AccessKey;
use quick_cache::sync::Cache;
use smallvec::SmallVec;

use super::facts::{TenantRecord, UserRecord};
use super::record::KeyRecord;

/// A limit with the place of its state.
type Rule<'a> = (&'a RateLimit, &'a AtomicU64);
/// The states of limits; most keys have two limits at most, their owner's included.
pub(crate) type States<'a> = SmallVec<[LimitState<'a>; 2]>;

/// The limits that bind one request: those of the key, then those of its owner.
pub(crate) struct Meter<'a>(SmallVec<[Rule<'a>; 2]>);

impl<'a> Meter<'a> {
    /// Gathers the limits of key and owner.
    pub(crate) fn of(key: &'a KeyRecord, owner: Option<&'a UserRecord>, tenant: &'a TenantRecord) -> Self {
        let own = key.terms.limits.iter().zip(key.arrivals());
        let owners =
            owner.map(|owner| tenant.tenant.policy.owner_limits.iter().zip(&owner.arrivals)).into_iter();
        Self(own.chain(owners.flatten()).collect())
    }

    fn rules(&self) -> impl Iterator<Item = Rule<'a>> {
        self.0.iter().copied()
    }

    /// The present state of each limit, for a decision.
    pub(crate) fn read(&self) -> States<'a> {
        let read = |arrival: &AtomicU64| arrival.load(Ordering::Relaxed);
        self.rules().map(|(limit, arrival)| LimitState { limit, arrival: read(arrival) }).collect()
    }

    /// Keeps the states of a decision; false when another request was faster and it must be
    /// taken again. What was spent until then is given back.
    pub(crate) fn keep(&self, before: &[LimitState<'_>], verdicts: &Verdicts) -> bool {
        let swap = |arrival: &AtomicU64, from: u64, to: u64| {
            arrival.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        for (at, ((_, arrival), (old, new))) in
            self.rules().zip(before.iter().zip(verdicts.as_slice())).enumerate()
        {
            if swap(arrival, old.arrival, new.next) {
                continue;
            }
            for ((_, arrival), (old, new)) in
                self.rules().zip(before.iter().zip(verdicts.as_slice())).take(at)
            {
                swap(arrival, new.next, old.arrival);
            }
            return false;
        }
        true
    }
}

/// Failed credentials by source address; those that callers of a tenant ask about are counted apart
/// for each tenant. A source above the limit is told 429 instead of 401; valid credentials from the
/// same source pass all the same.
pub(crate) struct FailureThrottle {
    limit: RateLimit,
    sources: Arrivals<(Option<TenantId>, IpAddr)>,
    all: RateLimit,
    global: AtomicU64,
}

impl FailureThrottle {
    /// Sources remembered at once, so that memory stays flat under any number of addresses.
    const SOURCES: usize = 100_000;

    pub(crate) fn new() -> Self {
        let limit = |name: &str, requests, per_seconds| RateLimit {
            name: name.into(),
            requests,
            per_seconds,
            burst: None,
        };
        Self {
            limit: limit("failures", 300, 60),
            sources: Arrivals::new(Self::SOURCES),
            all: limit("failures_all", 60_000, 60),
            global: AtomicU64::new(0),
        }
    }

    /// Counts a failure.
    pub(crate) fn note(&self, tenant: Option<TenantId>, source: Option<IpAddr>, now: Now) -> Excess {
        let own =
            source.and_then(|source| spend(&self.limit, &self.sources.of(&(tenant, source_of(source))), now));
        Excess { own, all: spend(&self.all, &self.global, now) }
    }

    /// Seconds until a source that failed too often may try again; counts nothing.
    pub(crate) fn wait(&self, tenant: Option<TenantId>, source: Option<IpAddr>, now: Now) -> Option<u64> {
        let arrival = self.sources.known(&(tenant, source_of(source?)))?;
        let verdict = self.limit.judge(arrival.load(Ordering::Relaxed), now.monotonic_ns, 1);
        (!verdict.allowed).then(|| seconds(verdict.wait_ns))
    }
}

/// Reports of leaks by source address, right ones and wrong ones alike: whoever asks often learns
/// nothing and gets no further (LEAK-4).
pub(crate) struct ReportThrottle {
    limit: RateLimit,
    sources: Arrivals<Option<IpAddr>>,
}

impl ReportThrottle {
    pub(crate) fn new() -> Self {
        let limit = RateLimit { name: "leak_reports".into(), requests: 30, per_seconds: 60, burst: None };
        Self { limit, sources: Arrivals::new(FailureThrottle::SOURCES) }
    }

    /// Counts a report; the seconds to wait when there were too many.
    pub(crate) fn spend(&self, source: Option<IpAddr>, now: Now) -> Option<u64> {
        spend(&self.limit, &self.sources.of(&source.map(source_of)), now)
    }
}

/// Requests of one key in the dialect of Mode, which has a fixed limit of about 40 in 10 seconds for each: that is
/// what its clients are made for. Each node counts for itself.
pub(crate) struct ModeThrottle {
    limit: RateLimit,
    keys: Arrivals<AccessKey>,
}

impl ModeThrottle {
    /// Keys remembered at once, so that memory stays flat under any number of them: one that is forgotten begins
    /// anew.
    const KEYS: usize = 10_000;

    pub(crate) fn new() -> Self {
        let limit = RateLimit { name: "mode".into(), requests: 40, per_seconds: 10, burst: None };
        Self { limit, keys: Arrivals::new(Self::KEYS) }
    }

    /// Counts a request of a key that proved itself; the seconds to wait when there were too many.
    pub(crate) fn spend(&self, key: AccessKey, now: Now) -> Option<u64> {
        spend(&self.limit, &self.keys.of(&key), now)
    }
}

/// Seconds to wait, where a limit on failures was passed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Excess {
    /// That of the source.
    pub(crate) own: Option<u64>,
    /// That of all sources together.
    pub(crate) all: Option<u64>,
}

/// The states of one limit for many who are counted apart, in bounded memory.
pub(super) struct Arrivals<K, S = AtomicU64>(Cache<K, Arc<S>>);

impl<K: Clone + Eq + Hash, S: Default> Arrivals<K, S> {
    pub(super) fn new(most: usize) -> Self {
        Self(Cache::new(most))
    }

    /// The state for this one, new if there is none.
    pub(super) fn of(&self, who: &K) -> Arc<S> {
        let new = || Ok::<_, std::convert::Infallible>(Arc::default());
        self.0.get_or_insert_with(who, new).unwrap_or_else(|never| match never {})
    }

    fn known(&self, who: &K) -> Option<Arc<S>> {
        self.0.get(who)
    }
}

/// Counts one event; the seconds to wait where the limit was passed.
pub(super) fn spend(limit: &RateLimit, arrival: &AtomicU64, now: Now) -> Option<u64> {
    let verdict = limit.judge(arrival.load(Ordering::Relaxed), now.monotonic_ns, 1);
    // A lost race loses one count of hundreds: good enough for a throttle.
    arrival.fetch_max(verdict.next, Ordering::Relaxed);
    (!verdict.allowed).then(|| seconds(verdict.wait_ns))
}

fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000).max(1)
}
