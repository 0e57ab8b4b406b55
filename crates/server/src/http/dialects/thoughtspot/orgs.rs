//! Orgs: tenants by the small number that each has; the primary tenant is Org 0 (TS4).

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::{Error, Result};
use crate::store::tenants::{self, TenantRow};

/// An Org as clients name it: its number, its slug or its name.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OrgName {
    Number(i64),
    Text(String),
}

impl OrgName {
    /// The same without an empty text, which clients send for none.
    pub(super) fn some(self) -> Option<Self> {
        match self {
            Self::Text(text) if text.trim().is_empty() => None,
            name => Some(name),
        }
    }

    /// As it was given: no tenant has digits alone for a slug.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.trim().to_owned(),
        }
    }
}

/// An Org as it is told.
#[derive(Serialize)]
pub(super) struct Org {
    pub(super) id: i64,
    pub(super) name: String,
}

/// That of a tenant.
pub(super) async fn of(app: &App, tenant: &str) -> Result<Org> {
    let row = tenants::find(&mut app.read().await?, tenant).await?.ok_or(Error::NotFound)?;
    Ok(Org { id: row.number, name: row.name })
}

/// The tenant that is named: by its number or id, else by its slug, else by its name, which anybody may give to
/// a tenant. A name that two have is none. All of them are read, so that no stranger learns from the time
/// which Orgs there are.
pub(super) async fn find(app: &App, name: &OrgName) -> Result<Option<TenantRow>> {
    let text = name.text();
    let mut conn = app.read().await?;
    if let Ok(number) = text.parse() {
        return tenants::find_by_number(&mut conn, number).await;
    }
    let by_id = tenants::find(&mut conn, &text).await?;
    let by_slug = tenants::find_by_slug(&mut conn, &text).await?;
    let mut named = tenants::named(&mut conn, &text).await?;
    Ok(by_id.or(by_slug).or_else(|| named.pop().filter(|_| named.is_empty())))
}

/// What operations find a tenant by: its id, or what was given where there is none.
pub(super) async fn place(app: &App, name: Option<&OrgName>) -> Result<Option<String>> {
    let Some(name) = name else { return Ok(None) };
    Ok(Some(find(app, name).await?.map_or_else(|| name.text(), |row| row.id)))
}
