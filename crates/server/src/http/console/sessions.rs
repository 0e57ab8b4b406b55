//! My profile › Sessions: where one is logged in (SES-4, SES-5).

use askama::Template;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::json;

use super::form::Form;
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::{Shown, go};
use crate::error::Error;
use crate::http::json::Query;
use crate::sessions::lists;
use crate::sessions::{self, SessionOut};
use crate::store::page::Page;

const SESSIONS: &str = "/console/me/sessions";

/// A session in the list.
struct Line {
    session: SessionOut,
    device: String,
    method: &'static str,
    started: Moment,
    last_seen: Moment,
    ends: Moment,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage<'a> {
    f: &'a Frame,
    lines: Vec<Line>,
    others: usize,
    may_end: bool,
    /// The next page, as a link.
    older: Option<String>,
}

/// Where the list goes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SessionsQuery {
    cursor: Option<String>,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<SessionsQuery>) -> Shown {
    let page = Page::read(None, query.cursor.as_deref(), "own sessions")?;
    let listed = lists::list_own(&visit.app, &visit.actor, &page).await?;
    let frame = &visit.frame;
    let line = |session: SessionOut| Line {
        device: device(frame, session.agent.as_deref()),
        method: method(frame, &session.method),
        started: frame.moment(&session.started_at),
        last_seen: frame.moment(&session.last_seen_at),
        ends: frame.moment(&session.idle_at),
        session,
    };
    let lines: Vec<Line> = listed.data.into_iter().map(line).collect();
    super::page(&SessionsPage {
        f: frame,
        others: lines.iter().filter(|line| !line.session.current).count(),
        lines,
        may_end: frame.may("me/sessions:end"),
        older: listed.next_cursor.map(|cursor| format!("{SESSIONS}?cursor={cursor}")),
    })
}

/// How long the session lasts, for the script that warns before it ends. Asking is a use of the session.
pub(crate) async fn lasts(visit: Visit) -> Shown {
    let visitor = visit.frame.visitor.as_ref().ok_or(Error::NotFound)?;
    let told = json!({
        "user": visitor.id,
        "idle": visitor.idle_in,
        "ends": visitor.ends_in,
        "form_token": visitor.form_token,
    });
    Ok(axum::Json(told).into_response())
}

fn method(frame: &Frame, method: &str) -> &'static str {
    match method {
        "key" => frame.t("API key"),
        "passkey" => frame.t("Passkey"),
        _ => frame.t("Password"),
    }
}

/// What an agent calls itself, in two words that people know.
fn device(frame: &Frame, agent: Option<&str>) -> String {
    let Some(agent) = agent else { return frame.t("Unknown device").to_owned() };
    let first = |known: &[(&'static str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // Every browser claims to be those below it as well.
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
        ("keyward/", "keyward"),
    ]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => frame.f2("{} on {}", browser, system),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => frame.t("Unknown device").to_owned(),
    }
}

pub(crate) async fn end(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    sessions::end_own(&visit.app, &visit.actor, &id).await?;
    go(SESSIONS, "session-ended")
}

pub(crate) async fn end_others(visit: Visit, Form(_): Form<Nothing>) -> Shown {
    sessions::end_others(&visit.app, &visit.actor).await?;
    go(SESSIONS, "others-ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_in_words_that_people_know() {
        let told = |agent| device(&Frame::sample(), agent);
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36";
        assert_eq!(told(Some(chrome)), "Chrome on Linux");
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 20_0 like Mac OS X) AppleWebKit/605 Version/20.0 Safari/604.1";
        assert_eq!(told(Some(phone)), "Safari on iPhone");
        assert_eq!(told(Some("curl/8.14")), "curl");
        assert_eq!(told(Some("my own thing")), "Unknown device");
        assert_eq!(told(None), "Unknown device");
    }
}
