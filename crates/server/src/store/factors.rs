//! Second factors, recovery codes, and logins that wait for one.

use super::{Conn, on};
use crate::error::Result;

/// A row of `factors`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct FactorRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// `totp`, `passkey`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The seed; of a passkey its public key.
    pub(crate) sealed: String,
    /// The newest time step whose code was used.
    pub(crate) last_step: i64,
    pub(crate) created_at: i64,
    pub(crate) confirmed_at: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
    /// What a passkey calls itself, in base64url.
    pub(crate) credential_id: Option<String>,
    /// The newest counter of a passkey.
    pub(crate) counter: i64,
}

/// Adds a factor that is not confirmed yet.
pub(crate) async fn insert(conn: &mut Conn, row: &FactorRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO factors (tenant_id, id, user_id, kind, name, sealed, last_step, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.user_id).bind(&row.kind).bind(&row.name)
    .bind(&row.sealed).bind(row.last_step).bind(row.created_at)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// One factor of a user, confirmed or not.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, user: &str, id: &str) -> Result<Option<FactorRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM factors WHERE tenant_id = $1 AND user_id = $2 AND id = $3"
    ).bind(tenant).bind(user).bind(id).fetch_optional(c).await)?)
}

/// The confirmed factors of a user, in the order of their making.
pub(crate) async fn confirmed(conn: &mut Conn, tenant: &str, user: &str) -> Result<Vec<FactorRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM factors WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NOT NULL ORDER BY id"
    ).bind(tenant).bind(user).fetch_all(c).await)?)
}

/// Makes a factor count; false when it did already or is gone.
pub(crate) async fn confirm(conn: &mut Conn, tenant: &str, id: &str, step: i64, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE factors SET confirmed_at = $4, last_step = $3
         WHERE tenant_id = $1 AND id = $2 AND confirmed_at IS NULL"
    ).bind(tenant).bind(id).bind(step).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Uses the code of a time step up; false when it or a later one was used before (VER-7).
pub(crate) async fn use_step(conn: &mut Conn, tenant: &str, id: &str, step: i64, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE factors SET last_step = $3, last_used_at = $4
         WHERE tenant_id = $1 AND id = $2 AND confirmed_at IS NOT NULL AND last_step < $3"
    ).bind(tenant).bind(id).bind(step).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Gives a factor another name.
pub(crate) async fn rename(conn: &mut Conn, tenant: &str, id: &str, name: &str) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE factors SET name = $3 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).bind(name).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets one factor; false when it is gone already.
pub(crate) async fn remove(conn: &mut Conn, tenant: &str, id: &str) -> Result<bool> {
    let count = on!(conn, c => sqlx::query("DELETE FROM factors WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Forgets what a user began to add and did not confirm.
pub(crate) async fn forget_unconfirmed(conn: &mut Conn, tenant: &str, user: &str) -> Result<()> {
    on!(conn, c => sqlx::query(
        "DELETE FROM factors WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NULL"
    ).bind(tenant).bind(user).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets every factor of a user, and the recovery codes with them; tells how many factors counted.
pub(crate) async fn forget(conn: &mut Conn, tenant: &str, user: &str) -> Result<usize> {
    let counted = confirmed(conn, tenant, user).await?.len();
    on!(conn, c => sqlx::query("DELETE FROM factors WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant).bind(user).execute(c).await.map(drop))?;
    forget_codes(conn, tenant, user).await?;
    Ok(counted)
}

/// Adds a recovery code.
pub(crate) async fn insert_code(
    conn: &mut Conn,
    (tenant, user): (&str, &str),
    number: i64,
    sealed: &str,
    now: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO recovery_codes (tenant_id, user_id, number, sealed, created_at) VALUES ($1, $2, $3, $4, $5)"
    ).bind(tenant).bind(user).bind(number).bind(sealed).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// The sealed hash of a recovery code that was not used.
pub(crate) async fn find_code(
    conn: &mut Conn,
    tenant: &str,
    user: &str,
    number: i64,
) -> Result<Option<String>> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT sealed FROM recovery_codes
         WHERE tenant_id = $1 AND user_id = $2 AND number = $3 AND used_at IS NULL"
    ).bind(tenant).bind(user).bind(number).fetch_optional(c).await)?;
    Ok(row.map(|row| row.0))
}

/// Uses a recovery code up; false when somebody did already, or it was replaced (VER-7).
pub(crate) async fn use_code(
    conn: &mut Conn,
    (tenant, user): (&str, &str),
    number: i64,
    sealed: &str,
    now: i64,
) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE recovery_codes SET used_at = $5
         WHERE tenant_id = $1 AND user_id = $2 AND number = $3 AND sealed = $4 AND used_at IS NULL"
    ).bind(tenant).bind(user).bind(number).bind(sealed).bind(now)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// How many recovery codes of a user were not used.
pub(crate) async fn codes_left(conn: &mut Conn, tenant: &str, user: &str) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM recovery_codes WHERE tenant_id = $1 AND user_id = $2 AND used_at IS NULL"
    ).bind(tenant).bind(user).fetch_one(c).await)?;
    Ok(count)
}

/// Makes every recovery code of a user worthless.
pub(crate) async fn forget_codes(conn: &mut Conn, tenant: &str, user: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM recovery_codes WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant).bind(user).execute(c).await.map(drop))?;
    Ok(())
}

/// A login that waits for its second factor.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct ChallengeRow {
    pub(crate) tenant_id: String,
    /// The 16 characters inside the token.
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) pepper_id: i64,
    pub(crate) hash: String,
    pub(crate) expires_at: i64,
}

/// Adds a challenge.
pub(crate) async fn insert_challenge(conn: &mut Conn, row: &ChallengeRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO login_challenges (tenant_id, id, user_id, pepper_id, hash, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.user_id).bind(row.pepper_id).bind(&row.hash)
    .bind(row.expires_at).execute(c).await.map(drop))?;
    Ok(())
}

/// A challenge by the id inside its token, which names the tenant.
pub(crate) async fn find_challenge(conn: &mut Conn, id: &str) -> Result<Option<ChallengeRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM login_challenges WHERE id = $1")
        .bind(id).fetch_optional(c).await)?)
}

/// Uses a challenge up; false when somebody did already or its time is over.
pub(crate) async fn use_challenge(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "DELETE FROM login_challenges WHERE tenant_id = $1 AND id = $2 AND expires_at > $3"
    ).bind(tenant).bind(id).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Makes every challenge of a user worthless.
pub(crate) async fn forget_challenges(conn: &mut Conn, tenant: &str, user: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM login_challenges WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant).bind(user).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets challenges whose time is over, and what nobody confirmed in time.
pub(crate) async fn prune(conn: &mut Conn, now: i64, begun_before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM login_challenges WHERE expires_at < $1")
        .bind(now).execute(c).await.map(drop))?;
    on!(conn, c => sqlx::query("DELETE FROM factors WHERE confirmed_at IS NULL AND created_at < $1")
        .bind(begun_before).execute(c).await.map(drop))?;
    Ok(())
}
