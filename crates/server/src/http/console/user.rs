//! Users and keys › Users › one user: all about a person, and the form to change it (SQ4, VA4, BM12).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;

use super::choices::{self, Choice};
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::{KeyLine, living};
use super::moment::Moment;
use super::users::{UserForm, UserLine, tenant_window, window_words};
use super::{Shown, go};
use crate::error::Result;
use crate::factors::{self, FactorOut};
use crate::keys;
use crate::sessions::{SessionOut, lists};
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::{Listed, Page};
use crate::users::{self, UserOut, UserPatch};

/// Keys and sessions that one page shows.
const MOST: i64 = 200;

/// A session of the user.
pub(super) struct SessionLine {
    pub(super) session: SessionOut,
    pub(super) method: &'static str,
    pub(super) started: Moment,
    pub(super) seen: Moment,
    pub(super) ends: Moment,
}

/// A second factor of the user.
pub(super) struct FactorLine {
    pub(super) factor: FactorOut,
    pub(super) created: Moment,
    pub(super) last_used: Option<Moment>,
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage<'a> {
    f: &'a Frame,
    line: UserLine,
    /// The user is who looks.
    own: bool,
    window: String,
    roles: Vec<Choice>,
    groups: Vec<Choice>,
    /// Nothing where who looks may not see them.
    keys: Option<Vec<KeyLine>>,
    sessions: Option<Vec<SessionLine>>,
    factors: Option<Vec<FactorLine>>,
    codes_left: i64,
}

impl UserPage<'_> {
    fn may_revoke_keys(&self) -> bool {
        self.f.may("keys:revoke") || self.own && self.f.may("me/keys:revoke")
    }

    /// Whether there is a second factor that can be taken away.
    fn has_factors(&self) -> bool {
        self.factors.as_ref().is_some_and(|factors| !factors.is_empty())
    }

    fn session_count(&self) -> usize {
        self.sessions.as_ref().map_or(0, Vec::len)
    }
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let user = users::show(&visit.app, &visit.actor, &id).await?;
    let frame = &visit.frame;
    let window = match user.owner_login_window_minutes {
        Some(own) => frame.f("{} (set for this user)", window_words(frame, own)),
        None => frame.f("{} (the rule of the tenant)", window_words(frame, tenant_window(&visit).await?)),
    };
    let known = (choices::roles(&visit, &[]).await?, choices::groups(&visit, &[]).await?);
    let (factors, codes_left) = factor_lines(&visit, &id).await?;
    super::page(&UserPage {
        f: frame,
        own: visit.actor.user_id() == Some(&*id),
        window,
        roles: choices::named(&user.role_ids, &known.0),
        groups: choices::named(&user.group_ids, &known.1),
        keys: key_lines(&visit, &id).await?.map(|listed| listed.data),
        sessions: session_lines(&visit, &id).await?,
        factors,
        codes_left,
        line: UserLine::new(user, frame),
    })
}

/// The keys of a user that are not revoked, last used first; nothing for who may not see them.
pub(super) async fn key_lines(visit: &Visit, id: &str) -> Result<Option<Listed<KeyLine>>> {
    let actor = &visit.actor;
    let own = actor.user_id() == Some(id) && actor.may("me/keys:read");
    if !own && !actor.may("keys:read") {
        return Ok(None);
    }
    let filter = KeyFilter { owner_id: Some(id.into()), ..KeyFilter::default() };
    let page = Page::read(Some(MOST), None, "keys of a user")?;
    let sort = KeySort::LastUsedAt(true);
    let found = keys::list(&visit.app, actor, filter, &living(), sort, &page).await?;
    Ok(Some(found.map(|key| KeyLine::new(key, &visit.frame))))
}

/// The sessions of a user that live; nothing for who may not see them.
pub(super) async fn session_lines(visit: &Visit, id: &str) -> Result<Option<Vec<SessionLine>>> {
    if !visit.actor.may("users:read") {
        return Ok(None);
    }
    let page = Page::read(Some(MOST), None, "sessions of a user")?;
    let found = lists::list_of(&visit.app, &visit.actor, id, &page).await?;
    let frame = &visit.frame;
    let line = |session: SessionOut| SessionLine {
        method: method_name(frame, &session.method),
        started: frame.moment(&session.started_at),
        seen: frame.moment(&session.last_seen_at),
        ends: frame.moment(&session.expires_at),
        session,
    };
    Ok(Some(found.data.into_iter().map(line).collect()))
}

fn method_name(frame: &Frame, method: &str) -> &'static str {
    match method {
        "password" => frame.t("Password"),
        "passkey" => frame.t("Passkey"),
        _ => frame.t("Access key"),
    }
}

/// The second factors of a user, and how many recovery codes are left.
pub(super) async fn factor_lines(visit: &Visit, id: &str) -> Result<(Option<Vec<FactorLine>>, i64)> {
    if !visit.actor.may("users:read") {
        return Ok((None, 0));
    }
    let found = factors::list_of(&visit.app, &visit.actor, id).await?;
    let frame = &visit.frame;
    let line = |factor: FactorOut| FactorLine {
        created: frame.moment(&factor.created_at),
        last_used: factor.last_used_at.as_deref().map(|at| frame.moment(at)),
        factor,
    };
    Ok((Some(found.factors.into_iter().map(line).collect()), found.recovery_codes_left))
}

#[derive(Template)]
#[template(path = "user_edit.html")]
struct EditPage<'a> {
    f: &'a Frame,
    user: &'a UserOut,
    form: &'a UserForm,
    roles: Vec<Choice>,
    groups: Vec<Choice>,
    tenant_window: String,
    faults: &'a Faults,
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let user = users::show(&visit.app, &visit.actor, &id).await?;
    let form = UserForm {
        username: Some(user.username.clone()),
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        role_ids: user.role_ids.clone(),
        group_ids: user.group_ids.clone(),
        owner_login_window_minutes: user.owner_login_window_minutes.map(|minutes| minutes.to_string()),
        trusted_tokens: user.trusted_tokens.then(|| "yes".into()),
        version: Some(user.version.to_string()),
    };
    ask(&visit, &user, &form, &Faults::default()).await
}

async fn ask(visit: &Visit, user: &UserOut, form: &UserForm, faults: &Faults) -> Shown {
    super::page(&EditPage {
        f: &visit.frame,
        user,
        form,
        roles: choices::roles(visit, &form.role_ids).await?,
        groups: choices::groups(visit, &form.group_ids).await?,
        tenant_window: window_words(&visit.frame, tenant_window(visit).await?),
        faults,
    })
}

pub(crate) async fn save(mut visit: Visit, Path(id): Path<String>, Form(form): Form<UserForm>) -> Shown {
    let user = users::show(&visit.app, &visit.actor, &id).await?;
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let edited = match patch(&visit, &user, &form) {
        Ok(patch) => users::edit(&visit.app, &visit.actor, &id, patch).await,
        Err(error) => Err(error),
    };
    match edited {
        Ok(_) => go(&format!("/console/users/{id}"), "edited"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, &user, &form, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// What the form changes. Who may not see roles or groups has no boxes for them, and changes none.
fn patch(visit: &Visit, user: &UserOut, form: &UserForm) -> Result<UserPatch> {
    let window = form.window()?.filter(|minutes| *minutes != -1);
    let allowed = form.trusted_tokens.is_some();
    let roles = visit.actor.may("roles:read").then(|| choices::changed(&form.role_ids, &user.role_ids));
    let groups = visit.actor.may("groups:read").then(|| choices::changed(&form.group_ids, &user.group_ids));
    Ok(UserPatch {
        username: form.username.clone().filter(|name| *name != user.username),
        email: (form.email != user.email).then(|| form.email.clone()),
        display_name: (form.display_name != user.display_name).then(|| form.display_name.clone()),
        role_ids: roles.flatten(),
        group_ids: groups.flatten(),
        owner_login_window_minutes: (window != user.owner_login_window_minutes).then_some(window),
        trusted_tokens: (allowed != user.trusted_tokens).then_some(allowed),
        ..UserPatch::default()
    })
}
