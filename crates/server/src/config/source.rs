//! Where values come from.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use super::fault::Fault;

/// Everything a configuration is made of. Nothing else is read, so a test can state it all.
/// It has no `Debug`: the environment holds secrets.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// `--config` (or `KEYWARD_CONFIG`, which the caller reads).
    pub(crate) config: Option<PathBuf>,
    /// `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// `--listen`.
    pub(crate) listen: Option<String>,
    /// `--insecure-listen`.
    pub(crate) insecure_listen: bool,
    /// What relative paths of configuration and secret files start from; empty = the working
    /// directory of the process.
    pub(crate) working_dir: PathBuf,
    /// The environment.
    pub(crate) env: Vec<(String, String)>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `config.default.yml`.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable, by its full name.
    Env(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Flag(name) => write!(f, "flag:{name}"),
        }
    }
}

/// One value of one source.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
    pub(super) line: Option<u64>,
}

/// What one source says, and what is wrong with it.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
}

/// The flags as a layer.
pub(super) fn flags(sources: &Sources) -> Layer {
    let mut layer = Layer::default();
    if let Some(listen) = &sources.listen {
        layer.entries.push(flag("server.listen", "--listen", listen));
    }
    match sources.data_dir.as_ref().map(|path| path.to_str()) {
        Some(Some(path)) => layer.entries.push(flag("data_dir", "--data-dir", path)),
        Some(None) => {
            let origin = Origin::Flag("--data-dir".to_owned());
            layer.faults.push(Fault::new("data_dir", origin, "expected a path in UTF-8"));
        }
        None => {}
    }
    layer
}

fn flag(path: &str, name: &str, value: &str) -> Entry {
    let origin = Origin::Flag(name.to_owned());
    Entry { path: path.to_owned(), value: value.into(), origin, line: None }
}
