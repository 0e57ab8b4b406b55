//! `keyward bench`

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Global, Outcome, span};

/// Measure this machine: verifications, forward-auth, time until a revocation bites
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

/// What to measure.
#[derive(Subcommand, Debug)]
pub(crate) enum BenchCommand {
    /// POST /v1/verify
    Verify(BenchLoadArgs),
    /// The forward-auth endpoint /authz
    Authz(BenchLoadArgs),
    /// How long a revoked key is still accepted
    Revocation(BenchLoadArgs),
}

/// The load.
#[derive(Args, Debug)]
pub(crate) struct BenchLoadArgs {
    /// How long to measure
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = span::parse)]
    pub(crate) duration: Duration,
    /// Requests per second (default: as many as possible)
    #[arg(long, value_name = "N")]
    pub(crate) rps: Option<u64>,
    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) keys: u32,
    /// Connections kept open
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) connections: u32,
}

/// Runs `keyward bench`.
pub(crate) async fn run(_args: BenchArgs, _global: &Global) -> Outcome {
    anyhow::bail!("not part of this build")
}
