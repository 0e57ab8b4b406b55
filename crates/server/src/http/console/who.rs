//! Who did something, by name, for the pages.

use super::gate::Visit;
use crate::http::who;

/// The name of a user or the label of a key; the id, where it is gone or may not be seen.
pub(super) async fn name(visit: &Visit, id: &str) -> String {
    who::name(&visit.app, &visit.actor, id).await
}

/// Puts the name in the place of each id.
pub(super) async fn put_names(visit: &Visit, ids: Vec<&mut String>) {
    for id in ids {
        *id = name(visit, id).await;
    }
}
