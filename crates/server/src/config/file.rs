//! The configuration file.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fault::Fault;
use super::manual::manual;
use super::source::{Entry, Layer, Origin, Sources};
use super::suggestion;
use super::tree::{self, Key, Node};

const IN_WORKING_DIR: &str = "conf/config.yml";
const IN_DATA_DIR: &str = "config.yml";

/// Reads the first configuration file there is. Only the one named by `--config` must exist.
pub(super) fn read(sources: &Sources, environment: &Layer) -> Layer {
    let data_dir = data_dir(sources, environment);
    let (named, in_working_dir) = (sources.config.as_deref(), Path::new(IN_WORKING_DIR));
    let in_data_dir = data_dir.join(IN_DATA_DIR);
    let candidates = match named {
        Some(path) => vec![path],
        None => vec![in_working_dir, &in_data_dir],
    };
    for path in candidates {
        match fs::read_to_string(sources.working_dir.join(path)) {
            Ok(text) => return layer(path, &text, path == in_data_dir && named.is_none()),
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {}
            Err(error) => return unreadable(path, &error.to_string()),
        }
    }
    Layer::default()
}

/// The data directory as far as it is known before a file is read.
fn data_dir(sources: &Sources, environment: &Layer) -> PathBuf {
    let from_env = environment.entries.iter().find(|entry| entry.path == "data_dir");
    let known = from_env.map(|entry| &entry.value).or_else(|| manual().default_of("data_dir"));
    let known = known.and_then(Value::as_str).unwrap_or_default();
    sources.data_dir.clone().unwrap_or_else(|| PathBuf::from(known))
}

fn unreadable(path: &Path, reason: &str) -> Layer {
    let origin = Origin::File(path.to_owned());
    let fault = Fault::new("", origin, format!("cannot be read: {reason}"));
    Layer { faults: vec![fault], ..Layer::default() }
}

fn layer(path: &Path, text: &str, is_in_data_dir: bool) -> Layer {
    let mut reader = Reader { origin: Origin::File(path.to_owned()), layer: Layer::default() };
    match tree::parse(text) {
        Ok(Node::Map(pairs)) => reader.section("", pairs),
        Ok(Node::Scalar(Value::Null)) => {}
        Ok(_) => reader.refuse("", None, "expected keys such as server: or database:"),
        Err(broken) => reader.refuse("", broken.line, &broken.reason),
    }
    if is_in_data_dir {
        reader.refuse_data_dir();
    }
    reader.layer
}

struct Reader {
    origin: Origin,
    layer: Layer,
}

impl Reader {
    fn refuse(&mut self, key: &str, line: Option<u64>, problem: &str) {
        let fault = Fault::new(key, self.origin.clone(), problem).at_line(line);
        self.layer.faults.push(fault);
    }

    fn section(&mut self, parent: &str, pairs: Vec<(Key, Node)>) {
        let mut lines = BTreeMap::new();
        for (key, node) in pairs {
            let path = tree::join(parent, &key.name);
            if let Some(first) = lines.insert(key.name.clone(), key.line) {
                self.refuse(&path, Some(key.line), &format!("given twice, first on line {first}"));
            } else {
                self.key(path, &key, node);
            }
        }
    }

    fn key(&mut self, path: String, key: &Key, node: Node) {
        let line = Some(key.line);
        if key.name.contains('.') {
            self.refuse(&path, line, "unknown key; keys are nested, not joined by dots");
        } else if manual().default_of(&path).is_some() {
            let (value, origin) = (node.into_value(), self.origin.clone());
            self.layer.entries.push(Entry { path, value, origin, line });
        } else if !manual().is_section(&path) {
            let fault = Fault::new(&path, self.origin.clone(), "unknown key").at_line(line);
            self.layer.faults.push(fault.suggesting(suggestion::for_path(&path)));
        } else {
            match node {
                Node::Map(pairs) => self.section(&path, pairs),
                // A section whose keys are all commented out.
                Node::Scalar(Value::Null) => {}
                _ => {
                    let names = manual().names_in(&path).join(", ");
                    self.refuse(&path, line, &format!("expected a section with the keys {names}"));
                }
            }
        }
    }

    /// The file was found through the data directory, so it cannot say where that is.
    fn refuse_data_dir(&mut self) {
        let found = self.layer.entries.iter().position(|entry| entry.path == "data_dir");
        if let Some(index) = found {
            let line = self.layer.entries.remove(index).line;
            self.refuse("data_dir", line, "cannot be set by the file inside the data directory");
        }
    }
}
