//! Users and keys › Users: the list of them, and making one (SQ2).

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::choices::{self, Choice};
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::moment::Moment;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::http::json::Query;
use crate::http::v1::users::ListQuery;
use crate::users::{self, UserIn, UserOut};
use crate::verify::facts;

/// One user in a list.
pub(super) struct UserLine {
    pub(super) user: UserOut,
    pub(super) badge: &'static str,
    pub(super) created: Moment,
    pub(super) last_login: Option<Moment>,
    pub(super) suspended: Option<Moment>,
}

impl UserLine {
    pub(super) fn new(user: UserOut, frame: &Frame) -> Self {
        let moment = |text: &Option<String>| text.as_deref().map(|text| frame.moment(text));
        Self {
            badge: if user.state == "active" { frame.t("Active") } else { frame.t("Suspended") },
            created: frame.moment(&user.created_at),
            last_login: moment(&user.last_login_at),
            suspended: moment(&user.suspended_at),
            user,
        }
    }
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage<'a> {
    f: &'a Frame,
    users: Vec<UserLine>,
    query: &'a ListQuery,
    /// The next page, as a link.
    further: Option<String>,
    is_filtered: bool,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    let found = users::list(&visit.app, &visit.actor, &query.filter()?, &query.page()?).await?;
    let frame = &visit.frame;
    super::page(&UsersPage {
        f: frame,
        users: found.data.into_iter().map(|user| UserLine::new(user, frame)).collect(),
        further: found.next_cursor.map(|cursor| query.link(&cursor)),
        is_filtered: query.is_filtered(),
        query: &query,
    })
}

impl ListQuery {
    /// The same list from a cursor on.
    fn link(&self, cursor: &str) -> String {
        let next = Self { cursor: Some(cursor.into()), ..self.clone() };
        format!("/console/users?{}", serde_html_form::to_string(&next).unwrap_or_default())
    }

    /// Whether it leaves users out that a plain list has.
    fn is_filtered(&self) -> bool {
        [&self.state, &self.q, &self.username, &self.group_id, &self.role_id]
            .iter()
            .any(|filter| filter.is_some())
    }
}

/// What the form of a user holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserForm {
    pub(super) username: Option<String>,
    pub(super) email: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) role_ids: Vec<String>,
    pub(super) group_ids: Vec<String>,
    /// Minutes, as they were typed.
    pub(super) owner_login_window_minutes: Option<String>,
    /// Set where trusted secrets may ask for tokens of the user.
    pub(super) trusted_tokens: Option<String>,
    pub(super) version: Option<String>,
}

impl UserForm {
    /// The window as the operation takes it: left empty, it is that of the tenant.
    pub(super) fn window(&self) -> Result<Option<i64>> {
        let Some(text) = self.owner_login_window_minutes.as_deref() else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| {
            let detail = "expected a whole number of minutes, -1 or 0";
            Error::invalid("/owner_login_window_minutes", "bad_value", detail)
        })
    }
}

#[derive(Template)]
#[template(path = "user_new.html")]
struct NewPage<'a> {
    f: &'a Frame,
    form: &'a UserForm,
    roles: Vec<Choice>,
    groups: Vec<Choice>,
    /// That of the tenant, in words.
    tenant_window: String,
    faults: &'a Faults,
}

pub(crate) async fn new(visit: Visit) -> Shown {
    visit.must_be_fresh()?;
    let form = UserForm { trusted_tokens: Some("yes".into()), ..UserForm::default() };
    ask(&visit, &form, &Faults::default()).await
}

async fn ask(visit: &Visit, form: &UserForm, faults: &Faults) -> Shown {
    super::page(&NewPage {
        f: &visit.frame,
        form,
        roles: choices::roles(visit, &form.role_ids).await?,
        groups: choices::groups(visit, &form.group_ids).await?,
        tenant_window: window_words(&visit.frame, tenant_window(visit).await?),
        faults,
    })
}

pub(crate) async fn create(visit: Visit, Form(form): Form<UserForm>) -> Shown {
    match make(&visit, &form).await {
        Ok(user) => go(&format!("/console/users/{}", user.id), "user-made"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, &form, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

async fn make(visit: &Visit, form: &UserForm) -> Result<UserOut> {
    let input = UserIn {
        username: form.username.clone().unwrap_or_default(),
        email: form.email.clone(),
        display_name: form.display_name.clone(),
        role_ids: (!form.role_ids.is_empty()).then(|| form.role_ids.clone()),
        group_ids: form.group_ids.clone(),
        owner_login_window_minutes: form.window()?,
        session_minutes: None,
        trusted_tokens: Some(form.trusted_tokens.is_some()),
        credits: None,
        credit_refill: None,
    };
    users::create(&visit.app, &visit.actor, input).await
}

/// For how many minutes after a login of its owner a key works, unless the user has a window of its own.
pub(super) async fn tenant_window(visit: &Visit) -> Result<i64> {
    let mut conn = visit.app.read().await?;
    let id = visit.actor.tenant_id.parse().map_err(Error::internal)?;
    let tenant = facts::load_tenant(&mut conn, id, 0).await?.ok_or(Error::NotFound)?;
    Ok(tenant.tenant.policy.owner_login_window_minutes)
}

/// A window in words (SQ4).
pub(super) fn window_words(frame: &Frame, minutes: i64) -> String {
    match minutes {
        ..0 => frame.t("always: no login is asked for").to_owned(),
        0 => frame.t("never: the keys do not work").to_owned(),
        _ if minutes % 1440 == 0 => {
            frame.n("for 1 day after each login|for {} days after each login", minutes / 1440)
        }
        _ if minutes % 60 == 0 => {
            frame.n("for 1 hour after each login|for {} hours after each login", minutes / 60)
        }
        _ => frame.n("for 1 minute after each login|for {} minutes after each login", minutes),
    }
}
