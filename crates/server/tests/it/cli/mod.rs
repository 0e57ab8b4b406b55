//! The command line, run as its users run it.

mod errors;
mod help;
mod identify;
mod live;
mod print_curl;
mod retries;
mod secrets;

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// A token to look for where it must not appear.
pub(crate) const SECRET: &str = "kwm_00000000000000000000000000000000000000000000000000000000000";

/// The binary with an environment of its own: nothing of the machine's `KEYWARD_…` leaks in.
pub(crate) fn keyward(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEYWARD_") {
            command.env_remove(name);
        }
    }
    // Nor a session that somebody keeps on this machine.
    command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code.
    pub(crate) code: i32,
    /// Everything on stdout.
    pub(crate) out: String,
    /// Everything on stderr.
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

/// Runs to the end.
pub(crate) fn run(args: &[&str]) -> Run {
    keyward(args).output().expect("the binary runs").into()
}

/// Runs with text on stdin.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input.as_bytes()).expect("stdin is read");
    drop(stdin);
    child.wait_with_output().expect("the binary ends").into()
}

/// An address where nobody listens: a privileged port, which no other test can be given.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1";
