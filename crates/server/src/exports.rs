//! A tenant as JSON lines without secrets: `{"kind":"user","data":{…}}`, page by page.

use serde_json::{Value, json};

use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::keys::view::Viewer;
use crate::store::keys;
use crate::store::page::{Listed, MAX_LIMIT, Page};
use crate::store::users::UserFilter;
use crate::{groups, policies, roles, users};

/// One kind of thing that can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Policies,
    Roles,
    Groups,
    Users,
    Keys,
    Audit,
}

impl What {
    /// All, in the order in which they could be made elsewhere.
    pub(crate) const ALL: [Self; 6] =
        [Self::Policies, Self::Roles, Self::Groups, Self::Users, Self::Keys, Self::Audit];

    /// The word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Policies => "policies",
            Self::Roles => "roles",
            Self::Groups => "groups",
            Self::Users => "users",
            Self::Keys => "keys",
            Self::Audit => "audit",
        }
    }
}

/// Notes the export in the audit log; a session must be fresh for it (SES-6).
pub(crate) async fn begin(app: &App, actor: &Actor, what: &[What]) -> Result<()> {
    let names: Vec<&str> = what.iter().map(|what| what.as_str()).collect();
    app.write(actor, async |tx| {
        tx.must_hold("export:read")?;
        if what.contains(&What::Audit) {
            tx.must_hold("audit:export")?;
        }
        tx.must_be_fresh()?;
        let event = Event::new("export.read", "export", tx.tenant(), "").after(&json!({ "what": names }));
        Ok(Audited::new((), event))
    })
    .await
}

/// A page of one kind as lines, and where the next begins; the audit log is read elsewhere.
pub(crate) async fn page(
    app: &App,
    actor: &Actor,
    what: What,
    cursor: Option<&str>,
) -> Result<(String, Option<String>)> {
    let page = || Page::read(Some(MAX_LIMIT), cursor, what.as_str());
    match what {
        What::Policies => {
            Ok((line("policy", &serde_json::to_value(policies::show(app, actor).await?)), None))
        }
        What::Roles => Ok(lines("role", roles::list(app, actor, None, &page()?).await?)),
        What::Groups => Ok(lines("group", groups::list(app, actor, None, &page()?).await?)),
        What::Users => named_users(app, actor, &page()?).await,
        What::Keys => some_keys(app, actor, cursor.unwrap_or_default()).await,
        What::Audit => Ok((String::new(), None)),
    }
}

/// Users with the names of their roles and groups: ids mean nothing to another instance.
async fn named_users(app: &App, actor: &Actor, page: &Page) -> Result<(String, Option<String>)> {
    let listed = users::list(app, actor, &UserFilter::default(), page).await?;
    let all = Page::unlimited();
    let roles = roles::list(app, actor, None, &all).await?.data;
    let groups = groups::list(app, actor, None, &all).await?.data;
    let lines = listed.data.iter().map(|user| {
        let mut data = serde_json::to_value(user).map_err(Error::internal)?;
        let held = roles.iter().filter(|role| user.role_ids.contains(&role.id)).map(|role| &role.name);
        data["roles"] = json!(held.collect::<Vec<_>>());
        let joined =
            groups.iter().filter(|group| user.group_ids.contains(&group.id)).map(|group| &group.name);
        data["groups"] = json!(joined.collect::<Vec<_>>());
        Ok(line("user", &Ok(data)))
    });
    Ok((lines.collect::<Result<_>>()?, listed.next_cursor))
}

async fn some_keys(app: &App, actor: &Actor, after: &str) -> Result<(String, Option<String>)> {
    let mut conn = app.read().await?;
    let rows = keys::behind(&mut conn, &actor.tenant_id, after, MAX_LIMIT).await?;
    let next = rows.last().map(|row| row.id.clone());
    let mut viewer = Viewer::new(&mut conn, &actor.tenant_id, app.clock.unix_ms()).await?;
    let mut text = String::new();
    for row in rows {
        text.push_str(&line("key", &serde_json::to_value(viewer.render(&mut conn, row, false).await?)));
    }
    Ok((text, next))
}

fn lines<T: serde::Serialize>(kind: &str, listed: Listed<T>) -> (String, Option<String>) {
    (listed.data.iter().map(|item| line(kind, &serde_json::to_value(item))).collect(), listed.next_cursor)
}

fn line(kind: &str, data: &serde_json::Result<Value>) -> String {
    let data = data.as_ref().expect("wire types are plain data");
    format!("{}\n", json!({ "kind": kind, "data": data }))
}
