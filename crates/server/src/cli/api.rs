//! `keyward api`: any request, with the token, retries and exit codes of the other commands.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use super::client::Request;
use super::noun::{self, ListArgs};
use super::output::{Format, Output};
use super::policies::{read_document, value_of};
use super::{Exit, Failure, Global, Outcome, Session, cell};

/// Send any request to the API
#[derive(Args, Debug)]
pub(crate) struct ApiArgs {
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(value_parser = parse_method)]
    method: Method,
    /// Path such as /v1/keys, with or without a query
    path: String,
    /// Member of the JSON body, or query parameter of a GET: label=nightly (repeatable)
    #[arg(short, long = "field", value_name = "NAME=VALUE")]
    fields_in: Vec<String>,
    /// Body from a JSON or YAML file, or - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "fields_in")]
    input: Option<PathBuf>,
    /// Follow the cursors of a list to its end
    #[arg(long)]
    paginate: bool,
}

/// Runs `keyward api`.
pub(crate) async fn run(args: ApiArgs, global: &Global) -> Outcome {
    let mut session = Session::open(global)?;
    session.output = Output::new(global).or(Format::Json);
    let paginate = args.paginate;
    let request = request_of(args)?;
    if paginate {
        return noun::print_list(&session, request, &[], &ListArgs::everything()).await;
    }
    let body = if request.method == Method::GET {
        session.client.send(request).await?
    } else {
        noun::send_change(&session, request).await?
    };
    if !body.is_null() {
        session.output.object(&[], &body)?;
    }
    Ok(Exit::Ok)
}

fn request_of(args: ApiArgs) -> anyhow::Result<Request> {
    let (path, query) = args.path.split_once('?').unwrap_or((&args.path, ""));
    let mut request = Request::new(args.method, format!("/{}", path.trim_start_matches('/')));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        request = request.query(&decoded(name), decoded(value));
    }
    let fields = parse_fields(&args.fields_in)?;
    if request.method == Method::GET {
        for (name, value) in &fields {
            request = request.query(name, cell::plain(value));
        }
        return Ok(request);
    }
    if let Some(file) = &args.input {
        return Ok(request.body(read_document(file)?));
    }
    // Actions want a body, be it an empty one; DELETE wants none.
    if request.method != Method::DELETE || !fields.is_empty() {
        request = request.body(fields);
    }
    Ok(request)
}

fn parse_fields(fields: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut members = Map::new();
    for field in fields {
        let Some((name, value)) = field.split_once('=') else {
            return Err(Failure::usage(format!("--field: `{field}` is not name=value")));
        };
        members.insert(name.to_owned(), value_of(value));
    }
    Ok(members)
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn parse_method(text: &str) -> Result<Method, String> {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let upper = text.to_uppercase();
    if known.contains(&upper.as_str()) {
        return upper.parse().map_err(|_| "no HTTP method".to_owned());
    }
    Err(format!("expected one of {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(method: &str, path: &str, fields: &[&str]) -> Request {
        let fields_in = fields.iter().map(|field| (*field).to_owned()).collect();
        let method = parse_method(method).expect("a method");
        request_of(ApiArgs { method, path: path.to_owned(), fields_in, input: None, paginate: false })
            .expect("a request")
    }

    #[test]
    fn fields_are_the_query_of_a_get_and_the_body_of_the_rest() {
        let get = request("get", "v1/keys?q=a%20b", &["limit=5", "status=active"]);
        let pairs =
            [("q", "a b"), ("limit", "5"), ("status", "active")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!((get.path.as_str(), get.query.as_slice(), get.body), ("/v1/keys", &pairs[..], None));
        let post = request("POST", "/v1/keys", &["label=a=b", "ttl_seconds=60", "scopes=[\"a:b\"]"]);
        assert_eq!(post.body, Some(json!({"label": "a=b", "ttl_seconds": 60, "scopes": ["a:b"]})));
        assert_eq!(request("POST", "/x", &[]).body, Some(json!({})));
        assert_eq!(request("DELETE", "/x", &[]).body, None);
    }

    #[test]
    fn other_methods_are_refused() {
        assert!(parse_method("TRACE").is_err());
        assert_eq!(parse_method("patch"), Ok(Method::PATCH));
    }
}
