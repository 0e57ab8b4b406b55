//! The environment variables.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::fault::Fault;
use super::manual::manual;
use super::source::{Entry, Layer, Origin, Sources};
use super::suggestion;
use super::tree;

/// What all our variables start with.
pub(super) const START: &str = "KEYWARD_";
const FILE_END: &str = "_file";

/// Names, without their start, that are read elsewhere: by the command line client, or where the
/// root key is opened.
const READ_ELSEWHERE: [&str; 13] = [
    "URL",
    "TOKEN",
    "TOKEN_FILE",
    "PROFILE",
    "TENANT",
    "OUTPUT",
    "NO_INPUT",
    "CONFIG",
    "LOG",
    "CACERT",
    "DATA_DIR",
    "ROOT_KEY",
    "ROOT_KEY_FILE",
];
const FOR_TESTS: &str = "TEST_";

/// What a variable stands for.
enum Meaning {
    Value(String),
    FileWithValue(String),
    NotOurs,
    Section(String),
    Unknown,
}

/// Reads the variables of the server, in the order of their names.
pub(super) fn read(sources: &Sources) -> Layer {
    let mut layer = Layer::default();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let env: BTreeMap<&str, &str> =
        sources.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, value) in env {
        let result = match name.strip_prefix(START).map(|rest| meaning(rest, value)) {
            None | Some(Meaning::NotOurs) => continue,
            Some(Meaning::Value(path)) => read_value(&path, value).map(|value| (path, value)),
            Some(Meaning::FileWithValue(path)) => read_file(&path, value, sources).map(|value| (path, value)),
            Some(Meaning::Section(path)) => Err(section_fault(&path)),
            Some(Meaning::Unknown) => Err(unknown_fault(name)),
        };
        let origin = Origin::Env(name.to_owned());
        match result {
            Err(fault) => layer.faults.push(Fault { origin, ..fault }),
            Ok((path, value)) => {
                if let Some(other) = names.insert(path.clone(), name) {
                    layer.faults.push(Fault::new(&path, origin, format!("also set by {other}")));
                } else {
                    layer.entries.push(Entry { path, value, origin, line: None });
                }
            }
        }
    }
    layer
}

fn meaning(rest: &str, value: &str) -> Meaning {
    let path = rest.to_ascii_lowercase().replace("__", ".");
    // One section is written as its product writes it, with capital letters inside.
    let known = |path: &str| {
        manual().leaves.iter().map(|(leaf, _)| leaf).find(|leaf| leaf.eq_ignore_ascii_case(path))
    };
    if let Some(leaf) = known(&path) {
        return Meaning::Value(leaf.clone());
    }
    if READ_ELSEWHERE.contains(&rest) || rest.starts_with(FOR_TESTS) || is_service_link(rest, value) {
        return Meaning::NotOurs;
    }
    match path.strip_suffix(FILE_END) {
        Some(path) if manual().default_of(path).is_some() => Meaning::FileWithValue(path.to_owned()),
        _ if manual().is_section(&path) => Meaning::Section(path),
        _ => Meaning::Unknown,
    }
}

/// Kubernetes puts the address of every service of a namespace into each container: a service
/// named `keyward` yields `KEYWARD_SERVICE_HOST`, `KEYWARD_PORT=tcp://…`, `KEYWARD_PORT_80_TCP`.
fn is_service_link(rest: &str, value: &str) -> bool {
    if rest.contains("__") {
        return false;
    }
    let rest = format!("_{rest}");
    let is_port = |tail: &str| tail.starts_with(|c: char| c.is_ascii_digit());
    rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || (rest.ends_with("_PORT") && value.contains("://"))
        || rest.split("_PORT_").skip(1).any(is_port)
}

/// A text is taken as it is, since a password may hold `: ` or ` #`; quotes ask for YAML.
fn read_value(path: &str, value: &str) -> Result<Value, Fault> {
    if is_text(path) && !value.starts_with(['"', '\'']) {
        return Ok(value.into());
    }
    let node =
        tree::parse(value).map_err(|broken| fault(path, format!("is no YAML value: {}", broken.reason)))?;
    Ok(node.into_value())
}

fn read_file(path: &str, file: &str, sources: &Sources) -> Result<Value, Fault> {
    if !is_text(path) {
        return Err(fault(path, "is no text, so it cannot be read from a file"));
    }
    let text = fs::read_to_string(sources.working_dir.join(file))
        .map_err(|error| fault(path, format!("the file {file:?} cannot be read: {error}")))?;
    Ok(text.trim().into())
}

fn is_text(path: &str) -> bool {
    manual().default_of(path).is_some_and(Value::is_string)
}

fn section_fault(path: &str) -> Fault {
    let start = format!("{START}{}__", path.to_uppercase().replace('.', "__"));
    fault(path, format!("is a section; set one key of it, {start}…"))
}

fn unknown_fault(name: &str) -> Fault {
    fault(name, "unknown setting").suggesting(suggestion::for_variable(name))
}

/// A fault whose origin the caller fills in.
fn fault(key: &str, problem: impl Into<String>) -> Fault {
    Fault::new(key, Origin::Default, problem)
}
