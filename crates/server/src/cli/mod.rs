//! The command line: one file per noun, and what they share.
//!
//! stdout carries data only, messages go to stderr, and the exit code tells what happened
//! (`keyward help exit-codes`).

pub(crate) mod api;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod audit_file;
mod audit_local;
pub(crate) mod bench;
pub(crate) mod bootstrap;
mod cell;
mod checkpoint;
mod client;
pub(crate) mod completion;
pub(crate) mod config;
mod credits;
mod curl;
pub(crate) mod doctor;
mod exit;
mod expiry;
pub(crate) mod export;
pub(crate) mod factors;
mod filter;
pub(crate) mod groups;
pub(crate) mod handovers;
pub(crate) mod help;
pub(crate) mod identify;
pub(crate) mod import;
pub(crate) mod incident;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod local;
pub(crate) mod log_levels;
pub(crate) mod login;
pub(crate) mod notifications;
mod noun;
pub(crate) mod openapi;
mod output;
pub(crate) mod password;
pub(crate) mod pepper;
pub(crate) mod policies;
mod problem;
pub(crate) mod prompt;
mod remembered;
pub(crate) mod roles;
pub(crate) mod root_key;
mod secret;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod signing_keys;
mod span;
mod stream;
pub(crate) mod tenants;
mod terminal;
pub(crate) mod tokens;
pub(crate) mod trusted;
pub(crate) mod users;
pub(crate) mod verify;
pub(crate) mod version;
pub(crate) mod webhooks;
pub(crate) mod whoami;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, CommandFactory, FromArgMatches};
use reqwest::Url;

use client::Client;
pub(crate) use exit::{Exit, Failure};
pub(crate) use output::Format;
use output::Output;

/// What a command ends with.
pub(crate) type Outcome = anyhow::Result<Exit>;

/// Options that every command understands.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Server to talk to
    #[arg(long, global = true, env = "KEYWARD_URL", value_name = "URL", hide_short_help = true)]
    #[arg(default_value = "http://127.0.0.1:8700", value_parser = client::parse_url)]
    pub(crate) url: Url,
    /// File that holds the token (else $KEYWARD_TOKEN); a secret is never a flag
    #[arg(long, global = true, env = "KEYWARD_TOKEN_FILE", value_name = "FILE", hide_short_help = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// Act inside this tenant (operators)
    #[arg(long, global = true, env = "KEYWARD_TENANT", value_name = "SLUG", hide_short_help = true)]
    pub(crate) tenant: Option<String>,
    /// Output format; default: table on a terminal, TSV in a pipe
    #[arg(short, long, global = true, env = "KEYWARD_OUTPUT", value_enum, hide_short_help = true)]
    pub(crate) output: Option<Format>,
    /// Columns of table, TSV and CSV, by the names of the API
    #[arg(long, global = true, value_name = "NAME,…", value_delimiter = ',', hide_short_help = true)]
    pub(crate) fields: Vec<String>,
    /// Leave out the header line of table, TSV and CSV
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_headers: bool,
    /// Let the server check and tell what would happen; change nothing
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) dry_run: bool,
    /// Do not ask before a destructive step
    #[arg(short, long, global = true, hide_short_help = true)]
    pub(crate) yes: bool,
    /// Never prompt; fail and name the flag to add
    #[arg(long, global = true, env = "KEYWARD_NO_INPUT", hide_short_help = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) no_input: bool,
    /// No messages but errors
    #[arg(short, long, global = true, hide_short_help = true)]
    pub(crate) quiet: bool,
    /// Print the curl command, with $KEYWARD_TOKEN in place of the token, and send nothing
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) print_curl: bool,
    /// Longest wait for one answer
    #[arg(long, global = true, value_name = "SPAN", default_value = "30s", hide_short_help = true)]
    #[arg(value_parser = span::parse)]
    pub(crate) timeout: Duration,
    /// Tries after a lost connection or 503
    #[arg(long, global = true, value_name = "N", default_value_t = 2, hide_short_help = true)]
    pub(crate) retries: u32,
    /// PEM file with the only certificate authorities to trust
    #[arg(long, global = true, env = "KEYWARD_CACERT", value_name = "FILE", hide_short_help = true)]
    pub(crate) cacert: Option<PathBuf>,
}

/// What a client command works with.
pub(crate) struct Session {
    /// Speaks to the server.
    pub(crate) client: Client,
    /// Prints data and notes.
    pub(crate) output: Output,
    /// The options of this call.
    pub(crate) global: Global,
}

impl Session {
    /// Prepares a client command; from here on Ctrl-C ends the process with 130.
    pub(crate) fn open(global: &Global) -> anyhow::Result<Self> {
        prompt::exit_when_interrupted()?;
        let output = Output::new(global);
        Ok(Self { client: Client::new(global)?, output, global: global.clone() })
    }

    /// Whether anything may be asked of a person.
    pub(crate) fn can_ask(&self) -> bool {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let terminal = self.output.terminal();
        terminal.stdin && terminal.stderr && !self.global.no_input && !ci
    }
}

/// Reads the arguments; ends the process with 2 and a suggestion where they are wrong.
pub(crate) fn parse() -> crate::Cli {
    let matches = command().get_matches();
    crate::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Tells a failure on stderr and turns the outcome into the exit code.
pub(crate) fn finish(outcome: Outcome) -> ExitCode {
    outcome.unwrap_or_else(|error| exit::tell(&error)).into()
}

/// The command tree with the examples of every command.
fn command() -> clap::Command {
    help::with_examples(crate::Cli::command())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_tree_is_well_formed() {
        super::command().debug_assert();
    }
}
