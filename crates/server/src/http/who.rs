//! Who did something, by name.

use crate::app::{Actor, App};
use crate::{keys, users};

/// The name of a user or the label of a key; the id, where it is gone or the actor may not see it.
pub(crate) async fn name(app: &App, actor: &Actor, id: &str) -> String {
    let found = if id.starts_with("key_") {
        keys::show(app, actor, id).await.map(|key| key.label)
    } else if id.starts_with("user_") {
        users::show(app, actor, id).await.map(|user| user.username)
    } else {
        return id.to_owned();
    };
    found.unwrap_or_else(|_| id.to_owned())
}
