//! `/v1/export`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::audit;
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::exports::{self, What};
use crate::http::guard::Caller;
use crate::http::json::{Query, suggestion};
use crate::http::openapi::{Operation, Returns};
use crate::http::problem::Problem;
use crate::http::stream::{self, Parts};

pub(crate) const READ: Operation = Operation {
    id: "export_tenant",
    summary: "Export policies, roles, groups, users and keys without secrets, a JSON object a line",
    tag: "export",
    query: &["what"],
    body: None,
    status: 200,
    answer: Returns::Lines,
};

/// What to export.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExportQuery {
    what: Option<String>,
}

impl ExportQuery {
    /// All but the audit log unless told.
    fn kinds(&self) -> Result<Vec<What>> {
        let Some(words) = &self.what else {
            return Ok(What::ALL.into_iter().filter(|what| *what != What::Audit).collect());
        };
        let read = |word: &str| {
            let known = What::ALL.map(What::as_str);
            let found = What::ALL.into_iter().find(|what| what.as_str() == word);
            found.ok_or_else(|| Error::malformed("what", "unknown_value", suggestion(word, &known)))
        };
        words.split(',').map(read).collect()
    }
}

pub(crate) async fn read(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let what = query.kinds()?;
    exports::begin(&app, &actor, &what).await?;
    let reader = app.clone();
    Ok(stream::answer(&app, "application/jsonl", move |parts| send(reader, actor, what, parts)))
}

async fn send(app: Arc<App>, actor: Actor, what: Vec<What>, parts: Parts) -> Result<()> {
    for what in what {
        if what == What::Audit
            && !audit::send_chain(&app, &actor.tenant_id, audit::Format::Jsonl, &(i64::MIN..i64::MAX), &parts)
                .await?
        {
            return Ok(());
        }
        let mut cursor = None;
        loop {
            let (lines, next) = exports::page(&app, &actor, what, cursor.as_deref()).await?;
            if !parts.send(lines).await {
                return Ok(());
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(())
}
