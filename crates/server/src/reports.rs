//! The report of credentials: a line for each key of the tenant, in the order of their ids, read page by
//! page so that no number of keys needs more memory.

use serde::Serialize;

use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::csv;
use crate::error::{Error, Result};
use crate::keys::view::Viewer;
use crate::store::keys::{self, KeyRow};
use crate::store::{Conn, usage};

/// Keys read at a time.
const PAGE: i64 = 500;
const DAY_MS: i64 = 86_400_000;

/// The columns, in the order of the report.
pub(crate) const COLUMNS: [&str; 22] = [
    "id",
    "access_key",
    "label",
    "class",
    "owner_id",
    "owner_username",
    "owner_state",
    "status",
    "status_cause",
    "created_at",
    "age_days",
    "last_used_at",
    "last_used_address",
    "expires_at",
    "never_expires",
    "secret_created_at",
    "secret_age_days",
    "rights",
    "has_admin_rights",
    "exposed",
    "canary",
    "tenant_id",
];

/// A key in the report.
#[derive(Debug, Serialize)]
pub(crate) struct CredentialOut {
    id: String,
    access_key: String,
    label: String,
    class: &'static str,
    owner_id: Option<String>,
    owner_username: Option<String>,
    owner_state: Option<&'static str>,
    status: &'static str,
    status_cause: Option<&'static str>,
    created_at: String,
    age_days: i64,
    last_used_at: Option<String>,
    last_used_address: Option<String>,
    expires_at: Option<String>,
    never_expires: bool,
    secret_created_at: Option<String>,
    secret_age_days: Option<i64>,
    rights: usize,
    has_admin_rights: bool,
    exposed: bool,
    canary: bool,
    tenant_id: String,
}

/// Notes in the audit log that the report is read; a session must be fresh for it (SES-6).
pub(crate) async fn begin(app: &App, actor: &Actor) -> Result<()> {
    let event = Event::new("report.read", "report", "credentials", "credentials");
    app.write(actor, async |tx| {
        tx.must_hold("reports:read")?;
        tx.must_be_fresh()?;
        Ok(Audited::new((), event))
    })
    .await
}

/// The lines behind a key, and the last key of them; nothing behind the last.
pub(crate) async fn page(
    app: &App,
    tenant: &str,
    after: &str,
) -> Result<Option<(String, Vec<CredentialOut>)>> {
    let mut conn = app.read().await?;
    let rows = keys::behind(&mut conn, tenant, after, PAGE).await?;
    let Some((first, last)) = rows.first().zip(rows.last()) else { return Ok(None) };
    let (first, last) = (first.id.clone(), last.id.clone());
    let now = app.clock.unix_ms();
    // A viewer for each page: it remembers the owners that it met.
    let mut viewer = Viewer::new(&mut conn, tenant, now).await?;
    viewer.meet_owners(&mut conn, &first, &last).await?;
    let mut addresses = usage::last_addresses(&mut conn, tenant, &first, &last).await?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let address = addresses.remove(&row.id).flatten();
        lines.push(line(&mut conn, &mut viewer, row, address, now).await?);
    }
    Ok(Some((last, lines)))
}

async fn line(
    conn: &mut Conn,
    viewer: &mut Viewer,
    row: KeyRow,
    address: Option<String>,
    now: i64,
) -> Result<CredentialOut> {
    let standing = viewer.standing(conn, &row).await?;
    let owner_state = viewer.owner_state(conn, standing.record.terms.owner_id).await?;
    let secret = standing.record.current_secret(now);
    let days = |since: i64| now.saturating_sub(since).max(0) / DAY_MS;
    Ok(CredentialOut {
        access_key: format!("kwa_{}", row.access_key),
        class: standing.record.terms.class.as_str(),
        owner_state,
        status: standing.status.as_str(),
        status_cause: standing.cause.map(keyward_core::decide::Code::as_str),
        created_at: rfc3339(row.created_at),
        age_days: days(row.created_at),
        last_used_at: row.last_used_at.map(rfc3339),
        last_used_address: address,
        expires_at: row.expires_at.map(rfc3339),
        never_expires: row.expires_at.is_none(),
        secret_created_at: secret.map(|secret| rfc3339(secret.created_at)),
        secret_age_days: secret.map(|secret| days(secret.created_at)),
        rights: standing.effective.rights.iter().count(),
        has_admin_rights: standing.effective.is_admin,
        exposed: row.exposed_at.is_some(),
        canary: row.canary,
        id: row.id,
        label: row.label,
        owner_id: row.owner_id,
        owner_username: row.owner_username,
        tenant_id: row.tenant_id,
    })
}

impl CredentialOut {
    /// The line of the CSV file.
    pub(crate) fn csv(&self) -> Result<String> {
        let object = serde_json::to_value(self).map_err(Error::internal)?;
        let cells = COLUMNS.map(|name| match &object[name] {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Ok(csv::line(cells.iter().map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_the_members() {
        let line = CredentialOut {
            id: "key_1".into(),
            access_key: "kwa_1".into(),
            label: "=cmd".into(),
            class: "member",
            owner_id: None,
            owner_username: None,
            owner_state: None,
            status: "active",
            status_cause: None,
            created_at: String::new(),
            age_days: 1,
            last_used_at: None,
            last_used_address: None,
            expires_at: None,
            never_expires: true,
            secret_created_at: None,
            secret_age_days: None,
            rights: 2,
            has_admin_rights: false,
            exposed: false,
            canary: false,
            tenant_id: "tenant_1".into(),
        };
        let object = serde_json::to_value(&line).expect("plain data");
        assert_eq!(object.as_object().expect("an object").len(), COLUMNS.len());
        assert!(COLUMNS.iter().all(|name| object.get(name).is_some()));
        let text = line.csv().expect("a line");
        assert!(text.starts_with("key_1,kwa_1,'=cmd,member,"), "{text}");
        assert_eq!(text.trim_end().split(',').count(), COLUMNS.len());
    }
}
