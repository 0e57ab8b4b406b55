//! Where keys are used from, written behind (X8, BM9).

use std::sync::LazyLock;

use super::bulk::Bulk;
use super::{Conn, on};
use crate::error::Result;

/// The name of the network of uses whose address nobody tells.
pub(crate) const UNKNOWN: &str = "unknown";

/// The first use of a key from a network.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct NetworkRow {
    pub(crate) tenant_id: String,
    pub(crate) key_id: String,
    pub(crate) network: String,
    pub(crate) seen_at: i64,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
}

/// Networks of one key, at most: what is used from more is used from everywhere.
static ADD: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(6, |values| {
        format!(
            "INSERT INTO key_networks (tenant_id, key_id, network, seen_at, address, agent, is_first, told)
             SELECT v.*, NOT EXISTS (SELECT 1 FROM key_networks n
                WHERE n.tenant_id = v.column1 AND n.key_id = v.column2), FALSE
             FROM (VALUES {values}) AS v
             WHERE EXISTS (SELECT 1 FROM tenants t WHERE t.id = v.column1)
               AND (SELECT COUNT(*) FROM key_networks n
                WHERE n.tenant_id = v.column1 AND n.key_id = v.column2) < 100
             ON CONFLICT (tenant_id, key_id, network) DO NOTHING"
        )
    })
});

/// Notes where keys were used from, as far as it is new; no network of a key may stand twice. Of a tenant
/// that was deleted meanwhile nothing is kept (AZ-14).
pub(crate) async fn add(conn: &mut Conn, rows: &[NetworkRow]) -> Result<()> {
    for (text, rows) in ADD.cut(conn, rows) {
        on!(conn, c => {
            let mut query = sqlx::query(text);
            for row in rows {
                query = query.bind(&row.tenant_id).bind(&row.key_id).bind(&row.network).bind(row.seen_at)
                    .bind(&row.address).bind(&row.agent);
            }
            query.execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// What the audit log does not tell of yet, of every tenant: new networks before first uses.
pub(crate) async fn untold(conn: &mut Conn, limit: i64) -> Result<Vec<NetworkRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM key_networks WHERE NOT told ORDER BY is_first, seen_at LIMIT $1"
    ).bind(limit).fetch_all(c).await)?)
}

/// The networks of a key that the log tells of, or need not.
pub(crate) async fn told(conn: &mut Conn, tenant: &str, key: &str) -> Result<Vec<String>> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT network FROM key_networks WHERE tenant_id = $1 AND key_id = $2 AND told"
    ).bind(tenant).bind(key).fetch_all(c).await)?)
}

/// Notes that it is told; false when it was already.
pub(crate) async fn mark_told(conn: &mut Conn, row: &NetworkRow) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE key_networks SET told = TRUE
         WHERE tenant_id = $1 AND key_id = $2 AND network = $3 AND NOT told"
    ).bind(&row.tenant_id).bind(&row.key_id).bind(&row.network)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}
