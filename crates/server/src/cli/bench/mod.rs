//! `keyward bench`: this machine's figures, each with the limit that it is measured against in the
//! same run. A bare time says little; a ratio travels (`docs/reference/performance.md`).

mod create;
mod load;
mod login;
mod mint;
mod revocation;
mod stage;
mod start;
mod throughput;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::output::Output;
use super::{Exit, Global, Outcome, span};

/// Measure this machine: verifications, forward-auth, key creation, tokens, logins, time until a revocation bites
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

/// What to measure.
#[derive(Subcommand, Debug)]
pub(crate) enum BenchCommand {
    /// POST /v1/verify against a constant answer
    Verify(BenchLoadArgs),
    /// The forward-auth endpoint /authz against a constant answer
    Authz(BenchLoadArgs),
    /// POST /v1/verify/batch, 100 keys a request
    Batch(BenchLoadArgs),
    /// POST /v1/keys against the engine's own durable inserts
    Create(BenchLoadArgs),
    /// POST /v1/trusted/tokens against bare signatures
    Mint(BenchLoadArgs),
    /// Logins by password: a storm of them, and whether their times tell who is there
    Login(login::BenchLoginArgs),
    /// How long a revoked key is still accepted, here and on a second node
    Revocation(BenchLoadArgs),
    /// From the start of a server to its first right answer
    Start(BenchLoadArgs),
    /// The constant answer that others are measured against
    #[command(hide = true)]
    Constant(ConstantArgs),
}

/// The load.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchLoadArgs {
    /// How long to measure each stage
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span::parse)]
    pub(crate) duration: Duration,
    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) keys: u32,
    /// Connections kept open
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) connections: u32,
    /// Runs; the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) runs: u32,
    /// What is presented to verify
    #[arg(long, value_enum, default_value_t)]
    pub(crate) present: Presenting,
}

/// Credentials of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Presenting {
    /// The secrets of keys that there are
    #[default]
    Good,
    /// Well-formed secrets of keys that there are not
    Unknown,
    /// Secrets with a wrong checksum
    Malformed,
}

/// Where the constant answer listens.
#[derive(Args, Debug)]
pub(crate) struct ConstantArgs {
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
}

/// Runs `keyward bench`.
pub(crate) async fn run(args: BenchArgs, global: &Global) -> Outcome {
    let figures = match args.command {
        BenchCommand::Verify(load) => throughput::run(throughput::Kind::Verify, &load).await?,
        BenchCommand::Authz(load) => throughput::run(throughput::Kind::Authz, &load).await?,
        BenchCommand::Batch(load) => throughput::run(throughput::Kind::Batch, &load).await?,
        BenchCommand::Create(load) => create::run(&load).await?,
        BenchCommand::Mint(load) => mint::run(&load).await?,
        BenchCommand::Login(args) => login::run(&args).await?,
        BenchCommand::Revocation(load) => revocation::run(&load).await?,
        BenchCommand::Start(load) => start::run(&load).await?,
        BenchCommand::Constant(args) => {
            stage::serve_constant(args.listen)?;
            return Ok(Exit::Ok);
        }
    };
    let columns: Vec<&str> =
        figures.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
    Output::new(global).object(&columns, &figures)?;
    Ok(Exit::Ok)
}
