//! `/v1/reports`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use serde::Deserialize;

use crate::app::App;
use crate::csv;
use crate::error::{Error, Result};
use crate::http::guard::Caller;
use crate::http::json::{Query, suggestion};
use crate::http::openapi::{Operation, Returns};
use crate::http::problem::Problem;
use crate::http::stream::{self, Parts};
use crate::reports::{self, COLUMNS};

pub(crate) const CREDENTIALS: Operation = Operation {
    id: "report_credentials",
    summary: "Report every key with owner, state, age, use and rights, as CSV or (format=jsonl) a JSON object a line",
    tag: "keys",
    query: &["format"],
    body: None,
    status: 200,
    answer: Returns::Csv,
};

/// In which form.
#[derive(Clone, Copy, Debug)]
enum Format {
    Csv,
    Jsonl,
}

/// How the report is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReportQuery {
    format: Option<String>,
}

impl ReportQuery {
    fn format(&self) -> Result<Format> {
        match self.format.as_deref() {
            None | Some("csv") => Ok(Format::Csv),
            Some("jsonl") => Ok(Format::Jsonl),
            Some(other) => {
                Err(Error::malformed("format", "unknown_value", suggestion(other, &["csv", "jsonl"])))
            }
        }
    }
}

pub(crate) async fn credentials(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Problem> {
    let format = query.format()?;
    reports::begin(&app, &actor).await?;
    let kind = match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Jsonl => "application/jsonl",
    };
    let (tenant, reader) = (actor.tenant_id, app.clone());
    let mut response = stream::answer(&app, kind, move |parts| send(reader, tenant, format, parts));
    if let Format::Csv = format {
        let name = HeaderValue::from_static("attachment; filename=\"credentials.csv\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn send(app: Arc<App>, tenant: String, format: Format, parts: Parts) -> Result<()> {
    let head = if let Format::Csv = format { csv::line(COLUMNS) } else { String::new() };
    let mut open = parts.send(head).await;
    let mut after = String::new();
    while open && let Some((last, lines)) = reports::page(&app, &tenant, &after).await? {
        let mut text = String::new();
        for line in lines {
            match format {
                Format::Csv => text.push_str(&line.csv()?),
                Format::Jsonl => {
                    let _ = writeln!(text, "{}", serde_json::to_string(&line).map_err(Error::internal)?);
                }
            }
        }
        open = parts.send(text).await;
        after = last;
    }
    Ok(())
}
