//! Users: making, editing, suspending, deleting (SQ2, SQ4, SQ7, DIR-3, AZ-6, AZ-11).

pub(crate) mod erasure;
pub(crate) mod look;
mod wire;

use std::sync::Arc;

use keyward_core::right::RightSet;

pub(crate) use self::wire::{LoginIn, RevokeKeysIn, UserIn, UserOut, UserPatch};
use crate::administrators::{Administered, must_stay_administered};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::credits::{self, CreditsOut, Wish};
use crate::error::{Error, Result};
use crate::keys::bulk::{self, Ending};
use crate::keys::create::assignment_rights;
use crate::keys::view::{brief, texts};
use crate::keys::wire::BulkOut;
use crate::names::{Username, check_label};
use crate::random;
use crate::sessions;
use crate::store::credits::Holder;
use crate::store::page::{Listed, Page};
use crate::store::users::{self, UserFilter, UserRow};
use crate::store::{factors, groups, passwords, roles};
use crate::verify::facts::{self, TenantRecord};
use crate::wire::time;

/// The user as the API shows it.
pub(crate) fn render(directory: &TenantRecord, row: UserRow, now: i64) -> Result<UserOut> {
    let grant = facts::grant(row.role_ids.as_deref(), row.group_ids.as_deref())?;
    Ok(UserOut {
        state: if row.suspended_at.is_some() { "suspended" } else { "active" },
        role_ids: grant.roles.iter().map(ToString::to_string).collect(),
        group_ids: grant.groups.iter().map(ToString::to_string).collect(),
        rights: texts(&directory.rights_of(&grant)),
        last_login_at: row.last_login_at.map(rfc3339),
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
        suspended_at: row.suspended_at.map(rfc3339),
        id: row.id,
        tenant_id: row.tenant_id,
        username: row.username,
        email: row.email,
        display_name: row.display_name,
        origin: row.origin,
        owner_login_window_minutes: row.login_window_minutes,
        session_minutes: row.session_minutes,
        trusted_tokens: row.trusted_tokens,
        credits: CreditsOut::of(&row.credits, now)?,
        key_count: row.key_count,
        created_by: row.created_by,
        suspended_reason: row.suspended_reason,
        version: row.version,
    })
}

/// One user: oneself with `me:read`, anybody with `users:read`.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<UserOut> {
    let own = actor.user_id() == Some(id) && actor.may("me:read");
    if !own && !actor.may("users:read") {
        return Err(Error::NotFound);
    }
    let mut conn = app.read().await?;
    let row = users::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let directory = directory(&mut conn, actor).await?;
    render(&directory, row, app.clock.unix_ms())
}

async fn directory(conn: &mut crate::store::Conn, actor: &Actor) -> Result<TenantRecord> {
    let id = actor.tenant_id.parse().map_err(Error::internal)?;
    facts::load_tenant(conn, id, 0).await?.ok_or(Error::NotFound)
}

/// A page of users.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    filter: &UserFilter,
    page: &Page,
) -> Result<Listed<UserOut>> {
    let mut conn = app.read().await?;
    let directory = directory(&mut conn, actor).await?;
    let listed = users::list(&mut conn, &actor.tenant_id, filter, page).await?;
    let now = app.clock.unix_ms();
    let data = listed.data.into_iter().map(|row| render(&directory, row, now)).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// Makes a user.
pub(crate) async fn create(app: &App, actor: &Actor, input: UserIn) -> Result<UserOut> {
    let name = Username::parse(&input.username)?;
    let key = name.key.clone();
    match make(app, actor, name, input).await {
        Err(error) => Err(name_error(app, actor, Some(&key), error).await),
        made => made,
    }
}

/// Equal names look alike as well, and engines differ in which rule they name: the plainer counts.
async fn name_error(app: &App, actor: &Actor, key: Option<&str>, error: Error) -> Error {
    let (Some(key), Error::Conflict { code: "confusable_name", .. }) = (key, &error) else { return error };
    let filter = UserFilter { username_key: Some(key.into()), ..UserFilter::default() };
    let Ok(mut conn) = app.read().await else { return error };
    match users::list(&mut conn, &actor.tenant_id, &filter, &Page::unlimited()).await {
        Ok(equal) if !equal.data.is_empty() => {
            Error::conflict("already_exists", "this user name is already taken")
        }
        _ => error,
    }
}

async fn make(app: &App, actor: &Actor, name: Username, input: UserIn) -> Result<UserOut> {
    input.check()?;
    let credits = Wish::new(input.credits, input.credit_refill);
    credits.check()?;
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let directory = tx.directory().await?;
        let tenant = tx.tenant().to_owned();
        let role_ids = match &input.role_ids {
            Some(ids) => ids.clone(),
            None => directory.built_in_role("member").iter().map(ToString::to_string).collect(),
        };
        if input.role_ids.is_some() || !input.group_ids.is_empty() {
            tx.must_be_fresh()?;
        }
        assignment_rights(tx, &directory, &role_ids, &input.group_ids).await?;
        let id = random::new_id::<keyward_core::id::User>(tx.now).to_string();
        let row = UserRow {
            email: input.email,
            display_name: input.display_name,
            login_window_minutes: input.owner_login_window_minutes.filter(|minutes| *minutes >= 0),
            session_minutes: input.session_minutes.filter(|minutes| *minutes > 0),
            trusted_tokens: input.trusted_tokens.unwrap_or(true),
            credits: credits.first(tx.now)?,
            role_ids: Some(role_ids.join(",")),
            group_ids: Some(input.group_ids.join(",")),
            ..UserRow::new((&tenant, id), name, "local", (&actor.principal.id, tx.now))
        };
        users::insert(tx.conn(), &row).await?;
        if credits.is_some() {
            crate::store::credits::grant(tx.conn(), &tenant, Holder::User(&row.id), &row.credits).await?;
        }
        roles::replace_held(tx.conn(), &tenant, &row.id, &role_ids).await?;
        groups::replace_joined(tx.conn(), &tenant, &row.id, &input.group_ids).await?;
        let user = render(&directory, row, tx.now)?;
        let event = Event::new("user.create", "user", &user.id, &user.username).after(&user);
        let id = user.id.clone();
        Ok(Audited::new(user, event).touches_user(&tenant, &id))
    })
    .await
}

/// Applies a merge patch.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: UserPatch) -> Result<UserOut> {
    patch.check()?;
    let wish = Wish { grant: patch.credits, refill: patch.credit_refill };
    wish.check()?;
    let name = patch.username.as_deref().map(Username::parse).transpose()?;
    let key = name.as_ref().map(|name| name.key.clone());
    let edited = change(app, actor, id, "user.edit", None, async |tx, row, directory| {
        if let Some(name) = name {
            row.username = name.shown;
            row.username_key = name.key;
            row.username_skeleton = name.skeleton;
        }
        if let Some(email) = patch.email {
            tx.must_be_fresh()?;
            row.email = email;
        }
        if let Some(display_name) = patch.display_name {
            row.display_name = display_name;
        }
        if let Some(window) = patch.owner_login_window_minutes {
            must_not_keep_itself_alive(tx.actor, row)?;
            row.login_window_minutes = window.filter(|minutes| *minutes >= 0);
        }
        if let Some(session) = patch.session_minutes {
            row.session_minutes = session.filter(|minutes| *minutes > 0);
        }
        if let Some(allowed) = patch.trusted_tokens {
            row.token_epoch += i64::from(row.trusted_tokens && !allowed);
            row.trusted_tokens = allowed;
        }
        let (tenant, now) = (row.tenant_id.clone(), tx.now);
        if wish.is_some() {
            must_not_top_itself_up(tx.actor, row)?;
            credits::change(tx.conn(), &tenant, Holder::User(&row.id), &row.credits, &wish, now).await?;
        }
        if patch.role_ids.is_some() || patch.group_ids.is_some() {
            tx.must_be_fresh()?;
        }
        if let Some(role_ids) = &patch.role_ids {
            assignment_rights(tx, directory, role_ids, &[]).await?;
            roles::replace_held(tx.conn(), &tenant, &row.id, role_ids).await?;
        }
        if let Some(group_ids) = &patch.group_ids {
            assignment_rights(tx, directory, &[], group_ids).await?;
            groups::replace_joined(tx.conn(), &tenant, &row.id, group_ids).await?;
        }
        Ok(Ended::new())
    })
    .await;
    match edited {
        Err(error) => Err(name_error(app, actor, key.as_deref(), error).await),
        edited => edited,
    }
}

/// Bars a user for now: keys stop at once, sessions end.
pub(crate) async fn suspend(app: &App, actor: &Actor, id: &str, reason: Option<&str>) -> Result<UserOut> {
    change(app, actor, id, "user.suspend", reason, async |tx, row, _| {
        if row.suspended_at.is_some() {
            return Err(Error::conflict("no_change", "the user is suspended already"));
        }
        row.suspended_at = Some(tx.now);
        // Tokens do not come back when the user does.
        row.token_epoch += 1;
        row.suspended_reason = reason.map(Into::into);
        sessions::end_all(tx, &row.id, None).await
    })
    .await
}

/// Lets a suspended user act again.
pub(crate) async fn resume(app: &App, actor: &Actor, id: &str) -> Result<UserOut> {
    change(app, actor, id, "user.resume", None, async |_, row, _| {
        if row.suspended_at.is_none() {
            return Err(Error::conflict("no_change", "the user is active already"));
        }
        row.suspended_at = None;
        row.suspended_reason = None;
        Ok(Ended::new())
    })
    .await
}

/// Notes an interactive login that happened elsewhere (SQ4): only a later one counts.
pub(crate) async fn record_login(app: &App, actor: &Actor, id: &str, input: &LoginIn) -> Result<UserOut> {
    let at = input.at.as_deref().map(|text| time("/at", text)).transpose()?;
    change(app, actor, id, "user.record_login", None, async |tx, row, _| {
        must_not_keep_itself_alive(tx.actor, row)?;
        let at = at.unwrap_or(tx.now);
        if at > tx.now + 60_000 {
            return Err(Error::invalid("/at", "in_the_future", "a login cannot lie in the future"));
        }
        row.last_login_at = Some(row.last_login_at.map_or(at, |before| before.max(at)));
        Ok(Ended::new())
    })
    .await
}

/// Whether somebody logged in: a session that a key opened is that key.
fn is_in_person(actor: &Actor) -> bool {
    actor.session.as_ref().is_some_and(|session| session.method.is_interactive())
}

/// A key cannot widen the window in which its owner has to log in, nor log in for its owner (SQ4).
fn must_not_keep_itself_alive(actor: &Actor, user: &UserRow) -> Result<()> {
    if actor.user_id() == Some(&user.id) && !is_in_person(actor) {
        return Err(Error::forbidden("own_owner", crate::http::problems::detail("own_owner")));
    }
    Ok(())
}

/// A key cannot grant its owner what it spends itself (X6).
fn must_not_top_itself_up(actor: &Actor, user: &UserRow) -> Result<()> {
    if actor.user_id() == Some(&user.id) && !is_in_person(actor) {
        return Err(Error::forbidden("own_credits", crate::http::problems::detail("own_credits")));
    }
    Ok(())
}

/// Deletes a user and ends keys and sessions; the id is never used again (SQ7, DIR-3).
pub(crate) async fn delete(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let (mut row, directory) = find_to_change(tx, id).await?;
        let before = render(&directory, row.clone(), tx.now)?;
        let reason = Some("the owner was deleted");
        let keys = bulk::owned_by(tx, id).await?;
        let mut audited = bulk::end_rows(tx, keys, Ending::Revoke, reason).await?.map(drop);
        row.deleted_at = Some(tx.now);
        row.updated_at = tx.now;
        row.version += 1;
        users::update(tx.conn(), &row).await?;
        let tenant = row.tenant_id.clone();
        roles::replace_held(tx.conn(), &tenant, id, &[]).await?;
        groups::replace_joined(tx.conn(), &tenant, id, &[]).await?;
        passwords::forget(tx.conn(), &tenant, id).await?;
        factors::forget(tx.conn(), &tenant, id).await?;
        let ended = sessions::end_all(tx, id, None).await?;
        must_keep_an_admin(tx, &before).await?;
        audited.events.push(Event::new("user.delete", "user", id, &row.username).before(&before));
        Ok(audited.touches_user(&tenant, id).touches_sessions(&tenant, &ended))
    })
    .await
}

/// Revokes every key of a user (VA5): by an admin, or by the user.
pub(crate) async fn revoke_keys(app: &App, actor: &Actor, id: &str, input: &RevokeKeysIn) -> Result<BulkOut> {
    if let Some(reason) = &input.reason {
        check_label("/reason", reason, 500)?;
    }
    let own = actor.user_id() == Some(id);
    if !actor.may("users:read") && !own {
        return Err(Error::NotFound);
    }
    app.write(actor, async |tx| {
        if tx.must_hold("keys:revoke").is_err() {
            tx.must_hold(if own { "me/keys:revoke" } else { "keys:revoke" })?;
        }
        let tenant = tx.tenant().to_owned();
        let row = users::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        let directory = tx.directory().await?;
        let held = rights(&directory, &row)?;
        tx.must_cover(&held, "above_caller", "the user may do more than you")?;
        let rows = bulk::owned_by(tx, id).await?;
        let matched = rows.len();
        let shown = rows.iter().map(brief).collect::<Result<_>>()?;
        let mut answer = BulkOut { matched, revoked: 0, confirm: "true".into(), keys: shown };
        if input.preview {
            return Ok(Audited::many(answer, Vec::new()));
        }
        if !input.confirm {
            return Err(Error::conflict(
                "not_confirmed",
                format!("{matched} keys would be revoked; send confirm: true to revoke them"),
            ));
        }
        answer.revoked = matched;
        let ended = bulk::end_rows(tx, rows, Ending::Revoke, input.reason.as_deref()).await?;
        Ok(ended.map(|_| answer))
    })
    .await
}

/// What a user may do.
pub(crate) fn rights(directory: &TenantRecord, row: &UserRow) -> Result<RightSet> {
    Ok(directory.rights_of(&*facts::grant(row.role_ids.as_deref(), row.group_ids.as_deref())?))
}

/// A living user whose rights are within the actor's own (AZ-6).
pub(crate) async fn find_to_change(tx: &mut Tx<'_>, id: &str) -> Result<(UserRow, Arc<TenantRecord>)> {
    let tenant = tx.tenant().to_owned();
    let row = users::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
    tx.actor.check_version(row.version)?;
    let directory = tx.directory().await?;
    tx.must_cover(&rights(&directory, &row)?, "above_caller", "the user may do more than you")?;
    Ok((row, directory))
}

/// Handles of the sessions that a change ended.
type Ended = Vec<String>;

async fn change(
    app: &App,
    actor: &Actor,
    id: &str,
    action: &'static str,
    reason: Option<&str>,
    apply: impl AsyncFnOnce(&mut Tx<'_>, &mut UserRow, &TenantRecord) -> Result<Ended>,
) -> Result<UserOut> {
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let (mut row, directory) = find_to_change(tx, id).await?;
        let before = render(&directory, row.clone(), tx.now)?;
        let ended = apply(tx, &mut row, &directory).await?;
        row.updated_at = tx.now;
        row.version += 1;
        users::update(tx.conn(), &row).await?;
        must_keep_an_admin(tx, &before).await?;
        let tenant = tx.tenant().to_owned();
        let row = users::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        let after = render(&directory, row, tx.now)?;
        let event =
            Event::new(action, "user", id, &after.username).before(&before).after(&after).reason(reason);
        Ok(Audited::new(after, event).touches_user(&tenant, id).touches_sessions(&tenant, &ended))
    })
    .await
}

/// Refuses a change that took the last administrator away (AZ-11). `before` is who was changed.
async fn must_keep_an_admin(tx: &mut Tx<'_>, before: &UserOut) -> Result<()> {
    let was_admin = before.state == "active" && before.rights.iter().any(|right| right == "**:*");
    if was_admin { must_stay_administered(tx, Administered::Users).await } else { Ok(()) }
}
