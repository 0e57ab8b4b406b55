//! Where events are sent besides: which node does it, and how far it came.

use super::{Conn, on};
use crate::error::Result;

/// Takes a sink, or keeps it, until a time; false while another process has it.
pub(crate) async fn hold(conn: &mut Conn, sink: &str, holder: &str, now: i64, until: i64) -> Result<bool> {
    let held = on!(conn, c => sqlx::query(
        "INSERT INTO audit_sinks (sink, holder, held_until) VALUES ($1, $2, $4)
         ON CONFLICT (sink) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
         WHERE audit_sinks.holder = $2 OR audit_sinks.held_until <= $3"
    ).bind(sink).bind(holder).bind(now).bind(until).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(held > 0)
}

/// Gives a sink to whoever comes next.
pub(crate) async fn release(conn: &mut Conn, sink: &str, holder: &str) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE audit_sinks SET held_until = 0 WHERE sink = $1 AND holder = $2")
        .bind(sink).bind(holder).execute(c).await.map(drop))?;
    Ok(())
}

/// Tenants with events that a sink does not have, each with the last one that it has.
pub(crate) async fn behind(conn: &mut Conn, sink: &str) -> Result<Vec<(String, i64)>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT t.id, COALESCE(s.seq, 0) FROM tenants t
         LEFT JOIN audit_sink_cursors s ON s.tenant_id = t.id AND s.sink = $1
         WHERE COALESCE((SELECT MAX(e.seq) FROM audit_events e WHERE e.tenant_id = t.id), 0) > COALESCE(s.seq, 0)
         ORDER BY t.id"
    ).bind(sink).fetch_all(c).await)?)
}

/// The last event of a tenant that a sink has.
pub(crate) async fn cursor(conn: &mut Conn, tenant: &str, sink: &str) -> Result<i64> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT seq FROM audit_sink_cursors WHERE tenant_id = $1 AND sink = $2"
    ).bind(tenant).bind(sink).fetch_optional(c).await)?;
    Ok(row.map_or(0, |row| row.0))
}

/// A sink has all events of a tenant up to this one; never back.
pub(crate) async fn move_cursor(conn: &mut Conn, tenant: &str, sink: &str, to: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_sink_cursors (tenant_id, sink, seq)
         SELECT $1, $2, $3 WHERE EXISTS (SELECT 1 FROM tenants WHERE id = $1)
         ON CONFLICT (tenant_id, sink) DO UPDATE SET seq = excluded.seq
         WHERE audit_sink_cursors.seq < excluded.seq"
    ).bind(tenant).bind(sink).bind(to).execute(c).await.map(drop))?;
    Ok(())
}
