//! What differs between two policies, setting by setting.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Difference {
    /// The setting, as in `member.max_age_days`.
    pub(crate) path: String,
    pub(crate) before: Value,
    pub(crate) after: Value,
}

/// Every setting that differs, in the order of the document. Lists are looked at as a whole.
pub(crate) fn between(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    collect("", before, after, &mut found);
    found
}

fn collect(path: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        found.push(Difference { path: path.into(), before: before.clone(), after: after.clone() });
        return;
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    for name in new.keys().chain(gone) {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let value = |document: &Map<String, Value>| document.get(name).cloned().unwrap_or_default();
        collect(&below, &value(old), &value(new), found);
    }
}

/// Makes the same changes to another document.
pub(crate) fn apply(document: &mut Value, differences: &[Difference]) {
    for difference in differences {
        let pointer = format!("/{}", difference.path.replace('.', "/"));
        if let Some(place) = document.pointer_mut(&pointer) {
            place.clone_from(&difference.after);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn x_5_each_setting_that_differs_is_named_once() {
        let old = json!({ "a": { "x": 1, "y": null, "z": [1] }, "b": 2, "c": { "d": 1 } });
        let new = json!({ "a": { "x": 1, "y": 5, "z": [1, 2] }, "b": 2, "c": { "d": 1 } });
        let paths: Vec<_> =
            between(&old, &new).into_iter().map(|one| (one.path, one.before, one.after)).collect();
        assert_eq!(
            paths,
            [("a.y".to_owned(), json!(null), json!(5)), ("a.z".to_owned(), json!([1]), json!([1, 2]))]
        );
        assert!(between(&old, &old).is_empty());
        let mut third = json!({ "a": { "x": 7, "y": null, "z": [] }, "b": 3, "c": { "d": 1 } });
        apply(&mut third, &between(&old, &new));
        assert_eq!(third, json!({ "a": { "x": 7, "y": 5, "z": [1, 2] }, "b": 3, "c": { "d": 1 } }));
    }
}
