//! Trusted secrets and their generations.

use serde::Deserialize;

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::{Error, Result};

/// A row of `trusted_secrets` with its generations.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct TrustedRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) access_key: String,
    pub(crate) name: String,
    pub(crate) name_key: String,
    pub(crate) ceiling: String,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) updated_at: i64,
    pub(crate) updated_by: String,
    pub(crate) ended_at: Option<i64>,
    pub(crate) ended_by: Option<String>,
    pub(crate) version: i64,
    /// JSON of [`GenerationRow`]s with commas between them, in no order.
    pub(crate) generations: Option<String>,
}

/// One generation of a trusted secret.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct GenerationRow {
    pub(crate) generation: i64,
    pub(crate) sealed: String,
    pub(crate) hint: String,
    pub(crate) created_at: i64,
    pub(crate) retires_at: Option<i64>,
    pub(crate) seen_at: Option<i64>,
    /// Of a dead one, whose sealed secret is gone.
    pub(crate) digest: Option<String>,
}

impl TrustedRow {
    /// The generations, oldest first.
    pub(crate) fn generation_rows(&self) -> Result<Vec<GenerationRow>> {
        let text = format!("[{}]", self.generations.as_deref().unwrap_or_default());
        let mut rows: Vec<GenerationRow> = serde_json::from_str(&text).map_err(Error::internal)?;
        rows.sort_by_key(|row| row.generation);
        Ok(rows)
    }
}

/// Every read has these columns.
macro_rules! select_trusted {
    ($tail:literal) => {
        concat!(
            "SELECT t.*,
                (SELECT string_agg('{\"generation\":' || CAST(g.generation AS TEXT)
                    || ',\"sealed\":\"' || g.sealed || '\",\"hint\":\"' || g.hint
                    || '\",\"created_at\":' || CAST(g.created_at AS TEXT)
                    || ',\"retires_at\":' || COALESCE(CAST(g.retires_at AS TEXT), 'null')
                    || ',\"digest\":' || COALESCE('\"' || g.digest || '\"', 'null')
                    || ',\"seen_at\":' || COALESCE(CAST(g.seen_at AS TEXT), 'null') || '}', ',')
                 FROM trusted_generations g
                 WHERE g.tenant_id = t.tenant_id AND g.secret_id = t.id) AS generations
             FROM trusted_secrets t ",
            $tail
        )
    };
}

/// One, by its id.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<TrustedRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_trusted!("WHERE t.tenant_id = $1 AND t.id = $2"))
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// One that is not disabled, by the canonical form of its name.
pub(crate) async fn find_by_name(
    conn: &mut Conn,
    tenant: &str,
    name_key: &str,
) -> Result<Option<TrustedRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_trusted!(
        "WHERE t.tenant_id = $1 AND t.name_key = $2 AND t.ended_at IS NULL"
    )).bind(tenant).bind(name_key).fetch_optional(c).await)?)
}

/// One, by the public id inside of the secret: for the cache, which learns the tenant from it.
pub(crate) async fn load(conn: &mut Conn, access_key: &str) -> Result<Option<TrustedRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_trusted!("WHERE t.access_key = $1"))
        .bind(access_key).fetch_optional(c).await)?)
}

/// All of a tenant, disabled ones too, in the order of their making.
pub(crate) async fn list(conn: &mut Conn, tenant: &str, page: &Page) -> Result<Listed<TrustedRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<TrustedRow> = on!(conn, c => sqlx::query_as(select_trusted!(
        "WHERE t.tenant_id = $1 AND ($2 IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3"
    )).bind(tenant).bind(after).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// Adds one without generations.
pub(crate) async fn insert(conn: &mut Conn, row: &TrustedRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO trusted_secrets (tenant_id, id, access_key, name, name_key, ceiling, created_at,
            created_by, updated_at, updated_by, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.access_key).bind(&row.name).bind(&row.name_key)
    .bind(&row.ceiling).bind(row.created_at).bind(&row.created_by).bind(row.updated_at)
    .bind(&row.updated_by).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that can change of the secret itself.
pub(crate) async fn update(conn: &mut Conn, row: &TrustedRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE trusted_secrets SET name = $3, name_key = $4, ceiling = $5, updated_at = $6, updated_by = $7,
            ended_at = $8, ended_by = $9, version = $10
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.name).bind(&row.name_key).bind(&row.ceiling)
    .bind(row.updated_at).bind(&row.updated_by).bind(row.ended_at).bind(&row.ended_by).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Adds a generation.
pub(crate) async fn insert_generation(
    conn: &mut Conn,
    tenant: &str,
    secret: &str,
    row: &GenerationRow,
    by: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO trusted_generations (tenant_id, secret_id, generation, sealed, hint, created_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
    .bind(tenant).bind(secret).bind(row.generation).bind(&row.sealed).bind(&row.hint)
    .bind(row.created_at).bind(by)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Lets the generations before this one end at `at`, unless they end sooner.
pub(crate) async fn retire_before(
    conn: &mut Conn,
    tenant: &str,
    secret: &str,
    generation: i64,
    at: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE trusted_generations SET retires_at = $4
         WHERE tenant_id = $1 AND secret_id = $2 AND generation < $3 AND (retires_at IS NULL OR retires_at > $4)"
    ).bind(tenant).bind(secret).bind(generation).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets the secret of a dead generation but for what tells whether a secret was it.
pub(crate) async fn bury(
    conn: &mut Conn,
    tenant: &str,
    secret: &str,
    generation: i64,
    digest: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE trusted_generations SET sealed = '', digest = $4
         WHERE tenant_id = $1 AND secret_id = $2 AND generation = $3"
    ).bind(tenant).bind(secret).bind(generation).bind(digest).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets the generations up to this one.
pub(crate) async fn forget(conn: &mut Conn, tenant: &str, secret: &str, last: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "DELETE FROM trusted_generations WHERE tenant_id = $1 AND secret_id = $2 AND generation <= $3"
    ).bind(tenant).bind(secret).bind(last).execute(c).await.map(drop))?;
    Ok(())
}

/// How many of a tenant are enabled.
pub(crate) async fn count_live(conn: &mut Conn, tenant: &str) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM trusted_secrets WHERE tenant_id = $1 AND ended_at IS NULL"
    ).bind(tenant).fetch_one(c).await)?;
    Ok(count)
}

/// The public ids of all secrets of all tenants.
pub(crate) async fn access_keys(conn: &mut Conn) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        on!(conn, c => sqlx::query_as("SELECT access_key FROM trusted_secrets").fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Notes the last use of a generation, unless a later one is known.
pub(crate) async fn see(conn: &mut Conn, tenant: &str, secret: &str, generation: i64, at: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE trusted_generations SET seen_at = $4
         WHERE tenant_id = $1 AND secret_id = $2 AND generation = $3 AND (seen_at IS NULL OR seen_at < $4)"
    ).bind(tenant).bind(secret).bind(generation).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// Whether a secret did something before.
pub(crate) async fn did(conn: &mut Conn, tenant: &str, id: &str, what: &str) -> Result<bool> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT at FROM trusted_firsts WHERE tenant_id = $1 AND trusted_id = $2 AND what = $3"
    ).bind(tenant).bind(id).bind(what).fetch_optional(c).await)?;
    Ok(row.is_some())
}

/// Remembers that a living secret did something; says whether it was the first time.
pub(crate) async fn do_first(conn: &mut Conn, tenant: &str, id: &str, what: &str, now: i64) -> Result<bool> {
    let done = on!(conn, c => sqlx::query(
        "INSERT INTO trusted_firsts (tenant_id, trusted_id, what, at)
         SELECT tenant_id, id, $3, $4 FROM trusted_secrets WHERE tenant_id = $1 AND id = $2
         ON CONFLICT DO NOTHING"
    ).bind(tenant).bind(id).bind(what).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(done > 0)
}
