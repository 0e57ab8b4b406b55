//! Users and keys › Roles: named rights, and who has what (VA6, AZ-5).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form, lines};
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::users::UserLine;
use super::{Shown, go};
use crate::error::Result;
use crate::groups::{self, GroupOut};
use crate::http::json::Query;
use crate::http::v1::groups::ListQuery;
use crate::roles::{self, RoleIn, RoleOut, RolePatch};
use crate::store::page::Page;
use crate::store::users::UserFilter;
use crate::users;

/// Holders that one page shows.
const MOST: i64 = 200;

#[derive(Template)]
#[template(path = "roles.html")]
struct RolesPage<'a> {
    f: &'a Frame,
    roles: Vec<RoleOut>,
    query: &'a ListQuery,
    /// The next page, as a link.
    further: Option<String>,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    let pattern = query.pattern();
    let found = roles::list(&visit.app, &visit.actor, pattern.as_deref(), &query.page()?).await?;
    super::page(&RolesPage {
        f: &visit.frame,
        further: found.next_cursor.map(|cursor| query.link("/console/roles", &cursor)),
        roles: found.data,
        query: &query,
    })
}

/// Who holds a role, as far as who looks may see it.
struct Holders {
    /// Who was given the role itself.
    users: Option<Vec<UserLine>>,
    /// There are more users than these.
    is_cut: bool,
    /// Groups whose members get it.
    groups: Option<Vec<GroupOut>>,
}

impl Holders {
    fn user_count(&self) -> usize {
        self.users.as_ref().map_or(0, Vec::len)
    }

    fn group_count(&self) -> usize {
        self.groups.as_ref().map_or(0, Vec::len)
    }

    /// Who gets the role by a group; somebody in several groups counts in each.
    fn member_count(&self) -> i64 {
        self.groups.iter().flatten().map(|group| group.member_count).sum()
    }
}

async fn holders(visit: &Visit, id: &str) -> Result<Holders> {
    let (app, actor, frame) = (&visit.app, &visit.actor, &visit.frame);
    let mut holders = Holders { users: None, is_cut: false, groups: None };
    if actor.may("users:read") {
        let filter = UserFilter { role_id: Some(id.into()), ..UserFilter::default() };
        let page = Page::read(Some(MOST), None, "holders of a role")?;
        let found = users::list(app, actor, &filter, &page).await?;
        holders.is_cut = found.next_cursor.is_some();
        holders.users = Some(found.data.into_iter().map(|user| UserLine::new(user, frame)).collect());
    }
    if actor.may("groups:read") {
        let mut all = groups::list(app, actor, None, &Page::unlimited()).await?.data;
        all.retain(|group| group.role_ids.iter().any(|held| held == id));
        holders.groups = Some(all);
    }
    Ok(holders)
}

#[derive(Template)]
#[template(path = "role.html")]
struct RolePage<'a> {
    f: &'a Frame,
    role: &'a RoleOut,
    holders: Holders,
    created: Moment,
    changed: Moment,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let role = roles::show(&visit.app, &visit.actor, &id).await?;
    super::page(&RolePage {
        f: &visit.frame,
        holders: holders(&visit, &id).await?,
        created: visit.frame.moment(&role.created_at),
        changed: visit.frame.moment(&role.updated_at),
        role: &role,
    })
}

/// What the form of a role holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RoleForm {
    name: Option<String>,
    description: Option<String>,
    /// One a line.
    rights: Option<String>,
    version: Option<String>,
}

#[derive(Template)]
#[template(path = "role_form.html")]
struct FormPage<'a> {
    f: &'a Frame,
    /// The role that is changed; nothing for a new one.
    role: Option<&'a RoleOut>,
    /// Whom a change reaches.
    holders: Option<Holders>,
    form: &'a RoleForm,
    faults: &'a Faults,
}

async fn ask(visit: &Visit, role: Option<&RoleOut>, form: &RoleForm, faults: &Faults) -> Shown {
    let holders = match role {
        Some(role) => Some(holders(visit, &role.id).await?),
        None => None,
    };
    super::page(&FormPage { f: &visit.frame, role, holders, form, faults })
}

pub(crate) async fn new(visit: Visit) -> Shown {
    visit.must_be_fresh()?;
    ask(&visit, None, &RoleForm::default(), &Faults::default()).await
}

pub(crate) async fn create(visit: Visit, Form(form): Form<RoleForm>) -> Shown {
    let input = RoleIn {
        name: form.name.clone().unwrap_or_default(),
        description: form.description.clone().unwrap_or_default(),
        rights: lines(form.rights.as_deref()),
    };
    match roles::create(&visit.app, &visit.actor, input).await {
        Ok(role) => go(&format!("/console/roles/{}", role.id), "role-made"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, None, &form, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let role = roles::show(&visit.app, &visit.actor, &id).await?;
    let form = RoleForm {
        name: Some(role.name.clone()),
        description: Some(role.description.clone()),
        rights: Some(role.rights.join("\n")),
        version: Some(role.version.to_string()),
    };
    ask(&visit, Some(&role), &form, &Faults::default()).await
}

pub(crate) async fn save(mut visit: Visit, Path(id): Path<String>, Form(form): Form<RoleForm>) -> Shown {
    let role = roles::show(&visit.app, &visit.actor, &id).await?;
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let (rights, description) = (lines(form.rights.as_deref()), form.description.clone().unwrap_or_default());
    let patch = RolePatch {
        name: form.name.clone().filter(|name| *name != role.name),
        description: (description != role.description).then_some(description),
        rights: (rights != role.rights).then_some(rights),
    };
    match roles::edit(&visit.app, &visit.actor, &id, patch).await {
        Ok(_) => go(&format!("/console/roles/{id}"), "edited"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, Some(&role), &form, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "role_delete.html")]
struct DeletePage<'a> {
    f: &'a Frame,
    role: &'a RoleOut,
    holders: Holders,
}

pub(crate) async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let role = roles::show(&visit.app, &visit.actor, &id).await?;
    let holders = holders(&visit, &id).await?;
    super::page(&DeletePage { f: &visit.frame, role: &role, holders })
}

pub(crate) async fn delete(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    roles::delete(&visit.app, &visit.actor, &id).await?;
    go("/console/roles", "role-deleted")
}
