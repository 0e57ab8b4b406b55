//! Whether a change lets a key do more than somebody has approved (X5).

use keyward_core::limit::RateLimit;
use keyward_core::right::RightSet;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::store::keys::KeyRow;

/// Whether the key may do more after the change, or for longer, or from elsewhere; credits aside.
pub(super) fn widens(before: &KeyRow, after: &KeyRow) -> Result<bool> {
    Ok(is_later(before.expires_at, after.expires_at)
        || is_later(before.idle_seconds, after.idle_seconds)
        || adds(before.role_ids.as_deref(), after.role_ids.as_deref())
        || adds(before.group_ids.as_deref(), after.group_ids.as_deref())
        || scopes_widen(before, after)?
        || conditions_widen(before, after)?
        || limits_widen(before, after)?)
}

/// Of bounds where none is the widest.
fn is_later(before: Option<i64>, after: Option<i64>) -> bool {
    before.is_some_and(|before| after.is_none_or(|after| after > before))
}

/// Of ids between commas.
fn adds(before: Option<&str>, after: Option<&str>) -> bool {
    let ids = |text: Option<&str>| text.unwrap_or_default().split(',').map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (ids(before), ids(after));
    after.iter().any(|id| !id.is_empty() && !before.contains(id))
}

fn scopes_widen(before: &KeyRow, after: &KeyRow) -> Result<bool> {
    let Some(held): Option<RightSet> = read(before.scopes.as_deref())? else { return Ok(false) };
    let given: Option<RightSet> = read(after.scopes.as_deref())?;
    Ok(given.is_none_or(|given| !held.covers_all(&given)))
}

/// A condition is a list of what is allowed: it may only lose members.
fn conditions_widen(before: &KeyRow, after: &KeyRow) -> Result<bool> {
    let read = |row: &KeyRow| read::<Value>(row.conditions.as_deref()).map(Option::unwrap_or_default);
    let (before, after) = (read(before)?, read(after)?);
    let is_kept = |(name, bound): (&String, &Value)| {
        let (known, now) = (bound.as_array(), after.get(name).and_then(Value::as_array));
        let (Some(known), Some(now)) = (known, now) else { return known.is_none_or(Vec::is_empty) };
        !now.is_empty() && now.iter().all(|one| known.contains(one))
    };
    Ok(!before.as_object().is_none_or(|bounds| bounds.iter().all(is_kept)))
}

/// For each limit there must still be one that lets no more through.
fn limits_widen(before: &KeyRow, after: &KeyRow) -> Result<bool> {
    let read = |row: &KeyRow| read::<Vec<RateLimit>>(row.limits.as_deref()).map(Option::unwrap_or_default);
    let (before, after) = (read(before)?, read(after)?);
    let is_within = |old: &RateLimit, new: &RateLimit| {
        let rate = |requests: u32, seconds: u32| u64::from(requests) * u64::from(seconds);
        rate(new.requests, old.per_seconds) <= rate(old.requests, new.per_seconds)
            && new.burst() <= old.burst()
    };
    Ok(before.iter().any(|old| !after.iter().any(|new| is_within(old, new))))
}

fn read<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>> {
    text.map(serde_json::from_str).transpose().map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> KeyRow {
        KeyRow {
            scopes: Some(r#"["models/**:read"]"#.into()),
            expires_at: Some(1_000),
            idle_seconds: Some(60),
            conditions: Some(r#"{"cidrs":["10.0.0.0/8","192.0.2.0/24"],"methods":["GET"]}"#.into()),
            limits: Some(r#"[{"name":"a","requests":10,"per_seconds":60}]"#.into()),
            role_ids: Some("role_1,role_2".into()),
            group_ids: None,
            ..KeyRow::default()
        }
    }

    fn widened(change: impl FnOnce(&mut KeyRow)) -> bool {
        let mut after = row();
        change(&mut after);
        widens(&row(), &after).expect("readable")
    }

    #[test]
    fn x_5_less_is_no_widening() {
        assert!(!widened(|_| ()));
        assert!(!widened(|row| row.scopes = Some(r#"["models/a:read"]"#.into())));
        assert!(!widened(|row| row.scopes = Some("[]".into())));
        assert!(!widened(|row| row.expires_at = Some(999)));
        assert!(!widened(|row| row.idle_seconds = Some(59)));
        assert!(
            !widened(|row| row.conditions = Some(r#"{"cidrs":["10.0.0.0/8"],"methods":["GET"]}"#.into()))
        );
        assert!(!widened(|row| row.limits = Some(r#"[{"name":"b","requests":5,"per_seconds":60}]"#.into())));
        assert!(!widened(|row| row.role_ids = Some("role_2".into())));
        assert!(!widened(|row| row.label = "x".into()));
    }

    #[test]
    fn x_5_more_in_any_way_is_one() {
        assert!(widened(|row| row.scopes = Some(r#"["models/**:*"]"#.into())));
        assert!(widened(|row| row.scopes = None));
        assert!(widened(|row| row.expires_at = Some(1_001)));
        assert!(widened(|row| row.expires_at = None));
        assert!(widened(|row| row.idle_seconds = None));
        assert!(widened(|row| row.conditions = None));
        assert!(widened(|row| row.conditions = Some(r#"{"cidrs":["10.0.0.0/8"]}"#.into())));
        assert!(widened(
            |row| row.conditions = Some(r#"{"cidrs":["10.0.0.0/8","0.0.0.0/0"],"methods":["GET"]}"#.into())
        ));
        assert!(widened(|row| row.limits = None));
        assert!(widened(|row| row.limits = Some(r#"[{"name":"a","requests":11,"per_seconds":60}]"#.into())));
        assert!(widened(|row| row.limits = Some(r#"[{"name":"a","requests":10,"per_seconds":59}]"#.into())));
        assert!(widened(|row| row.role_ids = Some("role_2,role_3".into())));
        assert!(widened(|row| row.group_ids = Some("group_1".into())));
    }
}
