//! Failed logins by name.

use keyward_core::attempts::Attempts;

use super::{Conn, on};
use crate::error::Result;

/// What is known about a name; the id is its keyed hash.
pub(crate) async fn find(conn: &mut Conn, id: &str) -> Result<Attempts> {
    let row: Option<(i64, i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT in_a_row, series, last_at FROM login_attempts WHERE id = $1"
    ).bind(id).fetch_optional(c).await)?;
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(row.map_or_else(Attempts::default, |(in_a_row, series, last_at)| Attempts {
        in_a_row: count(in_a_row),
        series: count(series),
        last_at,
    }))
}

/// Keeps the state of a name.
pub(crate) async fn put(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    known: bool,
    attempts: Attempts,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO login_attempts (id, tenant_id, known, in_a_row, series, last_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET known = excluded.known, in_a_row = excluded.in_a_row,
            series = excluded.series, last_at = excluded.last_at"
    )
    .bind(id).bind(tenant).bind(known).bind(i64::from(attempts.in_a_row)).bind(i64::from(attempts.series))
    .bind(attempts.last_at)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets the failures of a name; false when there were none.
pub(crate) async fn clear(conn: &mut Conn, tenant: &str, id: &str) -> Result<bool> {
    let count = on!(conn, c => sqlx::query("DELETE FROM login_attempts WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count > 0)
}

/// Keeps at most so many names: those that nobody has go first, of these the fewest failures, then the
/// oldest. Invented names never push out those of users.
pub(crate) async fn prune(conn: &mut Conn, most: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "DELETE FROM login_attempts WHERE id IN (
            SELECT id FROM login_attempts ORDER BY known DESC, in_a_row DESC, last_at DESC LIMIT 1000000 OFFSET $1)"
    ).bind(most).execute(c).await.map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Db;

    #[tokio::test]
    async fn ver_4_r10_invented_names_never_push_out_those_of_users() {
        let folder = tempfile::tempdir().expect("a folder");
        let db =
            Db::open_sqlite(&folder.path().join("some.db"), Duration::from_secs(30)).await.expect("opens");
        db.migrate().await.expect("migrates");
        let mut tx = db.begin().await.expect("begins");
        let attempts = |in_a_row| Attempts { in_a_row, series: 1, last_at: 0 };
        put(tx.conn(), "t", "of a user", true, attempts(1)).await.expect("kept");
        for name in ["a", "b", "c"] {
            put(tx.conn(), "t", name, false, attempts(50)).await.expect("kept");
        }
        prune(tx.conn(), 2).await.expect("pruned");
        assert_eq!(find(tx.conn(), "of a user").await.expect("read").in_a_row, 1);
        let mut left = 0;
        for name in ["a", "b", "c"] {
            left += u32::from(find(tx.conn(), name).await.expect("read").in_a_row == 50);
        }
        assert_eq!(left, 1);
    }
}
