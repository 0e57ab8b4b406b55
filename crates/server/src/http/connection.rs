//! One client connection: how long it may be silent, and what happens when there are too many
//! (HTTP-3).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::TimeoutSettings;

/// What is known about a connection while it lives.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) peer: IpAddr,
    clock: Clock,
    opened_ms: u64,
    /// When the head that is being read began; 0 outside heads.
    head_since_ms: AtomicU64,
    /// When something last arrived.
    read_ms: AtomicU64,
    read_any: AtomicBool,
    last_request: AtomicBool,
    in_flight: AtomicU32,
    evict: Notify,
}

impl ConnectionState {
    pub(crate) fn new(peer: IpAddr, clock: Clock) -> Arc<Self> {
        let now = clock.monotonic_ms();
        Arc::new(Self {
            peer,
            clock,
            opened_ms: now,
            head_since_ms: AtomicU64::new(0),
            read_ms: AtomicU64::new(now),
            read_any: AtomicBool::new(false),
            last_request: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            evict: Notify::new(),
        })
    }

    /// Something arrived.
    pub(crate) fn note_read(&self, within_head: bool, is_last: bool) {
        let now = self.clock.monotonic_ms();
        self.read_any.store(true, Ordering::Relaxed);
        self.read_ms.store(now, Ordering::Relaxed);
        if !within_head {
            self.head_since_ms.store(0, Ordering::Relaxed);
        } else if self.head_since_ms.load(Ordering::Relaxed) == 0 {
            self.head_since_ms.store(now, Ordering::Relaxed);
        }
        if is_last {
            self.last_request.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the answer to this request must close the connection (HTTP/1 only).
    pub(crate) fn is_last_request(&self) -> bool {
        self.last_request.load(Ordering::Relaxed)
    }

    /// A request is being answered until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// How long until this connection has been silent for too long; `None` when it has.
    fn patience(&self, timeouts: &TimeoutSettings) -> Option<Duration> {
        let now = self.clock.monotonic_ms();
        let head = self.head_since_ms.load(Ordering::Relaxed);
        let deadline = if !self.read_any.load(Ordering::Relaxed) {
            self.opened_ms + millis(timeouts.first_byte)
        } else if head > 0 {
            head + millis(timeouts.header)
        } else if self.in_flight.load(Ordering::Relaxed) > 0 {
            now + 1000
        } else {
            self.read_ms.load(Ordering::Relaxed) + millis(timeouts.idle)
        };
        // A head may begin at any time: look again at least that often.
        let look_again = millis(timeouts.header.min(timeouts.first_byte)).clamp(100, 2000);
        (deadline > now).then(|| Duration::from_millis((deadline - now).min(look_again)))
    }

    /// Returns when the connection should be closed: too slow, too silent, or its place is needed.
    pub(crate) async fn lapse(&self, timeouts: &TimeoutSettings) {
        while let Some(patience) = self.patience(timeouts) {
            if tokio::time::timeout(patience, self.evict.notified()).await.is_ok() {
                return;
            }
        }
    }

    fn idle_since(&self) -> Option<u64> {
        (self.in_flight.load(Ordering::Relaxed) == 0).then(|| self.read_ms.load(Ordering::Relaxed))
    }
}

/// A request that is being answered.
pub(crate) struct InFlight(Arc<ConnectionState>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.read_ms.store(self.0.clock.monotonic_ms(), Ordering::Relaxed);
    }
}

/// All connections, to keep within the caps: at a cap the one that was idle longest makes room, so
/// that silent clients never shut out new ones.
pub(crate) struct Connections {
    most: usize,
    most_per_source: usize,
    open: Mutex<Open>,
    count: AtomicU32,
}

type Open = HashMap<IpAddr, Vec<Arc<ConnectionState>>>;

impl Connections {
    pub(crate) fn new(most: usize, most_per_source: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_source, open: Mutex::default(), count: AtomicU32::new(0) })
    }

    /// Takes a connection in; `None` when the caps are full of connections that are all at work.
    pub(crate) fn admit(self: &Arc<Self>, state: &Arc<ConnectionState>) -> Option<Place> {
        let mut open = self.open.lock().expect("no code panics while it holds this lock");
        let own = open.get(&state.peer).map_or(0, Vec::len);
        if own >= self.most_per_source {
            let victim = longest_idle(open.get(&state.peer).into_iter().flatten())?;
            self.evict(&mut open, &victim);
        } else if self.count() >= self.most {
            let victim = longest_idle(open.values().flatten())?;
            self.evict(&mut open, &victim);
        }
        open.entry(state.peer).or_default().push(state.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(Place { all: self.clone(), state: state.clone() })
    }

    /// Tells a connection to close. Its place is free at once: were it still counted, every
    /// connection of a burst would have the same victim, and the cap would not hold.
    fn evict(&self, open: &mut Open, victim: &Arc<ConnectionState>) {
        self.remove(open, victim);
        victim.evict.notify_one();
    }

    /// Takes a connection out, unless that was done before.
    fn remove(&self, open: &mut Open, state: &Arc<ConnectionState>) {
        let Some(list) = open.get_mut(&state.peer) else { return };
        let Some(at) = list.iter().position(|other| Arc::ptr_eq(other, state)) else { return };
        list.swap_remove(at);
        if list.is_empty() {
            open.remove(&state.peer);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections that are open.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed) as usize
    }
}

/// The connection that was idle longest.
fn longest_idle<'c>(
    candidates: impl Iterator<Item = &'c Arc<ConnectionState>>,
) -> Option<Arc<ConnectionState>> {
    let idle = candidates.filter_map(|state| Some((state.idle_since()?, state)));
    idle.min_by_key(|(since, _)| *since).map(|(_, state)| state.clone())
}

/// The place of a connection; given up when dropped.
pub(crate) struct Place {
    all: Arc<Connections>,
    state: Arc<ConnectionState>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.all.open.lock().expect("no code panics while it holds this lock");
        self.all.remove(&mut open, &self.state);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
