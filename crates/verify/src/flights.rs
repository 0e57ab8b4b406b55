//! Questions that are on their way: whoever asks the same meanwhile waits for the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::decision::Decision;
use crate::question::Mark;
use crate::unknown::Unknown;

/// An answer of the node, or why there is none.
pub(crate) type Outcome = Result<Arc<Decision>, Unknown>;

/// All questions that are on their way.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Mark, Arc<OnceCell<Outcome>>>>);

/// A seat in one of them.
struct Seat<'f> {
    flights: &'f Flights,
    mark: Mark,
    /// Taken when the seat is left.
    cell: Option<Arc<OnceCell<Outcome>>>,
}

impl Flights {
    /// Asks, or waits for the answer that somebody else asked for. If who asks goes away, somebody who
    /// waits asks instead.
    pub(crate) async fn share<F: Future<Output = Outcome>>(
        &self,
        mark: Mark,
        ask: impl Fn() -> F,
    ) -> Outcome {
        let mut seat = Seat { flights: self, mark, cell: None };
        // Behind the seat, and so given back before it.
        let cell = self.open().entry(mark).or_default().clone();
        seat.cell = Some(cell.clone());
        let mut asked = false;
        let first = || {
            asked = true;
            ask()
        };
        let outcome = cell.get_or_init(first).await.clone();
        drop(cell);
        drop(seat);
        match outcome {
            // It stands for one use, which was not ours.
            Ok(decision) if !asked && !decision.may_be_shared() => ask().await,
            outcome => outcome,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Mark, Arc<OnceCell<Outcome>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    /// A flight ends with its answer, so that nobody gets one that is older than the question; one that
    /// everybody left ends without.
    fn drop(&mut self) {
        let mut open = self.flights.open();
        let Some(ours) = self.cell.take() else { return };
        let is_there = open.get(&self.mark).is_some_and(|cell| Arc::ptr_eq(cell, &ours));
        let is_answered = ours.initialized();
        // Given back under the lock: of several who leave at once, the last one sees that it is.
        drop(ours);
        if is_there && (is_answered || open.get(&self.mark).is_some_and(|cell| Arc::strong_count(cell) == 1))
        {
            open.remove(&self.mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use hmac::{Hmac, KeyInit};
    use serde_json::{Value, json};
    use sha2::Sha256;

    use super::*;
    use crate::decision::tests::decision;
    use crate::question::Question;

    fn mark() -> Mark {
        Question::secret("x").mark(&Hmac::<Sha256>::new_from_slice(&[1; 32]).expect("any length"))
    }

    /// How often ten who ask at once make the node be asked.
    async fn asked_for(others: Value) -> usize {
        let (flights, asked) = (Flights::default(), AtomicUsize::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Arc::new(decision(others.clone())))
        };
        let ten = [(); 10].map(|()| Box::pin(flights.share(mark(), ask)));
        let mut ten = Vec::from(ten);
        std::future::poll_fn(|cx| {
            ten.retain_mut(|one| one.as_mut().poll(cx).is_pending());
            if ten.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        assert!(flights.open().is_empty());
        asked.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn who_asks_the_same_shares_the_answer_unless_it_is_counted() {
        assert_eq!(asked_for(json!({})).await, 1);
        assert_eq!(asked_for(json!({ "cache_ttl_seconds": 0 })).await, 10);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind() {
        let flights = Flights::default();
        let never = flights.share(mark(), std::future::pending);
        assert!(tokio::time::timeout(Duration::from_millis(1), never).await.is_err());
        assert!(flights.open().is_empty());
        let answered = flights.share(mark(), || async { Ok(Arc::new(decision(json!({})))) }).await;
        assert!(answered.is_ok());
        assert!(flights.open().is_empty());
    }
}
