//! Users and keys › Groups: the list of them, and the form that makes and changes one.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::choices::{self, Choice};
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::{Shown, go};
use crate::error::Result;
use crate::groups::{self, GroupIn, GroupOut, GroupPatch};
use crate::http::json::Query;
use crate::http::v1::groups::ListQuery;

/// One group in a list.
struct GroupLine {
    group: GroupOut,
    roles: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage<'a> {
    f: &'a Frame,
    groups: Vec<GroupLine>,
    query: &'a ListQuery,
    /// The next page, as a link.
    further: Option<String>,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    let pattern = query.pattern();
    let found = groups::list(&visit.app, &visit.actor, pattern.as_deref(), &query.page()?).await?;
    let known = choices::roles(&visit, &[]).await?;
    let line = |group: GroupOut| GroupLine { roles: choices::named(&group.role_ids, &known), group };
    super::page(&GroupsPage {
        f: &visit.frame,
        groups: found.data.into_iter().map(line).collect(),
        further: found.next_cursor.map(|cursor| query.link("/console/groups", &cursor)),
        query: &query,
    })
}

impl ListQuery {
    /// The same list from a cursor on.
    pub(super) fn link(&self, path: &str, cursor: &str) -> String {
        let next = Self { cursor: Some(cursor.into()), ..self.clone() };
        format!("{path}?{}", serde_html_form::to_string(&next).unwrap_or_default())
    }
}

/// What the form of a group holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GroupForm {
    name: Option<String>,
    description: Option<String>,
    role_ids: Vec<String>,
    version: Option<String>,
}

#[derive(Template)]
#[template(path = "group_form.html")]
struct FormPage<'a> {
    f: &'a Frame,
    /// The group that is changed; nothing for a new one.
    group: Option<&'a GroupOut>,
    form: &'a GroupForm,
    roles: Vec<Choice>,
    faults: &'a Faults,
}

impl FormPage<'_> {
    /// Name and roles of a built-in group stay.
    fn is_built_in(&self) -> bool {
        self.group.is_some_and(|group| group.built_in)
    }
}

async fn ask(visit: &Visit, group: Option<&GroupOut>, form: &GroupForm, faults: &Faults) -> Shown {
    let roles = choices::roles(visit, &form.role_ids).await?;
    super::page(&FormPage { f: &visit.frame, group, form, roles, faults })
}

pub(crate) async fn new(visit: Visit) -> Shown {
    visit.must_be_fresh()?;
    ask(&visit, None, &GroupForm::default(), &Faults::default()).await
}

pub(crate) async fn create(visit: Visit, Form(form): Form<GroupForm>) -> Shown {
    let input = GroupIn {
        name: form.name.clone().unwrap_or_default(),
        description: form.description.clone().unwrap_or_default(),
        role_ids: form.role_ids.clone(),
    };
    match groups::create(&visit.app, &visit.actor, input).await {
        Ok(group) => go(&format!("/console/groups/{}", group.id), "group-made"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, None, &form, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let group = groups::show(&visit.app, &visit.actor, &id).await?;
    let form = GroupForm {
        name: Some(group.name.clone()),
        description: Some(group.description.clone()),
        role_ids: group.role_ids.clone(),
        version: Some(group.version.to_string()),
    };
    ask(&visit, Some(&group), &form, &Faults::default()).await
}

pub(crate) async fn save(mut visit: Visit, Path(id): Path<String>, Form(form): Form<GroupForm>) -> Shown {
    let group = groups::show(&visit.app, &visit.actor, &id).await?;
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    match change(&visit, &group, &form).await {
        Ok(_) => go(&format!("/console/groups/{id}"), "edited"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, Some(&group), &form, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// Sends what the form changes; a built-in group has fields for its description alone.
async fn change(visit: &Visit, group: &GroupOut, form: &GroupForm) -> Result<GroupOut> {
    let whole = !group.built_in;
    let has_roles = whole && visit.actor.may("roles:read");
    let description = form.description.clone().unwrap_or_default();
    let patch = GroupPatch {
        name: form.name.clone().filter(|name| whole && *name != group.name),
        description: (description != group.description).then_some(description),
        role_ids: has_roles.then(|| choices::changed(&form.role_ids, &group.role_ids)).flatten(),
    };
    groups::edit(&visit.app, &visit.actor, &group.id, patch).await
}
