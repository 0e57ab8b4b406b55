//! `/openapi.json`: true to the server (`api.md` 15).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::api::{Operation, all, built_in, document, fields, operations};
use crate::logins::key_session;
use crate::support::{Answer, Caller, Place, Server, client, free_port, repository, text, wait_until};

#[test]
fn x_13_every_operation_says_who_it_is_and_what_it_answers() {
    let server = Server::start();
    let document = document(&server);
    let operations = operations(&document);
    let mut ids = BTreeSet::new();
    for operation in &operations {
        let entry = &operation.entry;
        assert!(ids.insert(operation.id.clone()), "{} twice", operation.id);
        assert!(operation.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", operation.id);
        assert!(!text(&entry["summary"]).is_empty(), "{}", operation.id);
        assert_eq!(entry["tags"].as_array().map(Vec::len), Some(1), "{}", operation.id);
        assert!(entry["security"].is_array(), "{}", operation.id);
        let responses = entry["responses"].as_object().expect("responses");
        for status in ["400", "401", "404", "405", "413", "415", "422", "429", "500", "503"] {
            // The doors of OAuth tell errors as their RFCs have it.
            let (kind, shape) = match operation.path.starts_with("/oauth2/") {
                true => ("application/json", "OAuthError"),
                false => ("application/problem+json", "Problem"),
            };
            let told = text(&responses[status]["content"][kind]["schema"]["$ref"]);
            assert_eq!(told, format!("#/components/schemas/{shape}"), "{} {status}", operation.id);
        }
        let open = entry["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(responses.contains_key("403"), !open, "{}", operation.id);
        assert_eq!(responses.keys().filter(|status| status.starts_with('2')).count(), 1, "{}", operation.id);
        let has_body =
            matches!(operation.method.as_str(), "POST" | "PATCH") || operation.id == "edit_log_levels";
        assert_eq!(operation.example.is_some(), has_body, "{} has no named example", operation.id);
        let parameters = entry["parameters"].as_array().expect("parameters");
        for name in operation.path.split(['{', '}']).skip(1).step_by(2) {
            let path = parameters.iter().find(|p| p["in"] == "path" && p["name"] == name);
            assert_eq!(path.map(|p| &p["required"]), Some(&json!(true)), "{} {name}", operation.id);
        }
    }
}

#[test]
fn x_13_a_validator_of_others_finds_no_fault() {
    let Some(python) = validator() else { return };
    let server = Server::start();
    let file = server.place.folder.path().join("openapi.json");
    fs::write(&file, document(&server).to_string()).expect("written");
    let output =
        Command::new(python).args(["-m", "openapi_spec_validator"]).arg(&file).output().expect("python runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    fs::write(&file, r##"{"openapi": "3.1.0", "info": {"title": "x"}, "paths": {}}"##).expect("written");
    let output = Command::new(validator().expect("as before"))
        .args(["-m", "openapi_spec_validator"])
        .arg(&file)
        .output();
    assert!(!output.expect("python runs").status.success(), "the validator accepts what is no document");
}

/// Python with `openapi-spec-validator`, made once; `None` where there is no Python, save in CI.
fn validator() -> Option<PathBuf> {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let folder = repository().join("target/openapi-validator");
    let python = folder.join("bin/python");
    if python.exists() && has_validator(&python) {
        return Some(python);
    }
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(!ci, "python3 is missing, and CI must validate the document");
        eprintln!("skipped: python3 is missing");
        return None;
    }
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().expect("python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let at = folder.to_str().expect("UTF-8");
    run("python3", &["-m", "venv", at]);
    run(python.to_str().expect("UTF-8"), &["-m", "pip", "install", "-q", "openapi-spec-validator==0.7.2"]);
    Some(python)
}

fn has_validator(python: &PathBuf) -> bool {
    Command::new(python)
        .args(["-c", "import openapi_spec_validator"])
        .status()
        .is_ok_and(|status| status.success())
}

/// An object for each path, made for one operation and in the state that it needs.
struct Stage<'s> {
    server: &'s Server,
    root: Caller,
    number: usize,
}

impl Stage<'_> {
    fn new_key(&self) -> String {
        let none = self.root.role(&format!("of key {}", self.number), &["x:read"]);
        text(&self.root.key(json!({ "class": "workspace", "label": "staged", "role_ids": [none] }))["id"])
    }

    fn deleted_user(&self, name: &str) -> String {
        let id = self.root.user(name, &[]);
        self.root.delete(&format!("/v1/users/{id}")).expect(204);
        id
    }

    /// A key whose secret waits to be handed over.
    fn waiting_key(&self) -> Value {
        self.root.key(json!({ "class": "ingest", "label": "waiting", "handover": {} }))
    }

    fn failed_job(&self) -> String {
        self.server.place.sql(
            "INSERT INTO jobs (tenant_id, id, lane, kind, payload, attempts, due_at, failed_at, created_at)
             SELECT id, 'job_1', 'mail', 'mail', '{}', 1, 9000000000000, 1, 1 FROM tenants WHERE number = 0
             ON CONFLICT (id) DO UPDATE SET failed_at = 1",
        );
        "job_1".into()
    }

    fn new_webhook(&self) -> String {
        let body = json!({ "url": "https://hooks.example.com/", "events": ["*"] });
        text(&self.root.post("/v1/webhooks", body).ok()["id"])
    }

    /// A test to a place that is not there.
    fn failed_delivery(&self, webhook: &str) -> String {
        self.root.post(&format!("/v1/webhooks/{webhook}/test"), json!({})).expect(200);
        let log = format!("/v1/webhooks/{webhook}/deliveries?state=failed");
        let tests = || all(&self.root, &log).into_iter().find(|row| row["event"] == "webhook.test");
        wait_until(|| tests().is_some());
        text(&tests().expect("it failed")["id"])
    }

    fn new_tenant(&self) -> String {
        text(&self.root.post("/v1/tenants", json!({ "slug": format!("staged-{}", self.number) })).ok()["id"])
    }

    /// The path of an operation with everything in place for its example.
    fn path(&self, operation: &Operation) -> String {
        let name = format!("staged{}", self.number);
        let id = match operation.path.split('/').nth(2).expect("a kind") {
            _ if !operation.has_object() => String::new(),
            "users" if operation.id == "erase_user" => self.deleted_user(&name),
            "users" => self.root.user(&name, &[&built_in(&self.root, "roles", "member")]),
            "groups" => text(&self.root.post("/v1/groups", json!({ "name": name })).ok()["id"]),
            "roles" => self.root.role(&name, &["x:read"]),
            "keys" if operation.id == "link_handover" => text(&self.waiting_key()["id"]),
            "keys" => self.new_key(),
            "tenants" => self.new_tenant(),
            "signing-keys" => text(&self.root.get("/v1/signing-keys").ok()["data"][0]["id"]),
            "trusted" => text(&self.root.post("/v1/trusted/enable", json!({ "name": name })).ok()["id"]),
            "audit-events" => text(&all(&self.root, "/v1/audit-events")[0]["id"]),
            "incidents" => {
                let body =
                    json!({ "filter": { "label": name }, "action": "deactivate", "confirm": "deactivate 0" });
                text(&self.root.post("/v1/incidents", body).ok()["id"])
            }
            "policies" if operation.path.contains("/versions/") => "1".into(),
            "policies" => text(&self.root.post("/v1/policies/drafts", json!({ "patch": {} })).ok()["id"]),
            "auth" => key_session(&self.root),
            "jobs" => self.failed_job(),
            "handovers" => text(&self.waiting_key()["handover"]["id"]),
            "webhooks" => self.new_webhook(),
            "notifications" => text(&all(&self.root, "/v1/notifications")[0]["id"]),
            other => panic!("{other}: a new kind of object needs a row here"),
        };
        let member = match &operation.path {
            path if path.contains("{member}") => self.root.user(&name, &[]),
            path if path.contains("{delivery}") => self.failed_delivery(&id),
            _ => String::new(),
        };
        let before = match operation.id.as_str() {
            "resume_user" => Some(format!("/v1/users/{id}/suspend")),
            "resume_tenant" => Some(format!("/v1/tenants/{id}/suspend")),
            "activate_key" => Some(format!("/v1/keys/{id}/deactivate")),
            "finish_trusted_rotation" => Some(format!("/v1/trusted/{id}/rotate")),
            "finish_rotation" | "abort_rotation" => Some(format!("/v1/keys/{id}/rotate")),
            _ => None,
        };
        if let Some(path) = before {
            self.root.post(&path, json!({})).ok();
        }
        if ["copy_trusted_secret", "disable_trusted"].contains(&operation.id.as_str()) {
            // The default one, unless there is one.
            self.root.post("/v1/trusted/enable", json!({}));
        }
        if ["approve_key", "reject_key"].contains(&operation.id.as_str()) {
            self.server.place.sql(
                "UPDATE keys SET awaits_approval = true, created_by = 'user_0', updated_by = 'user_0'
                 WHERE label = 'staged'",
            );
            self.server.place.sql("UPDATE key_secrets SET created_by = 'user_0'");
        }
        if operation.id == "remove_group_member" {
            self.root.put(&operation.at(&id, &member)).expect(204);
        }
        let confirm = if operation.id == "delete_tenant" {
            format!("?confirm=staged-{}", self.number)
        } else {
            String::new()
        };
        operation.at(&id, &member) + &confirm
    }
}

#[test]
fn x_13_every_named_example_works_on_a_live_server() {
    let server = Server::start();
    let document = document(&server);
    let nora = told_somebody(&server);
    let mut sent = 0;
    for (number, operation) in operations(&document).iter().enumerate().filter(|(_, o)| o.secured) {
        // What people are told is told to no key of the workspace, and what they decide is decided by none.
        let of_people = ["/notification", "/approve", "/reject"];
        let root = match of_people.iter().any(|part| operation.path.contains(part)) {
            true => nora.clone(),
            false => server.root(),
        };
        let stage = Stage { server: &server, root, number };
        let answer = operation.send(&stage.root, &stage.path(operation));
        assert_eq!(answer.status, operation.status, "{}: {}", operation.id, answer.text);
        compare(&document, operation, &answer);
        assert_eq!(stage.server.url, stage.root.url);
        sent += 1;
    }
    assert!(sent >= 45, "{sent}");
}

/// An administrator who was told something.
fn told_somebody(server: &Server) -> Caller {
    let root = server.root();
    let (id, key) = root.member("nora", &["**:*"]);
    let group = text(&root.post("/v1/groups", json!({ "name": "News" })).ok()["id"]);
    root.put(&format!("/v1/groups/{group}/members/{id}")).expect(204);
    let nora = server.caller(&text(&key["secret"]));
    wait_until(|| !all(&nora, "/v1/notifications").is_empty());
    nora
}

/// The answer has exactly the fields that the document promises, and the kind of content.
fn compare(document: &Value, operation: &Operation, answer: &Answer) {
    let content = &operation.entry["responses"][operation.status.to_string()]["content"];
    let Some(content) = content.as_object() else {
        assert!(answer.text.is_empty(), "{}: {}", operation.id, answer.text);
        return;
    };
    let (kind, schema) = content.iter().next().expect("a kind");
    assert!(
        answer.header("content-type").starts_with(kind),
        "{}: {}",
        operation.id,
        answer.header("content-type")
    );
    let reference = schema["schema"]["$ref"].as_str();
    let items = schema["schema"]["properties"]["data"]["items"]["$ref"].as_str();
    let (shown, reference) = match (reference, items) {
        (Some(reference), _) => (vec![answer.body.clone()], reference),
        (None, Some(reference)) => (answer.body["data"].as_array().expect("a list").clone(), reference),
        (None, None) => return,
    };
    let known = fields(document, reference.rsplit('/').next().expect("a name"));
    if known.is_empty() {
        return;
    }
    for item in &shown {
        for name in item.as_object().expect("an object").keys() {
            assert!(known.contains(name), "{}: {name} is in no schema", operation.id);
        }
    }
}

#[test]
fn x_13_ops_1_the_example_of_set_up_works_with_the_real_token() {
    let place = Place::new();
    let (data, listen) = (place.data(), format!("127.0.0.1:{}", free_port()));
    let args = ["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen", &listen];
    let mut child = place.keyward(&args).stderr(Stdio::null()).spawn().expect("the binary runs");
    let url = format!("http://{listen}");
    wait_until(|| client().get(format!("{url}/healthz")).send().is_ok_and(|answer| answer.status() == 200));
    let stranger = Caller { url, secret: String::new() };
    let all = operations(
        &Answer::read(client().get(format!("{}/openapi.json", stranger.url)).send().expect("an answer")).ok(),
    );
    let mut set_up = all.into_iter().find(|operation| operation.id == "set_up").expect("it is there");
    let send = |set_up: &Operation| {
        let request = client().post(format!("{}{}", stranger.url, set_up.path)).json(&set_up.example);
        Answer::read(request.send().expect("an answer"))
    };
    send(&set_up).refused(401, "invalid_setup_token");
    stranger.get("/v1/me").refused(503, "not_set_up");
    let token = fs::read_to_string(data.join("setup-token")).expect("the token is there");
    set_up.example.as_mut().expect("an example")["token"] = token.trim().into();
    let done = send(&set_up).expect(set_up.status).body;
    let operator = Caller { secret: text(&done["secret"]), ..stranger.clone() };
    assert!(operator.get("/v1/me").ok()["rights"].to_string().contains("instance"));
    send(&set_up).refused(404, "not_found");
    child.kill().expect("killed");
    child.wait().expect("ended");
}

#[test]
fn x_2_every_code_has_a_page_offline_and_is_in_the_document() {
    let server = Server::start();
    let get = |path: &str| client().get(format!("{}{path}", server.url)).send().expect("an answer");
    let index = get("/problems").text().expect("a page");
    let codes: Vec<&str> =
        index.split("<code>").skip(1).filter_map(|part| part.split("</code>").next()).collect();
    assert!(codes.len() >= 50, "{}", codes.len());
    for code in &codes {
        let page = get(&format!("/problems/{code}"));
        assert_eq!(page.status(), 200, "{code}");
        assert!(page.text().expect("a page").contains(code));
    }
    let listed =
        document(&server)["components"]["schemas"]["Problem"]["properties"]["code"]["examples"].clone();
    assert_eq!(listed, json!(codes));
    assert_eq!(get("/problems/no_such_code").status(), 404);
}
