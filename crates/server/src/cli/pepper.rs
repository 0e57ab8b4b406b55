//! `keyward pepper`: the secret part of how credentials are hashed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Global, Outcome};

/// See and rotate the peppers under which secrets are hashed
#[derive(Args, Debug)]
pub(crate) struct PepperArgs {
    #[command(subcommand)]
    pub(crate) command: PepperCommand,
}

/// The life of a pepper.
#[derive(Subcommand, Debug)]
pub(crate) enum PepperCommand {
    /// List peppers and how many secrets each still holds
    Status(PepperPlaceArgs),
    /// Make a new pepper for new secrets
    Rotate(PepperPlaceArgs),
    /// Drop an old pepper; secrets still under it stop working
    Retire(PepperRetireArgs),
}

/// Which installation.
#[derive(Args, Debug)]
pub(crate) struct PepperPlaceArgs {
    /// Folder of the database and the root key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Which pepper.
#[derive(Args, Debug)]
pub(crate) struct PepperRetireArgs {
    /// Number of the pepper, from `pepper status`
    pub(crate) id: u32,
    #[command(flatten)]
    pub(crate) place: PepperPlaceArgs,
}

/// Runs `keyward pepper`.
pub(crate) async fn run(_args: PepperArgs, _global: &Global) -> Outcome {
    anyhow::bail!("not part of this build")
}
