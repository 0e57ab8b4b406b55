//! Users and keys › Approvals: keys that work only when somebody else has approved them (X5, AZ-6).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::choices::{self, Choice};
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::{KeyLine, class_name, living};
use super::login::Nothing;
use super::{Shown, go, who};
use crate::http::json::Query;
use crate::http::v1::groups::PageQuery;
use crate::keys::wire::KeyOut;
use crate::keys::{self, approval};
use crate::store::keys::{KeyFilter, KeySort};
use crate::wire::ReasonIn;

/// One key that waits.
struct WaitingLine {
    line: KeyLine,
    class: &'static str,
    own: bool,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct ApprovalsPage<'a> {
    f: &'a Frame,
    keys: Vec<WaitingLine>,
    /// The next page, as a link.
    further: Option<String>,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<PageQuery>) -> Shown {
    let filter = KeyFilter { awaits_approval: Some(true), ..KeyFilter::default() };
    let page = query.page("approvals")?;
    // Who has waited longest comes first.
    let sort = KeySort::CreatedAt(false);
    let found = keys::list(&visit.app, &visit.actor, filter, &living(), sort, &page).await?;
    let frame = &visit.frame;
    let line = |key: KeyOut| WaitingLine {
        class: class_name(frame, key.class),
        own: is_own(&visit, &key),
        line: KeyLine::new(key, frame),
    };
    super::page(&ApprovalsPage {
        f: frame,
        keys: found.data.into_iter().map(line).collect(),
        further: found.next_cursor.map(|cursor| format!("/console/approvals?cursor={cursor}")),
    })
}

/// Four eyes: nobody decides about what they made or own.
fn is_own(visit: &Visit, key: &KeyOut) -> bool {
    let me = &visit.actor.principal.id;
    key.created_by == *me || key.owner_id.as_ref() == Some(me)
}

#[derive(Template)]
#[template(path = "approval.html")]
struct ApprovalPage<'a> {
    f: &'a Frame,
    line: KeyLine,
    class: &'static str,
    own: bool,
    /// Who made it, by name.
    maker: String,
    roles: Vec<Choice>,
    groups: Vec<Choice>,
    cidrs: Vec<String>,
    rights: Vec<String>,
    reason: &'a str,
    faults: &'a Faults,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    ask(&visit, &id, "", &Faults::default()).await
}

async fn ask(visit: &Visit, id: &str, reason: &str, faults: &Faults) -> Shown {
    let mut key = keys::show(&visit.app, &visit.actor, id).await?;
    let frame = &visit.frame;
    let networks = key.conditions.iter().flat_map(|known| known.cidrs.iter());
    let cidrs: Vec<String> = networks.map(ToString::to_string).collect();
    super::page(&ApprovalPage {
        f: frame,
        class: class_name(frame, key.class),
        own: is_own(visit, &key),
        maker: who::name(visit, &key.created_by).await,
        roles: choices::named(&key.role_ids, &choices::roles(visit, &[]).await?),
        groups: choices::named(&key.group_ids, &choices::groups(visit, &[]).await?),
        cidrs,
        rights: key.effective_rights.take().unwrap_or_default(),
        reason,
        faults,
        line: KeyLine::new(key, frame),
    })
}

pub(crate) async fn approve(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    match approval::approve(&visit.app, &visit.actor, &id).await {
        Ok(_) => go("/console/approvals", "approved"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, &id, "", &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// Why a key is rejected.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RejectForm {
    reason: Option<String>,
}

pub(crate) async fn reject(visit: Visit, Path(id): Path<String>, Form(form): Form<RejectForm>) -> Shown {
    let input = ReasonIn { reason: form.reason };
    let rejected = match input.checked() {
        Ok(reason) => approval::reject(&visit.app, &visit.actor, &id, reason).await,
        Err(error) => Err(error),
    };
    match rejected {
        Ok(_) => go("/console/approvals", "rejected"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let reason = input.reason.as_deref().unwrap_or_default();
            let page = ask(&visit, &id, reason, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
