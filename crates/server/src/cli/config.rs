//! `keyward config`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Global, Outcome};

/// Look at the server's configuration
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// The three things to ask of a configuration.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Print all settings and where each comes from
    Show(ConfigFileArgs),
    /// Check the configuration; exit code 3 if it is bad
    Check(ConfigFileArgs),
    /// Explain one setting: meaning, default, environment variable
    Explain(ConfigExplainArgs),
}

/// Which configuration to look at.
#[derive(Args, Debug)]
pub(crate) struct ConfigFileArgs {
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Which setting to explain.
#[derive(Args, Debug)]
pub(crate) struct ConfigExplainArgs {
    /// Setting, such as verify.max_staleness
    pub(crate) setting: String,
    #[command(flatten)]
    pub(crate) file: ConfigFileArgs,
}

/// Runs `keyward config`.
pub(crate) async fn run(_args: ConfigArgs, _global: &Global) -> Outcome {
    anyhow::bail!("not part of this build")
}
