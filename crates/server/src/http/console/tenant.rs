//! One tenant, for operators: its features, and stopping or deleting it.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::key::Status;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::tenants::TenantForm;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::http::caller;
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::{Listed, Page};
use crate::store::users::UserFilter;
use crate::tenants::{self, TenantOut, TenantPatch};
use crate::wire::ReasonIn;
use crate::{keys, users};

/// People and keys that are counted for a page.
const MOST: i64 = 200;

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage<'a> {
    f: &'a Frame,
    tenant: &'a TenantOut,
    created: Moment,
    suspended: Option<Moment>,
    name: &'a str,
    slug: &'a str,
    is_own: bool,
    faults: &'a Faults,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let tenant = tenants::show(&visit.app, &visit.actor, &id).await?;
    ask(&visit, &tenant, (&*tenant.name, &*tenant.slug), &Faults::default())
}

fn ask(visit: &Visit, tenant: &TenantOut, (name, slug): (&str, &str), faults: &Faults) -> Shown {
    super::page(&TenantPage {
        f: &visit.frame,
        tenant,
        created: visit.frame.moment(&tenant.created_at),
        suspended: tenant.suspended_at.as_deref().map(|at| visit.frame.moment(at)),
        name,
        slug,
        is_own: tenant.id == visit.actor.tenant_id,
        faults,
    })
}

pub(crate) async fn save(mut visit: Visit, Path(id): Path<String>, Form(form): Form<TenantForm>) -> Shown {
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let patch = TenantPatch {
        slug: Some(form.slug.clone().unwrap_or_default()),
        name: Some(form.name.clone().unwrap_or_default()),
        features: Some(serde_json::to_value(form.features()).map_err(Error::internal)?),
    };
    match tenants::edit(&visit.app, &visit.actor, &id, patch).await {
        Ok(_) => go(&format!("/console/tenants/{id}"), "edited"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let mut tenant = tenants::show(&visit.app, &visit.actor, &id).await?;
            tenant.features = form.features();
            let typed = (form.name.as_deref().unwrap_or_default(), form.slug.as_deref().unwrap_or_default());
            let page = ask(&visit, &tenant, typed, &faults)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// A page that asks before a tenant is stopped or deleted.
#[derive(Template)]
#[template(path = "tenant_end.html")]
struct EndPage<'a> {
    f: &'a Frame,
    tenant: &'a TenantOut,
    /// For good; else it can be taken back.
    is_deletion: bool,
    /// Who and what is in it, where who asks may enter it.
    counts: Option<(String, String)>,
    faults: &'a Faults,
}

/// Why, or the slug that confirms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EndForm {
    reason: Option<String>,
    confirm: Option<String>,
}

async fn ask_end(visit: &Visit, id: &str, is_deletion: bool, faults: &Faults) -> Shown {
    let tenant = tenants::show(&visit.app, &visit.actor, id).await?;
    let counts = match visit.actor.may("instance/tenants:enter") {
        true => Some(counts(visit, &tenant).await?),
        false => None,
    };
    super::page(&EndPage { f: &visit.frame, tenant: &tenant, is_deletion, counts, faults })
}

/// How many users and living keys a tenant has.
async fn counts(visit: &Visit, tenant: &TenantOut) -> Result<(String, String)> {
    let app = &visit.app;
    let inside = caller::enter(app, visit.actor.clone(), "", &tenant.id).await?;
    let page = Page::read(Some(MOST), None, "counted")?;
    let people = users::list(app, &inside, &UserFilter::default(), &page).await?;
    let living: Vec<Status> = Status::ALL.into_iter().filter(|status| *status != Status::Revoked).collect();
    let sort = KeySort::CreatedAt(false);
    let living = keys::list(app, &inside, KeyFilter::default(), &living, sort, &page).await?;
    Ok((number(&people), number(&living)))
}

fn number<T>(listed: &Listed<T>) -> String {
    format!("{}{}", listed.data.len(), if listed.next_cursor.is_some() { "+" } else { "" })
}

pub(crate) async fn ask_suspend(visit: Visit, Path(id): Path<String>) -> Shown {
    ask_end(&visit, &id, false, &Faults::default()).await
}

pub(crate) async fn suspend(visit: Visit, Path(id): Path<String>, Form(form): Form<EndForm>) -> Shown {
    let input = ReasonIn { reason: form.reason };
    let done = match input.checked() {
        Ok(reason) => tenants::suspend(&visit.app, &visit.actor, &id, reason).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => go(&format!("/console/tenants/{id}"), "tenant-suspended"),
        Err(error) => refuse(&visit, &id, false, error).await,
    }
}

async fn refuse(visit: &Visit, id: &str, is_deletion: bool, error: Error) -> Shown {
    let page = ask_end(visit, id, is_deletion, &Faults::of(error)?).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

pub(crate) async fn resume(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    tenants::resume(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/tenants/{id}"), "tenant-resumed")
}

pub(crate) async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    ask_end(&visit, &id, true, &Faults::default()).await
}

pub(crate) async fn delete(visit: Visit, Path(id): Path<String>, Form(form): Form<EndForm>) -> Shown {
    let typed = form.confirm.as_deref().map(str::trim);
    match tenants::delete(&visit.app, &visit.actor, &id, typed).await {
        Ok(()) => go("/console/tenants", "tenant-deleted"),
        Err(Error::Conflict { code: "not_confirmed", .. }) => {
            let detail = visit.frame.t("That is not its short name.");
            refuse(&visit, &id, true, Error::invalid("/confirm", "not_confirmed", detail)).await
        }
        Err(error) => refuse(&visit, &id, true, error).await,
    }
}
