//! Sessions as they are shown: those that still live. Which limits bind one is told by what it may do
//! itself (SES-3): that of a key with few scopes may do little, whoever owns the key.

use std::collections::HashMap;

use keyward_core::right::RightSet;
use keyward_core::session::Method;

use super::{SessionOut, own_holder, own_session, render};
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::keys::view::Viewer;
use crate::store::page::{Listed, Page};
use crate::store::sessions::{self, Alive, Whose};
use crate::store::{Conn, keys, users};
use crate::verify::facts::administers;

/// The session that asks.
pub(crate) async fn show(app: &App, actor: &Actor) -> Result<SessionOut> {
    let session = own_session(actor)?;
    let mut conn = app.read().await?;
    let row = sessions::find(&mut conn, &actor.tenant_id, &session.id).await?.ok_or(Error::NotFound)?;
    let viewer = viewer(app, &mut conn, actor).await?;
    let is_admin = match session.method {
        Method::Key => administers(&actor.rights),
        // One that lacks its second factor has no rights yet.
        _ => administers(&rights_of(&mut conn, &viewer, &actor.principal.id).await?),
    };
    Ok(render(&viewer.tenant.tenant.policy.login, is_admin, &row, Some(&session.id)))
}

async fn viewer(app: &App, conn: &mut Conn, actor: &Actor) -> Result<Viewer> {
    Viewer::new(conn, &actor.tenant_id, app.clock.unix_ms()).await
}

async fn rights_of(conn: &mut Conn, viewer: &Viewer, user: &str) -> Result<RightSet> {
    let tenant = viewer.tenant.id.to_string();
    let row = users::find(conn, &tenant, user).await?.ok_or(Error::NotFound)?;
    crate::users::rights(&viewer.tenant, &row)
}

/// The caller's own sessions: those of the user, or of the workspace key.
pub(crate) async fn list_own(app: &App, actor: &Actor, page: &Page) -> Result<Listed<SessionOut>> {
    let holder = own_holder(actor)?;
    let mut conn = app.read().await?;
    let viewer = viewer(app, &mut conn, actor).await?;
    let is_admin = match actor.user_id() {
        Some(user) => administers(&rights_of(&mut conn, &viewer, user).await?),
        // A workspace key has no sessions but through itself.
        None => false,
    };
    list(app, &mut conn, (actor, viewer), (Whose { holder, access_key: None }, is_admin), page).await
}

/// The sessions of a user.
pub(crate) async fn list_of(app: &App, actor: &Actor, user: &str, page: &Page) -> Result<Listed<SessionOut>> {
    let mut conn = app.read().await?;
    let viewer = viewer(app, &mut conn, actor).await?;
    let is_admin = administers(&rights_of(&mut conn, &viewer, user).await?);
    list(app, &mut conn, (actor, viewer), (Whose { holder: user, access_key: None }, is_admin), page).await
}

/// The sessions that began with a key.
pub(crate) async fn list_of_key(
    app: &App,
    actor: &Actor,
    id: &str,
    page: &Page,
) -> Result<Listed<SessionOut>> {
    let mut conn = app.read().await?;
    let key = crate::keys::find(&mut conn, actor, id).await?;
    let viewer = viewer(app, &mut conn, actor).await?;
    list(app, &mut conn, (actor, viewer), (Whose::of(&key), false), page).await
}

/// Living sessions; `is_admin` is about those that began with a password.
async fn list(
    app: &App,
    conn: &mut Conn,
    (actor, mut viewer): (&Actor, Viewer),
    (whose, is_admin): (Whose<'_>, bool),
    page: &Page,
) -> Result<Listed<SessionOut>> {
    let (rules, now) = (viewer.tenant.tenant.policy.login, app.clock.unix_ms());
    let alive = |is_admin| Alive {
        now,
        started_after: now - rules.max_ms(is_admin),
        seen_after: now - rules.idle_ms(is_admin),
    };
    let listed = sessions::list(conn, &actor.tenant_id, whose, [alive(is_admin), alive(false)], page).await?;
    let current = actor.session.as_ref().map(|session| session.id.as_str());
    let (mut known, mut data) = (HashMap::new(), Vec::new());
    for row in listed.data {
        let is_admin = match &row.access_key {
            None => is_admin,
            Some(key) => match known.get(key) {
                Some(is_admin) => *is_admin,
                None => {
                    let is_admin = key_administers(conn, &mut viewer, key).await?;
                    known.insert(key.clone(), is_admin);
                    is_admin
                }
            },
        };
        if alive(is_admin).holds(&row) {
            data.push(render(&rules, is_admin, &row, current));
        }
    }
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

async fn key_administers(conn: &mut Conn, viewer: &mut Viewer, access_key: &str) -> Result<bool> {
    Ok(match keys::load(conn, access_key).await? {
        Some(row) => viewer.standing(conn, &row).await?.effective.is_admin,
        None => false,
    })
}
