//! Who calls, as the product tells of its users.

use serde_json::{Value, json};

use super::orgs::{self, Org};
use crate::app::{Actor, App};
use crate::error::Result;
use crate::store::groups;
use crate::users::{self, UserOut};
use crate::verify::facts::administers;
use crate::wire::time;

/// Who calls; of a user who may not look at themselves only what the token says.
pub(super) struct Person {
    id: String,
    name: String,
    org: Org,
    is_admin: bool,
    can_log_in: bool,
    shown: Option<UserOut>,
    groups: Vec<Value>,
}

impl Person {
    pub(super) async fn of(app: &App, actor: &Actor) -> Result<Self> {
        let shown = match actor.user_id() {
            Some(id) => users::show(app, actor, id).await.ok(),
            None => None,
        };
        let ids = shown.as_ref().map_or(&[][..], |user: &UserOut| user.group_ids.as_slice());
        Ok(Self {
            groups: named(app, &actor.tenant_id, ids).await?,
            id: actor.principal.id.clone(),
            name: actor.principal.label.clone(),
            org: orgs::of(app, &actor.tenant_id).await?,
            is_admin: administers(&actor.rights),
            can_log_in: actor.session.as_ref().is_some_and(|session| session.method.is_interactive()),
            shown,
        })
    }

    fn display_name(&self) -> &str {
        self.shown.as_ref().and_then(|user| user.display_name.as_deref()).unwrap_or(&self.name)
    }

    fn email(&self) -> Option<&str> {
        self.shown.as_ref().and_then(|user| user.email.as_deref())
    }

    fn privileges(&self) -> &'static [&'static str] {
        if self.is_admin { &["ADMINISTRATION"] } else { &[] }
    }

    /// As `GET /auth/session/user` tells it.
    pub(super) fn user(&self) -> Result<Value> {
        let made = self.shown.as_ref().map(|user| time("", &user.created_at)).transpose()?;
        Ok(json!({
            "id": self.id,
            "name": self.name,
            "display_name": self.display_name(),
            "visibility": "SHARABLE",
            "email": self.email(),
            "author_id": self.id,
            "can_change_password": self.can_log_in,
            "complete_detail": self.shown.is_some(),
            "creation_time_in_millis": made,
            "current_org": self.org,
            "orgs": [self.org],
            "privileges": self.privileges(),
            "user_groups": self.groups,
            "deleted": false,
            "deprecated": false,
            "account_type": "LOCAL_USER",
            "account_status": "ACTIVE",
        }))
    }

    /// As `GET /session/info` of version 1 tells it.
    pub(super) fn info(&self) -> Value {
        json!({
            "userGUID": self.id,
            "userName": self.name,
            "userDisplayName": self.display_name(),
            "userEmail": self.email(),
            "privileges": self.privileges(),
            "currentOrgId": self.org.id,
            "currentOrgName": self.org.name,
        })
    }
}

/// Groups by id and name.
async fn named(app: &App, tenant: &str, ids: &[String]) -> Result<Vec<Value>> {
    let mut named = Vec::with_capacity(ids.len());
    let mut conn = app.read().await?;
    for id in ids {
        if let Some(group) = groups::find(&mut conn, tenant, id).await? {
            named.push(json!({ "id": group.id, "name": group.name }));
        }
    }
    Ok(named)
}
