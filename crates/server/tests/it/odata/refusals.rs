//! What cannot be asked.

use serde_json::json;

use super::{get, refused};
use crate::process::Process;
use crate::support::{Answer, Place, Server, client, text};

#[test]
fn sq_9_wrong_options_are_told_with_their_place() {
    let server = Server::start();
    let root = server.root();
    for (name, value, code, told) in [
        (
            "$filter",
            "Stauts eq 'x'",
            "bad_filter",
            "at character 1: there is no Stauts; did you mean Status?",
        ),
        ("$filter", "Label eq 'x", "bad_filter", "at character 10: this text has no end: a ' is missing"),
        ("$filter", "Label eq 5", "bad_filter", "at character 7: eq compares Edm.String with Edm.Int64"),
        ("$filter", "(Label eq 'x'", "bad_filter", "at character 14: expected ), found the end"),
        ("$filter", "Secret ne null", "bad_filter", "at character 1: there is no Secret"),
        ("$select", "Id,Secrets", "bad_value", "there is no Secrets"),
        ("$select", "Hash", "bad_value", "there is no Hash"),
        ("$orderby", "Label upwards", "bad_value", "Label upwards is not a property with asc or desc"),
        ("$orderby", "tolower(Label)", "bad_value", "there is no tolower(Label)"),
        ("$top", "-1", "bad_value", "expected a whole number from 0"),
        ("$skip", "many", "bad_value", "expected a whole number from 0"),
        ("$count", "1", "bad_value", "expected true or false"),
        ("$format", "atom", "bad_value", "json is the only format here"),
        ("$format", "json;odata.metadata=full", "bad_value", "json is the only format here"),
        (
            "$skip",
            "18446744073709551616",
            "bad_value",
            "expected a whole number from 0 to 18446744073709551615",
        ),
        ("$expand", "Owner", "unsupported_option", "there is no $expand"),
        ("$search", "x", "unsupported_option", "there is no $search"),
        ("$apply", "aggregate(Uses with sum as All)", "unsupported_option", "there is no $apply"),
        ("$skiptoken", "x", "bad_cursor", "this is no token of this server"),
        (
            "$skiptoken",
            "eyJjdXJzb3IiOiJ4IiwidG9wIjpudWxsLCJza2lwIjowLCJmaWx0ZXIiOjB9",
            "bad_cursor",
            "this is no cursor",
        ),
    ] {
        let answer = refused(get(&root, "Keys", &[(name, value)]), 400, code);
        let message = text(&answer.body["error"]["message"]);
        assert!(message.starts_with(told), "{name}={value}: {message}");
        let target = text(&answer.body["error"]["target"]);
        assert!(target == name || target == "cursor", "{name}: {target}");
    }
    refused(root.get("/odata/v1/Keys?$top=1&$top=2"), 400, "duplicate_parameter");
    refused(root.get("/odata/v1/Keys?$filter=%ff"), 400, "bad_query");
    assert_eq!(root.get("/odata/v1/Keys?$top=1&trace=yes&trace=no&$format=json").status, 200);
    refused(root.get("/odata/v1/Keys('x')?$top=1"), 400, "unsupported_option");
    for path in ["", "$metadata"] {
        refused(root.get(&format!("/odata/v1/{path}?$expand=Owner")), 400, "unsupported_option");
        refused(root.get(&format!("/odata/v1/{path}?$format=atom")), 400, "bad_value");
        assert_eq!(root.get(&format!("/odata/v1/{path}?trace=yes")).status, 200);
    }
    assert_eq!(root.get("/odata/v1/$metadata?$format=xml").status, 200);
    // A plus that is not encoded is a blank.
    let plus = root.get("/odata/v1/Keys?$filter=CreatedAt%20gt%202027-01-31T12:00:00+01:00");
    let plus = refused(plus, 400, "bad_filter");
    assert!(text(&plus.body["error"]["message"]).ends_with("write + as %2B, or use Z"), "{}", plus.text);
    let long = format!("Label eq '{}'", "x".repeat(4096));
    refused(get(&root, "Keys", &[("$filter", &long)]), 400, "bad_filter");
    let deep = format!("{}true{}", "(".repeat(60), ")".repeat(60));
    refused(get(&root, "Keys", &[("$filter", &deep)]), 400, "bad_filter");
}

#[test]
fn sq_9_a_token_of_another_page_opens_none() {
    let server = Server::start();
    let root = server.root();
    root.key(json!({ "class": "ingest", "label": "collector" }));
    let of = |set: &str| {
        let request =
            root.request("GET", &format!("/odata/v1/{set}")).header("Prefer", "odata.maxpagesize=1");
        text(&Answer::read(request.send().expect("an answer")).ok()["@odata.nextLink"])
    };
    let next = of("Keys");
    let token = next.split("skiptoken=").nth(1).expect("a token");
    refused(get(&root, "Keys", &[("$skiptoken", token), ("$filter", "Label eq 'x'")]), 400, "bad_cursor");
    refused(get(&root, "Keys", &[("$skiptoken", token), ("$top", "1")]), 400, "bad_cursor");
    refused(get(&root, "Users", &[("$skiptoken", token)]), 400, "bad_cursor");
    assert_eq!(get(&root, "Keys", &[("$skiptoken", token)]).status, 200);
}

#[test]
fn sq_9_what_is_not_there_and_what_cannot_be_done() {
    let server = Server::start();
    let root = server.root();
    let id = text(&root.key(json!({ "class": "ingest", "label": "collector" }))["id"]);
    for path in [
        "Nothing",
        "keys",
        "Keys/Nothing",
        "Keys/$count/more",
        "$batch",
        "Keys('key_00000000000000000000000000')",
        "Keys('nothing')",
        "Users('user_00000000000000000000000000')",
        "AuditEvents('event_00000000000000000000000000')",
        "Keys('x'",
    ] {
        refused(get(&root, path, &[]), 404, "not_found");
    }
    refused(get(&root, &format!("Keys('{id}')/Label"), &[]), 404, "not_found");
    for path in ["Keys(1)", "Keys()", "Keys(Label='collector')", "Keys('a','b')", "KeyUsage('x')"] {
        refused(get(&root, path, &[]), 400, "bad_key");
    }
    // Its access key is another name of it, and not its key here.
    let access_key = text(&root.get(&format!("/v1/keys/{id}")).ok()["access_key"]);
    refused(get(&root, &format!("Keys('{access_key}')"), &[]), 404, "not_found");
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = root.request(method, "/odata/v1/Keys").body("{}");
        let answer = refused(Answer::read(request.send().expect("an answer")), 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "GET,HEAD", "{method}");
    }
    let head = Answer::read(root.request("HEAD", "/odata/v1/Keys").send().expect("an answer"));
    assert_eq!((head.status, head.text.as_str(), head.header("odata-version")), (200, "", "4.0"));
    assert_eq!(root.get(&format!("/v1/keys/{id}")).ok()["version"], 1, "nothing has changed");
    for (version, status) in [("4.0", 200), ("4.01", 200), ("3.0", 400), ("3.0;NetFx", 400), ("x", 400)] {
        let request = root.request("GET", "/odata/v1/Keys").header("OData-MaxVersion", version);
        assert_eq!(request.send().expect("an answer").status(), status, "{version}");
    }
}

#[test]
fn sq_9_a_server_that_is_not_set_up_says_so() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let answer = client().get(format!("{}/odata/v1/Keys", server.url())).send().expect("an answer");
    let answer = refused(Answer::read(answer), 503, "not_set_up");
    assert!(!answer.header("retry-after").is_empty());
}
