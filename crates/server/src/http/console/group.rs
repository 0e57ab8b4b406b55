//! Users and keys › Groups › one group: its members and what they get by it.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::choices::{self, Choice};
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::users::UserLine;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::groups::{self, GroupOut};
use crate::http::json::Query;
use crate::http::v1::groups::PageQuery;
use crate::keys::wire::BulkKey;
use crate::names::Username;
use crate::store::page::Page;
use crate::store::users::UserFilter;
use crate::users;

/// Keys that the page lists, at most.
const KEYS: i64 = 100;

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage<'a> {
    f: &'a Frame,
    roles: Vec<Choice>,
    users: Vec<UserLine>,
    /// Members that are workspace keys; none are told where not all users are on the page.
    keys: i64,
    /// The first of them, for who may see keys.
    key_lines: Vec<BulkKey>,
    created: Moment,
    changed: Moment,
    /// The next page of members, as a link.
    further: Option<String>,
    group: GroupOut,
}

impl GroupPage<'_> {
    /// Keys that are not listed.
    fn unlisted(&self) -> i64 {
        self.keys - i64::try_from(self.key_lines.len()).unwrap_or(self.keys)
    }
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>, Query(query): Query<PageQuery>) -> Shown {
    let group = groups::show(&visit.app, &visit.actor, &id).await?;
    let found = groups::members(&visit.app, &visit.actor, &id, &query.page(&id)?).await?;
    let frame = &visit.frame;
    let is_all = query.cursor.is_none() && found.next_cursor.is_none();
    let count = i64::try_from(found.data.len()).unwrap_or(i64::MAX);
    super::page(&GroupPage {
        f: frame,
        key_lines: groups::keys(&visit.app, &visit.actor, &id, KEYS).await?,
        roles: choices::named(&group.role_ids, &choices::roles(&visit, &[]).await?),
        users: found.data.into_iter().map(|user| UserLine::new(user, frame)).collect(),
        keys: if is_all { group.member_count - count } else { 0 },
        created: frame.moment(&group.created_at),
        changed: frame.moment(&group.updated_at),
        further: found.next_cursor.map(|cursor| format!("/console/groups/{id}?cursor={cursor}")),
        group,
    })
}

/// Who is put in or taken out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MemberForm {
    member: Option<String>,
}

#[derive(Template)]
#[template(path = "group_add.html")]
struct AddPage<'a> {
    f: &'a Frame,
    group: &'a GroupOut,
    roles: Vec<Choice>,
    member: &'a str,
    faults: &'a Faults,
}

pub(crate) async fn ask_add(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    add_page(&visit, &id, "", &Faults::default()).await
}

async fn add_page(visit: &Visit, id: &str, member: &str, faults: &Faults) -> Shown {
    let group = groups::show(&visit.app, &visit.actor, id).await?;
    let roles = choices::named(&group.role_ids, &choices::roles(visit, &[]).await?);
    super::page(&AddPage { f: &visit.frame, group: &group, roles, member, faults })
}

pub(crate) async fn add(visit: Visit, Path(id): Path<String>, Form(form): Form<MemberForm>) -> Shown {
    let text = form.member.as_deref().unwrap_or_default().trim();
    let added = match member_id(&visit, text).await {
        Ok(Some(member)) => groups::add_member(&visit.app, &visit.actor, &id, &member).await,
        Ok(None) => Err(Error::NotFound),
        Err(error) => Err(error),
    };
    let error = match added {
        Ok(()) => return go(&format!("/console/groups/{id}"), "member-added"),
        Err(Error::NotFound) => {
            let detail = visit.frame.t("There is no such user or key in this tenant.");
            Error::invalid("/member", "not_found", detail)
        }
        Err(error) => error,
    };
    let page = add_page(&visit, &id, text, &Faults::of(error)?).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// The id of a member, who is given by user name or by id.
async fn member_id(visit: &Visit, text: &str) -> Result<Option<String>> {
    if text.starts_with("user_") || text.starts_with("key_") {
        return Ok(Some(text.into()));
    }
    // A name that cannot be one is nobody's.
    let Ok(name) = Username::parse_any(text) else { return Ok(None) };
    if !visit.actor.may("users:read") {
        return Ok(None);
    }
    let filter = UserFilter { username_key: Some(name.key), ..UserFilter::default() };
    let page = Page::read(Some(1), None, "by name")?;
    let found = users::list(&visit.app, &visit.actor, &filter, &page).await?;
    Ok(found.data.into_iter().next().map(|user| user.id))
}

pub(crate) async fn remove(visit: Visit, Path(id): Path<String>, Form(form): Form<MemberForm>) -> Shown {
    let member = form.member.as_deref().unwrap_or_default();
    groups::remove_member(&visit.app, &visit.actor, &id, member).await?;
    go(&format!("/console/groups/{id}"), "member-removed")
}

#[derive(Template)]
#[template(path = "group_delete.html")]
struct DeletePage<'a> {
    f: &'a Frame,
    group: &'a GroupOut,
    roles: Vec<Choice>,
}

pub(crate) async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let group = groups::show(&visit.app, &visit.actor, &id).await?;
    let roles = choices::named(&group.role_ids, &choices::roles(&visit, &[]).await?);
    super::page(&DeletePage { f: &visit.frame, group: &group, roles })
}

pub(crate) async fn delete(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    groups::delete(&visit.app, &visit.actor, &id).await?;
    go("/console/groups", "group-deleted")
}
