//! What an actor may do by now, looked up inside the transaction that it wants to write (AZ-10).

use std::sync::Arc;

use keyward_core::key::{KeyClass, OwnerState, Switch};
use keyward_core::right::RightSet;
use keyward_core::token::AccessKey;

use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::store::{Conn, changes};
use crate::verify::facts::{self, Effective, TenantRecord};
use crate::verify::sessions::load_session;

impl App {
    /// The actor's rights, looked up again if anything about it changed since; and the tenant's
    /// facts in memory if they did not.
    pub(crate) async fn live_rights(
        &self,
        conn: &mut Conn,
        actor: &Actor,
    ) -> Result<(Arc<RightSet>, Option<Arc<TenantRecord>>)> {
        let session = actor.session.as_ref().map_or("", |session| session.handle.digits());
        let key = actor.access_key.as_ref().map_or("", AccessKey::digits);
        if session.is_empty() && key.is_empty() {
            return Ok((actor.rights.clone(), None));
        }
        let subjects = [key, actor.principal.id.as_str(), session];
        // The feed is asked for one tenant; a visitor's own facts are in another.
        if !actor.visiting && !changes::touched(conn, &actor.tenant_id, subjects, actor.as_of).await? {
            // Nothing changed behind the facts that the caller was authenticated by.
            let id = actor.tenant_id.parse().map_err(Error::internal)?;
            let known = self.verifier.cache.tenant(id, self.clock.now()).ok().flatten();
            return Ok((actor.rights.clone(), known));
        }
        let gone = || Error::Unauthenticated("invalid_key");
        let effective = self.read_rights(conn, actor).await?.ok_or_else(gone)?;
        match actor.visiting {
            false => Ok((Arc::new(effective.rights.clone()), None)),
            true if effective.rights.covers(&self.rights.enter_tenants) => Ok((actor.rights.clone(), None)),
            true => Err(Error::NotFound),
        }
    }

    /// What key or session of the actor may do by now; `None` when it has come to an end.
    async fn read_rights(&self, conn: &mut Conn, actor: &Actor) -> Result<Option<Arc<Effective>>> {
        let session = match &actor.session {
            Some(session) => match load_session(conn, session.handle, 0).await? {
                Some(session) if !session.ended => Some(session),
                _ => return Ok(None),
            },
            None => None,
        };
        let key = match actor.access_key {
            Some(access_key) => match facts::load_key(conn, access_key, 0).await? {
                Some(key) if key.key().switch == Switch::On => Some(key),
                _ => return Ok(None),
            },
            None => None,
        };
        let (tenant_id, owner_id) = match (&key, &session) {
            (Some(key), _) => (key.terms.tenant_id, key.terms.owner_id),
            (None, Some(session)) => (session.tenant_id, session.user_id),
            (None, None) => return Ok(None),
        };
        let Some(tenant) = facts::load_tenant(conn, tenant_id, 0).await? else { return Ok(None) };
        let owner = match owner_id {
            Some(owner) => facts::load_user(conn, tenant_id, owner, 0).await?,
            None => None,
        };
        let class = key.as_ref().map_or(KeyClass::Member, |key| key.terms.class);
        let usable = !tenant.tenant.suspended
            && key.as_ref().is_none_or(|key| tenant.tenant.allows(key.terms.class))
            && session.as_ref().is_none_or(|s| self.verifier.allows_login(&tenant, s.method))
            && owner.as_ref().is_none_or(|o| o.owner.state == OwnerState::Active);
        let grant = match (&owner, &key) {
            (Some(owner), _) => &owner.grant,
            (None, Some(key)) => &key.terms.grant,
            (None, None) => return Ok(None),
        };
        let scopes = key.as_ref().and_then(|key| key.terms.scopes.as_ref());
        let effective = tenant.effective(class, scopes, grant);
        let lacks = session.as_ref().is_some_and(|s| s.lacks_factor(&tenant, effective.is_admin));
        let effective = if lacks { Arc::new(Effective::new(RightSet::default())) } else { effective };
        Ok(usable.then_some(effective))
    }
}
