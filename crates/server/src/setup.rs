//! The first administrator (OPS-1), and the way back when the last one is lost (OPS-2).

use keyward_core::key::{Features, KeyClass};
use keyward_core::token::{self, AccessKey};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::keys::create;
use crate::keys::wire::{KeyCreated, KeyIn};
use crate::names::Username;
use crate::random;
use crate::store::users::UserRow;
use crate::store::{groups, instance, roles, tenants as store_tenants, users as store_users};
use crate::{tenants, users};

/// Where the hash of the setup token stands in the store.
const TOKEN: &str = "setup_token";
/// A setup token lives an hour.
const TOKEN_LIFE_MS: i64 = 3_600_000;
/// Slug of the primary tenant.
const PRIMARY: &str = "primary";

/// A claim on an instance that has no administrator yet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetupIn {
    /// The setup token that the first start wrote to the file `setup-token` in the data directory.
    pub(crate) token: String,
    /// Name of the first administrator.
    pub(crate) username: String,
    /// Where notices go.
    pub(crate) email: Option<String>,
}

/// What the first administrator gets, once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Bootstrapped {
    pub(crate) tenant_id: String,
    /// The first administrator; `null` from a recovery, which makes a key only.
    pub(crate) user_id: Option<String>,
    /// Public half of an operator workspace key.
    pub(crate) access_key: String,
    /// Its secret, shown once.
    pub(crate) secret: String,
}

impl Bootstrapped {
    fn new(tenant_id: &str, user_id: Option<String>, created: &KeyCreated) -> Result<Self> {
        let secret = created.secret.as_ref().ok_or_else(|| Error::internal("a key without a secret"))?;
        Ok(Self {
            tenant_id: tenant_id.into(),
            user_id,
            access_key: created.key.access_key.clone(),
            secret: secret.expose().into(),
        })
    }
}

/// Makes the primary tenant, its first administrator and an operator workspace key, all or nothing.
///
/// # Errors
/// `Error::Conflict` when there is a primary tenant already: of many claims at once one wins.
pub(crate) async fn bootstrap(
    app: &App,
    username: &str,
    email: Option<&str>,
    command: &str,
) -> Result<Bootstrapped> {
    let name = Username::parse_any(username)?;
    if let Some(email) = email {
        crate::names::check_email(email)?;
    }
    let tenant = random::new_id::<keyward_core::id::Tenant>(app.clock.unix_ms()).to_string();
    let actor = Actor::local(&tenant, command);
    let done = app
        .write(&actor, async |tx| {
            if !instance::set_once(tx.conn(), tenants::NUMBER, "0").await? {
                return Err(Error::conflict("already_set_up", "the instance has an administrator already"));
            }
            instance::unset(tx.conn(), TOKEN).await?;
            let now = tx.now;
            let row = tenants::NewTenant { id: &tenant, number: 0, slug: PRIMARY, name: "Primary" };
            let row = tenants::insert(tx.conn(), row, Features::default(), now).await?;
            let primary = tenants::render(row)?;
            let admin = first_admin(tx, name, email).await?;
            let key = operator_key(app, tx, "First operator key").await?;
            let done = Bootstrapped::new(&tenant, Some(admin.value), &key.value)?;
            let created = Event::new("tenant.create", "tenant", &tenant, PRIMARY).after(&primary);
            let events = [vec![created], admin.events, key.events].concat();
            Ok(Audited { value: done, events, changes: key.changes }.touches_tenant(&tenant))
        })
        .await?;
    app.set_up.store(true, std::sync::atomic::Ordering::Release);
    Ok(done)
}

/// Makes another operator workspace key, when every other is lost.
pub(crate) async fn recover(app: &App) -> Result<Bootstrapped> {
    let primary = store_tenants::find_primary(&mut app.read().await?).await?.ok_or(Error::NotSetUp)?;
    let actor = Actor::local(&primary.id, "recover");
    app.write(&actor, async |tx| {
        let key = operator_key(app, tx, "Recovery key").await?;
        let done = Bootstrapped::new(&primary.id, None, &key.value)?;
        Ok(Audited { value: done, events: key.events, changes: key.changes })
    })
    .await
}

async fn first_admin(tx: &mut Tx<'_>, name: Username, email: Option<&str>) -> Result<Audited<String>> {
    let tenant = tx.tenant().to_owned();
    let id = random::new_id::<keyward_core::id::User>(tx.now).to_string();
    let new = UserRow::new((&tenant, id), name, "local", (&tx.actor.principal.id, tx.now));
    let row = UserRow { email: email.map(Into::into), ..new };
    store_users::insert(tx.conn(), &row).await?;
    for role in ["operator", "member"] {
        let role = built_in_role(tx, role).await?;
        roles::grant(tx.conn(), &tenant, &row.id, &role).await?;
    }
    let administrators = groups::all(tx.conn(), &tenant).await?;
    for group in administrators.iter().filter(|group| group.built_in) {
        groups::join(tx.conn(), &tenant, &group.id, &row.id).await?;
    }
    let directory = tx.directory().await?;
    let row = store_users::find(tx.conn(), &tenant, &row.id).await?;
    let user =
        users::render(&directory, row.ok_or_else(|| Error::internal("the user was just made"))?, tx.now)?;
    let event = Event::new("user.create", "user", &user.id, &user.username).after(&user);
    Ok(Audited::new(user.id, event))
}

async fn built_in_role(tx: &mut Tx<'_>, name: &str) -> Result<String> {
    let tenant = tx.tenant().to_owned();
    let role = roles::find_built_in(tx.conn(), &tenant, name).await?;
    role.map(|role| role.id).ok_or_else(|| Error::internal(format!("the built-in role {name} is missing")))
}

async fn operator_key(app: &App, tx: &mut Tx<'_>, label: &str) -> Result<Audited<KeyCreated>> {
    let roles = vec![built_in_role(tx, "admin").await?, built_in_role(tx, "operator").await?];
    create::make(app, tx, KeyIn { role_ids: roles, ..KeyIn::new(KeyClass::Workspace, label) }).await
}

/// Makes the setup token of an instance without administrator; a new one replaces the old.
pub(crate) async fn make_token(app: &App) -> Result<keyward_core::secret::Secret> {
    let access_key = AccessKey::generate(&mut random::fill);
    let secret = token::generate(token::SETUP_PREFIX, access_key, &mut random::fill);
    let expires = app.clock.unix_ms() + TOKEN_LIFE_MS;
    let value = format!("{expires}:{}", hash(app, secret.expose()));
    let mut tx = app.db.begin().await?;
    instance::set(tx.conn(), TOKEN, &value).await?;
    tx.commit().await?;
    Ok(secret)
}

/// Claims the instance with the setup token: single use, an hour at most, one winner.
pub(crate) async fn claim(app: &App, input: &SetupIn) -> Result<Bootstrapped> {
    if app.is_set_up().await? {
        return Err(Error::NotFound);
    }
    let refused = || Error::Unauthenticated("invalid_setup_token");
    let stored = instance::value(&mut app.read().await?, TOKEN).await?.ok_or_else(refused)?;
    let (expires, expected) = stored.split_once(':').ok_or_else(refused)?;
    let alive = expires.parse::<i64>().is_ok_and(|expires| app.clock.unix_ms() < expires);
    let fits: bool = hash(app, &input.token).as_bytes().ct_eq(expected.as_bytes()).into();
    if !(alive && fits) {
        return Err(refused());
    }
    bootstrap(app, &input.username, input.email.as_deref(), "setup").await
}

fn hash(app: &App, text: &str) -> String {
    let peppers = app.verifier.peppers.load();
    peppers.first().expect("start-up makes the first pepper").hash(text).to_hex()
}
