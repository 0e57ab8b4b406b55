//! Tokens that trusted secrets and keys asked for, on their way into the audit log: each secret and user has an
//! entry a minute of their own (IMP-3), up to a bound beyond which the users are listed together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};

use keyward_core::id::TenantId;
use serde_json::json;

use crate::app::{Actor, App};
use crate::audit::Event;
use crate::error::Result;
use crate::verify::tokens::Subject;

/// An entry waits so long for more of its kind.
const MINUTE_MS: u64 = 60_000;
/// Users of one secret that have entries of their own in a minute; all others of it share one.
const MOST_OF_ONE: usize = 10_000;
/// And those of all secrets together.
const MOST: usize = 100_000;
/// Users who are named in a shared entry.
const MOST_NAMED: usize = 1_000;
/// Entries that are written in one transaction.
const BATCH: usize = 100;

/// What waits to be told.
#[derive(Default)]
pub(crate) struct Mints {
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    waiting: BTreeMap<Place, Minted>,
    /// Entries of each secret or key.
    counts: HashMap<String, usize>,
}

/// Whose log, which secret or key, and for whom; nobody stands for all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    tenant: TenantId,
    by: String,
    subject: Option<Subject>,
}

struct Minted {
    /// The secret or key, with the first call.
    actor: Actor,
    tokens: u64,
    /// Of a shared entry.
    subjects: BTreeSet<Subject>,
    due_ms: u64,
}

impl Mints {
    /// A trusted secret or a key got a token for somebody: told a minute after the first.
    pub(crate) fn note(
        &self,
        tenant: TenantId,
        (by, subject): (String, Subject),
        now_ms: u64,
        actor: impl FnOnce() -> Actor,
    ) {
        let mut gathered = self.lock();
        let place = gathered.place(Place { tenant, by, subject: Some(subject) });
        let shared = place.subject.is_none();
        let due_ms = now_ms + MINUTE_MS;
        let new = || Minted { actor: actor(), tokens: 0, subjects: BTreeSet::new(), due_ms };
        let entry = gathered.waiting.entry(place).or_insert_with(new);
        entry.tokens += 1;
        if shared && entry.subjects.len() < MOST_NAMED {
            entry.subjects.insert(subject);
        }
    }

    /// Takes what is due, those of one secret together.
    fn take(&self, now_ms: u64) -> Vec<(Place, Minted)> {
        let mut gathered = self.lock();
        let Gathered { waiting, counts } = &mut *gathered;
        let due: Vec<_> = waiting.extract_if(.., |_, entry| entry.due_ms <= now_ms).collect();
        for (place, _) in &due {
            if let Some(count) = counts.get_mut(&place.by) {
                *count = count.saturating_sub(usize::from(place.subject.is_some()));
            }
        }
        counts.retain(|_, count| *count > 0);
        due
    }

    /// What could not be written is due again.
    fn put_back(&self, due: Vec<(Place, Minted)>) {
        let mut gathered = self.lock();
        for (place, mut entry) in due {
            let place = gathered.place(place);
            if let Some(newer) = gathered.waiting.remove(&place) {
                entry.tokens += newer.tokens;
                entry.subjects.extend(newer.subjects);
            }
            gathered.waiting.insert(place, entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().expect("no code panics while it holds this lock")
    }
}

impl Gathered {
    /// The place itself, or that of all others when the secret has enough of them.
    fn place(&mut self, own: Place) -> Place {
        if own.subject.is_none() || self.waiting.contains_key(&own) {
            return own;
        }
        let total = self.waiting.len();
        let count = self.counts.entry(own.by.clone()).or_default();
        if *count >= MOST_OF_ONE || total >= MOST {
            return Place { subject: None, ..own };
        }
        *count += 1;
        own
    }
}

impl Minted {
    fn event(&self, place: &Place) -> Event {
        let call = self.actor.call.clone();
        let event = match place.subject {
            Some(subject) => {
                let kind = if matches!(subject, Subject::Key(_)) { "key" } else { "user" };
                Event::new("token.mint", kind, &subject.to_string(), "")
                    .after(&json!({ "tokens": self.tokens }))
            }
            None => {
                let subjects: Vec<_> = self.subjects.iter().map(ToString::to_string).collect();
                Event::new("token.mint", "user", "others", "")
                    .after(&json!({ "tokens": self.tokens, "subjects": subjects }))
            }
        };
        Event { call: Some(call), ..event }
    }
}

impl App {
    /// Writes the entries about tokens that are due.
    pub(crate) async fn flush_mints(&self) -> Result<()> {
        self.write_mints(self.clock.monotonic_ms()).await
    }

    /// Writes all of them: at shutdown.
    pub(crate) async fn finish_mints(&self) -> Result<()> {
        self.write_mints(u64::MAX).await
    }

    async fn write_mints(&self, now_ms: u64) -> Result<()> {
        let mut due = self.mints.take(now_ms);
        while let Some((first, entry)) = due.first() {
            let same = |(place, minted): &&(Place, Minted)| {
                (place.tenant, &place.by) == (first.tenant, &first.by)
                    && minted.actor.secret_generation == entry.actor.secret_generation
            };
            let count = due.iter().take(BATCH).take_while(same).count();
            let events = due.iter().take(count).map(|(place, entry)| entry.event(place)).collect();
            if let Err(error) = self.record_noticed(entry.actor.clone(), events).await {
                self.mints.put_back(due);
                return Err(error);
            }
            due.drain(..count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use keyward_core::id::UserId;

    use super::*;

    fn minted() -> Minted {
        Minted { actor: Actor::local("t", "test"), tokens: 1, subjects: BTreeSet::new(), due_ms: 10 }
    }

    #[test]
    fn imp_3_r_10_every_user_has_an_entry_up_to_a_bound_and_no_secret_takes_anothers_room() {
        let mints = Mints::default();
        let place = |secret: u128, user: u128| Place {
            tenant: TenantId::from_u128(1),
            by: secret.to_string(),
            subject: Some(Subject::User(UserId::from_u128(user))),
        };
        let note = |own: Place| {
            let mut gathered = mints.lock();
            let place = gathered.place(own);
            let named = place.subject.is_some();
            gathered.waiting.entry(place).or_insert_with(minted);
            named
        };
        assert!((0..MOST_OF_ONE as u128).all(|user| note(place(1, user))));
        assert!(!note(place(1, u128::MAX)) && note(place(1, 5)) && note(place(2, 5)));
        assert!(mints.take(9).is_empty());
        let due = mints.take(10);
        assert_eq!(due.len(), MOST_OF_ONE + 2);
        assert!(mints.lock().waiting.is_empty() && mints.lock().counts.is_empty());
        mints.put_back(due);
        assert_eq!(mints.take(10).len(), MOST_OF_ONE + 2, "nothing is lost");
        assert!(note(place(1, u128::MAX)), "there is room again");
    }
}
