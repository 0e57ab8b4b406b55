//! The first page: how one's keys are, and what needs a hand.

use askama::Template;
use keyward_core::key::Status;

use super::Shown;
use super::frame::Frame;
use super::gate::Visit;
use super::keys::KeyLine;
use crate::keys;
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::Page;

/// Keys that are looked at for the numbers of the page.
const MOST: i64 = 200;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    f: &'a Frame,
    active: usize,
    expiring: usize,
    unused: usize,
    stopped: usize,
    /// There may be more than were looked at.
    is_cut: bool,
    attention: Vec<KeyLine>,
}

pub(crate) async fn show(visit: Visit) -> Shown {
    let whole = visit.actor.may("keys:read");
    let mut lines = Vec::new();
    let mut is_cut = false;
    if whole || visit.actor.may("me/keys:read") {
        let page = Page::read(Some(MOST), None, "overview")?;
        let all: Vec<Status> = Status::ALL.into_iter().filter(|status| *status != Status::Revoked).collect();
        let filter = KeyFilter::default();
        let found =
            keys::list(&visit.app, &visit.actor, filter, &all, KeySort::ExpiresAt(false), &page).await?;
        is_cut = found.next_cursor.is_some();
        lines = found.data.into_iter().map(|key| KeyLine::new(key, &visit.frame)).collect();
    }
    let count = |statuses: &[&str]| lines.iter().filter(|line| statuses.contains(&line.status)).count();
    let page = OverviewPage {
        f: &visit.frame,
        active: count(&["active", "expiring", "rotating"]),
        expiring: count(&["expiring"]),
        unused: lines.iter().filter(|line| line.last_used.is_none()).count(),
        stopped: count(&["expired", "suspended", "inactive", "pending"]),
        is_cut,
        attention: lines.into_iter().filter(|line| line.status != "active").take(10).collect(),
    };
    super::page(&page)
}
