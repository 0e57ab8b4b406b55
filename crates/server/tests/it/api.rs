//! The API as `/openapi.json` describes it, and small worlds to try it on.

use serde_json::{Map, Value, json};

use crate::support::{Answer, Caller, Server, client, text};

/// One operation of the document.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Rights of which one is needed; empty where any caller may.
    pub(crate) rights: Vec<String>,
    /// Whether a credential is asked for that a key can be.
    pub(crate) secured: bool,
    /// Whether it is about the session that asks.
    pub(crate) session: bool,
    /// The body of the named example.
    pub(crate) example: Option<Value>,
    /// The documented success.
    pub(crate) status: u16,
    /// The whole entry.
    pub(crate) entry: Value,
}

impl Operation {
    /// Whether the path names an object.
    pub(crate) fn has_object(&self) -> bool {
        self.path.contains('{')
    }

    /// The path with its parameters filled in; `member` is what belongs to the object.
    pub(crate) fn at(&self, id: &str, member: &str) -> String {
        let path = self.path.replace("{id}", id).replace("{version}", id);
        path.replace("{member}", member).replace("{delivery}", member)
    }

    /// Sends the example, or an empty body.
    pub(crate) fn send(&self, caller: &Caller, path: &str) -> Answer {
        let request = caller.request(&self.method, path);
        let request = match &self.example {
            Some(body) => request.json(body),
            None => request,
        };
        Answer::read(request.send().expect("an answer"))
    }
}

/// The document itself.
pub(crate) fn document(server: &Server) -> Value {
    let answer = client().get(format!("{}/openapi.json", server.url)).send().expect("an answer");
    Answer::read(answer).ok()
}

/// Every operation, in the order of the document.
pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("methods").iter().map(move |(method, entry)| read(path, method, entry))
        })
        .collect()
}

fn read(path: &str, method: &str, entry: &Value) -> Operation {
    let rights = entry["x-keyward-rights"].as_array().cloned().unwrap_or_default();
    let kind =
        if path.starts_with("/oauth2/") { "application/x-www-form-urlencoded" } else { "application/json" };
    let examples = &entry["requestBody"]["content"][kind]["examples"];
    let success =
        entry["responses"].as_object().expect("responses").keys().find(|status| status.starts_with('2'));
    Operation {
        id: text(&entry["operationId"]),
        method: method.to_ascii_uppercase(),
        path: path.into(),
        rights: rights.iter().map(text).collect(),
        secured: entry["security"][0].get("bearer").is_some(),
        session: entry["security"][0].get("session").is_some(),
        example: examples
            .as_object()
            .and_then(|all| all.values().next())
            .map(|example| example["value"].clone()),
        status: success.expect("a success").parse().expect("a status"),
        entry: entry.clone(),
    }
}

/// A body without what differs between any two answers.
pub(crate) fn told(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
    }
    (answer.status, body)
}

/// Every item of a list, page by page.
pub(crate) fn all(caller: &Caller, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let glue = if path.contains('?') { '&' } else { '?' };
        let page = caller.get(&format!("{path}{glue}limit=200{cursor}")).ok();
        items.extend(page["data"].as_array().expect("a list").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// The id of a built-in role or group.
pub(crate) fn built_in(caller: &Caller, kind: &str, name: &str) -> String {
    let items = all(caller, &format!("/v1/{kind}"));
    let found = items.iter().find(|item| item["built_in"] == true && item["name"] == name);
    text(&found.unwrap_or_else(|| panic!("no {name} in {kind}"))["id"])
}

/// Makes a tenant; returns its id and a workspace key of its that may do everything there.
pub(crate) fn tenant(server: &Server, slug: &str) -> (String, Caller) {
    let root = server.root();
    let id = text(&root.post("/v1/tenants", json!({ "slug": slug })).ok()["id"]);
    let key = inside(&root, &id, "POST", "/v1/keys", &json!({ "class": "workspace", "label": "admin" })).ok();
    (id, server.caller(&text(&key["secret"])))
}

/// The operator's request inside of another tenant.
pub(crate) fn inside(root: &Caller, tenant: &str, method: &str, path: &str, body: &Value) -> Answer {
    let request = root.request(method, path).header("x-keyward-tenant", tenant);
    let request = if method == "GET" { request } else { request.json(body) };
    Answer::read(request.send().expect("an answer"))
}

/// A user with exactly these rights: the user's id, the role's id and the user's key as a caller.
pub(crate) fn person(
    server: &Server,
    admin: &Caller,
    name: &str,
    rights: &[&str],
) -> (String, String, Caller) {
    let role = admin.role(&format!("role of {name}"), rights);
    let user = admin.user(name, &[&role]);
    let key = admin.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
    (user, role, server.caller(&text(&key["secret"])))
}

/// A workspace key with exactly these rights.
pub(crate) fn worker(server: &Server, admin: &Caller, name: &str, rights: &[&str]) -> Caller {
    let role = admin.role(name, rights);
    let key = admin.key(json!({ "class": "workspace", "label": name, "role_ids": [role] }));
    server.caller(&text(&key["secret"]))
}

/// Names of the fields that a schema of the document has; none where it is open to any.
pub(crate) fn fields(document: &Value, schema: &str) -> Vec<String> {
    let schema = &document["components"]["schemas"][schema];
    let mut names = Vec::new();
    let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    for part in parts {
        if part["$ref"].is_null() && part["properties"].is_null() {
            return Vec::new();
        }
        if let Some(reference) = part["$ref"].as_str() {
            names.extend(fields(document, reference.rsplit('/').next().expect("a name")));
        }
        names.extend(part["properties"].as_object().unwrap_or(&Map::new()).keys().cloned());
    }
    names
}

/// Everything that can be listed, to see that nothing changed.
pub(crate) fn snapshot(admin: &Caller) -> Value {
    let lists = ["users", "groups", "roles", "keys"];
    let lists: Vec<Value> = lists
        .iter()
        .map(|kind| all(admin, &format!("/v1/{kind}?")).into_iter().map(without_use).collect())
        .collect();
    json!([lists, admin.get("/v1/tenants/current").ok(), admin.get("/v1/policies").ok()])
}

/// A key was used, and that alone is no change.
fn without_use(mut item: Value) -> Value {
    let Some(fields) = item.as_object_mut() else { return item };
    fields.remove("last_used_at");
    fields.remove("secrets");
    item
}
