//! A configuration in the making: values by path, the stronger source on top.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fault::{ConfigError, Fault};
use super::manual::{is_secret, manual};
use super::settings::{self, Settings};
use super::source::{Entry, Layer, Origin};
use super::{Loaded, bound, rule};

/// The values so far and the faults so far. Every known key always has a value: a refused one
/// falls back to its default, so that the search for faults can go on.
pub(super) struct Draft {
    entries: BTreeMap<String, Entry>,
    faults: Vec<Fault>,
}

impl Default for Draft {
    fn default() -> Self {
        let entry = |(path, _): &(String, Value)| (path.clone(), default_entry(path));
        Self { entries: manual().leaves.iter().map(entry).collect(), faults: vec![] }
    }
}

fn default_entry(path: &str) -> Entry {
    let value = manual().default_of(path).expect("only known keys enter a draft").clone();
    Entry { path: path.to_owned(), value, origin: Origin::Default, line: None }
}

impl Draft {
    /// Puts a stronger source on top.
    pub(super) fn apply(&mut self, layer: Layer) {
        self.faults.extend(layer.faults);
        for entry in layer.entries {
            self.entries.insert(entry.path.clone(), entry);
        }
    }

    /// Refuses what is out of range.
    pub(super) fn check_bounds(&mut self) {
        let check = |entry: &Entry| {
            bound::check(&entry.path, &entry.value).err().map(|why| (entry.path.clone(), why))
        };
        let refused: Vec<(String, String)> = self.entries.values().filter_map(check).collect();
        for (path, problem) in refused {
            self.refuse(&path, &problem);
        }
    }

    /// Gives the values their types. Each round refuses one value until none is wrong.
    pub(super) fn settle(&mut self) -> Settings {
        loop {
            match serde_path_to_error::deserialize(self.tree()) {
                Ok(settings) => return settings,
                Err(error) => {
                    self.refuse(&error.path().to_string(), &error.inner().to_string());
                }
            }
        }
    }

    /// Checks the rules between values. A section with a refused value is left out: what it holds
    /// now is not what was written.
    pub(super) fn check_rules(&mut self, settings: &Settings, insecure_listen: bool) {
        let breaches = rule::check(settings, insecure_listen);
        let refused: Vec<String> = self.faults.iter().map(|fault| section(&fault.key)).collect();
        for (path, problem) in breaches {
            if !refused.contains(&section(path)) {
                self.fault(path, path, &problem);
            }
        }
    }

    /// The result: a configuration without a fault, or all faults.
    pub(super) fn finish(self, settings: Settings) -> Result<Loaded, ConfigError> {
        if !self.faults.is_empty() {
            return Err(ConfigError { faults: self.faults });
        }
        let mut loaded = Loaded { settings, origins: BTreeMap::new(), shown: BTreeMap::new() };
        for (path, entry) in self.entries {
            loaded.shown.insert(path.clone(), shown(&path, entry.value));
            loaded.origins.insert(path, entry.origin);
        }
        Ok(loaded)
    }

    /// Notes a fault and takes the default. `path` may go on into a list: `a.b[1]`.
    fn refuse(&mut self, path: &str, problem: &str) {
        let leaf = path.split_once('[').map_or(path, |(leaf, _)| leaf);
        self.fault(path, leaf, problem);
        let refused = self.entries.insert(leaf.to_owned(), default_entry(leaf));
        let is_default = refused.is_none_or(|entry| entry.origin == Origin::Default);
        assert!(!is_default, "a test shows that every default is valid: {path}: {problem}");
    }

    fn fault(&mut self, path: &str, leaf: &str, problem: &str) {
        let entry = self.entries.get(leaf);
        let origin = entry.map_or(Origin::Default, |entry| entry.origin.clone());
        let line = entry.and_then(|entry| entry.line);
        self.faults.push(Fault::new(path, origin, problem).at_line(line));
    }

    fn tree(&self) -> Value {
        let mut root = Map::new();
        for (path, entry) in &self.entries {
            let mut section = &mut root;
            let mut names = path.split('.').peekable();
            while let Some(name) = names.next() {
                if names.peek().is_none() {
                    section.insert(name.to_owned(), entry.value.clone());
                    break;
                }
                let below = section.entry(name).or_insert_with(|| Value::Object(Map::new()));
                section = below.as_object_mut().expect("no key holds both a value and keys");
            }
        }
        Value::Object(root)
    }
}

fn section(path: &str) -> String {
    path.split('.').next().unwrap_or_default().to_owned()
}

fn shown(path: &str, value: Value) -> Value {
    match value {
        Value::String(text) if is_secret(path) => settings::mask_url(&text).into(),
        other => other,
    }
}
