//! The feed for spreadsheets and reports (SQ9).

mod callers;
mod options;
mod pages;
mod refusals;

use serde_json::Value;

use crate::oauth::form;
use crate::support::{Answer, Caller, text};

/// Asks for something of the feed with query options.
fn get(caller: &Caller, path: &str, options: &[(&str, &str)]) -> Answer {
    let glue = if options.is_empty() { "" } else { "?" };
    caller.get(&format!("/odata/v1/{path}{glue}{}", form(options)))
}

/// The rows of a page.
#[track_caller]
fn rows(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json;odata.metadata=minimal");
    assert_eq!(answer.header("odata-version"), "4.0");
    answer.body["value"].as_array().expect("rows").clone()
}

/// The rows of a set that a filter leaves over.
#[track_caller]
fn filtered(caller: &Caller, set: &str, filter: &str) -> Vec<Value> {
    rows(&get(caller, set, &[("$filter", filter)]))
}

/// A property of each row.
#[track_caller]
fn each(rows: &[Value], name: &str) -> Vec<String> {
    rows.iter().map(|row| text(&row[name])).collect()
}

/// Every row behind an answer, and how many pages there are.
#[track_caller]
fn walk(caller: &Caller, first: Answer) -> (Vec<Value>, usize) {
    let (mut answer, mut all, mut pages) = (first, Vec::new(), 0);
    loop {
        all.extend(rows(&answer));
        pages += 1;
        let Some(next) = answer.body["@odata.nextLink"].as_str() else { return (all, pages) };
        let path = next.strip_prefix(&caller.url).expect("an absolute link");
        answer = caller.get(path);
    }
}

/// A refusal in the shape of OData.
#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) -> Answer {
    let told = (answer.status, answer.body["error"]["code"].as_str());
    assert_eq!(told, (status, Some(code)), "{}", answer.text);
    assert_eq!((answer.header("content-type"), answer.header("odata-version")), ("application/json", "4.0"));
    assert!(answer.body["error"]["message"].is_string(), "{}", answer.text);
    answer
}
