//! Checkpoints of audit chains that were kept elsewhere (AUD-4).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::{Exit, Failure};
use crate::checkpoints::{Kept, is_signed};
use crate::clock::parse_rfc3339;
use crate::random::from_hex;
use crate::store::audit::CheckpointRow;

/// One of them, as `audit checkpoints` prints it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KeptCheckpoint {
    pub(crate) tenant_id: String,
    pub(crate) seq: i64,
    at: String,
    pub(crate) hash: String,
    signature: String,
    public_key: String,
}

impl KeptCheckpoint {
    /// What it says of the chain.
    pub(crate) fn said(&self) -> Kept {
        Kept { seq: self.seq, hash: self.hash.clone() }
    }

    /// A server that checked another chain, or signs by another key, has not shown that its chain
    /// is the one of the checkpoint.
    pub(crate) fn compare(&self, answer: &mut Value) {
        let other = [("tenant_id", &self.tenant_id), ("public_key", &self.public_key)];
        for (name, kept) in other {
            if answer["ok"] == true && answer[name] != kept.as_str() {
                answer["ok"] = false.into();
                answer["first_bad_seq"] = self.seq.into();
                answer["reason"] = format!("the kept checkpoint has another {name}").into();
            }
        }
    }

    fn is_whole(&self) -> bool {
        let Some((at, key)) = parse_rfc3339(&self.at).zip(from_hex(&self.public_key)) else { return false };
        let row = CheckpointRow {
            tenant_id: self.tenant_id.clone(),
            seq: self.seq,
            at,
            hash: self.hash.clone(),
            signature: self.signature.clone(),
        };
        is_signed(&row, &key)
    }
}

/// The newest checkpoint of each tenant in a file: lists, single ones, and answers of `audit
/// verify`, one or more behind each other.
pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Vec<KeptCheckpoint>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let newest = newest(&text).ok_or_else(|| {
        Failure::usage(format!("{} holds no checkpoint", file.display()))
            .hint("keyward audit checkpoints -o json")
    })?;
    if let Some(bad) = newest.iter().find(|kept| !kept.is_whole()) {
        let told = format!("{}: the checkpoint at {} was altered", file.display(), bad.seq);
        return Err(Failure::new(Exit::Integrity, told).into());
    }
    Ok(newest)
}

fn newest(text: &str) -> Option<Vec<KeptCheckpoint>> {
    let mut newest = BTreeMap::<String, KeptCheckpoint>::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        for value in items(value.ok()?) {
            let kept: KeptCheckpoint = serde_json::from_value(value).ok()?;
            if newest.get(&kept.tenant_id).is_none_or(|known| known.seq < kept.seq) {
                newest.insert(kept.tenant_id.clone(), kept);
            }
        }
    }
    (!newest.is_empty()).then(|| newest.into_values().collect())
}

fn items(mut value: Value) -> Vec<Value> {
    let mut take = |name: &str| value.get_mut(name).map(Value::take);
    match (take("data"), take("checkpoint")) {
        (Some(Value::Array(list)), _) => list.into_iter().flat_map(items).collect(),
        (_, Some(checkpoint)) => vec![checkpoint],
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(tenant: &str, seq: i64) -> String {
        format!(
            r#"{{"tenant_id":"{tenant}","seq":{seq},"at":"2026-06-01T12:00:00.000Z","hash":"","signature":"","public_key":""}}"#
        )
    }

    #[test]
    fn the_newest_of_each_tenant_is_found_in_every_form() {
        let list = format!(r#"{{"data":[{},{}],"next_cursor":null}}"#, one("a", 3), one("b", 2));
        let answer = format!(r#"{{"ok":true,"checkpoint":{}}}"#, one("a", 9));
        let text = [list, answer, one("b", 1)].join("\n");
        let found = newest(&text).expect("checkpoints");
        let found: Vec<_> = found.iter().map(|kept| (kept.tenant_id.as_str(), kept.seq)).collect();
        assert_eq!(found, [("a", 9), ("b", 2)]);
        for bad in ["", "[]", "{}", "7", r#"{"data":[]}"#, r#"{"ok":true,"checkpoint":null}"#, "not JSON"] {
            assert!(newest(bad).is_none(), "{bad}");
        }
        let kept = newest(&one("a", 3)).expect("one");
        assert!(!kept[0].is_whole(), "nobody signed it");
    }
}
