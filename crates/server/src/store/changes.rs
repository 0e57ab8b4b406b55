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
    const ALL: [Self; 11] = [
        Self::Key,
        Self::User,
        Self::Tenant,
        Self::Tenants,
        Self::Pepper,
        Self::SigningKeys,
        Self::Trusted,
        Self::Token,
        Self::Session,
        Self::Imported,
        Self::ImportWays,
    ];

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

/// A place in the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Position {
    /// Number of the last entry up to here.
    pub(crate) seq: i64,
    /// Tells that entry from one with the same number in another history of the database: a standby that lagged and
    /// was promoted gives the numbers that it lacks once more.
    pub(crate) mark: String,
}

/// An entry where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where.
    pub(crate) position: Position,
    /// What changed; `None` if a newer binary wrote it and this one does not know what that is.
    pub(crate) change: Option<Change>,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    position: Position,
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

/// Where the feed ends now.
pub(crate) async fn newest(conn: &mut Conn) -> Result<Position> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT c.seq, COALESCE(CAST(h.at AS TEXT) || ' ' || h.subject, '') AS mark
         FROM change_clock c LEFT JOIN changes h ON h.seq = c.seq WHERE c.id = 1"
    ).fetch_one(c).await)?)
}

/// Entries from number `from` on, that one included, in order.
pub(crate) async fn entries(conn: &mut Conn, from: i64, limit: i64) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(
        "SELECT seq, CAST(at AS TEXT) || ' ' || subject AS mark, kind, tenant_id, subject
         FROM changes WHERE seq >= $1 ORDER BY seq LIMIT $2"
    ).bind(from).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Row::into_entry).collect())
}

impl Row {
    fn into_entry(self) -> Entry {
        let kind = ChangeKind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        let change = kind.map(|kind| Change { kind, tenant_id: self.tenant_id, subject: self.subject });
        Entry { position: self.position, change }
    }
}

/// Whether one of three subjects or the tenant changed behind `after`, or some tenant was deleted; so it is too
/// where the feed ends before, as after a failover that lost some of it.
pub(crate) async fn touched(conn: &mut Conn, tenant: &str, subjects: [&str; 3], after: i64) -> Result<bool> {
    let (touched,): (bool,) = on!(conn, c => sqlx::query_as(
        "SELECT (SELECT seq FROM change_clock WHERE id = 1) < $1 OR EXISTS (SELECT 1 FROM changes
         WHERE seq > $1 AND (kind = 'tenants' OR (tenant_id = $2 AND subject IN ($2, $3, $4, $5))))"
    ).bind(after).bind(tenant).bind(subjects[0]).bind(subjects[1]).bind(subjects[2]).fetch_one(c).await)?;
    Ok(touched)
}

/// Forgets entries older than `before`, but for the last, by which nodes know the feed again; returns how many.
pub(crate) async fn prune(conn: &mut Conn, before: i64) -> Result<u64> {
    let count = on!(conn, c => sqlx::query(
        "DELETE FROM changes WHERE at < $1 AND seq < (SELECT seq FROM change_clock WHERE id = 1)"
    ).bind(before).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count)
}
