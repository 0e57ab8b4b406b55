//! `keyward pepper`: the secret part of how credentials are hashed.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::output::Output;
use super::{Exit, Global, Outcome, local};
use crate::app::{Actor, App};
use crate::error::Error;
use crate::peppers;
use crate::store::tenants;

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
    /// Retire it although secrets still depend on it
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) place: PepperPlaceArgs,
}

/// Runs `keyward pepper`.
pub(crate) async fn run(args: PepperArgs, global: &Global) -> Outcome {
    match args.command {
        PepperCommand::Status(place) => {
            let app = place.open().await?;
            let rows = peppers::status(&app).await.map_err(local::failure)?;
            let rows = rows.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
            Output::new(global).rows(&["id", "state", "secrets", "created_at", "retired_at"]).all(rows)?;
        }
        PepperCommand::Rotate(place) => {
            let app = place.open().await?;
            let id = peppers::rotate(&app, &actor(&app).await?).await.map_err(local::failure)?;
            Output::new(global).note(&format!("pepper {id} is current; secrets move to it as they are used"));
        }
        PepperCommand::Retire(args) => {
            let app = args.place.open().await?;
            let actor = actor(&app).await?;
            let left = peppers::retire(&app, &actor, i64::from(args.id), args.force)
                .await
                .map_err(local::failure)?;
            Output::new(global)
                .note(&format!("pepper {} is retired; {left} secrets fail from now on", args.id));
        }
    }
    Ok(Exit::Ok)
}

impl PepperPlaceArgs {
    async fn open(&self) -> anyhow::Result<Arc<App>> {
        local::open(self.config.as_deref(), self.data_dir.as_deref()).await
    }
}

/// The operating system's user, in the primary tenant's audit log.
async fn actor(app: &App) -> anyhow::Result<Actor> {
    let mut conn = app.read().await.map_err(local::failure)?;
    let primary = tenants::find_primary(&mut conn).await.map_err(local::failure)?;
    let primary = primary.ok_or(Error::NotSetUp).map_err(local::failure)?;
    Ok(Actor::local(&primary.id, "pepper"))
}
