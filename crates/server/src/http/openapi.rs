//! `/openapi.json`: OpenAPI 3.1 out of the same map that routes requests (`api.md` 15).

use std::sync::LazyLock;

use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::problems::CATALOGUE;
use super::router::{Need, Route, routes};

/// Named schemas, gathered while the document is built.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// A named schema and how to collect it with all that it refers to.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    collect: fn(&mut Schemas) -> String,
}

/// The shape of a type.
pub(crate) const fn shape<T: ToSchema>() -> Shape {
    Shape { collect: collect::<T> }
}

fn collect<T: ToSchema>(schemas: &mut Schemas) -> String {
    schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
    T::schemas(schemas);
    T::name().into_owned()
}

/// What the document says about a route.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// `operationId`.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) tag: &'static str,
    /// Query parameters.
    pub(crate) query: &'static [&'static str],
    /// The body with an example that works on a live server.
    pub(crate) body: Option<(Shape, &'static str)>,
    pub(crate) status: u16,
    pub(crate) answer: Returns,
}

/// What an operation answers with.
#[derive(Clone, Copy)]
pub(crate) enum Returns {
    Nothing,
    One(Shape),
    List(Shape),
    Lines,
    /// A table as CSV.
    Csv,
}

impl Operation {
    /// A read of one thing.
    pub(crate) const fn show(
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
        answer: Shape,
    ) -> Self {
        Self { id, summary, tag, query: &[], body: None, status: 200, answer: Returns::One(answer) }
    }

    /// A page of many; `query` holds the filters, `limit` and `cursor` come by themselves.
    pub(crate) const fn list(
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
        query: &'static [&'static str],
        item: Shape,
    ) -> Self {
        Self { id, summary, tag, query, body: None, status: 200, answer: Returns::List(item) }
    }

    /// An action or edit with a body.
    pub(crate) const fn act(
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
        body: (Shape, &'static str),
        answer: Shape,
    ) -> Self {
        Self { id, summary, tag, query: &[], body: Some(body), status: 200, answer: Returns::One(answer) }
    }

    /// The making of something.
    pub(crate) const fn create(
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
        body: (Shape, &'static str),
        answer: Shape,
    ) -> Self {
        Self { id, summary, tag, query: &[], body: Some(body), status: 201, answer: Returns::One(answer) }
    }

    /// Something without body and answer.
    pub(crate) const fn plain(id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        Self { id, summary, tag, query: &[], body: None, status: 204, answer: Returns::Nothing }
    }
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| build(&routes()).to_string());

/// `GET /openapi.json`.
pub(crate) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// The document of a map of routes.
pub(crate) fn build(routes: &[Route]) -> Value {
    let mut schemas = Vec::new();
    let mut paths = Map::new();
    for route in routes {
        add(&mut paths, &mut schemas, route.path, route.method.as_str(), &route.operation, route.need);
    }
    for (path, operation) in super::v1::verify::HOT {
        add(&mut paths, &mut schemas, path, "POST", &operation, Need::OneOf(&["verify:call"]));
    }
    for (path, operation) in super::v1::trusted::HOT {
        add(&mut paths, &mut schemas, path, "POST", &operation, Need::Trusted);
    }
    for (path, operation) in super::oauth::documentation::HOT {
        add(&mut paths, &mut schemas, path, "POST", &operation, Need::Client);
    }
    let schemas: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).expect("schemas are plain data")))
        .chain([("Problem".to_owned(), problem_schema()), ("OAuthError".to_owned(), oauth_error_schema())])
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keyward",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Issue, govern, verify and end access keys.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "The secret of a key." },
                "trusted": { "type": "http", "scheme": "bearer", "description": "A trusted secret; also as secret_key in the body." },
                "basic": { "type": "http", "scheme": "basic", "description": "Access key and secret." },
                "session": { "type": "http", "scheme": "bearer", "description": "The token of a session." },
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-keyward",
                    "description": "The token of a session that a browser opened. Changes need Sec-Fetch-Site: same-origin.",
                },
            },
        },
    })
}

fn add(
    paths: &mut Map<String, Value>,
    schemas: &mut Schemas,
    path: &str,
    method: &str,
    operation: &Operation,
    need: Need,
) {
    let mut entry = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(path, method, operation),
        "responses": responses(operation, schemas, need),
        "security": security(need),
    });
    if let Need::OneOf(rights) = need {
        entry["description"] = format!("Needs the right {}.", rights.join(" or ")).into();
        entry["x-keyward-rights"] = json!(rights);
    }
    if let Some((shape, example)) = operation.body {
        let name = (shape.collect)(schemas);
        let value: Value = serde_json::from_str(example).expect("examples are JSON");
        let form = matches!(need, Need::Client);
        let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        entry["requestBody"] = json!({
            "content": { kind: {
                "schema": reference(&name),
                "examples": { operation.id: { "value": value } },
            } },
        });
    }
    let item = paths.entry(path).or_insert_with(|| json!({}));
    item[method.to_ascii_lowercase()] = entry;
}

fn security(need: Need) -> Value {
    match need {
        Need::Open => json!([]),
        Need::Trusted => json!([{ "trusted": [] }]),
        Need::Session | Need::Enrolment => json!([{ "session": [] }, { "cookie": [] }]),
        // In the form, too: that has no word here.
        Need::Client => json!([{ "basic": [] }]),
        Need::Caller | Need::OneOf(_) => {
            json!([{ "bearer": [] }, { "basic": [] }, { "session": [] }, { "cookie": [] }])
        }
    }
}

fn parameters(path: &str, method: &str, operation: &Operation) -> Vec<Value> {
    let one = |name: &str, place: &str, required: bool| json!({ "name": name, "in": place, "required": required, "schema": { "type": "string" } });
    let mut all: Vec<Value> = path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| one(name, "path", true))
        .collect();
    let paging: &[&str] =
        if matches!(operation.answer, Returns::List(_)) { &["limit", "cursor"] } else { &[] };
    all.extend(operation.query.iter().chain(paging).map(|name| one(name, "query", false)));
    if method == "POST" && !path.starts_with("/oauth2/") {
        all.push(one("Idempotency-Key", "header", false));
    }
    if matches!(method, "PATCH" | "DELETE") {
        all.push(one("If-Match", "header", false));
    }
    all
}

fn responses(operation: &Operation, schemas: &mut Schemas, need: Need) -> Value {
    let mut responses = Map::new();
    let mut success = json!({ "description": "Done" });
    let content = match operation.answer {
        Returns::Nothing => None,
        Returns::Lines => Some(json!({ "application/jsonl": { "schema": { "type": "string" } } })),
        Returns::Csv => Some(json!({ "text/csv": { "schema": { "type": "string" } } })),
        Returns::One(shape) => {
            Some(json!({ "application/json": { "schema": reference(&(shape.collect)(schemas)) } }))
        }
        Returns::List(shape) => {
            let items = reference(&(shape.collect)(schemas));
            Some(json!({ "application/json": { "schema": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                    "data": { "type": "array", "items": items },
                    "next_cursor": { "type": ["string", "null"] },
                },
            } } }))
        }
    };
    if let Some(content) = content {
        success["content"] = content;
    }
    responses.insert(operation.status.to_string(), success);
    let mut refusals = vec![400, 404, 405, 409, 412, 413, 414, 415, 422, 429, 431, 500, 503];
    if !matches!(need, Need::Open) {
        refusals.push(403);
    }
    refusals.push(401);
    for status in refusals {
        let (kind, schema) = match need {
            Need::Client if status != 431 => ("application/json", "OAuthError"),
            _ => ("application/problem+json", "Problem"),
        };
        responses.insert(status.to_string(), json!({
            "description": http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error"),
            "content": { kind: { "schema": reference(schema) } },
        }));
    }
    Value::Object(responses)
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn oauth_error_schema() -> Value {
    json!({
        "type": "object",
        "description": "An error as RFC 6749 has it; error_uri leads to the page of the problem",
        "required": ["error"],
        "properties": {
            "error": { "type": "string" },
            "error_description": { "type": "string" },
            "error_uri": { "type": "string" },
        },
    })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = CATALOGUE.iter().map(|entry| entry.0).collect();
    json!({
        "type": "object",
        "description": "RFC 9457 problem details",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string", "examples": codes },
            "request_id": { "type": "string" },
            "policy": { "type": "string" },
            "errors": { "type": "array", "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": { "type": "string" },
                    "code": { "type": "string" },
                    "detail": { "type": "string" },
                },
            } },
        },
    })
}
