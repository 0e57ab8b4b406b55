//! `keyward bootstrap`

use std::path::PathBuf;

use clap::Args;

use super::{Global, Outcome};

/// Make the first administrator and key in a data folder
#[derive(Args, Debug)]
pub(crate) struct BootstrapArgs {
    /// Folder of the database and the root key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Name of the administrator
    #[arg(long, value_name = "NAME")]
    pub(crate) username: String,
    /// Mail address of the administrator
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Runs `keyward bootstrap`.
pub(crate) async fn run(_args: BootstrapArgs, _global: &Global) -> Outcome {
    anyhow::bail!("not part of this build")
}
