//! Who did something, by name.

use super::gate::Visit;
use crate::app::{Actor, App};
use crate::{keys, users};

/// The name of a user or the label of a key; the id, where it is gone or may not be seen.
pub(super) async fn name(visit: &Visit, id: &str) -> String {
    name_for(&visit.app, &visit.actor, id).await
}

/// The same for an actor.
pub(crate) async fn name_for(app: &App, actor: &Actor, id: &str) -> String {
    let found = if id.starts_with("key_") {
        keys::show(app, actor, id).await.map(|key| key.label)
    } else if id.starts_with("user_") {
        users::show(app, actor, id).await.map(|user| user.username)
    } else {
        return id.to_owned();
    };
    found.unwrap_or_else(|_| id.to_owned())
}

/// Puts the name in the place of each id.
pub(super) async fn put_names(visit: &Visit, ids: Vec<&mut String>) {
    for id in ids {
        *id = name(visit, id).await;
    }
}
