//! `keyward import users`

use std::collections::HashMap;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{FileArgs, Report, file, progress};
use crate::cli::client::Request;
use crate::cli::noun::Noun;
use crate::cli::{Exit, Failure, Outcome, Session, groups, roles};
use crate::imports::file::{Kind, Line};

const FIELDS: &[(&str, Kind)] = &[
    ("username", Kind::Text),
    ("email", Kind::Text),
    ("display_name", Kind::Text),
    ("roles", Kind::Names),
    ("groups", Kind::Names),
];

#[derive(Args, Debug)]
pub(super) struct UsersArgs {
    #[command(flatten)]
    file: FileArgs,
}

/// Names that were looked up.
#[derive(Default)]
struct Names(HashMap<String, String>);

/// Runs `keyward import users`.
pub(super) async fn run(session: &Session, args: &UsersArgs) -> Outcome {
    let lines = file::read_lines(&args.file, FIELDS, &[])?;
    let bar = progress(session, lines.rows.len());
    let mut report = Report::new("users");
    let (mut roles, mut groups) = (Names::default(), Names::default());
    for line in &lines.rows {
        let body = match body(session, line, &mut roles, &mut groups).await {
            Ok(body) => body,
            Err(note) if is_unknown(&note) => {
                report.add(std::slice::from_ref(line), &failed(&line.row, "not_found", &note.to_string()));
                continue;
            }
            Err(other) => return Err(other),
        };
        let answer = make(session, body, args.file.resume, &line.row).await;
        report.add(std::slice::from_ref(line), &answer.inspect_err(|_| bar.finish_and_clear())?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.print(session)
}

/// A role or group that there is not speaks against one row; a server that is away against all.
fn is_unknown(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit() == Exit::NotFound)
}

/// The user as the API takes it: names of roles and groups become ids.
async fn body(
    session: &Session,
    line: &Line,
    roles: &mut Names,
    groups: &mut Names,
) -> anyhow::Result<Map<String, Value>> {
    let mut body = line.row.clone();
    for (from, to, noun, names) in
        [("roles", "role_ids", &roles::ROLES, roles), ("groups", "group_ids", &groups::GROUPS, groups)]
    {
        if let Some(Value::Array(list)) = body.remove(from) {
            let mut ids = Vec::new();
            for name in list.iter().filter_map(Value::as_str) {
                ids.push(names.id(session, noun, name).await?);
            }
            body.insert(to.into(), json!(ids));
        }
    }
    Ok(body)
}

impl Names {
    async fn id(&mut self, session: &Session, noun: &Noun, name: &str) -> anyhow::Result<String> {
        if let Some(id) = self.0.get(name) {
            return Ok(id.clone());
        }
        let id = noun.resolve(session, name).await?;
        self.0.insert(name.to_owned(), id.clone());
        Ok(id)
    }
}

/// Makes one, and tells of it as the server tells of a batch.
async fn make(
    session: &Session,
    body: Map<String, Value>,
    resume: bool,
    row: &Map<String, Value>,
) -> anyhow::Result<Value> {
    let mut request = Request::post("/v1/users", body);
    if session.global.dry_run {
        request = request.query("validate_only", "true");
    }
    let Err(problem) = session.client.send_or_refusal(request).await? else {
        return Ok(json!({ "rows": 1, "imported": 1 }));
    };
    let code = problem["code"].as_str().unwrap_or_default();
    if resume && code == "already_exists" {
        return Ok(json!({ "rows": 1, "skipped": 1 }));
    }
    let first = &problem["errors"][0]["detail"];
    let detail = first.as_str().or(problem["detail"].as_str()).unwrap_or_default();
    Ok(failed(row, code, detail))
}

fn failed(row: &Map<String, Value>, code: &str, detail: &str) -> Value {
    let name = row.get("username").cloned().unwrap_or_default();
    let error = json!({ "row": 0, "external_id": name, "code": code, "detail": detail });
    json!({ "rows": 1, "failed": 1, "errors": [error] })
}
