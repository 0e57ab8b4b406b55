//! `keyward openapi`

use clap::Args;

use super::client::Request;
use super::output::{Format, Output};
use super::{Exit, Global, Outcome, Session};

/// Print the server's OpenAPI document
#[derive(Args, Debug)]
pub(crate) struct OpenapiArgs {
    /// json or yaml
    #[arg(long, default_value = "json", value_parser = ["json", "yaml"])]
    format: String,
}

/// Runs `keyward openapi`.
pub(crate) async fn run(args: OpenapiArgs, global: &Global) -> Outcome {
    let session = Session::open(global)?;
    let document = session.client.send(Request::get("/openapi.json").public()).await?;
    let format = if args.format == "yaml" { Format::Yaml } else { Format::Json };
    Output::new(global).or(format).object(&[], &document)?;
    Ok(Exit::Ok)
}
