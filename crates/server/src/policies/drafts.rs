//! Drafts of policies: thought of, looked at, applied at once or at a moment (X5).

use keyward_core::id::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::difference::{self, Difference};
use super::{document, merge, parse, policy_of, put, schedule};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::names::check_label;
use crate::random;
use crate::store::Conn;
use crate::store::page::{Listed, Page};
use crate::store::policies::{self as store, DraftRow};
use crate::store::tenants::{self, TenantRow};
use crate::wire;

/// Drafts of one tenant that are neither applied nor failed, at most.
const MOST: i64 = 100;

/// A draft to be made: of a whole policy, or of changes to the one that stands.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DraftIn {
    /// Changes to the policy that stands, as a merge patch (RFC 7396).
    #[schema(value_type = Option<Object>)]
    pub(crate) patch: Option<Value>,
    /// Or: the whole policy; what is absent has its default.
    #[schema(value_type = Option<Object>)]
    pub(crate) policy: Option<Value>,
    /// What it is for.
    pub(crate) note: Option<String>,
}

/// When a draft is to be applied.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApplyIn {
    /// RFC 3339, within a year; at once unless given.
    pub(crate) starts_at: Option<String>,
}

/// Why a scheduled draft could not be applied.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureOut {
    /// The code of the refusal.
    pub(crate) code: String,
    pub(crate) detail: String,
}

/// A draft.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DraftOut {
    /// `draft_…`
    pub(crate) id: String,
    /// `draft`, `scheduled`, `applied` or `failed`.
    pub(crate) state: String,
    /// The version of the policy that it was made from.
    pub(crate) based_on: i64,
    /// The policy has changed since; rebase before it is applied.
    pub(crate) stale: bool,
    /// What it changes of that version.
    pub(crate) differences: Vec<Difference>,
    /// The whole policy as it would be; on single reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) policy: Option<Value>,
    pub(crate) note: Option<String>,
    /// When it will be applied, or should have been.
    pub(crate) starts_at: Option<String>,
    /// Who scheduled it; the rights of then count.
    pub(crate) scheduled_by: Option<String>,
    /// The version that it became.
    pub(crate) applied_version: Option<i64>,
    pub(crate) failure: Option<FailureOut>,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) updated_at: String,
    pub(crate) version: i64,
}

/// Keeps a draft. Nothing changes by it.
pub(crate) async fn create(app: &App, actor: &Actor, input: DraftIn) -> Result<DraftOut> {
    if let Some(note) = &input.note {
        check_label("/note", note, 500)?;
    }
    app.write(actor, async |tx| {
        tx.must_hold("policies:write")?;
        let (id, now) = (tx.tenant().to_owned(), tx.now);
        let tenant = tenants::find(tx.conn(), &id).await?.ok_or(Error::NotFound)?;
        if store::count_open_drafts(tx.conn(), &id).await? >= MOST {
            return Err(Error::conflict(
                "too_many_drafts",
                format!("{MOST} drafts are open; delete some first"),
            ));
        }
        let row = DraftRow {
            id: random::new_id::<Draft>(now).to_string(),
            policy: drafted(&tenant, input.patch, input.policy)?,
            based_on: tenant.policy_version,
            note: input.note,
            state: "draft".into(),
            starts_at: None,
            scheduled_by: None,
            applied_version: None,
            failure: None,
            failure_detail: None,
            created_at: now,
            created_by: actor.principal.id.clone(),
            updated_at: now,
            version: 1,
            tenant_id: id,
        };
        store::insert_draft(tx.conn(), &row).await?;
        let draft = shown(tx.conn(), row, &tenant, true).await?;
        let event = event("policy.draft", &draft, &tenant).after(&draft);
        Ok(Audited::new(draft, event))
    })
    .await
}

/// The policy of a draft, as it is kept.
fn drafted(tenant: &TenantRow, patch: Option<Value>, whole: Option<Value>) -> Result<String> {
    let wanted = match (patch, whole) {
        (Some(patch), None) if patch.is_object() => {
            let mut wanted = document(&tenant.policy)?;
            merge(&mut wanted, patch);
            wanted
        }
        (None, Some(mut whole)) if whole.is_object() => {
            // As it was shown: the number of a version is no rule.
            whole.as_object_mut().and_then(|rules| rules.remove("version"));
            whole
        }
        (Some(_), None) => return Err(Error::invalid("/patch", "bad_type", "expected an object")),
        (None, Some(_)) => return Err(Error::invalid("/policy", "bad_type", "expected an object")),
        _ => return Err(Error::invalid("/patch", "ambiguous", "give one of patch and policy")),
    };
    serde_json::to_string(&parse(wanted)?).map_err(Error::internal)
}

fn event(action: &'static str, draft: &DraftOut, tenant: &TenantRow) -> Event {
    Event::new(action, "policy", &draft.id, &tenant.slug).reason(draft.note.as_deref())
}

/// Drafts, the newest first.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    state: Option<&str>,
    page: &Page,
) -> Result<Listed<DraftOut>> {
    let mut conn = app.read().await?;
    let tenant = tenants::find(&mut conn, &actor.tenant_id).await?.ok_or(Error::NotFound)?;
    let listed = store::list_drafts(&mut conn, &actor.tenant_id, state, page).await?;
    let mut data = Vec::with_capacity(listed.data.len());
    for row in listed.data {
        data.push(shown(&mut conn, row, &tenant, false).await?);
    }
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// One draft with its whole policy.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<DraftOut> {
    let mut conn = app.read().await?;
    let row = store::find_draft(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let tenant = tenants::find(&mut conn, &actor.tenant_id).await?.ok_or(Error::NotFound)?;
    shown(&mut conn, row, &tenant, true).await
}

/// A draft as the API shows it.
pub(super) async fn shown(
    conn: &mut Conn,
    row: DraftRow,
    tenant: &TenantRow,
    whole: bool,
) -> Result<DraftOut> {
    let policy = document(&row.policy)?;
    let base = store::find_version(conn, &row.tenant_id, row.based_on).await?;
    let base = base.ok_or_else(|| Error::internal("a draft is based on a version that is not kept"))?;
    Ok(DraftOut {
        stale: row.based_on != tenant.policy_version && row.state != "applied",
        differences: difference::between(&document(&base.policy)?, &policy),
        policy: whole.then_some(policy),
        starts_at: row.starts_at.map(rfc3339),
        scheduled_by: row.scheduled_by.as_deref().map(schedule::who).transpose()?,
        failure: row.failure.map(|code| FailureOut { code, detail: row.failure_detail.unwrap_or_default() }),
        id: row.id,
        state: row.state,
        based_on: row.based_on,
        note: row.note,
        applied_version: row.applied_version,
        created_at: rfc3339(row.created_at),
        created_by: row.created_by,
        updated_at: rfc3339(row.updated_at),
        version: row.version,
    })
}

/// A draft that can still be changed, with its tenant.
async fn find_open(tx: &mut Tx<'_>, id: &str) -> Result<(DraftRow, TenantRow)> {
    tx.must_hold("policies:write")?;
    let tenant = tx.tenant().to_owned();
    let row = store::find_draft(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
    tx.actor.check_version(row.version)?;
    if row.state == "applied" {
        return Err(Error::conflict("no_change", "the draft was applied already"));
    }
    let tenant = tenants::find(tx.conn(), &tenant).await?.ok_or(Error::NotFound)?;
    Ok((row, tenant))
}

/// Drops a draft, and with it the time at which it should have been applied.
pub(crate) async fn delete(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let (row, tenant) = find_open(tx, id).await?;
        store::delete_draft(tx.conn(), &tenant.id, id).await?;
        let draft = shown(tx.conn(), row, &tenant, true).await?;
        Ok(Audited::new((), event("policy.draft_delete", &draft, &tenant).before(&draft)))
    })
    .await
}

/// Makes the changes of a draft to the policy that stands by now. What was scheduled is not any more:
/// whoever scheduled it has not seen this.
pub(crate) async fn rebase(app: &App, actor: &Actor, id: &str) -> Result<DraftOut> {
    app.write(actor, async |tx| {
        let (mut row, tenant) = find_open(tx, id).await?;
        let before = shown(tx.conn(), row.clone(), &tenant, true).await?;
        let mut wanted = document(&tenant.policy)?;
        difference::apply(&mut wanted, &before.differences);
        row.policy = serde_json::to_string(&parse(wanted)?).map_err(Error::internal)?;
        row.based_on = tenant.policy_version;
        row.state = "draft".into();
        (row.starts_at, row.scheduled_by) = (None, None);
        (row.failure, row.failure_detail) = (None, None);
        save(tx, &mut row).await?;
        let after = shown(tx.conn(), row, &tenant, true).await?;
        let event = event("policy.draft_rebase", &after, &tenant).before(&before).after(&after);
        Ok(Audited::new(after, event))
    })
    .await
}

pub(super) async fn save(tx: &mut Tx<'_>, row: &mut DraftRow) -> Result<()> {
    row.updated_at = tx.now;
    row.version += 1;
    store::update_draft(tx.conn(), row).await
}

/// Applies a draft, or notes when it is to be applied.
pub(crate) async fn apply(app: &App, actor: &Actor, id: &str, input: &ApplyIn) -> Result<DraftOut> {
    let starts_at = input.starts_at.as_deref().map(|text| wire::time("/starts_at", text)).transpose()?;
    app.write(actor, async |tx| {
        let (row, tenant) = find_open(tx, id).await?;
        tx.must_be_fresh()?;
        match starts_at {
            None => apply_now(tx, row, tenant).await,
            Some(at) => apply_later(tx, row, &tenant, at).await,
        }
    })
    .await
}

/// Puts the draft in the place of the policy.
pub(super) async fn apply_now(
    tx: &mut Tx<'_>,
    mut row: DraftRow,
    tenant: TenantRow,
) -> Result<Audited<DraftOut>> {
    must_be_current(&row, &tenant)?;
    let policy = parse(document(&row.policy)?)?;
    let applied = put(tx, tenant, policy, "policy.apply", row.note.as_deref()).await?;
    row.state = "applied".into();
    row.applied_version = Some(applied.value.version);
    (row.failure, row.failure_detail) = (None, None);
    save(tx, &mut row).await?;
    let id = tx.tenant().to_owned();
    let tenant = tenants::find(tx.conn(), &id).await?.ok_or(Error::NotFound)?;
    let draft = shown(tx.conn(), row, &tenant, true).await?;
    Ok(applied.map(|_| draft))
}

async fn apply_later(
    tx: &mut Tx<'_>,
    mut row: DraftRow,
    tenant: &TenantRow,
    at: i64,
) -> Result<Audited<DraftOut>> {
    must_be_current(&row, tenant)?;
    if at <= tx.now || at > tx.now + 366 * 86_400_000 {
        return Err(Error::invalid("/starts_at", "out_of_range", "must lie in the future, within a year"));
    }
    row.state = "scheduled".into();
    row.starts_at = Some(at);
    row.scheduled_by = Some(schedule::Scheduler::of(tx.actor)?.to_json()?);
    (row.failure, row.failure_detail) = (None, None);
    save(tx, &mut row).await?;
    let draft = shown(tx.conn(), row, tenant, true).await?;
    let told = json!({ "starts_at": draft.starts_at, "differences": draft.differences });
    let event = event("policy.schedule", &draft, tenant).after(&told);
    Ok(Audited::new(draft, event))
}

fn must_be_current(row: &DraftRow, tenant: &TenantRow) -> Result<()> {
    if row.based_on == tenant.policy_version {
        return Ok(());
    }
    let (based_on, now) = (row.based_on, tenant.policy_version);
    let detail =
        format!("the draft is based on version {based_on}, and the policy has version {now}; rebase it");
    Err(Error::conflict("stale_draft", detail))
}

/// The policy that stands, and that of a draft.
pub(super) async fn policies(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
) -> Result<(keyward_core::policy::Policy, keyward_core::policy::Policy)> {
    let row = store::find_draft(conn, tenant, id).await?.ok_or(Error::NotFound)?;
    let tenant = tenants::find(conn, tenant).await?.ok_or(Error::NotFound)?;
    Ok((policy_of(&tenant.policy)?, policy_of(&row.policy)?))
}
