//! The configuration of the server: defaults, then one file, then the environment, then flags.
//!
//! `config.default.yml` is the only list of keys: what it does not name is refused, and what it
//! names has a field in `Settings`, a default and a comment. Everything wrong is reported at
//! once, so that an operator starts twice and not ten times.

mod bound;
mod draft;
mod environment;
mod fault;
mod field;
mod file;
mod manual;
mod rule;
mod settings;
mod source;
mod span;
mod suggestion;
mod tree;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use self::fault::ConfigError;
pub(crate) use self::settings::*;
pub(crate) use self::source::{Origin, Sources};

use self::draft::Draft;
use self::manual::manual;

/// A complete configuration and where each value comes from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The typed settings.
    pub(crate) settings: Settings,
    /// Where each value comes from, by dotted path.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// The values as they were written, secrets already masked.
    shown: BTreeMap<String, Value>,
}

/// One line of `keyward config show`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Dotted path of the key.
    pub(crate) path: String,
    /// Its value, with secrets masked.
    pub(crate) value: Value,
    /// Where the value comes from.
    pub(crate) origin: Origin,
}

impl Row {
    /// The value for people: a text without quotes unless it is empty, anything else as JSON.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        match &self.value {
            Value::String(text) if !text.is_empty() => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Reads all sources and checks every value.
///
/// # Errors
/// All faults found, if there is any: unknown or repeated keys, values of the wrong type or out of
/// range, combinations that are unsafe, files that cannot be read.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let environment = environment::read(sources);
    let file = file::read(sources, &environment);
    let mut draft = Draft::default();
    draft.apply(file);
    draft.apply(environment);
    draft.apply(source::flags(sources));
    draft.check_bounds();
    let settings = draft.settle();
    draft.check_rules(&settings, sources.insecure_listen);
    draft.finish(settings)
}

/// Every key with its value and origin, in the order of the documentation.
#[must_use]
pub(crate) fn rows(loaded: &Loaded) -> Vec<Row> {
    let row = |(path, _): &(String, Value)| {
        let value = loaded.shown.get(path)?.clone();
        let origin = loaded.origins.get(path)?.clone();
        Some(Row { path: path.clone(), value, origin })
    };
    manual().leaves.iter().filter_map(row).collect()
}

/// The comment above a key or section in `config.default.yml`.
#[must_use]
pub(crate) fn explain(path: &str) -> Option<&'static str> {
    manual().comments.get(path).map(String::as_str)
}

/// The key or section that was probably meant by one that is not there.
#[must_use]
pub(crate) fn meant(path: &str) -> Option<String> {
    suggestion::for_path(path)
}

#[cfg(test)]
mod tests;
