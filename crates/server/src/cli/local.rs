//! Commands that work on the data folder itself, without a server.

use std::path::Path;
use std::sync::Arc;

use super::serve::ServerArgs;
use super::{Exit, Failure};
use crate::app::App;
use crate::config::{self, Loaded, Sources};
use crate::error::Error;
use crate::logging::{self, LogLevels};
use crate::serve;

/// Reads the configuration for the given places.
pub(crate) fn load(sources: &Sources) -> anyhow::Result<Loaded> {
    config::load(sources).map_err(|error| Failure::new(Exit::Config, error.to_string()).into())
}

/// The sources of a local command.
pub(crate) fn sources(config: Option<&Path>, data_dir: Option<&Path>) -> Sources {
    Sources {
        config: config.map(Into::into),
        data_dir: data_dir.map(Into::into),
        env: std::env::vars().collect(),
        ..Sources::default()
    }
}

/// Opens the application for a server, with its logs.
pub(crate) async fn open_server(args: &ServerArgs) -> anyhow::Result<Arc<App>> {
    let loaded = load(&Sources {
        listen: args.listen.map(|address| address.to_string()),
        insecure_listen: args.insecure_listen,
        ..sources(args.config.as_deref(), args.data_dir.as_deref())
    })?;
    serve::save_memory();
    let log = &loaded.settings.log;
    let levels = logging::start(&log.filter, log.format).map_err(failure)?;
    serve::open(loaded, levels).await.map_err(failure)
}

/// Opens the application for one command, without logs and jobs.
pub(crate) async fn open(config: Option<&Path>, data_dir: Option<&Path>) -> anyhow::Result<Arc<App>> {
    let loaded = load(&sources(config, data_dir))?;
    serve::open(loaded, LogLevels::silent()).await.map_err(failure)
}

/// An error of the server, told on the terminal.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn failure(error: Error) -> anyhow::Error {
    let exit = match &error {
        Error::Conflict { .. } | Error::StaleVersion => Exit::Conflict,
        Error::NotFound | Error::NotSetUp => Exit::NotFound,
        Error::Invalid(_) | Error::Malformed(_) => Exit::Usage,
        Error::Policy { .. } => Exit::Blocked,
        Error::Startup(_) => Exit::Config,
        Error::Locked(_) => Exit::Locked,
        Error::Damaged(_) => Exit::Integrity,
        Error::Outage(_) => Exit::Unreachable,
        _ => Exit::Failure,
    };
    let title = match &error {
        Error::Outage(cause) | Error::Internal(cause) => format!("{error}: {cause}"),
        Error::Invalid(faults) | Error::Malformed(faults) => {
            let told: Vec<_> =
                faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.detail)).collect();
            told.join("; ")
        }
        other => other.to_string(),
    };
    Failure::new(exit, title).into()
}
