//! `keyward config`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use serde_json::json;

use super::output::Output;
use super::{Exit, Failure, Global, Outcome, local};
use crate::config::{self, Loaded};

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
pub(crate) async fn run(args: ConfigArgs, global: &Global) -> Outcome {
    match args.command {
        ConfigCommand::Show(file) => {
            show(&local::load(&local::sources(file.config.as_deref(), None))?, global)
        }
        ConfigCommand::Check(file) => {
            local::load(&local::sources(file.config.as_deref(), None))?;
            Output::new(global).note("the configuration is good");
            Ok(Exit::Ok)
        }
        ConfigCommand::Explain(args) => explain(&args, global),
    }
}

fn show(loaded: &Loaded, global: &Global) -> Outcome {
    let rows = config::rows(loaded)
        .into_iter()
        .map(|row| json!({ "setting": row.path, "value": row.text(), "origin": row.origin.to_string() }));
    Output::new(global).rows(&["setting", "value", "origin"]).all(rows.collect())?;
    Ok(Exit::Ok)
}

fn explain(args: &ConfigExplainArgs, global: &Global) -> Outcome {
    let Some(text) = config::explain(&args.setting) else {
        let title = format!("there is no setting {}", args.setting);
        let hint = match config::meant(&args.setting) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "keyward config show lists all".to_owned(),
        };
        return Err(Failure::new(Exit::NotFound, title).hint(hint).into());
    };
    let loaded = local::load(&local::sources(args.file.config.as_deref(), None))?;
    let row = config::rows(&loaded).into_iter().find(|row| row.path == args.setting);
    let variable = format!("KEYWARD_{}", args.setting.to_uppercase().replace('.', "__"));
    let value = json!({
        "setting": args.setting,
        "meaning": text.replace('\n', " "),
        "variable": variable,
        "value": row.as_ref().map(config::Row::text),
        "origin": row.map(|row| row.origin.to_string()),
    });
    Output::new(global).object(&["setting", "meaning", "variable", "value", "origin"], &value)?;
    Ok(Exit::Ok)
}
