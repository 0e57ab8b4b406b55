//! Problem documents (RFC 9457) as people read them and as exit codes.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{Exit, Failure};

/// Turns an answer that is no success into a failure.
pub(crate) fn failure(status: StatusCode, headers: &HeaderMap, text: &str) -> Failure {
    let problem: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let member = |name: &str| problem[name].as_str().unwrap_or_default();
    let exit = exit_of(status, &problem);
    let title = match member("title") {
        "" if !member("error").is_empty() => format!("{} ({})", member("error_description"), member("error")),
        "" => format!("the server answered {status}"),
        title => format!("{title} ({})", member("code")),
    };
    let mut failure = Failure::new(exit, title);
    if !member("detail").is_empty() {
        failure = failure.detail(member("detail"));
    }
    for error in problem["errors"].as_array().into_iter().flatten() {
        failure = failure.detail(field_error(error));
    }
    if !problem["policy"].is_null() {
        failure = failure.detail(format!("policy: {}", super::cell::plain(&problem["policy"])));
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(id) = problem["request_id"].as_str().or(header("x-request-id")) {
        failure = failure.detail(format!("request id: {id}"));
    }
    if member("code") == "second_factor_missing" {
        return failure.hint("`keyward factors add` adds a second factor");
    }
    if member("code") == "step_up_required" {
        return failure.hint("`keyward login` proves it again and opens a new session");
    }
    let mut faults = problem["errors"].as_array().into_iter().flatten();
    if faults.any(|fault| fault["pointer"] == "/owner_id" && fault["code"] == "required") {
        return failure.hint("add --owner USER or --class workspace");
    }
    match hint_of(exit, header("retry-after")) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn field_error(error: &Value) -> String {
    let pointer = error["pointer"].as_str().unwrap_or_default();
    let detail = error["detail"].as_str().or(error["code"].as_str()).unwrap_or_default();
    format!("{pointer}: {detail}")
}

/// The exit code of a refusal.
pub(crate) fn exit_of(status: StatusCode, problem: &Value) -> Exit {
    let code = problem["code"].as_str().unwrap_or_default();
    let by_policy = !problem["policy"].is_null() || code.starts_with("policy_") || code.starts_with("quota_");
    match status.as_u16() {
        403 | 409 | 422 if by_policy => Exit::Blocked,
        401 | 403 => Exit::Forbidden,
        404 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        429 => Exit::RateLimited,
        502..=504 => Exit::Unreachable,
        _ => Exit::Failure,
    }
}

fn hint_of(exit: Exit, retry_after: Option<&str>) -> Option<String> {
    let hint = match exit {
        Exit::Forbidden => "`keyward whoami` tells who the token is and what it may do",
        Exit::NotFound => "it does not exist in this tenant, or the token may not see it",
        Exit::Conflict => "look at its present state with `show`, then decide again",
        Exit::Blocked => "`keyward policies show` tells what the tenant allows",
        Exit::RateLimited | Exit::Unreachable => {
            return Some(match retry_after {
                Some(seconds) => format!("try again in {seconds} s"),
                None => "try again later".to_owned(),
            });
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_refusal_has_its_exit_code() {
        let plain = json!({"code": "x"});
        let table = [
            (400, &plain, 1),
            (401, &plain, 4),
            (403, &plain, 4),
            (404, &plain, 5),
            (409, &plain, 6),
            (412, &plain, 6),
            (422, &plain, 1),
            (429, &plain, 9),
            (500, &plain, 1),
            (503, &plain, 11),
            (403, &json!({"code": "policy_never_expire"}), 7),
            (422, &json!({"code": "quota_keys_per_user"}), 7),
            (422, &json!({"code": "x", "policy": {"name": "max_ttl_days"}}), 7),
            (401, &json!({"code": "policy_x"}), 4),
        ];
        for (status, problem, exit) in table {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(exit_of(status, problem) as i32, exit, "{status} {problem}");
        }
    }

    #[test]
    fn a_problem_is_told_whole() {
        let text = json!({
            "title": "Not valid", "code": "invalid", "detail": "The body has errors.", "request_id": "req-12345",
            "errors": [{"pointer": "/label", "code": "empty", "detail": "must not be empty"}, {"pointer": "/x", "code": "unknown"}],
        });
        let told = failure(StatusCode::CONFLICT, &HeaderMap::new(), &text.to_string()).to_string();
        assert_eq!(
            told,
            "error: Not valid (invalid)\n  The body has errors.\n  /label: must not be empty\n  /x: unknown\n  \
             request id: req-12345\nhint: look at its present state with `show`, then decide again"
        );
    }

    #[test]
    fn a_key_without_owner_is_told_what_to_add() {
        let told = |code: &str| {
            let text = json!({"title": "Not valid", "code": "invalid", "errors": [{"pointer": "/owner_id", "code": code}]});
            failure(StatusCode::UNPROCESSABLE_ENTITY, &HeaderMap::new(), &text.to_string()).to_string()
        };
        assert!(told("required").ends_with("\nhint: add --owner USER or --class workspace"));
        assert!(!told("unknown_user").contains("hint:"));
    }

    #[test]
    fn an_answer_that_is_no_problem_document_still_tells_the_status() {
        let headers =
            HeaderMap::from_iter([(http::header::RETRY_AFTER, http::HeaderValue::from_static("7"))]);
        let failure = failure(StatusCode::TOO_MANY_REQUESTS, &headers, "<html>");
        assert_eq!(failure.exit(), Exit::RateLimited);
        assert_eq!(
            failure.to_string(),
            "error: the server answered 429 Too Many Requests\nhint: try again in 7 s"
        );
    }
}
