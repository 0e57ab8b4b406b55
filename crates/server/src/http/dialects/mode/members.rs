//! The members of a workspace: its users.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use http::{HeaderMap, Uri};
use keyward_core::decide::is_ambiguous;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::guest::Guest;
use super::hal::{Told, Window, link};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::names::{Username, is_same};
use crate::store::page::{MAX_LIMIT, Page};
use crate::store::users::UserFilter;
use crate::users::{self, UserOut};

/// What must be written as `%XX` in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// `GET /api/{workspace}/memberships` and `/memberships/lite`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(workspace): Path<String>,
    uri: Uri,
) -> Told {
    let guest = Guest::enter_workspace(&app, &headers, &call, &workspace).await?;
    guest.must_hold(&app, "list_users", &["users:read"])?;
    let mut window = Window::read(&uri)?;
    let found = window.fill("/v1/users", |cursor| {
        let (app, actor) = (&app, &guest.actor);
        async move {
            let page = Page::read(Some(MAX_LIMIT), cursor.as_deref(), "memberships")?;
            users::list(app, actor, &UserFilter::default(), &page).await
        }
    });
    let rows: Vec<Value> = found.await?.iter().map(|user| membership(&guest.slug, user)).collect();
    window.answer(uri.path(), "memberships", &rows)
}

/// The user of this name, else of this id, that the actor may see.
///
/// # Errors
/// `Error::NotFound` alike for who does not exist and who may not be seen.
pub(super) async fn find(app: &App, actor: &Actor, name: &str) -> Result<UserOut> {
    let key = Username::parse_any(name).map_err(|_| Error::NotFound)?.key;
    if !actor.may("users:read") {
        let own = users::show(app, actor, actor.user_id().ok_or(Error::NotFound)?).await?;
        let is_own = own.id == name || is_same(&own.username, name);
        return if is_own { Ok(own) } else { Err(Error::NotFound) };
    }
    let filter = UserFilter { username_key: Some(key), ..UserFilter::default() };
    let page = Page::read(Some(1), None, "a member")?;
    match users::list(app, actor, &filter, &page).await?.data.pop() {
        Some(user) => Ok(user),
        None => users::show(app, actor, name).await,
    }
}

/// The user record, which holds no address, as Mode's holds none.
pub(super) fn record(slug: &str, user: &UserOut) -> Value {
    json!({
        "token": user.id,
        "id": user.id,
        "username": user.username,
        "name": name_of(user),
        "created_at": user.created_at,
        "_links": { "self": link(&href(slug, &user.username, &user.id)) },
    })
}

fn membership(slug: &str, user: &UserOut) -> Value {
    json!({
        "member_token": user.id,
        "username": user.username,
        "member_username": user.username,
        "name": name_of(user),
        "email": user.email,
        "admin": user.rights.iter().any(|right| right == "**:*"),
        "state": user.state,
        "activated_at": user.created_at,
        "_links": { "user": link(&href(slug, &user.username, &user.id)) },
    })
}

fn name_of(user: &UserOut) -> &str {
    user.display_name.as_deref().unwrap_or(&user.username)
}

/// Where the record of a user is: by name, and by id where the name is something else in this place.
pub(super) fn href(slug: &str, username: &str, id: &str) -> String {
    let path = format!("/api/{}", utf8_percent_encode(username, SEGMENT));
    let is_taken = ["verify", "account", slug].contains(&username);
    if is_taken || is_ambiguous(&path) { format!("/api/{id}") } else { path }
}

#[cfg(test)]
mod tests {
    use super::href;

    #[test]
    fn names_that_cannot_stand_in_a_path_are_ids_there() {
        assert_eq!(href("acme", "ada@example.org", "user_1"), "/api/ada%40example.org");
        for name in ["acme", "verify", "account", "a/b", "..", "100%", "a;b", "a\\b"] {
            assert_eq!(href("acme", name, "user_1"), "/api/user_1", "{name}");
        }
    }
}
