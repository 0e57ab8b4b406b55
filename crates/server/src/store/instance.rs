//! Facts about the instance: named values, data keys and peppers.

use super::{Conn, on};
use crate::error::Result;

/// Whether the tables are there: not so before the very first start.
pub(crate) async fn exists(conn: &mut Conn) -> Result<bool> {
    let tables = match conn {
        Conn::Sqlite(_) => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'instance'",
        Conn::Postgres(_) => {
            "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'instance'"
        }
    };
    Ok(on!(conn, c => sqlx::query(tables).fetch_optional(c).await.map(|row| row.is_some()))?)
}

/// A named value.
pub(crate) async fn value(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as("SELECT value FROM instance WHERE name = $1")
        .bind(name).fetch_optional(c).await)?;
    Ok(row.map(|row| row.0))
}

/// Sets a named value; false when it is set already.
pub(crate) async fn set_once(conn: &mut Conn, name: &str, value: &str) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "INSERT INTO instance (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    ).bind(name).bind(value).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Sets a named value, whatever it was.
pub(crate) async fn set(conn: &mut Conn, name: &str, value: &str) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO instance (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    ).bind(name).bind(value).execute(c).await.map(drop))?;
    Ok(())
}

/// Removes a named value.
pub(crate) async fn unset(conn: &mut Conn, name: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM instance WHERE name = $1")
        .bind(name).execute(c).await.map(drop))?;
    Ok(())
}

/// A data key, wrapped.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct DataKeyRow {
    pub(crate) generation: i64,
    pub(crate) wrapped: String,
    pub(crate) uses: i64,
}

/// The data keys of a scope, newest first.
pub(crate) async fn data_keys(conn: &mut Conn, scope: &str) -> Result<Vec<DataKeyRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT generation, wrapped, uses FROM data_keys WHERE scope = $1 ORDER BY generation DESC"
    ).bind(scope).fetch_all(c).await)?)
}

/// Adds a data key.
pub(crate) async fn insert_data_key(
    conn: &mut Conn,
    scope: &str,
    generation: i64,
    wrapped: &str,
    now: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO data_keys (scope, generation, wrapped, uses, created_at) VALUES ($1, $2, $3, 0, $4)"
    ).bind(scope).bind(generation).bind(wrapped).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// Counts one sealing under a data key.
pub(crate) async fn count_use(conn: &mut Conn, scope: &str, generation: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE data_keys SET uses = uses + 1 WHERE scope = $1 AND generation = $2"
    ).bind(scope).bind(generation).execute(c).await.map(drop))?;
    Ok(())
}

/// A pepper, sealed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct PepperRow {
    pub(crate) id: i64,
    pub(crate) sealed: String,
    pub(crate) created_at: i64,
    pub(crate) retired_at: Option<i64>,
}

/// All peppers, newest first.
pub(crate) async fn peppers(conn: &mut Conn) -> Result<Vec<PepperRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT id, sealed, created_at, retired_at FROM peppers ORDER BY id DESC"
    ).fetch_all(c).await)?)
}

/// Adds a pepper.
pub(crate) async fn insert_pepper(conn: &mut Conn, id: i64, sealed: &str, now: i64) -> Result<()> {
    on!(conn, c => sqlx::query("INSERT INTO peppers (id, sealed, created_at) VALUES ($1, $2, $3)")
        .bind(id).bind(sealed).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// Ends a pepper: secrets still hashed under it fail from now on.
pub(crate) async fn retire_pepper(conn: &mut Conn, id: i64, now: i64) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE peppers SET retired_at = $2 WHERE id = $1")
        .bind(id).bind(now).execute(c).await.map(drop))?;
    Ok(())
}
