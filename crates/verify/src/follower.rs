//! Following what changes, for as long as the verifier lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::kept::Kept;
use crate::node::Node;

/// Between two questions, so that a busy tenant does not keep both sides busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// The same while the node does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The task that follows; ends when dropped.
pub(crate) struct Follower(JoinHandle<()>);

impl Follower {
    /// Starts it on the runtime of the caller.
    pub(crate) fn start(node: Arc<Node>, kept: Arc<Kept>, clock: Clock) -> Self {
        Self(tokio::spawn(async move { follow(&node, &kept, clock).await }))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(node: &Node, kept: &Kept, clock: Clock) {
    let (mut after, mut pause, mut lost) = (None, SHORTEST_PAUSE, false);
    loop {
        // News are as old as the question: an answer may have been on its way for long.
        let asked_ms = clock.monotonic_ms();
        match node.changes(after.as_deref()).await {
            Ok(news) => {
                kept.learn(&news, asked_ms);
                after = Some(news.next);
                if std::mem::take(&mut lost) {
                    tracing::info!("the changes of Keyward are followed again");
                }
                pause = SHORTEST_PAUSE;
            }
            Err(unknown) => {
                if unknown.is_our_own_key() {
                    kept.distrust();
                }
                if !std::mem::replace(&mut lost, true) {
                    tracing::warn!(%unknown, "the changes of Keyward cannot be followed");
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}
