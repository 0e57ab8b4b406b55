//! `keyward completion`

use clap::Args;
use clap_complete::Shell;

use super::{Exit, Outcome, output};

/// Print the completion script of a shell
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// Shell to complete in
    shell: Shell,
}

/// Runs `keyward completion`.
pub(crate) fn run(args: &CompletionArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "keyward", &mut script);
    output::write_bytes(&script)?;
    Ok(Exit::Ok)
}
