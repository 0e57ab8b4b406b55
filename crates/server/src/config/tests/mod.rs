//! Tests of the whole module; each builds its sources from nothing.

mod documentation;
mod order;
mod refusal;
mod safety;

use crate::config::fault::Fault;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Sources in an empty working directory, which must outlive them.
pub(super) struct Case {
    pub(super) dir: TempDir,
    pub(super) sources: Sources,
}

impl Case {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let sources = Sources { working_dir: dir.path().to_owned(), ..Sources::default() };
        Self { dir, sources }
    }

    /// Only `conf/config.yml`, with this text.
    pub(super) fn with_file(text: &str) -> Self {
        Self::new().file("conf/config.yml", text)
    }

    pub(super) fn file(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.sources)
    }

    pub(super) fn loaded(&self) -> Loaded {
        self.load().unwrap()
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.load().unwrap_err().faults
    }

    /// The only fault, as it is told.
    pub(super) fn fault(&self) -> String {
        let faults = self.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].to_string()
    }
}

/// The origin of one key.
pub(super) fn origin(loaded: &Loaded, path: &str) -> String {
    loaded.origins[path].to_string()
}
