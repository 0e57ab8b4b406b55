//! Exit codes, stable for scripts, and how a failure is told.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

use super::cell;

/// The exit codes of `keyward help exit-codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Failed for a reason that has no code of its own.
    Failure = 1,
    /// Wrong arguments.
    Usage = 2,
    /// Bad configuration, or a file named by it cannot be read.
    Config = 3,
    /// Not signed in, or not allowed.
    Forbidden = 4,
    /// No such thing, or not for this caller to know.
    NotFound = 5,
    /// The state does not allow it, or it has changed meanwhile.
    Conflict = 6,
    /// A policy or quota forbids it.
    Blocked = 7,
    /// Too many requests.
    RateLimited = 9,
    /// `verify` and `identify`: the credential is not valid.
    NotValid = 10,
    /// The server cannot be reached; worth another try.
    Unreachable = 11,
    /// An integrity check failed.
    Integrity = 12,
    /// `doctor` found problems.
    Problems = 13,
    /// The root key cannot be opened: a wrong passphrase or PIN, or shares that do not make it.
    Locked = 14,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A failure as a person should read it, with the exit code that scripts see.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    title: String,
    details: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure with its one-line title.
    pub(crate) fn new(exit: Exit, title: impl Into<String>) -> Self {
        Self { exit, title: title.into(), details: Vec::new(), hint: None }
    }

    /// Wrong arguments.
    pub(crate) fn usage(title: impl Into<String>) -> Self {
        Self::new(Exit::Usage, title)
    }

    /// Adds a line below the title.
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", in_lines(&self.title))?;
        for line in &self.details {
            write!(f, "\n  {}", cell::clean(line))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", cell::clean(hint))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Text line by line. Those behind the first are set in, so that none from elsewhere passes for a hint of ours.
fn in_lines(text: &str) -> String {
    let lines = text.lines().map(|line| cell::clean(line.trim_start()));
    lines.collect::<Vec<_>>().join("\n  ")
}

/// Ends a command early because `--print-curl` has printed the request instead of sending it.
#[derive(Debug)]
pub(crate) struct Printed;

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was printed, not sent")
    }
}

impl std::error::Error for Printed {}

/// Writes the failure to stderr and names its exit code.
pub(crate) fn tell(error: &anyhow::Error) -> Exit {
    if error.is::<Printed>() || is_broken_pipe(error) {
        return Exit::Ok;
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        eprintln!("{failure}");
        return failure.exit;
    }
    eprintln!("error: {}", in_lines(&format!("{error:#}")));
    Exit::Failure
}

/// `keyward keys list | head -1` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_line_by_line_without_control_characters() {
        let failure =
            Failure::new(Exit::NotFound, "No key \u{1b}[31mx").detail("request id: r1").hint("list");
        assert_eq!(failure.to_string(), "error: No key \\u{1b}[31mx\n  request id: r1\nhint: list");
        assert_eq!(tell(&failure.into()), Exit::NotFound);
    }

    #[test]
    fn a_title_of_several_lines_stays_in_lines() {
        let title = "the configuration has 2 errors:\n  a: wrong\n  b: \u{1b}[31mwrong\nhint: none of ours";
        let told =
            "error: the configuration has 2 errors:\n  a: wrong\n  b: \\u{1b}[31mwrong\n  hint: none of ours";
        assert_eq!(Failure::new(Exit::Config, title).to_string(), told);
    }

    #[test]
    fn other_errors_are_1_and_a_closed_pipe_is_0() {
        assert_eq!(tell(&anyhow::anyhow!("boom")), Exit::Failure);
        let pipe = std::io::Error::from(ErrorKind::BrokenPipe);
        assert_eq!(tell(&pipe.into()), Exit::Ok);
        assert_eq!(tell(&Printed.into()), Exit::Ok);
    }
}
