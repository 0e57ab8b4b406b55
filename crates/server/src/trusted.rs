//! Trusted secrets: with one of them a backend gets tokens for the users of its tenant (TS1 to TS8).
//! Asking for tokens stands in `trusted/mint.rs`.

pub(crate) mod ceiling;
pub(crate) mod firsts;
mod generations;
pub(crate) mod mint;
mod provisioning;
pub(crate) mod subject;
pub(crate) mod wire;

use keyward_core::secret::Secret;
use keyward_core::token::AccessKey;

use self::ceiling::Ceiling;
use self::generations::{add_generation, bury, live};
use self::wire::{CopyIn, DisableIn, EnableIn, TrustedOut, TrustedPatch, TrustedRotateIn, TrustedSecret};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::names::{canonical, check_name};
use crate::random;
use crate::store::page::{Listed, Page};
use crate::store::trusted::{self, TrustedRow};
use crate::verify::trusted::{is_allowed, open};

/// The name of a secret that was given none, and what is meant where none is named.
const DEFAULT: &str = "default";
/// Secrets of a tenant that are enabled at once, at most.
const MOST: i64 = 20;
/// Longest overlap of a rotation: 30 days.
const MAX_OVERLAP: i64 = 30 * 86_400;

/// One trusted secret.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<TrustedOut> {
    let row = trusted::find(&mut app.read().await?, &actor.tenant_id, id).await?;
    TrustedOut::of(row.ok_or(Error::NotFound)?, app.clock.unix_ms())
}

/// A page of the tenant's trusted secrets, disabled ones too.
pub(crate) async fn list(app: &App, actor: &Actor, page: &Page) -> Result<Listed<TrustedOut>> {
    let now = app.clock.unix_ms();
    let listed = trusted::list(&mut app.read().await?, &actor.tenant_id, page).await?;
    let data = listed.data.into_iter().map(|row| TrustedOut::of(row, now)).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// Switches trusted authentication on: makes a secret (TS3, TS6).
pub(crate) async fn enable(app: &App, actor: &Actor, input: EnableIn) -> Result<TrustedSecret> {
    let name = input.name.unwrap_or_else(|| DEFAULT.into());
    check_name("/name", &name)?;
    let ceiling = Ceiling::default().patched(input.ceiling)?;
    app.write(actor, async |tx| {
        must_manage(tx, "trusted:write").await?;
        tx.must_be_fresh()?;
        must_be_allowed(tx).await?;
        must_be_below(tx, &ceiling).await?;
        let row = new_row(tx, name, &ceiling)?;
        let key = row.name_key.clone();
        if trusted::find_by_name(tx.conn(), &row.tenant_id, &key).await?.is_some() {
            return Err(Error::conflict("already_enabled", "a trusted secret of this name is enabled"));
        }
        if trusted::count_live(tx.conn(), &row.tenant_id).await? >= MOST {
            let detail = format!("a tenant has at most {MOST} enabled trusted secrets; disable one");
            return Err(Error::conflict("too_many_secrets", detail));
        }
        trusted::insert(tx.conn(), &row).await?;
        let secret = add_generation(app, tx, &row, 1).await?;
        let shown = reread(tx, &row).await?;
        let event = Event::new("trusted.enable", "trusted", &shown.id, &shown.name).after(&shown);
        let made = TrustedSecret::made(shown, secret, tx.actor.validate_only);
        Ok(Audited::new(made, event).touches_trusted(&row.tenant_id, &row.access_key))
    })
    .await
}

fn new_row(tx: &Tx<'_>, name: String, ceiling: &Ceiling) -> Result<TrustedRow> {
    let by = tx.actor.principal.id.clone();
    Ok(TrustedRow {
        tenant_id: tx.tenant().into(),
        id: random::new_id::<keyward_core::id::Trusted>(tx.now).to_string(),
        access_key: AccessKey::generate(&mut random::fill).digits().into(),
        name_key: canonical(&name),
        name,
        ceiling: serde_json::to_string(ceiling).map_err(Error::internal)?,
        created_at: tx.now,
        created_by: by.clone(),
        updated_at: tx.now,
        updated_by: by,
        ended_at: None,
        ended_by: None,
        version: 1,
        generations: None,
    })
}

/// Switches it off: the secret dies at once and never comes back (TS6).
pub(crate) async fn disable(app: &App, actor: &Actor, input: &DisableIn) -> Result<TrustedOut> {
    if !input.confirm {
        let detail = "every token request with the secret would be refused and its tokens would end; \
                      send confirm: true";
        return Err(Error::conflict("not_confirmed", detail));
    }
    app.write(actor, async |tx| disable_within(app, tx, input.id.as_deref()).await).await
}

/// The same in a transaction that is open already.
pub(crate) async fn disable_within(
    app: &App,
    tx: &mut Tx<'_>,
    id: Option<&str>,
) -> Result<Audited<TrustedOut>> {
    change_within(app, tx, id, "trusted.disable", async |tx, row| {
        row.ended_at = Some(tx.now);
        row.ended_by = Some(tx.actor.principal.id.clone());
        Ok(())
    })
    .await
}

/// Shows the newest secret once more; every look is in the audit log (TS5).
pub(crate) async fn copy(app: &App, actor: &Actor, input: &CopyIn) -> Result<TrustedSecret> {
    app.write(actor, async |tx| {
        must_manage(tx, "trusted:copy").await?;
        tx.must_be_fresh()?;
        let row = named(tx, input.id.as_deref()).await?;
        // Who copies it can act as far as it reaches (AZ-5).
        must_be_below(tx, &Ceiling::of(&row)?).await?;
        let newest = row.generation_rows()?.pop().ok_or_else(|| Error::internal("no generation"))?;
        let plain = open(&app.root_key, tx.conn(), &row, &newest).await?;
        let text = String::from_utf8(plain.to_vec()).map_err(Error::internal)?;
        let shown = TrustedOut::of(row, tx.now)?;
        let event = Event::new("trusted.copy", "trusted", &shown.id, &shown.name)
            .after(&serde_json::json!({ "generation": newest.generation }));
        Ok(Audited::new(TrustedSecret::made(shown, Secret::new(text), tx.actor.validate_only), event))
    })
    .await
}

/// Applies a merge patch to name and ceiling. A lower ceiling binds tokens already out.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: TrustedPatch) -> Result<TrustedOut> {
    if let Some(name) = &patch.name {
        check_name("/name", name)?;
    }
    change(app, actor, Some(id), "trusted.edit", async |tx, row| {
        tx.must_be_fresh()?;
        if let Some(name) = patch.name {
            row.name_key = canonical(&name);
            row.name = name;
            let taken = trusted::find_by_name(tx.conn(), &row.tenant_id, &row.name_key).await?;
            if taken.is_some_and(|other| other.id != row.id) {
                return Err(Error::conflict("already_exists", "this name is already taken"));
            }
        }
        let ceiling = Ceiling::of(row)?.patched(patch.ceiling)?;
        must_be_below(tx, &ceiling).await?;
        row.ceiling = serde_json::to_string(&ceiling).map_err(Error::internal)?;
        Ok(())
    })
    .await
}

/// Makes another generation and lets the one before work for the overlap; two live at most (IMP-7).
pub(crate) async fn rotate(
    app: &App,
    actor: &Actor,
    id: &str,
    input: &TrustedRotateIn,
) -> Result<TrustedSecret> {
    crate::keys::rules::count("/overlap_seconds", Some(input.overlap_seconds), 0..=MAX_OVERLAP)?;
    app.write(actor, async |tx| {
        let mut row = find_to_change(tx, Some(id)).await?;
        tx.must_be_fresh()?;
        must_be_allowed(tx).await?;
        let generations = row.generation_rows()?;
        if input.overlap_seconds > 0 && live(&generations, tx.now) > 1 {
            return Err(Error::conflict("too_many_secrets", "finish the running rotation first"));
        }
        let before = TrustedOut::of(row.clone(), tx.now)?;
        let next = generations.last().map_or(1, |newest| newest.generation + 1);
        let end = tx.now + input.overlap_seconds * 1000;
        trusted::retire_before(tx.conn(), &row.tenant_id, &row.id, next, end).await?;
        touch(&mut row, tx);
        trusted::update(tx.conn(), &row).await?;
        let secret = add_generation(app, tx, &row, next).await?;
        bury(app, tx, &row).await?;
        let shown = reread(tx, &row).await?;
        let event =
            Event::new("trusted.rotate", "trusted", &shown.id, &shown.name).before(&before).after(&shown);
        let made = TrustedSecret::made(shown, secret, tx.actor.validate_only);
        Ok(Audited::new(made, event).touches_trusted(&row.tenant_id, &row.access_key))
    })
    .await
}

/// Retires the older generation now; its tokens end with it.
pub(crate) async fn finish_rotation(app: &App, actor: &Actor, id: &str) -> Result<TrustedOut> {
    change(app, actor, Some(id), "trusted.rotate_finish", async |tx, row| {
        let (now, generations) = (tx.now, row.generation_rows()?);
        if live(&generations, now) < 2 {
            return Err(Error::conflict("not_rotating", "the secret has only one live generation"));
        }
        let newest = generations.last().map_or(1, |newest| newest.generation);
        trusted::retire_before(tx.conn(), &row.tenant_id, &row.id, newest, now).await
    })
    .await
}

/// Whoever makes tokens for everybody is no matter for a key that a script of somebody holds: an
/// interactive login or a workspace key (`design.md` §6).
async fn must_manage(tx: &mut Tx<'_>, right: &str) -> Result<()> {
    tx.must_hold(right)?;
    if tx.actor.principal.kind == "user" && tx.actor.key_id.is_some() {
        let detail = "trusted secrets are managed by an interactive login or a workspace key";
        return Err(Error::forbidden("wrong_class", detail));
    }
    if tx.directory().await?.number == 0 {
        // A secret of the primary tenant reaches every tenant, and so must whoever handles it (TS4).
        let enter = ["instance/tenants:enter".parse().map_err(Error::internal)?].into_iter().collect();
        let what = "a secret of the primary tenant reaches every tenant";
        tx.must_cover(&enter, "rights_exceed_caller", what)?;
    }
    Ok(())
}

/// Refuses where the operator has not switched the feature on (TS4).
async fn must_be_allowed(tx: &mut Tx<'_>) -> Result<()> {
    if is_allowed(&*tx.directory().await?) {
        return Ok(());
    }
    Err(Error::Policy {
        rule: "features.trusted_secrets",
        detail: "the operator has not switched trusted secrets on for this tenant".into(),
    })
}

/// Nobody makes a secret that reaches further than they do (AZ-5, IMP-1).
async fn must_be_below(tx: &mut Tx<'_>, ceiling: &Ceiling) -> Result<()> {
    let directory = tx.directory().await?;
    ceiling.check_ids(&directory)?;
    let reach = ceiling.reach(&directory);
    tx.must_cover(
        &reach,
        "rights_exceed_caller",
        "the secret could give more than you hold; lower its ceiling",
    )
}

/// The enabled secret of this id, or the default one.
async fn named(tx: &mut Tx<'_>, id: Option<&str>) -> Result<TrustedRow> {
    let tenant = tx.tenant().to_owned();
    let row = match id {
        Some(id) => trusted::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?,
        None => {
            let row = trusted::find_by_name(tx.conn(), &tenant, DEFAULT).await?;
            row.ok_or_else(|| Error::conflict("not_enabled", "trusted authentication is not enabled"))?
        }
    };
    if row.ended_at.is_some() {
        return Err(Error::conflict("not_enabled", "the secret is disabled and never comes back"));
    }
    Ok(row)
}

async fn find_to_change(tx: &mut Tx<'_>, id: Option<&str>) -> Result<TrustedRow> {
    must_manage(tx, "trusted:write").await?;
    let row = named(tx, id).await?;
    tx.actor.check_version(row.version)?;
    // Nobody handles what reaches further than they do (AZ-6).
    let reach = Ceiling::of(&row)?.reach(&*tx.directory().await?);
    tx.must_cover(&reach, "above_caller", "the secret may give more than you hold")?;
    Ok(row)
}

async fn change(
    app: &App,
    actor: &Actor,
    id: Option<&str>,
    action: &'static str,
    apply: impl AsyncFnOnce(&mut Tx<'_>, &mut TrustedRow) -> Result<()>,
) -> Result<TrustedOut> {
    app.write(actor, async |tx| change_within(app, tx, id, action, apply).await).await
}

async fn change_within(
    app: &App,
    tx: &mut Tx<'_>,
    id: Option<&str>,
    action: &'static str,
    apply: impl AsyncFnOnce(&mut Tx<'_>, &mut TrustedRow) -> Result<()>,
) -> Result<Audited<TrustedOut>> {
    let mut row = find_to_change(tx, id).await?;
    let before = TrustedOut::of(row.clone(), tx.now)?;
    apply(tx, &mut row).await?;
    touch(&mut row, tx);
    trusted::update(tx.conn(), &row).await?;
    bury(app, tx, &row).await?;
    let after = reread(tx, &row).await?;
    let event = Event::new(action, "trusted", &after.id, &after.name).before(&before).after(&after);
    Ok(Audited::new(after, event).touches_trusted(&row.tenant_id, &row.access_key))
}

fn touch(row: &mut TrustedRow, tx: &Tx<'_>) {
    row.updated_at = tx.now;
    row.updated_by = tx.actor.principal.id.clone();
    row.version += 1;
}

async fn reread(tx: &mut Tx<'_>, row: &TrustedRow) -> Result<TrustedOut> {
    let now = tx.now;
    let row = trusted::find(tx.conn(), &row.tenant_id, &row.id).await?;
    TrustedOut::of(row.ok_or_else(|| Error::internal("the secret was just written"))?, now)
}
