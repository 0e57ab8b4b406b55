//! What `config.default.yml` says: keys, defaults, comments.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::tree::{self, Node};

/// The documentation and the defaults, as one text.
pub(super) const DEFAULTS: &str = include_str!("../../config.default.yml");

/// Keys whose value is masked when shown.
const SECRETS: [&str; 1] = ["database.url"];

static MANUAL: LazyLock<Manual> = LazyLock::new(|| Manual::read(DEFAULTS));

/// The known keys.
pub(super) struct Manual {
    /// Path and default of each key that holds a value, in the order of the file.
    pub(super) leaves: Vec<(String, Value)>,
    /// Paths of the keys that hold other keys.
    pub(super) sections: Vec<String>,
    /// The comment above each key and section.
    pub(super) comments: BTreeMap<String, String>,
}

pub(super) fn manual() -> &'static Manual {
    &MANUAL
}

pub(super) fn is_secret(path: &str) -> bool {
    SECRETS.contains(&path)
}

impl Manual {
    pub(super) fn read(text: &str) -> Self {
        let root = tree::parse(text).expect("a test parses the compiled-in defaults");
        let mut manual = Self { leaves: vec![], sections: vec![], comments: comments(text) };
        manual.collect("", root);
        manual
    }

    fn collect(&mut self, parent: &str, node: Node) {
        let Node::Map(pairs) = node else { return };
        for (key, child) in pairs {
            let path = tree::join(parent, &key.name);
            if matches!(child, Node::Map(_)) {
                self.sections.push(path.clone());
                self.collect(&path, child);
            } else {
                self.leaves.push((path, child.into_value()));
            }
        }
    }

    /// The default of a key that holds a value.
    pub(super) fn default_of(&self, path: &str) -> Option<&Value> {
        self.leaves.iter().find(|(leaf, _)| leaf == path).map(|(_, value)| value)
    }

    pub(super) fn is_section(&self, path: &str) -> bool {
        self.sections.iter().any(|section| section == path)
    }

    /// The names of the keys directly in a section.
    pub(super) fn names_in(&self, section: &str) -> Vec<&str> {
        let leaves = self.leaves.iter().map(|(path, _)| path.as_str());
        let paths = leaves.chain(self.sections.iter().map(String::as_str));
        let in_section = |path: &&str| tree::parent(path) == section;
        paths.filter(in_section).map(tree::name).collect()
    }
}

/// The comment block directly above each key. An empty line ends a block, so the head of the file
/// belongs to no key. Relies on the form of our own file (two blanks per level), which a test pins.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut comments = BTreeMap::new();
    let mut parents: Vec<&str> = vec![];
    let mut block: Vec<&str> = vec![];
    for line in text.lines() {
        let content = line.trim_start();
        if let Some(comment) = content.strip_prefix('#') {
            block.push(comment.trim());
        } else if let Some((name, _)) = content.split_once(':') {
            parents.truncate((line.len() - content.len()) / 2);
            parents.push(name);
            comments.insert(parents.join("."), block.join("\n"));
            block.clear();
        } else {
            block.clear();
        }
    }
    comments
}
