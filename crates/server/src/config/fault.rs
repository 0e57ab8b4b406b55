//! What is wrong with a configuration, told so that it can be put right.

use std::fmt;

use super::source::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Full dotted path of the key, or the name of the environment variable if it has none;
    /// empty if the file as a whole is meant.
    pub(crate) key: String,
    /// The source of the value.
    pub(crate) origin: Origin,
    /// Line in the file, if known.
    pub(crate) line: Option<u64>,
    /// What is wrong and what is expected. Never holds a secret.
    pub(crate) problem: String,
    /// What was probably meant, if the key is unknown.
    pub(crate) suggestion: Option<String>,
}

impl Fault {
    pub(super) fn new(key: &str, origin: Origin, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { key: key.to_owned(), origin, line: None, problem, suggestion: None }
    }

    pub(super) fn at_line(self, line: Option<u64>) -> Self {
        Self { line, ..self }
    }

    pub(super) fn suggesting(self, suggestion: Option<String>) -> Self {
        Self { suggestion, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.to_string();
        // Keys, paths and messages of others may hold control characters: escape what we print.
        let (key, origin) = (self.key.escape_debug(), origin.escape_debug());
        match (self.key.is_empty(), self.line) {
            (true, None) => write!(f, "{origin}")?,
            (true, Some(line)) => write!(f, "{origin}, line {line}")?,
            (false, None) => write!(f, "{key} ({origin})")?,
            (false, Some(line)) => write!(f, "{key} ({origin}, line {line})")?,
        }
        write!(f, ": {}", self.problem)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean {suggestion}?"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The faults, in the order in which they were found.
    pub(crate) faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => write!(f, "the configuration has an error:")?,
            count => write!(f, "the configuration has {count} errors:")?,
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigError {}
