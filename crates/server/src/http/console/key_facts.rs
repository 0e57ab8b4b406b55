//! What speaks for and against a change of several keys, before it is made.

use std::collections::HashSet;

use keyward_core::key::Status;
use sha2::{Digest as _, Sha256};

use super::form::Faults;
use super::frame::Frame;
use super::gate::Visit;
use super::keys::{KeyLine, badge};
use super::moment::Moment;
use crate::app::Actor;
use crate::clock::parse_rfc3339;
use crate::error::{Error, Result};
use crate::keys::chosen::{self, Judged};
use crate::keys::lifecycle::Act;
use crate::keys::usage;
use crate::keys::wire::KeyOut;
use crate::random;

/// Keys of either kind that a page lists.
pub(super) const LISTED: usize = 200;
/// More keys than this are not changed without a phrase to type.
const MANY: usize = 10;
/// Use within so many hours counts as in use.
const HOURS: i64 = 24;

/// What is done to the keys.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    /// As forms and phrases call it.
    pub(super) name: &'static str,
    /// The word of the line that tells that it was done.
    pub(super) done: &'static str,
    pub(super) act: Act,
}

/// One of the keys, with what speaks for it and against it.
pub(super) struct Chosen {
    pub(super) line: KeyLine,
    /// Calls that were accepted within a day; counted for keys that are listed.
    pub(super) calls: i64,
    pub(super) agent: Option<String>,
    pub(super) address: Option<String>,
    /// Whether it was used within a day.
    is_in_use: bool,
    works_now: bool,
    works_then: bool,
    /// Its status afterwards, and that in words.
    pub(super) becomes: Option<(&'static str, &'static str)>,
    /// Its end afterwards; none is never.
    pub(super) ends_then: Option<Moment>,
    /// That end comes before the one that it has now.
    ends_sooner: bool,
    /// Why it stays as it is.
    pub(super) against: Option<String>,
}

impl Chosen {
    fn new(frame: &Frame, judged: Judged) -> Result<Self> {
        let Judged { before, after } = judged;
        let (then, against) = match after {
            Ok(key) => (Some(key), None),
            Err(error) => (None, Some(detail(error)?)),
        };
        let used_at = before.last_used_at.as_deref().and_then(parse_rfc3339);
        let status = then.as_ref().map(|key| key.status);
        let ends_at = then.as_ref().and_then(|key| key.expires_at.as_deref());
        Ok(Self {
            calls: 0,
            agent: None,
            address: None,
            is_in_use: used_at.is_some_and(|at| at >= frame.now - HOURS * 3_600_000),
            works_now: works(before.status),
            works_then: status.is_some_and(works),
            becomes: status.map(|status| (status.as_str(), badge(frame, status))),
            ends_then: ends_at.map(|at| frame.moment(at)),
            ends_sooner: then.as_ref().is_some_and(|key| end(key) < end(&before)),
            against,
            line: KeyLine::new(before, frame),
        })
    }

    /// Asks how often it was called, and by whom last.
    async fn count_calls(&mut self, visit: &Visit) -> Result<()> {
        let used = usage::show(&visit.app, &visit.actor, &self.line.key.id, Some(HOURS)).await?;
        self.calls = used.total.allowed;
        (self.agent, self.address) = (used.last_used_agent, used.last_used_address);
        Ok(())
    }

    fn stops(&self) -> bool {
        self.works_now && !self.works_then
    }
}

fn works(status: Status) -> bool {
    matches!(status, Status::Active | Status::Expiring | Status::Rotating)
}

/// When a key ends: later than all others where it never does.
fn end(key: &KeyOut) -> i64 {
    key.expires_at.as_deref().and_then(parse_rfc3339).unwrap_or(i64::MAX)
}

/// What stands against one key, in a sentence; what is nobody's choice goes on as an error.
pub(super) fn detail(error: Error) -> Result<String> {
    Ok(Faults::of(error)?.0.into_iter().map(|fault| fault.detail).next().unwrap_or_default())
}

/// All of them.
pub(super) struct Choice {
    wish: Wish,
    pub(super) can: Vec<Chosen>,
    pub(super) cannot: Vec<Chosen>,
}

impl Choice {
    /// Reads the keys, and asks the operation about each without doing anything.
    pub(super) async fn look(visit: &Visit, wish: Wish, keys: &[String]) -> Result<Self> {
        let looking = Actor { validate_only: true, idempotency: None, ..visit.actor.clone() };
        let mut choice = Self { wish, can: Vec::new(), cannot: Vec::new() };
        for judged in chosen::change(&visit.app, &looking, keys, wish.act, None).await? {
            let chosen = Chosen::new(&visit.frame, judged)?;
            let place = if chosen.against.is_none() { &mut choice.can } else { &mut choice.cannot };
            place.push(chosen);
        }
        for chosen in choice.can.iter_mut().take(LISTED) {
            chosen.count_calls(visit).await?;
        }
        Ok(choice)
    }

    /// What is done, as forms call it.
    pub(super) fn action(&self) -> &'static str {
        self.wish.name
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.wish.name == name
    }

    pub(super) fn is_empty(&self) -> bool {
        self.can.is_empty() && self.cannot.is_empty()
    }

    /// Those that can be changed, as far as a page lists them.
    pub(super) fn listed(&self) -> &[Chosen] {
        &self.can[..self.can.len().min(LISTED)]
    }

    /// How many of them it does not list.
    pub(super) fn unlisted(&self) -> usize {
        self.can.len().saturating_sub(LISTED)
    }

    /// Those that stay as they are, as far as a page lists them.
    pub(super) fn kept(&self) -> &[Chosen] {
        &self.cannot[..self.cannot.len().min(LISTED)]
    }

    /// How many of them it does not list.
    pub(super) fn unlisted_kept(&self) -> usize {
        self.cannot.len().saturating_sub(LISTED)
    }

    /// Keys that work now and would not afterwards.
    pub(super) fn stops(&self) -> usize {
        self.can.iter().filter(|chosen| chosen.stops()).count()
    }

    /// Keys that would work again.
    pub(super) fn starts(&self) -> usize {
        self.can.iter().filter(|chosen| !chosen.works_now && chosen.works_then).count()
    }

    /// Keys that would stop and were used within a day.
    pub(super) fn in_use(&self) -> usize {
        self.can.iter().filter(|chosen| chosen.stops() && chosen.is_in_use).count()
    }

    /// Keys that would end before they do now.
    pub(super) fn sooner(&self) -> usize {
        self.can.iter().filter(|chosen| chosen.ends_sooner).count()
    }

    pub(super) fn calls(&self) -> i64 {
        self.can.iter().map(|chosen| chosen.calls).sum()
    }

    pub(super) fn owners(&self) -> usize {
        let owners = self.can.iter().filter_map(|chosen| chosen.line.key.owner_id.as_deref());
        owners.collect::<HashSet<_>>().len()
    }

    /// Friction as the risk is: many keys, or keys in use that end for good.
    pub(super) fn asks(&self) -> bool {
        match self.wish.act {
            Act::Revoke => self.can.len() > MANY || self.in_use() > 0,
            Act::Activate => false,
            _ => self.can.len() > MANY,
        }
    }

    /// What stands for exactly those that can be changed: as many others are others.
    pub(super) fn mark(&self) -> String {
        let mut ids: Vec<&str> = self.can.iter().map(|chosen| chosen.line.key.id.as_str()).collect();
        ids.sort_unstable();
        random::to_hex(&Sha256::digest(ids.join(" ")))
    }

    pub(super) fn phrase(&self) -> String {
        format!("{} {}", self.wish.name, self.can.len())
    }
}
