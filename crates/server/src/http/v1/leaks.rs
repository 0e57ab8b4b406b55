//! `/report-leak`: for whoever finds a credential, so not below `/v1` and open to all.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use http::HeaderMap;

use crate::app::{App, Call};
use crate::error::Error;
use crate::http::answer::{Answer, Answered};
use crate::http::body::read_body_up_to;
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::leaks::github::{self, Alert, Feedbacks, Proof};
use crate::leaks::{self, ReportIn, ReportOut};

const TAG: &str = "leaks";

pub(crate) const REPORT: Operation = Operation {
    status: 202,
    ..Operation::act(
        "report_leak",
        TAG,
        "End a credential that was found; the answer is the same for every report",
        (
            shape::<ReportIn>(),
            r#"{"token": "kwm_the-whole-credential", "url": "https://paste.example/raw/7", "note": "found by a search"}"#,
        ),
        shape::<ReportOut>(),
    )
};
pub(crate) const GITHUB: Operation = Operation::act(
    "report_leak_github",
    TAG,
    "Take an alert of GitHub's secret scanning, signed by one of its keys",
    (
        shape::<Alert>(),
        r#"[{"token": "kwm_the-whole-credential", "type": "keyward_member_key", "url": "https://github.com/octocat/hello/blob/main/a.txt", "source": "content"}]"#,
    ),
    shape::<Feedbacks>(),
);

pub(crate) async fn report(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Json(input): Json<ReportIn>,
) -> Answered {
    app.must_be_set_up().await?;
    Answer::accepted(&leaks::report(&app, call, input).await?)
}

pub(crate) async fn take_from_github(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    request: Request,
) -> Answered {
    if !app.settings.leaks.github.enabled {
        return Err(Error::NotFound.into());
    }
    let body = read_body_up_to(request.into_body(), &app.settings, github::MOST_BYTES).await?;
    Answer::ok(&github::take(&app, call, proof(&headers), &body).await?)
}

fn proof(headers: &HeaderMap) -> Option<Proof<'_>> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    Some(Proof {
        identifier: text("github-public-key-identifier")?,
        signature: text("github-public-key-signature")?,
    })
}
