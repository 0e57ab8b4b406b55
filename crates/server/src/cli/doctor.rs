//! `keyward doctor`: why it does not work, looked at from the client's side.

use clap::Args;
use http::HeaderMap;
use http::header::DATE;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::{Request, is_loopback};
use super::{Exit, Global, Outcome, Session, cell};

/// Apart by more, tokens and expiry times are judged differently on both sides.
const MOST_SKEW_SECONDS: i64 = 30;

/// Look for what is wrong between this machine and the server; exit code 13 if anything is
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {}

/// One line of the report.
struct Check {
    name: &'static str,
    state: &'static str,
    detail: String,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: "ok", detail: detail.into() }
    }

    fn warn(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: "warning", detail: detail.into() }
    }

    fn bad(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: "problem", detail: detail.into() }
    }
}

/// Runs `keyward doctor`.
pub(crate) async fn run(_: DoctorArgs, global: &Global) -> Outcome {
    let session = Session::open(global)?;
    let checks = examine(&session).await;
    let problems = checks.iter().filter(|check| check.state == "problem").count();
    let rows = checks
        .iter()
        .map(|check| json!({"check": check.name, "state": check.state, "detail": check.detail}))
        .collect();
    session.output.rows(&["check", "state", "detail"]).all(rows)?;
    if problems == 0 {
        return Ok(Exit::Ok);
    }
    session.output.note(&format!("{problems} of {} checks found a problem", checks.len()));
    Ok(Exit::Problems)
}

async fn examine(session: &Session) -> Vec<Check> {
    let mut checks = vec![transport(session)];
    checks.extend(token_file(session));
    let health = session.client.stream(Request::get("/healthz").public()).await;
    match health {
        Err(error) => checks.push(Check::bad("reachable", first_lines(&error))),
        Ok(answer) => {
            checks.push(Check::ok("reachable", session.global.url.as_str()));
            checks.push(clock(answer.headers(), crate::clock::timestamp()));
            checks.push(ready(session).await);
            checks.push(version(session).await);
            checks.push(token(session).await);
        }
    }
    checks
}

fn transport(session: &Session) -> Check {
    let url = &session.global.url;
    match url.scheme() {
        "https" => Check::ok("tls", "https"),
        _ if is_loopback(url) => Check::ok("tls", "plain http, which stays on this machine"),
        _ => Check::bad("tls", format!("{url} is plain http: tokens can be read on the way")),
    }
}

/// Others on this machine must not read the token.
fn token_file(session: &Session) -> Option<Check> {
    use std::os::unix::fs::PermissionsExt;
    let path = session.global.token_file.as_ref()?;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let told = format!("{} has mode {mode:04o}", path.display());
    Some(if mode & 0o077 == 0 {
        Check::ok("token file", told)
    } else {
        Check::bad("token file", format!("{told}; chmod 600 it"))
    })
}

fn clock(headers: &HeaderMap, now: Timestamp) -> Check {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(server) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return Check::warn("clock", "the server tells no time");
    };
    let seconds = server.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let skew = now.as_second() - i64::try_from(seconds).unwrap_or(i64::MAX);
    let told = match skew {
        ..-1 => format!("this machine is {} s behind the server", -skew),
        2.. => format!("this machine is {skew} s ahead of the server"),
        _ => "the same as the server's".to_owned(),
    };
    if skew.abs() <= MOST_SKEW_SECONDS { Check::ok("clock", told) } else { Check::bad("clock", told) }
}

async fn ready(session: &Session) -> Check {
    match session.client.stream(Request::get("/readyz").public()).await {
        Ok(_) => Check::ok("ready", "the server takes requests"),
        Err(error) => Check::bad("ready", first_lines(&error)),
    }
}

async fn version(session: &Session) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    match session.client.send(Request::get("/openapi.json").public()).await {
        Err(error) => Check::warn("version", first_lines(&error)),
        Ok(answer) => compare_versions(own, answer["info"]["version"].as_str()),
    }
}

fn compare_versions(own: &str, server: Option<&str>) -> Check {
    match server {
        Some(server) if server == own => Check::ok("version", own),
        Some(server) => Check::warn("version", format!("this program is {own}, the server is {server}")),
        None => Check::warn("version", "the server tells no version"),
    }
}

async fn token(session: &Session) -> Check {
    if !session.client.has_token() {
        return Check::bad(
            "token",
            "neither KEYWARD_TOKEN nor KEYWARD_TOKEN_FILE nor --token-file gives one",
        );
    }
    match session.client.send(Request::get("/v1/me")).await {
        Err(error) => Check::bad("token", first_lines(&error)),
        Ok(answer) => Check::ok("token", describe(&answer)),
    }
}

fn describe(me: &Value) -> String {
    let who = [cell::at(me, "principal.username"), cell::at(me, "principal.kind")];
    let who = who.into_iter().find(|name| name.is_string()).map(cell::plain).unwrap_or_default();
    format!("{who} in tenant {}", cell::plain(cell::at(me, "tenant.slug")))
}

/// What failed, in one line and without the hint to run this very command.
fn first_lines(error: &anyhow::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().filter(|line| !line.starts_with("hint: ")).map(str::trim);
    lines.collect::<Vec<_>>().join("; ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn clocks_may_differ_by_half_a_minute() {
        let headers =
            HeaderMap::from_iter([(DATE, HeaderValue::from_static("Mon, 01 Jun 2026 12:00:00 GMT"))]);
        let at = |time: &str| clock(&headers, time.parse().expect("a time"));
        assert_eq!(at("2026-06-01T12:00:01Z").state, "ok");
        assert_eq!(at("2026-06-01T11:59:31Z").state, "ok");
        let ahead = at("2026-06-01T12:01:00Z");
        assert_eq!(
            (ahead.state, ahead.detail.as_str()),
            ("problem", "this machine is 60 s ahead of the server")
        );
        let behind = at("2026-06-01T11:00:00Z");
        assert_eq!(behind.detail, "this machine is 3600 s behind the server");
        assert_eq!(clock(&HeaderMap::new(), Timestamp::UNIX_EPOCH).state, "warning");
    }

    #[test]
    fn another_version_is_a_warning() {
        assert_eq!(compare_versions("0.1.0", Some("0.1.0")).state, "ok");
        assert_eq!(compare_versions("0.1.0", Some("0.2.0")).state, "warning");
        assert_eq!(compare_versions("0.1.0", None).state, "warning");
    }
}
