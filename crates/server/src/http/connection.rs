//! One client connection: how long it may be silent, and what happens when there are too many
//! (HTTP-3).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use crate::clock::Clock;
use crate::config::TimeoutSettings;

/// What is known about a connection while it lives. Requests set flags; the times are kept by
/// whoever watches all connections, so that serving reads no clock.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) peer: IpAddr,
    /// Something arrived or was answered since the last look.
    touched: AtomicBool,
    /// When that last happened, as far as was looked; monotonic milliseconds.
    touched_ms: AtomicU64,
    within_head: AtomicBool,
    /// When the head that is being read was first seen; 0 outside heads.
    head_since_ms: AtomicU64,
    read_any: AtomicBool,
    last_request: AtomicBool,
    in_flight: AtomicU32,
    order: AtomicU8,
    /// Of the task that serves the connection.
    waker: AtomicWaker,
}

/// What a connection was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Answer what is being asked and close; another request may be on its way.
    Finish,
    /// Close at once unless a request is at work: too slow, too silent, or the place is needed.
    End,
}

impl ConnectionState {
    pub(crate) fn new(peer: IpAddr, now_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            peer,
            touched: AtomicBool::new(false),
            touched_ms: AtomicU64::new(now_ms),
            within_head: AtomicBool::new(false),
            head_since_ms: AtomicU64::new(0),
            read_any: AtomicBool::new(false),
            last_request: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            order: AtomicU8::new(Order::Serve as u8),
            waker: AtomicWaker::new(),
        })
    }

    /// Something arrived.
    pub(crate) fn note_read(&self, within_head: bool, is_last: bool) {
        self.touched.store(true, Ordering::Relaxed);
        self.read_any.store(true, Ordering::Relaxed);
        self.within_head.store(within_head, Ordering::Relaxed);
        if !within_head {
            self.head_since_ms.store(0, Ordering::Relaxed);
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

    /// Whether it has been silent or slow for longer than it may be; called now and then.
    fn has_lapsed(&self, timeouts: &TimeoutSettings, now_ms: u64) -> bool {
        if self.touched.swap(false, Ordering::Relaxed) {
            self.touched_ms.store(now_ms, Ordering::Relaxed);
        }
        let touched_ms = self.touched_ms.load(Ordering::Relaxed);
        if self.within_head.load(Ordering::Relaxed) {
            let unseen = self.head_since_ms.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
            let since = unseen.map_or_else(|since| since, |_| now_ms);
            return since + millis(timeouts.header) <= now_ms;
        }
        let patience =
            if self.read_any.load(Ordering::Relaxed) { timeouts.idle } else { timeouts.first_byte };
        !self.is_busy() && touched_ms + millis(patience) <= now_ms
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Whom to wake when an order comes.
    pub(crate) fn serve_on(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// What it was told last.
    pub(crate) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::End,
        }
    }

    fn tell(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.waker.wake();
        }
    }

    /// Orders connections by how long they have been idle; `None` at work.
    fn idle_since(&self) -> Option<(bool, u64)> {
        let touched = (self.touched.load(Ordering::Relaxed), self.touched_ms.load(Ordering::Relaxed));
        (!self.is_busy()).then_some(touched)
    }
}

/// A request that is being answered.
pub(crate) struct InFlight(Arc<ConnectionState>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.touched.store(true, Ordering::Relaxed);
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

/// The connections of each address, in the order of their arrival.
type Open = HashMap<IpAddr, Vec<Arc<ConnectionState>>>;

impl Connections {
    pub(crate) fn new(most: usize, most_per_source: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_source, open: Mutex::default(), count: AtomicU32::new(0) })
    }

    /// Takes a connection in; `None` when the caps are full of connections that are all at work.
    pub(crate) fn admit(self: &Arc<Self>, state: &Arc<ConnectionState>) -> Option<Place> {
        let mut open = self.open();
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
        victim.tell(Order::End);
    }

    /// Takes a connection out, unless that was done before.
    fn remove(&self, open: &mut Open, state: &Arc<ConnectionState>) {
        let Some(list) = open.get_mut(&state.peer) else { return };
        let Some(at) = list.iter().position(|other| Arc::ptr_eq(other, state)) else { return };
        list.remove(at);
        if list.is_empty() {
            open.remove(&state.peer);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells every connection to answer what is being asked and close.
    pub(crate) fn finish(&self) {
        self.open().values().flatten().for_each(|state| state.tell(Order::Finish));
    }

    /// Ends those that were silent or slow for too long, for ever: one look at all of them now and
    /// then is cheaper than a timer for each.
    pub(crate) async fn watch(&self, timeouts: &TimeoutSettings, clock: Clock) {
        let shortest = timeouts.first_byte.min(timeouts.header).min(timeouts.idle);
        let mut pause = tokio::time::interval(
            (shortest / 10).clamp(Duration::from_millis(20), Duration::from_millis(500)),
        );
        loop {
            pause.tick().await;
            let now_ms = clock.monotonic_ms();
            for state in self.open().values().flatten().filter(|state| state.has_lapsed(timeouts, now_ms)) {
                state.tell(Order::End);
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no code panics while it holds this lock")
    }

    /// Connections that are open.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed) as usize
    }
}

/// The connection that was idle longest; of several, the oldest: the first that is the least.
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
        let mut open = self.all.open();
        self.all.remove(&mut open, &self.state);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
