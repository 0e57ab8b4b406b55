//! Access keys: the list of them, and choosing some (BM, SQ6, MO7).

use askama::Template;
use keyward_core::key::{KeyClass, Status};

use super::Shown;
use super::frame::Frame;
use super::gate::Visit;
use super::moment::Moment;
use crate::error::Result;
use crate::http::json::Query;
use crate::http::v1::keys::ListQuery;
use crate::keys;
use crate::keys::wire::KeyOut;

/// Keys on one page, at most: it stays small however many there are.
const ROWS: i64 = 50;
/// Keys that are changed at once by what a list finds, at most.
pub(super) const MOST_MATCHING: i64 = 2_000;
/// In the address of a list whose rows are all ticked; the gate takes it off before the page reads its query.
const PAGE_CHOSEN: &str = "chosen=all";
/// The same where all keys are chosen that the list finds, on whichever page.
const ALL_CHOSEN: &str = "chosen=matching";

/// One key in a list.
pub(super) struct KeyLine {
    pub(super) key: KeyOut,
    pub(super) status: &'static str,
    pub(super) badge: &'static str,
    pub(super) created: Moment,
    pub(super) expires: Option<Moment>,
    pub(super) last_used: Option<Moment>,
}

impl KeyLine {
    pub(super) fn new(key: KeyOut, frame: &Frame) -> Self {
        let moment = |text: &Option<String>| text.as_deref().map(|text| frame.moment(text));
        Self {
            status: key.status.as_str(),
            badge: badge(frame, key.status),
            created: frame.moment(&key.created_at),
            expires: moment(&key.expires_at),
            last_used: moment(&key.last_used_at),
            key,
        }
    }
}

/// A status in words; the same in lists, details and filters.
pub(super) fn badge(frame: &Frame, status: Status) -> &'static str {
    match status {
        Status::Pending => frame.t("Pending"),
        Status::Active => frame.t("Active"),
        Status::Expiring => frame.t("Expires soon"),
        Status::Rotating => frame.t("Rotating"),
        Status::Inactive => frame.t("Switched off"),
        Status::Suspended => frame.t("Suspended"),
        Status::Expired => frame.t("Expired"),
        Status::Revoked => frame.t("Revoked"),
    }
}

/// A class in words.
pub(super) fn class_name(frame: &Frame, class: KeyClass) -> &'static str {
    match class {
        KeyClass::Member => frame.t("Member key"),
        KeyClass::Workspace => frame.t("Workspace key"),
        KeyClass::Ingest => frame.t("Ingest key"),
    }
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage<'a> {
    f: &'a Frame,
    /// One's own keys; else all of the tenant.
    own: bool,
    keys: Vec<KeyLine>,
    query: &'a ListQuery,
    statuses: Vec<(&'static str, &'static str)>,
    /// The next page, as a link.
    older: Option<String>,
    /// This part of the list, to come back to.
    here: String,
    /// Every row is ticked, as it was asked for by a link.
    all_chosen: bool,
    /// What else was asked for by a link.
    reach: Reach,
    /// There are other pages.
    has_further: bool,
    is_filtered: bool,
}

/// Which keys are chosen beyond those that are ticked.
#[derive(Clone, Copy)]
enum Reach {
    /// None.
    Ticked,
    /// All that match; so many.
    All(usize),
    /// All that match were asked for, and are too many.
    TooMany,
}

impl KeysPage<'_> {
    /// Whether who looks may do this to the keys of the list.
    fn may(&self, verb: &str) -> bool {
        self.f.may(&format!("keys:{verb}")) || self.own && self.f.may(&format!("me/keys:{verb}"))
    }

    fn may_choose(&self) -> bool {
        self.may("edit") || self.may("revoke")
    }

    /// The same part of the list with every row ticked.
    fn all(&self) -> String {
        with(&self.here, PAGE_CHOSEN)
    }

    /// Whether all are chosen that match.
    fn is_whole(&self) -> bool {
        matches!(self.reach, Reach::All(_))
    }

    /// The same list with all chosen that it finds.
    fn everything(&self) -> String {
        with(&self.here, ALL_CHOSEN)
    }

    /// What the list finds, for the form that changes it.
    fn filter(&self) -> String {
        let filter = ListQuery { cursor: None, limit: None, sort: None, ..self.query.clone() };
        serde_html_form::to_string(filter).unwrap_or_default()
    }
}

/// An address with one more part in its query.
fn with(address: &str, part: &str) -> String {
    let mark = if address.contains('?') { '&' } else { '?' };
    format!("{address}{mark}{part}")
}

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    show_list(&visit, query, false).await
}

pub(super) async fn show_list(visit: &Visit, mut query: ListQuery, own: bool) -> Shown {
    query.limit = query.limit.map(|limit| limit.min(ROWS));
    let (filter, shown, sort, page) = (query.filter()?, query.shown()?, query.sort()?, query.page()?);
    let found = keys::list(&visit.app, &visit.actor, filter, &shown, sort, &page).await?;
    let frame = &visit.frame;
    let asks = |word: &str| frame.address.split(['?', '&']).any(|part| part == word);
    let reach = match asks(ALL_CHOSEN) {
        true => Reach::of(query.matching(visit).await?.len()),
        false => Reach::Ticked,
    };
    let has_further = found.next_cursor.is_some() || query.cursor.is_some();
    super::page(&KeysPage {
        f: frame,
        own,
        keys: found.data.into_iter().map(|key| KeyLine::new(key, frame)).collect(),
        statuses: Status::ALL.map(|status| (status.as_str(), badge(frame, status))).to_vec(),
        older: found.next_cursor.map(|cursor| query.link(&frame.path, &cursor)),
        here: query.address(&frame.path),
        all_chosen: asks(PAGE_CHOSEN),
        reach,
        has_further,
        is_filtered: query.is_filtered(own),
        query: &query,
    })
}

impl Reach {
    /// All of so many keys.
    fn of(count: usize) -> Self {
        if i64::try_from(count).is_ok_and(|count| count <= MOST_MATCHING) {
            Self::All(count)
        } else {
            Self::TooMany
        }
    }
}

impl ListQuery {
    /// The statuses that are shown: keys that are over for good stay out of the way unless they are asked for.
    fn shown(&self) -> Result<Vec<Status>> {
        if self.status.is_some() { self.statuses() } else { Ok(living()) }
    }

    /// The ids of all keys that it finds, [`MOST_MATCHING`] and a few more at most.
    pub(super) async fn matching(&self, visit: &Visit) -> Result<Vec<String>> {
        keys::ids(&visit.app, &visit.actor, self.filter()?, &self.shown()?, MOST_MATCHING).await
    }

    /// The same list from a cursor on.
    fn link(&self, path: &str, cursor: &str) -> String {
        Self { cursor: Some(cursor.into()), ..self.clone() }.address(path)
    }

    /// The same part of the list.
    fn address(&self, path: &str) -> String {
        let query = serde_html_form::to_string(self).unwrap_or_default();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Whether it leaves keys out that a plain list has.
    fn is_filtered(&self, own: bool) -> bool {
        let plain = Self {
            owner_id: self.owner_id.clone().filter(|_| own),
            cursor: self.cursor.clone(),
            limit: self.limit,
            sort: self.sort.clone(),
            ..Self::default()
        };
        serde_html_form::to_string(&plain).ok() != serde_html_form::to_string(self).ok()
    }
}

/// Every status but the one that is for good.
pub(super) fn living() -> Vec<Status> {
    Status::ALL.into_iter().filter(|status| *status != Status::Revoked).collect()
}
