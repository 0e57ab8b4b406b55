//! Is this the user's password? Asked at login, and again within a session. Nobody learns from answer
//! or time whether there is such a user (VER-1), and nobody guesses for long (VER-4).

use std::sync::Arc;

use keyward_core::right::RightSet;
use keyward_core::session::Method;

use super::{Password, keep, place_of, rules};
use crate::app::{Actor, App, Call, Principal, Tx};
use crate::attempts::{self, Name};
use crate::error::{Error, Result};
use crate::failures;
use crate::hashers::Hash;
use crate::seal;
use crate::store::users::UserRow;
use crate::store::{Conn, passwords, users};
use crate::verify::facts::{self, TenantRecord};

/// What somebody claims to know.
pub(crate) struct Claim<'a> {
    pub(crate) home: &'a Home,
    /// The user whose session asks.
    pub(crate) within: Option<&'a str>,
    pub(crate) username: &'a str,
    pub(crate) password: &'a Password,
}

/// Where somebody claims to be at home.
pub(crate) struct Home {
    /// Id of the tenant; that of another where there is none of this name, so that looking costs the same.
    pub(crate) tenant: String,
    /// There is none of this name.
    pub(crate) is_unknown: bool,
}

impl Home {
    /// The tenant that attempts are counted under.
    fn counted(&self) -> &str {
        if self.is_unknown { "" } else { &self.tenant }
    }
}

/// A user who gave the right password.
pub(crate) struct Proven {
    pub(crate) user: UserRow,
    pub(crate) rights: Arc<RightSet>,
    name: Name,
    /// The password as it was stored when it was compared.
    sealed: String,
    /// The same password hashed anew, where the old hash costs a guesser too little (STO-4).
    better: Option<Hash>,
}

/// Compares a password with that of the user who is named.
///
/// # Errors
/// 401 `invalid_login` whatever is wrong, 429 or 401 `login_locked` after failures, 503 when too many
/// wait.
pub(crate) async fn prove(app: &App, call: &Call, claim: &Claim<'_>) -> Result<Proven> {
    let password = rules::normal("/password", claim.password.expose())?;
    failures::must_not_flood(app, call.address)?;
    let place = app.hashers.place(call.address)?;
    let name = Name::of(app, claim.home.counted(), claim.username);
    let name = match claim.within {
        Some(user) => name.within_sessions(app, user),
        None => name,
    };
    let _turn = attempts::turn(app, &name).await;
    attempts::check(app, &name, call.address).await?;
    let found = find(app, claim.home, &name).await?;
    let hash = found.as_ref().and_then(|found| found.hash.clone());
    let fits = app.hashers.verify(&place, &password, hash.clone().unwrap_or_else(Hash::of_nothing)).await?;
    let Some(found) = found else { return Err(refused(app, call, &name, None).await?) };
    let reason = match &hash {
        None => Some("no_password"),
        Some(_) if !fits => Some("wrong_password"),
        Some(_) => barred(app, &found.user, &found.tenant, Method::Password),
    };
    if let Some(reason) = reason {
        return Err(refused(app, call, &name, Some((&found, reason))).await?);
    }
    let better = match hash {
        Some(hash) if hash.is_outdated() => Some(app.hashers.hash(&place, &password).await?),
        _ => None,
    };
    let rights = Arc::new(found.rights()?);
    Ok(Proven { user: found.user, rights, name, sealed: found.sealed, better })
}

/// Compares a password with that of the user whose session asks.
pub(crate) async fn prove_again(app: &App, actor: &Actor, password: &Password) -> Result<Proven> {
    let home = Home { tenant: actor.tenant_id.clone(), is_unknown: false };
    let (within, username) = (Some(actor.principal.id.as_str()), actor.principal.label.as_str());
    let claim = Claim { home: &home, within, username, password };
    let proven = prove(app, &actor.call, &claim).await?;
    // The name may have gone to somebody else meanwhile.
    if proven.user.id == actor.principal.id {
        Ok(proven)
    } else {
        Err(Error::Unauthenticated("invalid_login"))
    }
}

impl Proven {
    /// The user as an actor. Rights are those of now: nobody acts by them but to open a session.
    pub(crate) fn actor(&self, call: Call) -> Actor {
        user_actor(&self.user, self.rights.clone(), call)
    }

    /// Within the transaction of what follows: refuses if anything changed while the password was
    /// compared, forgets failures, and keeps a better hash.
    pub(crate) async fn settle(&self, app: &App, tx: &mut Tx<'_>) -> Result<()> {
        let gone = || Error::Unauthenticated("invalid_login");
        let tenant = tx.tenant().to_owned();
        let user = users::find(tx.conn(), &tenant, &self.user.id).await?.ok_or_else(gone)?;
        let sealed = passwords::find(tx.conn(), &tenant, &user.id).await?.ok_or_else(gone)?;
        let directory = tx.directory().await?;
        let barred = barred(app, &user, &directory, Method::Password).is_some();
        if barred || sealed != self.sealed || user.username_key != self.user.username_key {
            return Err(gone());
        }
        attempts::clear(tx.conn(), &self.name).await?;
        match &self.better {
            Some(better) => keep(app, tx, &user.id, better).await,
            None => Ok(()),
        }
    }
}

/// A user as an actor with nothing but these rights.
pub(crate) fn user_actor(user: &UserRow, rights: Arc<RightSet>, call: Call) -> Actor {
    let principal = Principal { kind: "user".into(), id: user.id.clone(), label: user.username.clone() };
    Actor { principal, rights, call, ..Actor::local(&user.tenant_id, "login") }
}

/// A user and the password, if there is one.
struct Found {
    user: UserRow,
    tenant: TenantRecord,
    sealed: String,
    hash: Option<Hash>,
}

impl Found {
    fn rights(&self) -> Result<RightSet> {
        crate::users::rights(&self.tenant, &self.user)
    }
}

/// Why a user may not log in so, whatever is given.
pub(crate) fn barred(
    app: &App,
    user: &UserRow,
    tenant: &TenantRecord,
    method: Method,
) -> Option<&'static str> {
    if tenant.tenant.suspended {
        return Some("tenant_suspended");
    }
    if user.suspended_at.is_some() {
        return Some("owner_suspended");
    }
    let allowed = user.origin == "local" && app.verifier.allows_login(tenant, method);
    (!allowed).then_some(if method == Method::Password { "password_login_off" } else { "not_local" })
}

/// Looks the user up. Whether there is one or not, or no such tenant, as much is asked of the database,
/// read and opened: where nobody is meant, of somebody else, who is forgotten then (VER-1).
async fn find(app: &App, home: &Home, name: &Name) -> Result<Option<Found>> {
    let mut conn = app.read().await?;
    let id = home.tenant.as_str();
    // Nobody has the empty name.
    let key = if home.is_unknown { "" } else { &name.key };
    let row = users::find_by_name_or_any(&mut conn, id, key).await?;
    let is_meant = !home.is_unknown && row.as_ref().is_some_and(|row| row.username_key == name.key);
    let user_id = row.as_ref().map_or("", |row| row.id.as_str());
    let password = passwords::find(&mut conn, id, user_id).await?;
    let directory = match id.parse() {
        Ok(id) => facts::load_tenant(&mut conn, id, 0).await?,
        Err(_) => None,
    };
    let sealed = password.unwrap_or_default();
    let hash = match open(app, &mut conn, id, user_id, &sealed).await {
        Err(Error::Damaged(_)) if !is_meant => None,
        opened => opened?,
    };
    let user = row.filter(|_| is_meant);
    Ok(user.zip(directory).map(|(user, tenant)| Found { user, tenant, sealed, hash }))
}

/// Opens a sealed hash. One that was sealed for another user does not open (STO-5). Where there is
/// none, something as long is tried, which takes as much time and does not open either.
async fn open(app: &App, conn: &mut Conn, tenant: &str, user: &str, sealed: &str) -> Result<Option<Hash>> {
    let place = place_of(tenant, user);
    if sealed.is_empty() {
        return match seal::open(&app.root_key, conn, place, &format!("1.{:A<167}", "")).await {
            Ok(_) | Err(Error::Damaged(_)) => Ok(None),
            Err(error) => Err(error),
        };
    }
    let opened = seal::open(&app.root_key, conn, place, sealed).await?;
    let text = std::str::from_utf8(&opened).ok().and_then(Hash::parse);
    text.map(Some).ok_or_else(|| Error::Damaged(format!("the password of {user} cannot be read")))
}

/// Counts a failure, and tells nobody what was wrong; the log of the tenant tells its administrators.
async fn refused(app: &App, call: &Call, name: &Name, known: Option<(&Found, &str)>) -> Result<Error> {
    let about = known.map(|(found, _)| user_actor(&found.user, Arc::default(), call.clone()));
    attempts::failed(app, name, about.as_ref()).await?;
    app.metrics.refused_callers.inc();
    if let Some((actor, (_, reason))) = about.zip(known) {
        app.refusals.note(&actor, "auth.login", reason);
    }
    let wait = failures::note(app, None, "login", call.address);
    Ok(wait.map_or(Error::Unauthenticated("invalid_login"), Error::RateLimited))
}
