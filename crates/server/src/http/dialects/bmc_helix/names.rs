//! Roles and groups by their names, as the product has them.

use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::names::canonical;
use crate::store::{Conn, groups, roles};

/// Id and name of each role or group of a tenant.
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// The roles of the tenant.
    pub(super) async fn of_roles(conn: &mut Conn, tenant: &str) -> Result<Self> {
        let rows = roles::all(conn, tenant).await?;
        Ok(Self(rows.into_iter().map(|row| (row.id, row.name)).collect()))
    }

    /// The groups of the tenant.
    pub(super) async fn of_groups(conn: &mut Conn, tenant: &str) -> Result<Self> {
        let rows = groups::all(conn, tenant).await?;
        Ok(Self(rows.into_iter().map(|row| (row.id, row.name)).collect()))
    }

    /// The names of these ids; what has none stays as it is.
    pub(super) fn tell<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Vec<String> {
        let known = |id: &str| self.0.iter().find(|(known, _)| known == id).map(|(_, name)| name.clone());
        ids.map(|id| known(id).unwrap_or_else(|| id.to_owned())).collect()
    }

    /// The ids of these names; an id is taken as it is.
    fn read(&self, field: &str, words: Vec<String>) -> Result<Vec<String>> {
        let id_of = |word: String| {
            let same = |(id, name): &&(String, String)| *id == word || canonical(name) == canonical(&word);
            let found = self.0.iter().find(same).map(|(id, _)| id.clone());
            found.ok_or_else(|| Error::invalid(field, "not_found", format!("there is no {word}")))
        };
        words.into_iter().map(id_of).collect()
    }
}

/// The ids of the roles that are named. Who may not see roles names them by id, which the operation checks.
///
/// # Errors
/// `Error::Invalid` for a name that no role has.
pub(super) async fn role_ids(app: &App, actor: &Actor, words: Vec<String>) -> Result<Vec<String>> {
    if words.is_empty() || !actor.may("roles:read") {
        return Ok(words);
    }
    Names::of_roles(&mut app.read().await?, &actor.tenant_id).await?.read("roles", words)
}

/// The same for groups.
///
/// # Errors
/// `Error::Invalid` for a name that no group has.
pub(super) async fn group_ids(app: &App, actor: &Actor, words: Vec<String>) -> Result<Vec<String>> {
    if words.is_empty() || !actor.may("groups:read") {
        return Ok(words);
    }
    Names::of_groups(&mut app.read().await?, &actor.tenant_id).await?.read("groups", words)
}
