//! My profile › API keys (MO8, VA4, SQ2, BM2).

use super::Shown;
use super::gate::Visit;
use super::keys;
use crate::http::json::Query;
use crate::http::v1::keys::ListQuery;

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    let query = ListQuery { owner_id: Some(visit.actor.principal.id.clone()), ..query };
    keys::show_list(&visit, query, true).await
}
