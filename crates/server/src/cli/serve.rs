//! `keyward serve` and `keyward quickstart`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Global, Outcome};

/// Run the server
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Start a server with a first tenant, administrator and key, to try it out
#[derive(Args, Debug)]
pub(crate) struct QuickstartArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Where the server finds its things, and where it listens.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the database and the root key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Allow plain HTTP on an address that other machines can reach
    #[arg(long)]
    pub(crate) insecure_listen: bool,
}

/// Runs `keyward serve`.
pub(crate) async fn run(_args: ServeArgs, _global: &Global) -> Outcome {
    anyhow::bail!("not part of this build")
}

/// Runs `keyward quickstart`.
pub(crate) async fn quickstart(_args: QuickstartArgs, _global: &Global) -> Outcome {
    anyhow::bail!("not part of this build")
}
