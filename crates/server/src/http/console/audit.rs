//! The audit log: its events, and one of them (AUD-1, VA8).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Shown;
use super::form::Faults;
use super::frame::Frame;
use super::gate::Visit;
use super::moment::Moment;
use super::places;
use crate::audit::{Outcome, Recorded};
use crate::checkpoints::{self, CheckpointOut};
use crate::error::Error;
use crate::http::json::Query;
use crate::http::v1::audit::{self as api, ListQuery};
use crate::store::page::{Listed, Page};
use crate::webhooks::catalogue;

/// An event as a line of the list.
struct EventLine {
    event: Recorded,
    at: Moment,
    outcome: &'static str,
    is_refused: bool,
    /// How the actor had come in.
    login: &'static str,
    /// The same list with the events of this actor alone.
    by_actor: String,
    target: String,
    target_kind: String,
    by_target: String,
}

impl EventLine {
    fn new(event: Recorded, frame: &Frame) -> Self {
        let narrowed = |name: &str, id: &str| {
            format!("/console/audit?{name}={}", utf8_percent_encode(id, NON_ALPHANUMERIC))
        };
        let name = if event.target.label.is_empty() { &event.target.id } else { &event.target.label };
        Self {
            at: frame.moment(&event.at),
            outcome: outcome(frame, event.outcome),
            is_refused: event.outcome == Outcome::Refused,
            login: login(frame, &event),
            by_actor: narrowed("actor_id", &event.actor.id),
            target: name.clone(),
            target_kind: places::kind(frame, &event.target),
            by_target: narrowed("target_id", &event.target.id),
            event,
        }
    }
}

fn outcome(frame: &Frame, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => frame.t("Done"),
        Outcome::Refused => frame.t("Refused"),
    }
}

/// How the actor had come in, in words: `API key login` for a session that a key began (VA8).
fn login(frame: &Frame, event: &Recorded) -> &'static str {
    let began = event.after.as_ref().filter(|_| event.action == "session.start");
    match began.and_then(|session| session.get("method")).and_then(Value::as_str) {
        Some("key" | "api_key") => frame.t("API key login"),
        Some("password") => frame.t("Password login"),
        Some("passkey") => frame.t("Passkey login"),
        _ if event.key_id.is_some() => frame.t("API key"),
        _ if event.actor.kind == "system" => frame.t("This server"),
        _ if event.action.starts_with("auth.") => frame.t("Login attempt"),
        _ => frame.t("Session"),
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    f: &'a Frame,
    events: Vec<EventLine>,
    query: &'a ListQuery,
    faults: &'a Faults,
    actions: &'static [&'static str],
    signed: Option<(CheckpointOut, Moment)>,
    /// The next page, as a link.
    older: Option<String>,
    is_filtered: bool,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    let wanted = ListQuery {
        since: instant(query.since.as_deref(), "T00:00:00Z"),
        until: instant(query.until.as_deref(), "T23:59:59.999Z"),
        ..query.clone()
    };
    let (listed, faults) = match api::events(&visit.app, &visit.actor, &wanted).await {
        Ok(listed) => (listed, Faults::default()),
        Err(error) => (Listed { data: Vec::new(), next_cursor: None }, Faults::of(error)?),
    };
    let frame = &visit.frame;
    let first = Page::read(Some(1), None, "the newest")?;
    let signed = checkpoints::list(&visit.app, &visit.actor.tenant_id, &first).await?.data.pop();
    let events = listed.data.into_iter().map(|event| EventLine::new(event, frame)).collect();
    let page = super::page(&AuditPage {
        f: frame,
        events,
        faults: &faults,
        actions: &catalogue::ACTIONS,
        signed: signed.map(|signed| {
            let at = frame.moment(&signed.at);
            (signed, at)
        }),
        older: listed.next_cursor.map(|cursor| query.link(&cursor)),
        is_filtered: query.is_filtered(),
        query: &query,
    })?;
    if faults.is_empty() { Ok(page) } else { Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response()) }
}

impl ListQuery {
    /// The same list from a cursor on.
    fn link(&self, cursor: &str) -> String {
        let next = Self { cursor: Some(cursor.into()), ..self.clone() };
        format!("/console/audit?{}", serde_html_form::to_string(&next).unwrap_or_default())
    }

    /// Whether it leaves events out.
    fn is_filtered(&self) -> bool {
        let texts = [&self.actor_id, &self.target_id, &self.action, &self.outcome, &self.since, &self.until];
        texts.into_iter().any(Option::is_some)
    }
}

/// A day stands for its first or last moment; everything else is left as it came.
pub(super) fn instant(text: Option<&str>, rest_of_day: &str) -> Option<String> {
    let text = text?.trim();
    let is_day = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    Some(if is_day { format!("{text}{rest_of_day}") } else { text.to_owned() })
}

/// What a field held before and holds now.
struct Difference {
    field: String,
    before: String,
    after: String,
    is_changed: bool,
}

#[derive(Template)]
#[template(path = "audit_event.html")]
struct EventPage<'a> {
    f: &'a Frame,
    line: EventLine,
    /// The page of what it is about.
    place: Option<String>,
    differences: Vec<Difference>,
    raw: String,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let event = api::event(&visit.app, &visit.actor, &id).await?;
    let frame = &visit.frame;
    let raw = serde_json::to_string_pretty(&event).map_err(Error::internal)?;
    let line = EventLine::new(event, frame);
    super::page(&EventPage {
        f: frame,
        place: places::of(frame, &line.event.target),
        differences: differences(line.event.before.as_ref(), line.event.after.as_ref()),
        raw,
        line,
    })
}

/// Field by field, in the order of their names.
fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let fields = |object: Option<&Value>| object.and_then(Value::as_object).cloned().unwrap_or_default();
    let (old, new) = (fields(before), fields(after));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let difference = |name: &String| Difference {
        before: told(old.get(name)),
        after: told(new.get(name)),
        is_changed: before.is_some() && after.is_some() && old.get(name) != new.get(name),
        field: name.clone(),
    };
    names.into_iter().map(difference).collect()
}

fn told(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_day_is_a_moment_too() {
        assert_eq!(instant(Some("2027-01-31"), "T00:00:00Z").as_deref(), Some("2027-01-31T00:00:00Z"));
        assert_eq!(
            instant(Some("2027-01-31T12:00:00Z"), "T00:00:00Z").as_deref(),
            Some("2027-01-31T12:00:00Z")
        );
        assert_eq!(instant(None, "T00:00:00Z"), None);
    }

    #[test]
    fn a_change_is_told_field_by_field() {
        let (before, after) = (json!({ "a": 1, "b": "x" }), json!({ "a": 1, "b": "y", "c": [2] }));
        let told = differences(Some(&before), Some(&after));
        let lines: Vec<_> =
            told.iter().map(|one| (&*one.field, &*one.before, &*one.after, one.is_changed)).collect();
        assert_eq!(lines, [("a", "1", "1", false), ("b", "x", "y", true), ("c", "–", "[2]", true)]);
        assert!(differences(None, None).is_empty());
    }
}
