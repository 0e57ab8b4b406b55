//! Making a key (MO1, MO2, BM1 to BM4, KEY-8, KEY-10, AZ-5).

use std::collections::HashMap;

use keyward_core::key::{Conditions, KeyClass};
use keyward_core::right::RightSet;
use keyward_core::secret::Secret;
use keyward_core::token::{self, AccessKey};

use super::view::Viewer;
use super::wire::{KeyCreated, KeyIn};
use super::{approval, rotation, rules};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::credits::Wish;
use crate::error::{Error, Result};
use crate::handovers::{self, HandoverLink};
use crate::names::check_label;
use crate::random;
use crate::store::credits::{self, CreditRow};
use crate::store::keys::{self, KeyRow, SecretRow};
use crate::store::{groups, roles, users};
use crate::verify::facts::TenantRecord;
use crate::wire;

/// Makes a key and its first secret.
pub(crate) async fn create(app: &App, actor: &Actor, input: KeyIn) -> Result<KeyCreated> {
    app.write(actor, async |tx| make(app, tx, input).await).await
}

/// The same within a transaction.
pub(crate) async fn make(app: &App, tx: &mut Tx<'_>, input: KeyIn) -> Result<Audited<KeyCreated>> {
    let directory = tx.directory().await?;
    let Draft { mut row, access_key, holder } = draft(tx, &directory, &input, &mut Owners::default()).await?;
    rotation::set(&mut row, rotation::schedule(&directory, input.class, input.rotation)?, tx.now);
    let (secret, version) = make_secret(app, input.class, access_key, 1, tx.now);
    insert(tx, &row, &holder, &version).await?;
    let mut viewer = Viewer::with(directory, tx.now);
    let row = KeyRow { secrets: Some(spell(&version)), ..row };
    let key = viewer.render(tx.conn(), row.clone(), true).await?;
    let event = Event::new("key.create", "key", &key.id, &key.label).after(&key);
    let link = match &input.handover {
        Some(wish) => Some(handovers::keep_with_link(app, tx, &row, (1, &secret), wish).await?),
        None => None,
    };
    let request = key.awaits_approval.then(|| approval::requested(&key));
    let created = reveal(tx, KeyCreated::new(key, secret), link);
    let events = [event].into_iter().chain(request).collect();
    Ok(Audited::many(created, events).touches_key(tx.tenant(), access_key.digits()))
}

/// Shows the secret, or the link to it, or neither when nothing was made.
pub(super) fn reveal(tx: &Tx<'_>, created: KeyCreated, link: Option<HandoverLink>) -> KeyCreated {
    match link {
        _ if tx.actor.validate_only => created.without_secret("not_made"),
        Some(link) => created.handed_over(link),
        None => created,
    }
}

/// A key that may be made, not yet written.
pub(crate) struct Draft {
    pub(crate) row: KeyRow,
    pub(crate) access_key: AccessKey,
    pub(crate) holder: Holder,
}

/// Everything that is asked of a new key, whatever its secret: form, policy, quota, and that nobody gives
/// what they do not hold (AZ-5).
pub(crate) async fn draft(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    input: &KeyIn,
    owners: &mut Owners,
) -> Result<Draft> {
    check_label("/label", &input.label, 100)?;
    let wish = Wish::new(input.credits, input.credit_refill);
    wish.check()?;
    rules::count("/idle_seconds", input.idle_seconds, 60..=315_360_000)?;
    rules::limits(input.limits.as_deref().unwrap_or_default())?;
    let scopes = input.scopes.as_deref().map(|texts| rules::rights("/scopes", texts)).transpose()?;
    let conditions = input.conditions.clone().map(rules::conditions).transpose()?.flatten();
    rules::class_is_on(&directory.tenant, input.class)?;
    rules::address_rule(&directory.tenant.policy, input.class, conditions.as_ref())?;
    rules::may_create(tx, &directory.tenant.policy, input.class)?;
    rules::label_rule(tx, &directory.tenant.policy, input.class, &input.label)?;
    let span = span(tx, directory, input)?;
    let holder = holder(tx, directory, input, scopes.as_ref(), owners).await?;
    must_have_room_in_class(tx, directory, input.class).await?;
    let access_key = AccessKey::generate(&mut random::fill);
    let row = KeyRow {
        access_key: access_key.digits().into(),
        scopes: scopes.as_ref().map(to_json).transpose()?,
        conditions: conditions_json(conditions.as_ref())?,
        credits: wish.first(tx.now)?,
        awaits_approval: !tx.is_local() && directory.tenant.policy.class(input.class).approval,
        ..new_row(tx, input, span, &holder)?
    };
    Ok(Draft { row, access_key, holder })
}

/// Beginning and end of the new key.
fn span(tx: &Tx<'_>, directory: &TenantRecord, input: &KeyIn) -> Result<(Option<i64>, Option<i64>)> {
    let wish = rules::validity(input.expires_at.as_deref(), input.ttl_seconds, input.expires.as_deref())?;
    let start = input.not_before.as_deref().map(|text| wire::time("/not_before", text)).transpose()?;
    let end = rules::resolve_end(input.class, directory.tenant.policy.class(input.class), wish, tx.now)?;
    if end.is_none() {
        tx.must_hold("keys/never-expire:create")?;
    }
    if start.zip(end).is_some_and(|(start, end)| start >= end) {
        return Err(Error::invalid("/not_before", "after_end", "the key would end before it begins"));
    }
    Ok((start, end))
}

fn new_row(tx: &Tx<'_>, input: &KeyIn, span: (Option<i64>, Option<i64>), holder: &Holder) -> Result<KeyRow> {
    let (not_before, expires_at) = span;
    Ok(KeyRow {
        tenant_id: tx.tenant().into(),
        id: random::new_id::<keyward_core::id::Key>(tx.now).to_string(),
        access_key: String::new(),
        class: input.class.as_str().into(),
        owner_id: holder.owner_id.clone(),
        label: input.label.clone(),
        switch: "on".into(),
        scopes: None,
        not_before,
        expires_at,
        idle_seconds: input.idle_seconds,
        conditions: None,
        limits: input.limits.as_ref().filter(|limits| !limits.is_empty()).map(to_json).transpose()?,
        credits: CreditRow::default(),
        created_at: tx.now,
        created_by: tx.actor.principal.id.clone(),
        updated_at: tx.now,
        updated_by: tx.actor.principal.id.clone(),
        revoked_at: None,
        revoked_by: None,
        revoked_reason: None,
        exposed_at: None,
        canary: input.canary,
        rotate_days: None,
        grace_days: None,
        rotates_at: None,
        awaits_approval: false,
        approved_at: None,
        approved_by: None,
        hands: None,
        version: 1,
        imported_from: None,
        imported_at: None,
        external_id: None,
        owner_username: holder.username.clone(),
        role_ids: Some(holder.role_ids.join(",")),
        group_ids: Some(holder.group_ids.join(",")),
        secrets: None,
        last_used_at: None,
    })
}

/// Writes a key with what it holds and its first secret.
pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    row: &KeyRow,
    holder: &Holder,
    version: &SecretRow,
) -> Result<()> {
    keys::insert(tx.conn(), row).await?;
    if row.credits.granted.is_some() {
        credits::grant(tx.conn(), &row.tenant_id, credits::Holder::Key(&row.id), &row.credits).await?;
    }
    for role in &holder.role_ids {
        roles::grant(tx.conn(), &row.tenant_id, &row.id, role).await?;
    }
    for group in &holder.group_ids {
        groups::join(tx.conn(), &row.tenant_id, group, &row.id).await?;
    }
    keys::insert_secret(tx.conn(), &row.tenant_id, &row.id, version, &row.created_by).await
}

/// The owners met so far, so that many keys of one cost one look.
#[derive(Default)]
pub(crate) struct Owners(HashMap<String, KnownOwner>);

/// An owner as far as new keys need it.
struct KnownOwner {
    username: String,
    held: RightSet,
    /// Living keys, for the quota.
    living: i64,
}

impl Owners {
    async fn find(&mut self, tx: &mut Tx<'_>, directory: &TenantRecord, id: &str) -> Result<&KnownOwner> {
        if !self.0.contains_key(id) {
            let (tenant, now) = (tx.tenant().to_owned(), tx.now);
            let user = users::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
            let living = keys::count_owned(tx.conn(), &tenant, id, now).await?;
            let held = crate::users::rights(directory, &user)?;
            self.0.insert(id.to_owned(), KnownOwner { username: user.username, held, living });
        }
        self.0.get(id).ok_or(Error::NotFound)
    }

    /// One more key of this owner was written.
    pub(crate) fn count(&mut self, id: &str) {
        if let Some(owner) = self.0.get_mut(id) {
            owner.living += 1;
        }
    }
}

/// What a new key will act with.
pub(crate) struct Holder {
    pub(crate) owner_id: Option<String>,
    username: Option<String>,
    role_ids: Vec<String>,
    group_ids: Vec<String>,
}

async fn holder(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    input: &KeyIn,
    scopes: Option<&RightSet>,
    owners: &mut Owners,
) -> Result<Holder> {
    // A key proves itself with each request, so it is worth more than the session that makes it.
    tx.must_be_fresh()?;
    match input.class {
        KeyClass::Member => owner(tx, directory, input, scopes, owners).await,
        KeyClass::Workspace => workspace(tx, directory, input, scopes).await,
        KeyClass::Ingest => ingest(tx, input, scopes),
    }
}

/// The owner of a member key: the caller, or somebody the caller may issue for (KEY-10).
async fn owner(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    input: &KeyIn,
    scopes: Option<&RightSet>,
    owners: &mut Owners,
) -> Result<Holder> {
    refuse_assignments(input, "a member key acts with its owner's roles and groups")?;
    let own = tx.actor.user_id();
    let owner_id = match input.owner_id.as_deref().or(own) {
        Some(id) => id.to_owned(),
        None => return Err(Error::invalid("/owner_id", "required", "a member key needs an owner")),
    };
    if own == Some(owner_id.as_str()) {
        if tx.must_hold("keys:create").is_err() {
            tx.must_hold("me/keys:create")?;
        }
    } else {
        // Who may not issue for others may not learn who exists either.
        tx.must_hold("keys/others:create").map_err(|_| Error::NotFound)?;
    }
    let known = owners.find(tx, directory, &owner_id).await?;
    let (username, held) = (known.username.clone(), known.held.clone());
    if own != Some(owner_id.as_str()) {
        tx.must_cover(&held, "above_caller", "the owner may do more than you")?;
    }
    has_room(directory, known.living)?;
    let given = match scopes {
        Some(scopes) if !held.covers_all(scopes) => {
            return Err(Error::forbidden(
                "scope_exceeds_owner",
                "the scopes hold a right that the owner lacks",
            ));
        }
        Some(scopes) => scopes.clone(),
        None => held,
    };
    tx.must_cover(&given, "rights_exceed_caller", "the key could do more than you; narrow its scopes")?;
    Ok(Holder {
        owner_id: Some(owner_id),
        username: Some(username),
        role_ids: Vec::new(),
        group_ids: Vec::new(),
    })
}

/// Refuses one more living key of a user than policy allows (BM2).
pub(super) async fn must_have_room(tx: &mut Tx<'_>, directory: &TenantRecord, owner_id: &str) -> Result<()> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    has_room(directory, keys::count_owned(tx.conn(), &tenant, owner_id, now).await?)
}

fn has_room(directory: &TenantRecord, living: i64) -> Result<()> {
    let quota = i64::from(directory.tenant.policy.max_keys_per_user);
    if living < quota {
        return Ok(());
    }
    Err(Error::Policy {
        rule: "max_keys_per_user",
        detail: format!("a user may own {quota} keys; revoke one first"),
    })
}

/// Refuses one more living key of a class than policy allows the tenant (X5).
pub(super) async fn must_have_room_in_class(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    class: KeyClass,
) -> Result<()> {
    let Some(quota) = directory.tenant.policy.class(class).max_keys.filter(|_| !tx.is_local()) else {
        return Ok(());
    };
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    if keys::count_of_class(tx.conn(), &tenant, class.as_str(), now).await? < i64::from(quota) {
        return Ok(());
    }
    let rule = rules::named(class, ["member.max_keys", "workspace.max_keys", "ingest.max_keys"]);
    let detail = format!("the tenant may have {quota} {} keys; revoke one first", class.as_str());
    Err(Error::Policy { rule, detail })
}

/// A workspace key acts with its own roles and groups, as admin unless told otherwise (MO1, BM6).
async fn workspace(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    input: &KeyIn,
    scopes: Option<&RightSet>,
) -> Result<Holder> {
    tx.must_hold("keys:create")?;
    refuse_owner(input)?;
    let mut role_ids = input.role_ids.clone();
    if role_ids.is_empty() && input.group_ids.is_empty() {
        role_ids.extend(directory.built_in_role("admin").map(|role| role.to_string()));
    }
    let given = assignment_rights(tx, directory, &role_ids, &input.group_ids).await?;
    let given = scopes.map_or_else(|| given.clone(), |scopes| scopes.intersect(&given));
    tx.must_cover(&given, "rights_exceed_caller", "the key could do more than you")?;
    Ok(Holder { owner_id: None, username: None, role_ids, group_ids: input.group_ids.clone() })
}

/// An ingest key may ingest and nothing else (BM3).
fn ingest(tx: &Tx<'_>, input: &KeyIn, scopes: Option<&RightSet>) -> Result<Holder> {
    tx.must_hold("keys:create")?;
    refuse_owner(input)?;
    refuse_assignments(input, "an ingest key has no roles and groups")?;
    let all = ingest_rights();
    if scopes.is_some_and(|scopes| !all.covers_all(scopes)) {
        return Err(Error::invalid("/scopes", "not_ingest", "an ingest key holds rights below ingest only"));
    }
    let given = scopes.unwrap_or(&all);
    tx.must_cover(given, "rights_exceed_caller", "the key could do more than you; narrow its scopes")?;
    Ok(Holder { owner_id: None, username: None, role_ids: Vec::new(), group_ids: Vec::new() })
}

fn ingest_rights() -> RightSet {
    ["ingest/**:*"].iter().map(|right| right.parse().expect("a constant right parses")).collect()
}

fn refuse_owner(input: &KeyIn) -> Result<()> {
    if input.owner_id.is_none() {
        return Ok(());
    }
    Err(Error::invalid("/owner_id", "not_allowed", "only member keys have an owner"))
}

fn refuse_assignments(input: &KeyIn, why: &str) -> Result<()> {
    for (pointer, list) in [("/role_ids", &input.role_ids), ("/group_ids", &input.group_ids)] {
        if !list.is_empty() {
            return Err(Error::invalid(pointer, "not_allowed", why));
        }
    }
    Ok(())
}

/// What roles and groups give; each must exist in the tenant.
pub(crate) async fn assignment_rights(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    role_ids: &[String],
    group_ids: &[String],
) -> Result<RightSet> {
    for (pointer, ids, exists) in [("/role_ids", role_ids, true), ("/group_ids", group_ids, false)] {
        for (place, id) in ids.iter().enumerate() {
            let known = if exists {
                id.parse().is_ok_and(|id| directory.role(id).is_some())
            } else {
                id.parse().is_ok_and(|id| directory.group(id).is_some())
            };
            if !known {
                return Err(Error::invalid(
                    &format!("{pointer}/{place}"),
                    "not_found",
                    "there is no such id",
                ));
            }
        }
    }
    let rights = App::rights_of(directory, role_ids, group_ids)?;
    tx.must_cover(&rights, "rights_exceed_caller", "this would give a right away")?;
    Ok(rights)
}

/// A new secret and the row that the store keeps of it.
pub(super) fn make_secret(
    app: &App,
    class: KeyClass,
    access_key: AccessKey,
    generation: i64,
    now: i64,
) -> (Secret, SecretRow) {
    let secret = token::generate(app.verifier.prefixes.of(class), access_key, &mut random::fill);
    let peppers = app.verifier.peppers.load();
    let pepper = peppers.first().expect("start-up makes the first pepper");
    let row = SecretRow {
        generation,
        pepper_id: i64::from(pepper.id()),
        hash: pepper.hash(secret.expose()).to_hex(),
        hint: secret.hint(),
        created_at: now,
        retires_at: None,
        seen_at: None,
    };
    (secret, row)
}

fn spell(secret: &SecretRow) -> String {
    serde_json::json!({
        "generation": secret.generation, "pepper_id": secret.pepper_id, "hash": secret.hash,
        "hint": secret.hint, "created_at": secret.created_at, "retires_at": null, "seen_at": null,
    })
    .to_string()
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Conditions as the store keeps them.
pub(super) fn conditions_json(conditions: Option<&Conditions>) -> Result<Option<String>> {
    conditions.map(to_json).transpose()
}
