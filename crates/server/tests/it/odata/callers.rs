//! Who reads what.

use serde_json::{Value, json};

use super::{each, filtered, get, refused, rows};
use crate::api::{all, inside, person, tenant, worker};
use crate::oauth::Holder;
use crate::support::{Answer, Server, client, text, wait_until};
use crate::tokens::NAMED;

/// A request as Excel sends it.
fn by_basic(server: &Server, key: &Value, path: &str) -> Answer {
    let request = client().get(format!("{}/odata/v1/{path}", server.url));
    let request = request.basic_auth(text(&key["access_key"]), Some(text(&key["secret"])));
    let request = request.header("OData-MaxVersion", "4.0").header("OData-Version", "4.0");
    Answer::read(request.send().expect("an answer"))
}

/// The sets of the service document.
fn sets(answer: &Answer) -> Vec<String> {
    each(&rows(answer), "name")
}

#[test]
fn sq_9_excel_is_asked_for_user_name_and_password() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "reports" }));
    for path in ["", "$metadata", "Keys", "Nonsense"] {
        let plain = client().get(format!("{}/odata/v1/{path}", server.url)).send().expect("an answer");
        let plain = refused(Answer::read(plain), 401, "no_credential");
        assert_eq!(plain.header("www-authenticate"), "Basic realm=\"keyward\", charset=\"UTF-8\"");
        assert_eq!(plain.headers.get_all("www-authenticate").iter().count(), 1);
    }
    let wrong = json!({ "access_key": key["access_key"], "secret": "wrong" });
    let wrong = refused(by_basic(&server, &wrong, "Keys"), 401, "invalid_key");
    assert!(wrong.header("www-authenticate").starts_with("Basic "));
    rows(&by_basic(&server, &key, "Keys"));
    root.post(&format!("/v1/keys/{}/deactivate", text(&key["id"])), json!({})).expect(200);
    refused(by_basic(&server, &key, "Keys"), 401, "inactive");
}

#[test]
fn sq_9_a_key_reads_every_set_by_basic_and_no_secret_stands_in_it() {
    let server = Server::with_config("verify: { usage_flush: 1s }\n");
    let root = server.root();
    let (_, ada) = root.member("ada", &["models:read"]);
    let key = root.key(json!({ "class": "workspace", "label": "reports" }));
    for path in ["", "/"] {
        let plain = format!("{}/odata/v1{path}", server.url);
        let request = client().get(plain).basic_auth(text(&key["access_key"]), Some(text(&key["secret"])));
        let answer = Answer::read(request.send().expect("an answer"));
        assert_eq!(sets(&answer), ["Keys", "Users", "KeyUsage", "AuditEvents"]);
        assert_eq!(answer.body["@odata.context"], format!("{}/odata/v1/$metadata", server.url));
        assert_eq!(answer.body["value"][0]["url"], "Keys");
    }
    root.verify(&text(&ada["secret"]));
    let used = format!("KeyId eq '{}' and Outcome eq 'ok'", text(&ada["id"]));
    wait_until(|| !filtered(&root, "KeyUsage", &used).is_empty());
    let metadata = by_basic(&server, &key, "$metadata").expect(200);
    assert_eq!(metadata.header("content-type"), "application/xml");
    for (set, entity) in
        [("Keys", "Key"), ("Users", "User"), ("KeyUsage", "KeyUsageHour"), ("AuditEvents", "AuditEvent")]
    {
        let answer = by_basic(&server, &key, set);
        let rows = rows(&answer);
        assert_eq!(answer.body["@odata.context"], format!("{}/odata/v1/$metadata#{set}", server.url));
        let described = properties(&metadata.text, entity);
        for row in &rows {
            must_be_of_types(row, &described);
        }
        for secret in [&ada["secret"], &key["secret"]] {
            assert!(!answer.text.contains(&text(secret)), "{set}");
        }
    }
}

/// Name, type and whether it is never null, of each property of an entity type.
fn properties(metadata: &str, entity: &str) -> Vec<(String, String, bool)> {
    let begin = metadata.find(&format!("<EntityType Name=\"{entity}\">")).expect("an entity type");
    let part = &metadata[begin..begin + metadata[begin..].find("</EntityType>").expect("an end")];
    let value = |line: &str, name: &str| {
        let rest = line.split(&format!("{name}=\"")).nth(1).expect("an attribute");
        rest.split('"').next().expect("a value").to_owned()
    };
    let lines = part.lines().filter(|line| line.starts_with("<Property "));
    lines
        .map(|line| (value(line, "Name"), value(line, "Type"), line.contains("Nullable=\"false\"")))
        .collect()
}

#[track_caller]
fn must_be_of_types(row: &Value, described: &[(String, String, bool)]) {
    assert_eq!(row.as_object().expect("an object").len(), described.len(), "{row}");
    for (name, kind, required) in described {
        let value = &row[name];
        let fits = match kind.as_str() {
            "Edm.String" => value.is_string(),
            "Edm.Int64" => value.is_i64(),
            "Edm.Boolean" => value.is_boolean(),
            _ => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        };
        assert!(fits || (value.is_null() && !required && row.get(name).is_some()), "{name}: {row}");
    }
}

#[test]
fn sq_9_rights_decide_which_sets_and_rows_there_are() {
    let server = Server::with_config("verify: { usage_flush: 1s }\n");
    let root = server.root();
    let (ada, _, own) = person(&server, &root, "ada", &["me:read", "me/keys:*"]);
    let (_, other) = root.member("bea", &[]);
    assert_eq!(sets(&get(&own, "", &[])), ["Keys", "KeyUsage"]);
    assert_eq!(each(&rows(&get(&own, "Keys", &[])), "OwnerId"), [ada.as_str()]);
    // A filter cannot reach what the rights do not.
    assert!(filtered(&own, "Keys", &format!("Id eq '{}'", text(&other["id"]))).is_empty());
    assert!(filtered(&own, "Keys", &format!("OwnerId ne '{ada}'")).is_empty());
    assert!(filtered(&own, "Keys", &format!("OwnerId eq '{}'", text(&other["owner_id"]))).is_empty());
    refused(get(&own, &format!("Keys('{}')", text(&other["id"])), &[]), 404, "not_found");
    root.verify(&text(&other["secret"]));
    let used = format!("KeyId eq '{}'", text(&other["id"]));
    wait_until(|| !filtered(&root, "KeyUsage", &used).is_empty());
    assert!(filtered(&own, "KeyUsage", &used).is_empty());
    wait_until(|| !rows(&get(&own, "KeyUsage", &[])).is_empty());
    for set in ["Users", "AuditEvents"] {
        refused(get(&own, set, &[]), 403, "insufficient_rights");
        refused(get(&own, &format!("{set}/$count"), &[]), 403, "insufficient_rights");
        refused(get(&own, &format!("{set}('{ada}')"), &[]), 403, "insufficient_rights");
    }
    let auditor = worker(&server, &root, "auditor", &["audit:read"]);
    assert_eq!(sets(&get(&auditor, "", &[])), ["AuditEvents"]);
    rows(&get(&auditor, "AuditEvents", &[]));
    refused(get(&auditor, "Keys", &[]), 403, "insufficient_rights");
    let directory = worker(&server, &root, "directory", &["users:read"]);
    assert_eq!(sets(&get(&directory, "", &[])), ["Users"]);
    assert_eq!(rows(&get(&directory, "Users", &[])).len(), all(&root, "/v1/users").len());
    // What is one's own is nothing for whoever is no user.
    let own_of_none = worker(&server, &root, "own of none", &["audit:read", "me/keys:read"]);
    assert_eq!(sets(&get(&own_of_none, "", &[])), ["AuditEvents"]);
    refused(get(&own_of_none, "Keys", &[]), 404, "not_found");
    let nobody = worker(&server, &root, "nobody", &["models:read"]);
    for path in ["", "$metadata", "Keys", "KeyUsage"] {
        refused(get(&nobody, path, &[]), 403, "insufficient_rights");
    }
    let refusals = "/v1/audit-events?outcome=refused&action=list_users";
    wait_until(|| !all(&root, refusals).is_empty());
}

#[test]
fn sq_9_other_tenants_are_not_there() {
    let server = Server::start();
    let root = server.root();
    let (id, acme) = tenant(&server, "acme");
    let theirs = acme.key(json!({ "class": "ingest", "label": "theirs" }));
    let ours = root.key(json!({ "class": "ingest", "label": "ours" }));
    let labels = |rows: &[Value]| {
        let mut labels = each(rows, "Label");
        labels.sort_unstable();
        labels
    };
    assert_eq!(labels(&rows(&get(&acme, "Keys", &[]))), ["admin", "theirs"]);
    assert!(!labels(&rows(&get(&root, "Keys", &[]))).contains(&"theirs".to_owned()));
    refused(get(&acme, &format!("Keys('{}')", text(&ours["id"])), &[]), 404, "not_found");
    refused(get(&root, &format!("Keys('{}')", text(&theirs["id"])), &[]), 404, "not_found");
    let events = rows(&get(&acme, "AuditEvents", &[]));
    assert_eq!(each(&events, "Action"), ["key.create", "key.create"]);
    // An operator enters it as everywhere.
    let visit = inside(&root, &id, "GET", "/odata/v1/Keys", &Value::Null);
    assert_eq!(labels(&rows(&visit)), ["admin", "theirs"]);
    refused(inside(&acme, &server.tenant(), "GET", "/odata/v1/Keys", &Value::Null), 404, "not_found");
}

#[test]
fn sq_9_whatever_is_good_for_the_api_and_nothing_else() {
    let server = Server::with_config(NAMED);
    let root = server.root();
    let (_, key) = root.member("ada", &["keys:read"]);
    let pair = json!({ "username": key["access_key"], "password": key["secret"] });
    let session = crate::logins::log_in(&server.url, pair).ok();
    rows(&get(&server.caller(&text(&session["token"])), "Keys", &[]));
    let by_header = client().get(format!("{}/odata/v1/Keys", server.url));
    let by_header = by_header.header("X-API-Key", text(&key["secret"])).send().expect("an answer");
    rows(&Answer::read(by_header));
    let ingest = root.key(json!({ "class": "ingest", "label": "collector" }));
    refused(by_basic(&server, &ingest, "Keys"), 403, "wrong_class");
    let token = server.caller(&Holder::of(&server, &key).token(&[]));
    for path in ["", "Keys", "$metadata"] {
        refused(get(&token, path, &[]), 403, "token_cannot_manage");
    }
    // A secret in the query is refused before anything reads it.
    let found = format!("Label eq '{}'", text(&key["secret"]));
    root.get(&format!("/odata/v1/Keys?{}", crate::oauth::form(&[("$filter", &found)])))
        .refused(400, "credential_in_url");
}
