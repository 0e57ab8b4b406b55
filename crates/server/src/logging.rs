//! Logs: JSON lines by default, levels changeable at run time (VA9, AUD-3).

use std::io::IsTerminal as _;
use std::sync::Mutex;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::LogFormat;
use crate::error::{Error, Result};

/// The handle to change levels by.
pub(crate) struct LogLevels {
    handle: Option<reload::Handle<EnvFilter, Registry>>,
    filter: Mutex<String>,
}

impl LogLevels {
    /// Levels of a process that logs nothing, such as a local command.
    pub(crate) fn silent() -> Self {
        Self { handle: None, filter: Mutex::new("off".into()) }
    }

    /// The filter in force, as in `info,keyward::verify=debug`.
    pub(crate) fn current(&self) -> String {
        self.filter.lock().expect("no code panics while it holds this lock").clone()
    }

    /// Sets another filter.
    ///
    /// # Errors
    /// `Error::Internal` when logging has ended.
    pub(crate) fn set(&self, wanted: Filter) -> Result<()> {
        if let Some(handle) = &self.handle {
            handle.reload(wanted.parsed).map_err(Error::internal)?;
        }
        *self.filter.lock().expect("no code panics while it holds this lock") = wanted.text;
        Ok(())
    }
}

/// A filter that parses.
pub(crate) struct Filter {
    text: String,
    parsed: EnvFilter,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// `Error::Invalid` when it does not parse.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let parsed = EnvFilter::builder()
            .parse(text)
            .map_err(|why| Error::invalid("/filter", "bad_filter", why.to_string()))?;
        Ok(Self { text: text.into(), parsed })
    }
}

/// Starts logging to stderr; stdout belongs to data.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<LogLevels> {
    let parsed =
        EnvFilter::builder().parse(filter).map_err(|why| Error::Startup(format!("log.filter: {why}")))?;
    let (layer, handle) = reload::Layer::new(parsed);
    let registry = tracing_subscriber::registry().with(layer);
    let started = match format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => {
            // Colours are for terminals: in a file they are control characters (AUD-3).
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|why| Error::Startup(why.to_string()))?;
    Ok(LogLevels { handle: Some(handle), filter: Mutex::new(filter.into()) })
}
