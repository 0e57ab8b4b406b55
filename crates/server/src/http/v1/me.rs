//! `/v1/me`: who am I?

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::openapi::{Operation, shape};
use crate::keys::view::texts;
use crate::store::tenants;

/// The caller, its tenant and what it may do there.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeOut {
    pub(crate) principal: PrincipalOut,
    pub(crate) tenant: TenantOut,
    pub(crate) key: Option<KeyOut>,
    pub(crate) rights: Vec<String>,
}

/// Who acts.
#[derive(Serialize, ToSchema)]
pub(crate) struct PrincipalOut {
    /// `user` or `workspace`.
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) username: Option<String>,
}

/// Where.
#[derive(Serialize, ToSchema)]
#[schema(as = MeTenant)]
pub(crate) struct TenantOut {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) number: i64,
    pub(crate) name: String,
}

/// With which key.
#[derive(Serialize, ToSchema)]
#[schema(as = MeKey)]
pub(crate) struct KeyOut {
    pub(crate) id: String,
    pub(crate) access_key: String,
}

pub(crate) const SHOW: Operation =
    Operation::show("who_am_i", "me", "Who am I, and what may I do?", shape::<MeOut>());

pub(crate) async fn show(State(app): State<Arc<App>>, Caller(actor): Caller) -> Answered {
    let row = tenants::find(&mut app.read().await?, &actor.tenant_id).await?.ok_or(Error::NotFound)?;
    let is_user = actor.principal.kind == "user";
    Answer::ok(&MeOut {
        principal: PrincipalOut {
            username: is_user.then(|| actor.principal.label.clone()),
            kind: actor.principal.kind,
            id: actor.principal.id,
        },
        tenant: TenantOut { id: row.id, slug: row.slug, number: row.number, name: row.name },
        key: actor
            .key_id
            .zip(actor.access_key)
            .map(|(id, access_key)| KeyOut { id, access_key: access_key.to_string() }),
        rights: texts(&actor.rights),
    })
}
