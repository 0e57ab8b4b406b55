//! The audit log of a workspace: plain JSON, pages by a token, for workspace keys.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guest::Guest;
use super::hal::{self, JSON, Told};
use crate::app::{App, Call};
use crate::audit::Recorded;
use crate::clock::{parse_rfc3339, rfc3339};
use crate::error::{Error, Result};
use crate::http::dialects::body;
use crate::http::v1::audit::{self, ListQuery};

/// What a refusal is noted under.
const OPERATION: &str = "list_audit_events";
/// Events on a page.
const PER_PAGE: i64 = 100;

/// Mode's filters, and where the page begins.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Filters {
    start_timestamp: Option<String>,
    end_timestamp: Option<String>,
    action: Option<String>,
    entity_id: Option<String>,
    entity_type: Option<String>,
    entity_name: Option<String>,
    username: Option<String>,
    ip: Option<String>,
    event_source: Option<String>,
    next_token: Option<String>,
}

/// `GET /api/{workspace}/audit_logs`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(workspace): Path<String>,
    uri: Uri,
) -> Told {
    if !takes_json(&headers) {
        let detail = "the audit log is plain JSON: send Accept: application/json".into();
        return Err(Error::Http { status: 406, code: "not_acceptable", detail }.into());
    }
    let guest = Guest::enter_workspace(&app, &headers, &call, &workspace).await?;
    if guest.is_member() {
        app.refusals.note(&guest.actor, OPERATION, "wrong_class");
        let detail = "the audit log needs a workspace API key".into();
        return Err(Error::Http { status: 401, code: "wrong_class", detail }.into());
    }
    guest.must_hold(&app, OPERATION, &["audit:read"])?;
    let filters: Filters = body::query(uri.query().unwrap_or_default())?;
    let listed = audit::events(&app, &guest.actor, &filters.query()?).await?;
    let wanted = listed.data.iter().filter(|event| filters.fit(event));
    let entries: Vec<Value> = wanted.map(|event| entry(&guest.slug, event)).collect();
    let told = json!({ "audit_logs": entries, "next_token": listed.next_cursor });
    hal::answer(StatusCode::OK, JSON, &told)
}

/// Mode's clients ask for HAL everywhere, and get none here.
fn takes_json(headers: &HeaderMap) -> bool {
    let mut sent = headers.get_all(ACCEPT).iter().peekable();
    if sent.peek().is_none() {
        return true;
    }
    let kinds = sent.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| {
        ["application/json", "application/*", "*/*"].iter().any(|ok| kind.eq_ignore_ascii_case(ok))
    })
}

impl Filters {
    /// What the store can narrow by; the rest is [`Self::fit`].
    fn query(&self) -> Result<ListQuery> {
        if self.event_source.is_some() {
            return Err(Error::malformed("event_source", "unknown_field", "events have no source here"));
        }
        let at = |name: &str, text: &Option<String>| match text {
            Some(text) => moment(name, text),
            None => Err(Error::malformed(name, "required", "give start_timestamp and end_timestamp")),
        };
        Ok(ListQuery {
            since: Some(at("start_timestamp", &self.start_timestamp)?),
            until: Some(at("end_timestamp", &self.end_timestamp)?),
            action: self.action.clone(),
            target_id: self.entity_id.clone(),
            limit: Some(PER_PAGE),
            cursor: self.next_token.clone(),
            ..ListQuery::default()
        })
    }

    /// Pages may come out shorter, or empty, for it: clients go on by the token.
    fn fit(&self, event: &Recorded) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        fits(&self.entity_type, &event.target.kind)
            && fits(&self.entity_name, &event.target.label)
            && fits(&self.username, &event.actor.label)
            && fits(&self.ip, event.address.as_deref().unwrap_or_default())
    }
}

/// A time as Mode takes it: without an offset it is UTC, and a day begins at midnight. A plus sign that was not
/// encoded has become a blank.
fn moment(name: &str, text: &str) -> Result<String> {
    let text = if text.contains('T') { text.replace(' ', "+") } else { text.to_owned() };
    let ways = [text.clone(), format!("{text}Z"), format!("{text}T00:00:00Z")];
    let read = ways.iter().find_map(|way| parse_rfc3339(way)).map(rfc3339);
    read.ok_or_else(|| Error::malformed(name, "bad_time", "expected ISO 8601, as in 2027-01-31T12:00:00Z"))
}

fn entry(slug: &str, event: &Recorded) -> Value {
    json!({
        "id": event.id,
        "action": event.action,
        "description": event.reason,
        "context": {
            "outcome": event.outcome,
            "before": event.before,
            "after": event.after,
            "request_id": event.request_id,
            "agent": event.agent,
            "api_key_id": event.key_id,
        },
        "actor": {
            "id": event.actor.id,
            "type": event.actor.kind,
            "username": event.actor.label,
            "ip": event.address,
        },
        "entity": {
            "entity_id": event.target.id,
            "entity_type": event.target.kind,
            "entity_name": event.target.label,
        },
        "workspace_username": slug,
        "timestamp": event.at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_without_an_offset_are_utc() {
        let noon = "2027-01-31T12:00:00.000Z";
        for text in [
            "2027-01-31T12:00:00Z",
            "2027-01-31T12:00:00",
            "2027-01-31T12:00:00+00:00",
            "2027-01-31T12:00:00 00:00",
            "2027-01-31T13:00:00.000000+01:00",
        ] {
            assert_eq!(moment("start_timestamp", text).expect("reads"), noon, "{text}");
        }
        assert_eq!(moment("x", "2027-01-31").expect("reads"), "2027-01-31T00:00:00.000Z");
        assert!(moment("x", "yesterday").is_err());
    }

    #[test]
    fn mo_7_the_log_is_no_hal() {
        let takes = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, http::HeaderValue::from_static(accept));
            takes_json(&headers)
        };
        for good in
            ["application/json", "*/*", "application/hal+json, application/json;q=0.5", "Application/JSON"]
        {
            assert!(takes(good), "{good}");
        }
        assert!(takes_json(&HeaderMap::new()));
        for bad in ["application/hal+json", "text/csv", ""] {
            assert!(!takes(bad), "{bad}");
        }
    }
}
