//! The tenant's policy: rules that bind keys already issued (X5, MO2, MO5).

pub(crate) mod difference;
pub(crate) mod drafts;
pub(crate) mod impact;
pub(crate) mod schedule;
pub(crate) mod versions;

use keyward_core::key::{Features, KeyClass};
use keyward_core::policy::Policy;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::administrators::must_leave_a_working_key;
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Fault, Result};
use crate::keys::stopped::{StoppedKey, stopped};
use crate::store::policies as store;
use crate::store::tenants::{self, TenantRow};

/// The policy with its version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyOut {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub(crate) policy: Policy,
    pub(crate) version: i64,
    /// In a dry run: the keys that work now and would be stopped, 1000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) would_stop: Option<Vec<StoppedKey>>,
}

/// The policy of the actor's tenant.
pub(crate) async fn show(app: &App, actor: &Actor) -> Result<PolicyOut> {
    let row = tenants::find(&mut app.read().await?, &actor.tenant_id).await?.ok_or(Error::NotFound)?;
    Ok(PolicyOut { policy: policy_of(&row.policy)?, version: row.policy_version, would_stop: None })
}

/// Applies a merge patch (RFC 7396). Takes effect with the next verification.
pub(crate) async fn edit(app: &App, actor: &Actor, patch: Value) -> Result<PolicyOut> {
    if !patch.is_object() {
        return Err(Error::invalid("", "bad_type", "expected an object"));
    }
    app.write(actor, async |tx| {
        tx.must_hold("policies:write")?;
        tx.must_be_fresh()?;
        let row = tenants::find(tx.conn(), &actor.tenant_id).await?.ok_or(Error::NotFound)?;
        actor.check_version(row.policy_version)?;
        let before = policy_of(&row.policy)?;
        let mut wanted = document(&row.policy)?;
        merge(&mut wanted, patch);
        let mut changed = put(tx, row, parse(wanted)?, "policy.edit", None).await?;
        if actor.validate_only {
            let after = changed.value.policy.clone();
            changed.value.would_stop = Some(stopped(tx, (before, after)).await?);
        }
        Ok(changed)
    })
    .await
}

/// Puts a policy in the place of the one that stands, with every check that it must pass, and keeps it as a
/// version.
async fn put(
    tx: &mut Tx<'_>,
    mut row: TenantRow,
    after: Policy,
    action: &'static str,
    note: Option<&str>,
) -> Result<Audited<PolicyOut>> {
    let before = policy_of(&row.policy)?;
    if after.switches != before.switches {
        must_leave_a_way_in(&after, serde_json::from_str(&row.features).map_err(Error::internal)?)?;
    }
    row.policy = serde_json::to_string(&after).map_err(Error::internal)?;
    row.policy_version += 1;
    row.updated_at = tx.now;
    tenants::update(tx.conn(), &row).await?;
    let by = tx.actor.principal.id.clone();
    store::keep(tx.conn(), &row, &by, note).await?;
    must_leave_a_working_key(tx, &before).await?;
    let event = Event::new(action, "policy", &row.id, &row.slug).before(&before).after(&after).reason(note);
    let answer = PolicyOut { policy: after, version: row.policy_version, would_stop: None };
    Ok(Audited::new(answer, event).touches_tenant(&row.id))
}

/// A policy as it is stored.
fn policy_of(text: &str) -> Result<Policy> {
    serde_json::from_str(text).map_err(Error::internal)
}

/// A stored policy as a document in which every rule stands, also one that is younger than it.
fn document(text: &str) -> Result<Value> {
    serde_json::to_value(policy_of(text)?).map_err(Error::internal)
}

/// Refuses what would bar every key that can manage the tenant (AZ-11).
pub(crate) fn must_leave_a_way_in(policy: &Policy, features: Features) -> Result<()> {
    let open = |class| features.allows(class) && policy.switches.allows(class);
    if open(KeyClass::Member) || open(KeyClass::Workspace) {
        return Ok(());
    }
    Err(Error::conflict("last_administrator", "this would bar every key that can manage the tenant"))
}

fn parse(document: Value) -> Result<Policy> {
    let policy: Policy = serde_path_to_error::deserialize(document).map_err(|error| {
        let pointer = crate::http::json::pointer(error.path());
        Error::malformed(&pointer, "bad_value", error.into_inner().to_string())
    })?;
    let problems = policy.problems();
    if problems.is_empty() {
        return Ok(policy);
    }
    let fault = |(pointer, detail): (String, String)| Fault::new(pointer, "bad_value", detail);
    Err(Error::Invalid(problems.into_iter().map(fault).collect()))
}

/// RFC 7396.
pub(crate) fn merge(document: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *document = patch;
        return;
    };
    if !document.is_object() {
        *document = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = document else { return };
    for (name, value) in fields {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_follows_the_examples_of_rfc_7396() {
        for (target, patch, expect) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, patch);
            assert_eq!(merged, expect);
        }
    }

    #[test]
    fn null_brings_a_default_back_and_unknown_rules_are_named() {
        let mut document = serde_json::to_value(Policy::default()).expect("plain data");
        merge(&mut document, json!({"member": {"default_ttl_days": null}}));
        assert_eq!(parse(document.clone()).expect("valid").member.default_ttl_days, 90);
        merge(&mut document, json!({"member": {"max_tll_days": 3}}));
        let Err(Error::Malformed(faults)) = parse(document) else { panic!("an unknown rule") };
        assert!(faults[0].pointer.starts_with("/member"), "{faults:?}");
    }
}
