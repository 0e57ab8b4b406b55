//! Tenants, for operators: the list, making one, and acting in one (TS4, MO3, AZ-3).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use http::header::{HeaderValue, SET_COOKIE};
use keyward_core::key::Features;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::http::cookie;
use crate::http::json::Query;
use crate::names::like_pattern;
use crate::store::page::Page;
use crate::tenants::{self, TenantIn, TenantOut};

/// A tenant in the list.
struct Line {
    tenant: TenantOut,
    created: Moment,
    is_own: bool,
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct ListPage<'a> {
    f: &'a Frame,
    lines: Vec<Line>,
    q: &'a str,
    /// The next page, as a link.
    older: Option<String>,
}

/// What the list is narrowed by.
#[derive(Clone, Debug, Default, Deserialize, serde::Serialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    q: Option<String>,
    cursor: Option<String>,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    let q = query.q.as_deref().unwrap_or_default();
    let page = Page::read(None, query.cursor.as_deref(), q)?;
    let pattern = query.q.as_deref().map(like_pattern);
    let listed = tenants::list(&visit.app, pattern.as_deref(), &page).await?;
    let frame = &visit.frame;
    let line = |tenant: TenantOut| Line {
        created: frame.moment(&tenant.created_at),
        is_own: tenant.id == visit.actor.tenant_id,
        tenant,
    };
    let older = |cursor| {
        let next = ListQuery { cursor: Some(cursor), ..query.clone() };
        format!("/console/tenants?{}", serde_html_form::to_string(&next).unwrap_or_default())
    };
    super::page(&ListPage {
        f: frame,
        lines: listed.data.into_iter().map(line).collect(),
        q,
        older: listed.next_cursor.map(older),
    })
}

/// What can be set of a tenant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TenantForm {
    pub(super) slug: Option<String>,
    pub(super) name: Option<String>,
    pub(super) member_keys: Option<String>,
    pub(super) workspace_keys: Option<String>,
    pub(super) ingest_keys: Option<String>,
    pub(super) trusted_secrets: Option<String>,
    pub(super) version: Option<String>,
}

impl TenantForm {
    /// The boxes that were ticked.
    pub(super) fn features(&self) -> Features {
        Features {
            member_keys: self.member_keys.is_some(),
            workspace_keys: self.workspace_keys.is_some(),
            ingest_keys: self.ingest_keys.is_some(),
            trusted_secrets: self.trusted_secrets.is_some(),
        }
    }
}

#[derive(Template)]
#[template(path = "tenant_new.html")]
struct NewPage<'a> {
    f: &'a Frame,
    form: &'a TenantForm,
    features: Features,
    faults: &'a Faults,
}

pub(crate) async fn new(visit: Visit) -> Shown {
    let (form, features) = (TenantForm::default(), Features::default());
    super::page(&NewPage { f: &visit.frame, form: &form, features, faults: &Faults::default() })
}

pub(crate) async fn create(visit: Visit, Form(form): Form<TenantForm>) -> Shown {
    let features = form.features();
    let input = TenantIn {
        slug: form.slug.clone().unwrap_or_default(),
        name: form.name.clone(),
        features: Some(features),
    };
    match tenants::create(&visit.app, &visit.actor, input).await {
        Ok(tenant) => go(&format!("/console/tenants/{}", tenant.id), "tenant-made"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = super::page(&NewPage { f: &visit.frame, form: &form, features, faults: &faults })?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// Acts in a tenant from now on: the gate asks with each page whether that is still allowed (AZ-3).
pub(crate) async fn enter(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    let tenant = tenants::show(&visit.app, &visit.actor, &id).await?;
    let cookie = cookie::set_tenant(&visit.app.settings.server, &tenant.slug);
    Ok(with_cookie(go("/console", "tenant-entered")?, &cookie)?)
}

pub(crate) async fn leave(visit: Visit, Form(_): Form<Nothing>) -> Shown {
    let cookie = cookie::clear_tenant(&visit.app.settings.server);
    let to = if visit.frame.may("instance/tenants:read") { "/console/tenants" } else { "/console" };
    Ok(with_cookie(go(to, "tenant-left")?, &cookie)?)
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response> {
    let cookie = HeaderValue::from_str(cookie).map_err(Error::internal)?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}
