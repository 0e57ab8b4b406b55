//! Keys that sign access tokens.

use super::{Conn, on};
use crate::error::Result;

/// A row of `signing_keys`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct SigningKeyRow {
    pub(crate) kid: String,
    pub(crate) algorithm: String,
    pub(crate) sealed: String,
    pub(crate) created_at: i64,
    pub(crate) signs_from: i64,
}

/// All of them, the one that signs last first.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<SigningKeyRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT kid, algorithm, sealed, created_at, signs_from FROM signing_keys ORDER BY signs_from DESC, kid"
    ).fetch_all(c).await)?)
}

/// Adds one.
pub(crate) async fn insert(conn: &mut Conn, row: &SigningKeyRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO signing_keys (kid, algorithm, sealed, created_at, signs_from) VALUES ($1, $2, $3, $4, $5)"
    ).bind(&row.kid).bind(&row.algorithm).bind(&row.sealed).bind(row.created_at).bind(row.signs_from)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Lets one sign from another time on.
pub(crate) async fn set_start(conn: &mut Conn, kid: &str, signs_from: i64) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE signing_keys SET signs_from = $2 WHERE kid = $1")
        .bind(kid).bind(signs_from).execute(c).await.map(drop))?;
    Ok(())
}

/// Removes one: what it signed is refused from now on.
pub(crate) async fn delete(conn: &mut Conn, kid: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM signing_keys WHERE kid = $1")
        .bind(kid).execute(c).await.map(drop))?;
    Ok(())
}
