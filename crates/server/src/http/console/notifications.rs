//! Notifications: what one was told, unread first (BM8, BM9).

use askama::Template;
use axum::extract::Path;
use serde::Deserialize;

use super::form::Form;
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::{Shown, go, places};
use crate::error::{Error, Result};
use crate::http::json::Query;
use crate::notifications::kind::Kind;
use crate::notifications::{self, NotificationOut};
use crate::store::page::Page;

const INBOX: &str = "/console/notifications";

/// A notification in the list.
struct Line {
    told: NotificationOut,
    at: Moment,
    /// The page of what it is about.
    place: Option<String>,
}

/// The unread ones, or the read ones.
struct Part {
    is_unread: bool,
    lines: Vec<Line>,
    /// The next page, as a link.
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct InboxPage<'a> {
    f: &'a Frame,
    parts: Vec<Part>,
    kinds: Vec<(&'static str, &'static str)>,
    kind: &'a str,
    unread: i64,
    is_filtered: bool,
}

/// Which ones; both parts unless told otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InboxQuery {
    unread: Option<bool>,
    kind: Option<String>,
    cursor: Option<String>,
}

/// What a notification is about, in words.
pub(super) fn kind_name(frame: &Frame, kind: Kind) -> &'static str {
    match kind {
        Kind::KeyExpiring => frame.t("A key ends soon"),
        Kind::KeyExpired => frame.t("A key has ended"),
        Kind::KeyGrants => frame.t("Roles or groups of a key changed"),
        Kind::OwnGrants => frame.t("Your roles or groups changed"),
        Kind::KeyUsed => frame.t("A key came into use"),
        Kind::NewNetwork => frame.t("A key is used from a new network"),
        Kind::SecretUsed => frame.t("A new secret came into use"),
        Kind::SecretWaits => frame.t("A new secret waits for you"),
        Kind::Leak => frame.t("A secret may have leaked"),
        Kind::RefusedCalls => frame.t("Many calls were refused"),
        Kind::TrustedUse => frame.t("A trusted secret did something new"),
        Kind::Webhook => frame.t("A webhook fails"),
        Kind::Approval => frame.t("Approvals"),
        Kind::Policy => frame.t("A policy could not be applied"),
        Kind::Account => frame.t("Your account changed"),
    }
}

pub(crate) async fn list(visit: Visit, Query(query): Query<InboxQuery>) -> Shown {
    let wanted = match query.unread {
        Some(unread) => vec![unread],
        None => vec![true, false],
    };
    let mut parts = Vec::new();
    for is_unread in wanted {
        parts.push(part(&visit, is_unread, &query).await?);
    }
    let frame = &visit.frame;
    super::page(&InboxPage {
        f: frame,
        parts: parts.into_iter().filter(|part| !part.lines.is_empty()).collect(),
        kinds: Kind::ALL.map(|kind| (kind.as_str(), kind_name(frame, kind))).to_vec(),
        kind: query.kind.as_deref().unwrap_or_default(),
        unread: frame.visitor.as_ref().map_or(0, |visitor| visitor.unread),
        is_filtered: query.kind.is_some() || query.unread.is_some(),
    })
}

async fn part(visit: &Visit, is_unread: bool, query: &InboxQuery) -> Result<Part> {
    let word = query.kind.as_deref().unwrap_or_default();
    let kind = match query.kind.as_deref() {
        Some(text) => Some(Kind::parse(text).ok_or(Error::NotFound)?),
        None => None,
    };
    // A cursor belongs to one part alone.
    let cursor = query.cursor.as_deref().filter(|_| query.unread.is_some());
    let page = Page::read(None, cursor, &format!("inbox {is_unread} {word}"))?;
    let listed = notifications::list(&visit.app, &visit.actor, Some(is_unread), kind, &page).await?;
    let line = |told: NotificationOut| Line {
        at: visit.frame.moment(&told.created_at),
        place: places::of(&visit.frame, &told.target),
        told,
    };
    let older = |cursor: String| {
        let kind = if word.is_empty() { String::new() } else { format!("&kind={word}") };
        format!("{INBOX}?unread={is_unread}{kind}&cursor={cursor}")
    };
    Ok(Part {
        is_unread,
        lines: listed.data.into_iter().map(line).collect(),
        older: listed.next_cursor.map(older),
    })
}

pub(crate) async fn read(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    notifications::mark_read(&visit.app, &visit.actor, Some(&id)).await?;
    go(INBOX, "read")
}

pub(crate) async fn read_all(visit: Visit, Form(_): Form<Nothing>) -> Shown {
    notifications::mark_read(&visit.app, &visit.actor, None).await?;
    go(INBOX, "read")
}
