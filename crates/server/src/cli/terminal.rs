//! Which of the three streams is a person.

use std::io::IsTerminal;

/// What the standard streams are attached to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Somebody can type.
    pub(crate) stdin: bool,
    /// Data is read by a person.
    pub(crate) stdout: bool,
    /// Messages are read by a person.
    pub(crate) stderr: bool,
    /// Bold and colour are welcome (`NO_COLOR`, `TERM=dumb`).
    pub(crate) style: bool,
}

impl Terminal {
    /// Looks at the streams and the environment.
    pub(crate) fn detect() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let stdout = std::io::stdout().is_terminal();
        Self {
            stdin: std::io::stdin().is_terminal(),
            stdout,
            stderr: std::io::stderr().is_terminal(),
            style: stdout && !plain,
        }
    }
}
