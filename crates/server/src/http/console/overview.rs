//! The first page: how one's keys are, and what needs a hand.

use askama::Template;

use super::Shown;
use super::frame::Frame;
use super::gate::Visit;
use super::keys::{KeyLine, living};
use crate::keys;
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::Page;

/// Keys that are looked at for the numbers of the page.
const MOST: i64 = 200;
/// Keys that the page names, at most.
const NAMED: usize = 10;

/// A key that needs a hand, and what helps.
struct Need {
    line: KeyLine,
    /// What is the matter, where the status does not say it.
    why: Option<&'static str>,
    fix: &'static str,
    /// Behind the path of the key.
    place: &'static str,
    /// The worse, the smaller.
    rank: u8,
}

impl Need {
    /// Nothing for a key that is well.
    fn of(line: KeyLine, f: &Frame) -> Option<Self> {
        let (rank, verb, fix, place) = match line.status {
            _ if line.key.exposed_at.is_some() => (0, "rotate", f.t("Rotate"), "/rotate"),
            "suspended" => (1, "read", f.t("Why?"), "/explain"),
            "expiring" => (2, "edit", f.t("Extend"), "/extend"),
            "expired" => (3, "edit", f.t("Extend"), "/extend"),
            "pending" | "rotating" | "inactive" => (4, "read", f.t("Look at the key"), ""),
            _ => return None,
        };
        let why = line.key.exposed_at.is_some().then(|| f.t("Its secret was seen in a URL."));
        let own = f.visitor.as_ref().is_some_and(|who| line.key.owner_id.as_ref() == Some(&who.id));
        let may = f.may(&format!("keys:{verb}")) || own && f.may(&format!("me/keys:{verb}"));
        let (fix, place) = if may { (fix, place) } else { (f.t("Look at the key"), "") };
        Some(Self { line, why, fix, place, rank })
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    f: &'a Frame,
    /// The list that the numbers are about.
    list: &'static str,
    is_empty: bool,
    active: usize,
    expiring: usize,
    unused: usize,
    stopped: usize,
    /// There may be more than were looked at.
    is_cut: bool,
    looked_at: usize,
    attention: Vec<Need>,
    /// Keys that need a hand and are not named.
    unnamed: usize,
}

impl OverviewPage<'_> {
    /// Behind a number that may be higher.
    fn more(&self) -> &'static str {
        if self.is_cut { "+" } else { "" }
    }
}

pub(crate) async fn show(visit: Visit) -> Shown {
    let (frame, whole) = (&visit.frame, visit.actor.may("keys:read"));
    let mut lines = Vec::new();
    let mut is_cut = false;
    if whole || visit.actor.may("me/keys:read") {
        let page = Page::read(Some(MOST), None, "overview")?;
        let (filter, sort) = (KeyFilter::default(), KeySort::ExpiresAt(false));
        let found = keys::list(&visit.app, &visit.actor, filter, &living(), sort, &page).await?;
        is_cut = found.next_cursor.is_some();
        lines = found.data.into_iter().map(|key| KeyLine::new(key, frame)).collect();
    }
    let count = |statuses: &[&str]| lines.iter().filter(|line| statuses.contains(&line.status)).count();
    let mut page = OverviewPage {
        f: frame,
        list: if whole { "/console/keys" } else { "/console/me/keys" },
        is_empty: lines.is_empty(),
        active: count(&["active", "expiring", "rotating"]),
        expiring: count(&["expiring"]),
        unused: lines.iter().filter(|line| line.last_used.is_none()).count(),
        stopped: count(&["expired", "suspended", "inactive", "pending"]),
        is_cut,
        looked_at: lines.len(),
        attention: lines.into_iter().filter_map(|line| Need::of(line, frame)).collect(),
        unnamed: 0,
    };
    // Those of one rank stay in the order of their ends.
    page.attention.sort_by_key(|need| need.rank);
    page.unnamed = page.attention.len().saturating_sub(NAMED);
    page.attention.truncate(NAMED);
    super::page(&page)
}
