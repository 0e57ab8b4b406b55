//! The change feed: commit order, no gaps (`design.md` §5).

use std::sync::LazyLock;

use super::bulk::Bulk;
use super::{Conn, on};
use crate::error::Result;

/// What kind of facts changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// One key; the subject is its access key.
    Key,
    /// One user.
    User,
    /// A tenant: its state, policy, roles or groups.
    Tenant,
    /// A tenant is gone. Which one is not told, so that the feed keeps nothing of it (AZ-14).
    Tenants,
    /// The peppers.
    Pepper,
    /// The keys that sign access tokens.
    SigningKeys,
    /// One trusted secret; the subject is the public id inside.
    Trusted,
    /// One token was revoked; the subject is its id and its end.
    Token,
    /// One session; the subject is the id inside its token.
    Session,
    /// One imported credential; the subject is its handle.
    Imported,
    /// How imported credentials are looked up.
    ImportWays,
}

impl ChangeKind {
    /// Every kind that is read whole, with what seals it opened.
    pub(crate) const SEALED: [Self; 3] = [Self::Pepper, Self::SigningKeys, Self::ImportWays];

    /// Whether it is one of those.
    pub(crate) fn is_sealed(self) -> bool {
        Self::SEALED.contains(&self)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
            Self::Tenant => "tenant",
            Self::Tenants => "tenants",
            Self::Pepper => "pepper",
            Self::SigningKeys => "signing_keys",
            Self::Trusted => "trusted",
            Self::Token => "token",
            Self::Session => "session",
            Self::Imported => "imported",
            Self::ImportWays => "import_ways",
        }
    }
}

/// One entry of the feed.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// What kind of facts.
    pub(crate) kind: ChangeKind,
    /// Whose.
    pub(crate) tenant_id: String,
    /// The 16 characters of an access key or of a session, a user id, or the tenant id again.
    pub(crate) subject: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    kind: String,
    tenant_id: String,
    subject: String,
}

/// Takes the next `count` numbers. The row stays locked until commit, which makes the order of
/// numbers the order of commits on both engines.
pub(crate) async fn advance(conn: &mut Conn, count: i64) -> Result<i64> {
    let (last,): (i64,) = on!(conn, c => sqlx::query_as(
        "UPDATE change_clock SET seq = seq + $1 WHERE id = 1 RETURNING seq"
    ).bind(count).fetch_one(c).await)?;
    Ok(last - count)
}

static APPEND: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(5, |rows| format!("INSERT INTO changes (seq, at, kind, tenant_id, subject) VALUES {rows}"))
});

/// Appends entries under the numbers from `first` on, which [`advance`] gave.
pub(crate) async fn append_many(conn: &mut Conn, mut first: i64, at: i64, changes: &[Change]) -> Result<()> {
    for (text, changes) in APPEND.cut(conn, changes) {
        on!(conn, c => {
            let query = (first..).zip(changes).fold(sqlx::query(text), |query, (seq, change)| {
                query.bind(seq).bind(at).bind(change.kind.as_str()).bind(&change.tenant_id).bind(&change.subject)
            });
            query.execute(c).await.map(drop)
        })?;
        first += i64::try_from(changes.len()).map_err(crate::error::Error::internal)?;
    }
    Ok(())
}

/// The number of the last change that is visible.
pub(crate) async fn last_seq(conn: &mut Conn) -> Result<i64> {
    let (seq,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT seq FROM change_clock WHERE id = 1"
    ).fetch_one(c).await)?;
    Ok(seq)
}

/// Entries behind `after`, in order, and the number of each.
pub(crate) async fn since(conn: &mut Conn, after: i64, limit: i64) -> Result<Vec<(i64, Change)>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(
        "SELECT seq, kind, tenant_id, subject FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2"
    ).bind(after).bind(limit).fetch_all(c).await)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let kind = match row.kind.as_str() {
                "key" => ChangeKind::Key,
                "user" => ChangeKind::User,
                "tenant" => ChangeKind::Tenant,
                "tenants" => ChangeKind::Tenants,
                "pepper" => ChangeKind::Pepper,
                "signing_keys" => ChangeKind::SigningKeys,
                "trusted" => ChangeKind::Trusted,
                "token" => ChangeKind::Token,
                "session" => ChangeKind::Session,
                "imported" => ChangeKind::Imported,
                "import_ways" => ChangeKind::ImportWays,
                // Written by a newer binary during a rolling upgrade; none of our facts.
                _ => return None,
            };
            Some((row.seq, Change { kind, tenant_id: row.tenant_id, subject: row.subject }))
        })
        .collect())
}

/// Whether one of three subjects or the tenant changed behind `after`, or some tenant was deleted.
pub(crate) async fn touched(conn: &mut Conn, tenant: &str, subjects: [&str; 3], after: i64) -> Result<bool> {
    let (touched,): (bool,) = on!(conn, c => sqlx::query_as(
        "SELECT CAST(COUNT(*) AS BIGINT) > 0 FROM changes
         WHERE seq > $1 AND (kind = 'tenants' OR (tenant_id = $2 AND subject IN ($2, $3, $4, $5)))"
    ).bind(after).bind(tenant).bind(subjects[0]).bind(subjects[1]).bind(subjects[2]).fetch_one(c).await)?;
    Ok(touched)
}

/// Forgets entries older than `before`; returns how many.
pub(crate) async fn prune(conn: &mut Conn, before: i64) -> Result<u64> {
    let count = on!(conn, c => sqlx::query("DELETE FROM changes WHERE at < $1")
        .bind(before).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count)
}
