//! Configuration: what is in effect and where it comes from, and the levels of the logs (VA1, VA9).

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::{Shown, go};
use crate::config::{self, Origin, Row};
use crate::error::{Error, Result};
use crate::http::v1::log_levels::{self, LogLevels};

const CONFIGURATION: &str = "/console/configuration";
/// Levels, the quietest first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A setting.
struct Line {
    path: String,
    value: String,
    source: String,
    is_default: bool,
    meaning: &'static str,
}

/// The settings that stand together.
struct Section {
    name: String,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "configuration.html")]
struct ConfigurationPage<'a> {
    f: &'a Frame,
    sections: Vec<Section>,
    /// The filter of the logs.
    current: &'a str,
    levels: &'static [&'static str],
    may_set: bool,
    faults: &'a Faults,
}

pub(crate) async fn show(visit: Visit) -> Shown {
    let filter = visit.app.log_levels.current();
    ask(&visit, &filter, &Faults::default())
}

fn ask(visit: &Visit, filter: &str, faults: &Faults) -> Shown {
    super::page(&ConfigurationPage {
        f: &visit.frame,
        sections: sections(&visit.frame, &visit.app.configuration),
        current: filter,
        levels: &LEVELS,
        may_set: visit.frame.may("instance/log:write"),
        faults,
    })
}

fn sections(frame: &Frame, rows: &[Row]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for row in rows {
        let name = row.path.split_once('.').map_or("", |(section, _)| section);
        if sections.last().is_none_or(|last| last.name != name) {
            sections.push(Section { name: name.to_owned(), lines: Vec::new() });
        }
        let line = Line {
            path: row.path.clone(),
            value: row.text(),
            source: source(frame, &row.origin),
            is_default: row.origin == Origin::Default,
            meaning: config::explain(&row.path).unwrap_or_default(),
        };
        if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    sections
}

fn source(frame: &Frame, origin: &Origin) -> String {
    match origin {
        Origin::Default => frame.t("Default").to_owned(),
        Origin::File(path) => frame.f("File {}", path.display()),
        Origin::Env(name) => frame.f("Environment variable {}", name),
        Origin::Flag(name) => frame.f("Flag {}", name),
    }
}

/// The whole filter, or the level of one module.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LevelsForm {
    filter: Option<String>,
    module: Option<String>,
    /// One of [`LEVELS`]; nothing brings the module back to the level of all.
    level: Option<String>,
}

pub(crate) async fn set_levels(visit: Visit, Form(form): Form<LevelsForm>) -> Shown {
    let filter = form.filter.unwrap_or_default().trim().to_owned();
    set(&visit, LogLevels { filter }).await
}

pub(crate) async fn set_level(visit: Visit, Form(form): Form<LevelsForm>) -> Shown {
    let current = visit.app.log_levels.current();
    match with_level(&current, form.module.as_deref(), form.level.as_deref()) {
        Ok(filter) => set(&visit, LogLevels { filter }).await,
        Err(error) => refuse(&visit, &current, error),
    }
}

async fn set(visit: &Visit, wanted: LogLevels) -> Shown {
    match log_levels::set(&visit.app, &visit.actor, &wanted).await {
        Ok(()) => go(CONFIGURATION, "log-levels"),
        Err(error) => refuse(visit, &wanted.filter, error),
    }
}

fn refuse(visit: &Visit, filter: &str, error: Error) -> Shown {
    let page = ask(visit, filter, &Faults::of(error)?)?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// A filter with another level for one module.
fn with_level(filter: &str, module: Option<&str>, level: Option<&str>) -> Result<String> {
    let module = module.map(str::trim).unwrap_or_default();
    let is_name = !module.is_empty()
        && module.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
    if !is_name {
        return Err(Error::invalid(
            "/module",
            "bad_value",
            "expected the name of a module, as in keyward::verify",
        ));
    }
    if level.is_some_and(|level| !LEVELS.contains(&level)) {
        return Err(Error::invalid("/level", "bad_value", "there is no such level"));
    }
    let is_other = |part: &&str| part.split('=').next() != Some(module);
    let mut parts: Vec<String> =
        filter.split(',').map(str::trim).filter(is_other).map(ToOwned::to_owned).collect();
    parts.extend(level.map(|level| format!("{module}={level}")));
    Ok(parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn va9_the_level_of_one_module_changes_and_no_other() {
        let with = |filter, level| with_level(filter, Some("keyward::verify"), level).expect("a filter");
        assert_eq!(with("info", Some("debug")), "info,keyward::verify=debug");
        assert_eq!(
            with("info,keyward::verify=debug, sqlx=warn", Some("trace")),
            "info,sqlx=warn,keyward::verify=trace"
        );
        assert_eq!(with("info,keyward::verify=debug", None), "info");
        assert!(with_level("info", Some("a b"), Some("debug")).is_err());
        assert!(with_level("info", None, Some("debug")).is_err());
        assert!(with_level("info", Some("keyward"), Some("loud")).is_err());
    }
}
