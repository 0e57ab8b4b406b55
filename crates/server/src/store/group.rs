//! Group commit: writers that come at the same time share one durable commit (`performance.md`).
//!
//! SQLite has one writer at a time, and most of a small write is waiting for the disk. A writer
//! that finds others queueing behind it leaves the transaction open to the next one; the last of
//! the queue commits for all. Nobody is answered before the commit that holds its change. A writer
//! who fails takes back its own part only, by a savepoint. PostgreSQL commits in parallel by
//! itself; there each writer has a transaction of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::{Conn, Db, Transaction, on};
use crate::error::{Error, Result};

/// Writers in one commit, at most.
const MOST: usize = 64;
/// A member who hears nothing for this long commits the group itself: whoever should have done
/// so was cancelled.
const IMPATIENCE: Duration = Duration::from_millis(20);

/// The queue of writers of this process.
pub(crate) struct Writers {
    db: Db,
    open: Arc<Mutex<Option<Group>>>,
    queueing: AtomicUsize,
}

/// An open transaction that holds the changes of its members.
struct Group {
    transaction: Transaction,
    members: Vec<oneshot::Sender<()>>,
}

/// One writer's turn. Dropped before it ended, it takes the whole open group with it: nobody in it
/// has been answered, and all are told that nothing was kept.
pub(crate) struct Turn<'w> {
    writers: &'w Writers,
    group: Group,
    /// Held by turns that may share; a turn on PostgreSQL holds nothing.
    place: Option<OwnedMutexGuard<Option<Group>>>,
    joined: bool,
}

/// Counts a writer in the queue, also when it gives up waiting.
struct Queueing<'w>(&'w AtomicUsize);

impl Drop for Queueing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Writers {
    pub(crate) fn new(db: Db) -> Self {
        Self { db, open: Arc::default(), queueing: AtomicUsize::new(0) }
    }

    /// Waits for a turn.
    pub(crate) async fn enter(&self) -> Result<Turn<'_>> {
        if let Db::Postgres(_) = self.db {
            let group = Group { transaction: self.db.begin().await?, members: Vec::new() };
            return Ok(Turn { writers: self, group, place: None, joined: false });
        }
        self.queueing.fetch_add(1, Ordering::AcqRel);
        let queueing = Queueing(&self.queueing);
        let mut place = self.open.clone().lock_owned().await;
        drop(queueing);
        let (group, joined) = match place.take() {
            Some(mut group) => {
                run(group.transaction.conn(), "SAVEPOINT turn").await?;
                (group, true)
            }
            None => (Group { transaction: self.db.begin().await?, members: Vec::new() }, false),
        };
        Ok(Turn { writers: self, group, place: Some(place), joined })
    }

    /// Commits a group that was left open.
    async fn commit_open(&self) -> Result<()> {
        let mut place = self.open.lock().await;
        match place.take() {
            Some(group) => group.commit().await,
            None => Ok(()),
        }
    }
}

impl Group {
    async fn commit(self) -> Result<()> {
        self.transaction.commit().await?;
        for member in self.members {
            let _ = member.send(());
        }
        Ok(())
    }
}

impl Turn<'_> {
    /// The transaction.
    pub(crate) fn transaction(&mut self) -> &mut Transaction {
        &mut self.group.transaction
    }

    /// Returns when the changes are durable.
    pub(crate) async fn keep(mut self) -> Result<()> {
        let Some(mut place) = self.place else { return self.group.commit().await };
        // The savepoint stays: the next one lies within it, and the commit ends them all.
        let last = self.writers.queueing.load(Ordering::Acquire) == 0;
        if last || self.group.members.len() + 1 >= MOST {
            // Held until the end: whoever comes meanwhile forms the next group.
            return self.group.commit().await;
        }
        let (sender, mut committed) = oneshot::channel();
        self.group.members.push(sender);
        *place = Some(self.group);
        drop(place);
        loop {
            match tokio::time::timeout(IMPATIENCE, &mut committed).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) => return Err(Error::outage("the group was undone; nothing was kept")),
                Err(_) => self.writers.commit_open().await?,
            }
        }
    }

    /// Takes back what this turn did, and nothing else.
    pub(crate) async fn undo(mut self) -> Result<()> {
        let Some(mut place) = self.place else { return self.group.transaction.rollback().await };
        if !self.joined {
            return self.group.transaction.rollback().await;
        }
        run(self.group.transaction.conn(), "ROLLBACK TO turn").await?;
        run(self.group.transaction.conn(), "RELEASE turn").await?;
        if self.writers.queueing.load(Ordering::Acquire) == 0 {
            return self.group.commit().await;
        }
        *place = Some(self.group);
        Ok(())
    }
}

async fn run(conn: &mut Conn, statement: &'static str) -> Result<()> {
    on!(conn, c => sqlx::raw_sql(statement).execute(c).await.map(drop))?;
    Ok(())
}
