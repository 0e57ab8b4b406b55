//! `keyward version`

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::{Exit, Global, Outcome};

/// Print the version of this program
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {}

/// Runs `keyward version`.
pub(crate) fn run(_: VersionArgs, global: &Global) -> Outcome {
    let version = json!({"name": "keyward", "version": env!("CARGO_PKG_VERSION"), "licence": env!("CARGO_PKG_LICENSE")});
    Output::new(global).object(&["name", "version"], &version)?;
    Ok(Exit::Ok)
}
