//! What can be asked of a set.

use serde_json::{Value, json};

use super::{each, filtered, get, rows};
use crate::api::all;
use crate::support::{Caller, Server, text, wait_until};

/// Ten keys of collectors and one of a person.
fn world() -> (Server, Caller, String) {
    let server = Server::with_config("verify: { usage_flush: 1s }\n");
    let root = server.root();
    for number in 0..10 {
        root.key(json!({ "class": "ingest", "label": format!("collector {number}") }));
    }
    let role = root.role("person", &["me:read", "me/keys:*"]);
    let user = root.user("O'Brien", &[&role]);
    root.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
    (server, root, user)
}

#[test]
fn sq_9_rows_say_what_the_api_says() {
    let (_server, root, user) = world();
    let keys = all(&root, "/v1/keys?sort=created_at");
    let rows_of_keys = rows(&get(&root, "Keys", &[]));
    assert_eq!(rows_of_keys.len(), keys.len());
    for key in &keys {
        let row = rows_of_keys.iter().find(|row| row["Id"] == key["id"]).expect("a row");
        for (name, field) in [
            ("AccessKey", "access_key"),
            ("Label", "label"),
            ("Class", "class"),
            ("Status", "status"),
            ("OwnerId", "owner_id"),
            ("OwnerName", "owner_username"),
            ("CreatedAt", "created_at"),
            ("ExpiresAt", "expires_at"),
            ("NeverExpires", "never_expires"),
            ("Canary", "canary"),
            ("Version", "version"),
        ] {
            assert_eq!(row[name], key[field], "{name}");
        }
        assert_eq!(row["SecretGeneration"], 1);
    }
    let row = &filtered(&root, "Users", "Username eq 'O''Brien'")[0];
    let shown = root.get(&format!("/v1/users/{user}")).ok();
    assert_eq!((&row["Id"], &row["KeyCount"]), (&shown["id"], &json!(1)));
    assert_eq!(text(&row["Rights"]).split(' ').count(), shown["rights"].as_array().expect("rights").len());
    let events = all(&root, "/v1/audit-events");
    // Others come while we ask.
    let told = filtered(&root, "AuditEvents", &format!("Seq le {}", events[0]["seq"]));
    for (name, place) in [
        ("Id", "/id"),
        ("Seq", "/seq"),
        ("Action", "/action"),
        ("ActorId", "/actor/id"),
        ("TargetKind", "/target/kind"),
    ] {
        let listed: Vec<&Value> = events.iter().map(|event| event.pointer(place).expect("a field")).collect();
        assert_eq!(told.iter().map(|row| &row[name]).collect::<Vec<_>>(), listed, "{name}");
    }
}

#[test]
fn sq_9_filters_leave_over_what_fits() {
    let (_server, root, user) = world();
    let count = |filter: &str| filtered(&root, "Keys", filter).len();
    assert_eq!(count("Class eq 'ingest'"), 10);
    assert_eq!(count("startswith(Label,'collector') and not endswith(Label,'7')"), 9);
    assert_eq!(count("contains(tolower(Label),'COLLECTOR')"), 0);
    assert_eq!(count("contains(toupper(Label),'COLLECTOR 1')"), 1);
    assert_eq!(count("Label eq 'collector 1' or Label eq 'collector 2'"), 2);
    assert_eq!(count("Label eq 'collector 1' and Class eq 'member'"), 0);
    assert_eq!(count(&format!("OwnerId eq '{user}'")), 1);
    assert_eq!(count("OwnerName eq 'O''Brien'"), 1);
    assert_eq!(count("Class eq 'ingest' and OwnerId eq null"), 10);
    assert_eq!(count("CreatedAt lt 2020-01-01T00:00:00Z"), 0);
    assert_eq!(count("Class eq 'ingest' and CreatedAt ge 2020-01-01T00:00:00+01:00"), 10);
    assert_eq!(
        count("Class eq 'ingest' and ExpiresAt gt 2020-01-01T00:00:00Z and NeverExpires eq false"),
        10
    );
    assert_eq!(count("Class eq 'ingest' and LastUsedAt eq null and Version le 1"), 10);
    let one = &filtered(&root, "Keys", "Label eq 'collector 3'")[0];
    let at = text(&one["CreatedAt"]);
    for op in ["eq", "ge", "le"] {
        assert_eq!(count(&format!("Label eq 'collector 3' and CreatedAt {op} {at}")), 1, "{op}");
    }
    for op in ["ne", "gt", "lt"] {
        assert_eq!(count(&format!("Label eq 'collector 3' and CreatedAt {op} {at}")), 0, "{op}");
    }
    let made = filtered(&root, "AuditEvents", "Action eq 'key.create' and At ge 2020-01-01T00:00:00Z");
    assert_eq!(made.len(), all(&root, "/v1/audit-events?action=key.create").len());
    let made = filtered(&root, "AuditEvents", &format!("Action eq 'user.create' and TargetId eq '{user}'"));
    assert_eq!(each(&made, "TargetLabel"), ["O'Brien"]);
    assert!(filtered(&root, "AuditEvents", "At lt 0001-01-01T00:00:00Z or Outcome eq 'x'").is_empty());
    assert!(filtered(&root, "AuditEvents", "At ge 9999-12-01T00:00:00Z").is_empty());
    assert!(!filtered(&root, "AuditEvents", "At le 9999-12-30T22:00:00.999Z").is_empty());
    assert!(!filtered(&root, "AuditEvents", "At lt 9999-12-31T23:59:59Z").is_empty());
    assert_eq!(count("Class eq 'ingest' and CreatedAt lt 9999-12-31T23:59:59Z"), 10);
    assert_eq!(count("CreatedAt ge 9999-12-31T00:00:00Z"), 0);
}

#[test]
fn sq_9_select_order_top_skip_and_count() {
    let (server, root, _) = world();
    let ask = |options: &[(&str, &str)]| {
        let options = [&[("$filter", "Class eq 'ingest'")], options].concat();
        get(&root, "Keys", &options)
    };
    let labels = |options: &[(&str, &str)]| each(&rows(&ask(options)), "Label");
    let answer = ask(&[("$select", "Label,Id"), ("$top", "2")]);
    assert_eq!(rows(&answer)[1].as_object().expect("an object").len(), 2);
    let context = format!("{}/odata/v1/$metadata#Keys(Label,Id)", server.url);
    assert_eq!(answer.body["@odata.context"], context);
    assert!(answer.body.get("@odata.count").is_none() && answer.body.get("@odata.nextLink").is_none());
    let whole = labels(&[]);
    assert_eq!(whole.len(), 10);
    assert_eq!(labels(&[("$top", "2")]), whole[..2]);
    assert_eq!(labels(&[("$skip", "8")]), whole[8..]);
    assert_eq!(labels(&[("$skip", "4"), ("$top", "1")]), whole[4..5]);
    assert!(labels(&[("$skip", "10")]).is_empty() && labels(&[("$top", "0")]).is_empty());
    assert_eq!(labels(&[("$orderby", "Label desc"), ("$top", "2")]), ["collector 9", "collector 8"]);
    assert_eq!(labels(&[("$orderby", "Class,Label desc"), ("$skip", "9")]), ["collector 0"]);
    assert_eq!(labels(&[("$orderby", "Id asc"), ("$top", "1")]), whole[..1]);
    assert_eq!(labels(&[("$orderby", "Id desc"), ("$top", "1")]), whole[9..]);
    let counted = ask(&[("$count", "true"), ("$top", "3"), ("$skip", "1")]);
    assert_eq!((counted.body["@odata.count"].as_i64(), rows(&counted).len()), (Some(10), 3));
    let counted = ask(&[("$count", "true"), ("$top", "0")]);
    assert_eq!((counted.body["@odata.count"].as_i64(), rows(&counted).len()), (Some(10), 0));
    let counted = ask(&[("$count", "true"), ("$orderby", "Label"), ("$top", "1")]);
    assert_eq!(counted.body["@odata.count"], 10);
    assert!(ask(&[("$count", "false")]).body.get("@odata.count").is_none());
    let alone = get(&root, "Keys/$count", &[("$filter", "Class eq 'ingest'")]).expect(200);
    assert_eq!((alone.text.as_str(), alone.header("content-type")), ("10", "text/plain"));
    // Nothing comes before what is there, as OData has it.
    let owners = rows(&get(&root, "Keys", &[("$orderby", "OwnerName")]));
    assert_eq!(
        (&owners[0]["OwnerName"], &owners.last().expect("rows")["OwnerName"]),
        (&Value::Null, &json!("O'Brien"))
    );
    let owners = rows(&get(&root, "Keys", &[("$orderby", "OwnerName desc")]));
    assert_eq!(owners.last().expect("rows")["OwnerName"], Value::Null);
    let events = rows(&get(&root, "AuditEvents", &[("$orderby", "Seq"), ("$top", "2")]));
    assert_eq!([&events[0]["Seq"], &events[1]["Seq"]], [1, 2]);
}

#[test]
fn sq_9_one_entity_by_its_key() {
    let (server, root, user) = world();
    let key = &rows(&get(&root, "Keys", &[]))[1];
    let id = text(&key["Id"]);
    for path in [format!("Keys('{id}')"), format!("Keys(Id='{id}')")] {
        let one = get(&root, &path, &[("$select", "Id,Label")]).expect(200);
        assert_eq!((&one.body["Id"], &one.body["Label"]), (&key["Id"], &key["Label"]));
        assert_eq!(one.body.as_object().expect("an object").len(), 3);
        let context = format!("{}/odata/v1/$metadata#Keys(Id,Label)/$entity", server.url);
        assert_eq!(one.body["@odata.context"], context);
    }
    assert_eq!(get(&root, &format!("Users('{user}')"), &[]).expect(200).body["Username"], "O'Brien");
    let event = &rows(&get(&root, "AuditEvents", &[("$top", "1")]))[0];
    let one = get(&root, &format!("AuditEvents('{}')", text(&event["Id"])), &[]).expect(200);
    assert_eq!(one.body["Seq"], event["Seq"]);
    let secret = text(&root.key(json!({ "class": "ingest", "label": "used" }))["secret"]);
    root.verify(&secret);
    let used = || {
        let id = text(&filtered(&root, "Keys", "Label eq 'used'")[0]["Id"]);
        filtered(&root, "KeyUsage", &format!("KeyId eq '{id}' and Hour gt 2020-01-01T00:00:00Z"))
    };
    wait_until(|| !used().is_empty());
    let hour = &used()[0];
    let [key, at, outcome] = ["KeyId", "Hour", "Outcome"].map(|name| text(&hour[name]));
    let path = format!("KeyUsage(KeyId='{key}',Hour={at},Outcome='{outcome}')");
    assert_eq!(get(&root, &path, &[]).expect(200).body["Uses"], hour["Uses"]);
}
