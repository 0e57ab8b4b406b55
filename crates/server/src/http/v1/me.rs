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
use crate::store::{keys, tenants};

/// The caller, its tenant and what it may do there.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeOut {
    pub(crate) principal: PrincipalOut,
    pub(crate) tenant: TenantOut,
    /// The key, or that which the session came from.
    pub(crate) key: Option<KeyOut>,
    /// The session, if the caller came with the token of one.
    pub(crate) session: Option<SessionOut>,
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
    pub(crate) class: String,
    pub(crate) label: String,
}

/// In which session.
#[derive(Serialize, ToSchema)]
#[schema(as = MeSession)]
pub(crate) struct SessionOut {
    pub(crate) id: String,
    /// `password` or `key`.
    pub(crate) method: &'static str,
    /// It lacks the second factor that the tenant asks for: it may add one, and nothing else.
    pub(crate) enrolment_only: bool,
}

pub(crate) const SHOW: Operation =
    Operation::show("who_am_i", "me", "Who am I, and what may I do?", shape::<MeOut>());

pub(crate) async fn show(State(app): State<Arc<App>>, Caller(actor): Caller) -> Answered {
    let mut conn = app.read().await?;
    let row = tenants::find(&mut conn, &actor.tenant_id).await?.ok_or(Error::NotFound)?;
    let key = match actor.access_key {
        Some(access_key) => keys::load(&mut conn, access_key.digits()).await?,
        None => None,
    };
    let is_user = actor.principal.kind == "user";
    Answer::ok(&MeOut {
        principal: PrincipalOut {
            username: is_user.then(|| actor.principal.label.clone()),
            kind: actor.principal.kind,
            id: actor.principal.id,
        },
        tenant: TenantOut { id: row.id, slug: row.slug, number: row.number, name: row.name },
        key: actor.access_key.zip(key).map(|(access_key, key)| KeyOut {
            id: key.id,
            access_key: access_key.to_string(),
            class: key.class,
            label: key.label,
        }),
        session: actor.session.as_ref().map(|session| SessionOut {
            id: session.id.clone(),
            method: session.method.as_str(),
            enrolment_only: session.enrolment_only,
        }),
        rights: texts(&actor.rights),
    })
}
