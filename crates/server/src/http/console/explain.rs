//! "Why is it refused?": every check that a request with a key would meet (X2).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::decide::Code;
use serde::Deserialize;

use super::Shown;
use super::form::{Faults, lines};
use super::frame::Frame;
use super::gate::Visit;
use crate::error::{Error, Result};
use crate::http::json::Query;
use crate::http::problems;
use crate::http::v1::keys::{ExplainIn, ExplainOut};
use crate::keys;
use crate::keys::explain as explaining;
use crate::keys::wire::KeyOut;

/// One check of the decision.
struct CheckLine {
    code: &'static str,
    passed: bool,
    /// What it is about, as its own page says.
    detail: &'static str,
}

#[derive(Template)]
#[template(path = "key_explain.html")]
struct ExplainPage<'a> {
    f: &'a Frame,
    key: &'a KeyOut,
    query: &'a ExplainQuery,
    answer: Option<&'a ExplainOut>,
    checks: Vec<CheckLine>,
    faults: &'a Faults,
}

/// A request that is thought of; the same words as the API has.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExplainQuery {
    rights: Option<String>,
    method: Option<String>,
    path: Option<String>,
    client_ip: Option<String>,
}

impl ExplainQuery {
    fn input(&self) -> Result<ExplainIn> {
        let expected = || Error::invalid("/client_ip", "bad_value", "expected an address such as 192.0.2.7");
        let address = self.client_ip.as_deref().map(|text| text.trim().parse().map_err(|_| expected()));
        Ok(ExplainIn {
            rights: lines(self.rights.as_deref()),
            method: self.method.clone(),
            path: self.path.clone(),
            client_ip: address.transpose()?,
        })
    }
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>, Query(query): Query<ExplainQuery>) -> Shown {
    let key = keys::show(&visit.app, &visit.actor, &id).await?;
    let answer = match query.input() {
        Ok(input) => explaining::explain(&visit.app, &visit.actor, &id, &input).await,
        Err(error) => Err(error),
    };
    let (answer, faults) = match answer {
        Ok(answer) => (Some(answer), Faults::default()),
        Err(error) => (None, Faults::of(error)?),
    };
    let steps = answer.iter().flat_map(|answer| answer.steps.iter());
    let checks = steps.map(|step| {
        let code = Code::as_str(step.check);
        CheckLine { code, passed: step.passed, detail: problems::detail(code) }
    });
    let page = super::page(&ExplainPage {
        f: &visit.frame,
        key: &key,
        query: &query,
        checks: checks.collect(),
        answer: answer.as_ref(),
        faults: &faults,
    })?;
    if faults.is_empty() { Ok(page) } else { Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response()) }
}
