//! Pages that the server cuts off, and sets that are too large to count or to sort.

use serde_json::{Value, json};

use super::{each, get, refused, rows, walk};
use crate::oauth::form;
use crate::support::{Answer, Caller, Server, text};
use crate::tokens::NAMED;

/// Asks for pages of so many rows.
fn paged(caller: &Caller, path: &str, size: usize) -> Answer {
    let request = caller.request("GET", path).header("Prefer", format!("odata.maxpagesize={size}"));
    Answer::read(request.send().expect("an answer"))
}

/// Every row in pages of so many.
fn walk_by(caller: &Caller, path: &str, size: usize) -> Vec<Value> {
    let (mut answer, mut all) = (paged(caller, path, size), Vec::new());
    loop {
        let page = rows(&answer);
        assert!(page.len() <= size, "{} rows", page.len());
        assert_eq!(answer.header("preference-applied"), format!("odata.maxpagesize={size}"));
        all.extend(page);
        let Some(next) = answer.body["@odata.nextLink"].as_str() else { return all };
        answer = paged(caller, next.strip_prefix(&caller.url).expect("an absolute link"), size);
    }
}

#[test]
fn sq_9_pages_together_are_the_whole() {
    let server = Server::start();
    let root = server.root();
    for number in 0..7 {
        root.key(json!({ "class": "ingest", "label": format!("collector {number}") }));
        root.user(&format!("user{number}"), &[]);
    }
    // Other events come while we ask.
    let newest = &rows(&get(&root, "AuditEvents", &[("$top", "1")]))[0]["Seq"];
    let events = format!("AuditEvents?%24filter=Seq%20le%20{newest}");
    for path in ["Keys", "Users", &events] {
        let path = format!("/odata/v1/{path}");
        let whole = each(&rows(&root.get(&path)), "Id");
        assert!(whole.len() > 7, "{path}");
        for size in [1, 2, 3, 200] {
            assert_eq!(each(&walk_by(&root, &path, size), "Id"), whole, "{path} by {size}");
        }
    }
    let filter =
        "%24filter=endswith(Label,%271%27)%20or%20endswith(Label,%276%27)%20or%20endswith(Label,%273%27)";
    let mut found = each(&walk_by(&root, &format!("/odata/v1/Keys?{filter}"), 2), "Label");
    found.sort_unstable();
    assert_eq!(found, ["collector 1", "collector 3", "collector 6"]);
    // What is left out and what is wanted are counted across pages.
    let labels = |query: &str| each(&walk_by(&root, &format!("/odata/v1/Keys?{query}"), 2), "Label");
    let ours = "%24filter=Class%20eq%20%27ingest%27";
    let whole = labels(ours);
    assert_eq!(labels(&format!("{ours}&$skip=5")), whole[5..]);
    assert_eq!(labels(&format!("{ours}&$skip=1&$top=3&$select=Label")), whole[1..4]);
    let first = paged(&root, &format!("/odata/v1/Keys?{ours}&$count=true"), 2);
    assert_eq!(first.body["@odata.count"], 7);
    let next = text(&first.body["@odata.nextLink"]);
    assert!(!next.contains("count"), "told once: {next}");
    // Keys that come later are on later pages.
    root.key(json!({ "class": "ingest", "label": "collector 7" }));
    let (rest, _) = walk(&root, root.get(next.strip_prefix(&root.url).expect("a link")));
    let rest = each(&rest, "Label");
    assert_eq!(rest[..5], whole[2..]);
    assert_eq!(rest[5..], ["collector 7"]);
}

#[test]
fn sq_9_links_are_those_that_clients_reach() {
    let server = Server::with_config(NAMED);
    let root = server.root();
    root.key(json!({ "class": "ingest", "label": "collector" }));
    let answer = paged(&root, "/odata/v1/Keys", 1);
    assert!(text(&answer.body["@odata.nextLink"]).starts_with("https://keys.example.org/odata/v1/Keys?"));
    assert_eq!(answer.body["@odata.context"], "https://keys.example.org/odata/v1/$metadata#Keys");
    // What is sorted comes on one page, whatever is wished.
    let sorted = paged(&root, "/odata/v1/Keys?$orderby=Label", 1);
    assert!(rows(&sorted).len() > 1);
    assert_eq!(sorted.header("preference-applied"), "");
    // Wishes that cannot be fulfilled are not told to be.
    for size in ["0", "-1", "x", "1001"] {
        let request =
            root.request("GET", "/odata/v1/Keys").header("Prefer", format!("odata.maxpagesize={size}"));
        let answer = Answer::read(request.send().expect("an answer")).expect(200);
        assert_eq!(answer.header("preference-applied"), "");
    }
}

#[test]
fn sq_9_beyond_ten_thousand_rows_nothing_is_counted_or_sorted() {
    let server = Server::start();
    let root = server.root();
    let busy = text(&root.key(json!({ "class": "ingest", "label": "busy" }))["id"]);
    let made = server.place.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)
         INSERT INTO key_hours (tenant_id, key_id, hour, outcome, uses)
         SELECT k.tenant_id, k.id, CAST(n.i AS BIGINT) * 3600000, 'ok', n.i FROM n, keys k WHERE k.label = 'busy'",
    );
    assert_eq!(made, 10_001);
    let all = format!("KeyId eq '{busy}'");
    let ask = |filter: &str, options: &[(&str, &str)]| {
        get(&root, "KeyUsage", &[&[("$filter", filter)], options].concat())
    };
    let (every, pages) = walk(&root, ask(&all, &[]));
    assert_eq!((every.len(), pages), (10_001, 11));
    assert!(every.iter().zip(1..).all(|(row, uses)| row["Uses"] == uses));
    let (one, pages) = walk(&root, ask(&all, &[("$skip", "10000")]));
    assert_eq!((one.len(), pages), (1, 2), "a page ends after ten thousand rows, whatever is on it");
    let (none, pages) = walk(&root, ask(&format!("{all} and Uses lt 0"), &[]));
    assert_eq!((none.len(), pages), (0, 2));
    // A small page looks through no more parts than a large one.
    let late = form(&[("$filter", &format!("{all} and Uses gt 60"))]);
    let small = paged(&root, &format!("/odata/v1/KeyUsage?{late}"), 1);
    assert_eq!(rows(&small).len(), 0);
    assert!(small.body["@odata.nextLink"].is_string(), "{}", small.text);
    for option in [("$count", "true"), ("$orderby", "Uses desc")] {
        let told = refused(ask(&all, &[option]), 400, "too_many_rows");
        assert_eq!(told.body["error"]["target"], option.0);
        let message = text(&told.body["error"]["message"]);
        assert!(message.contains("10000 rows") && message.contains("KeyId, Hour, Outcome"), "{message}");
    }
    refused(get(&root, "KeyUsage/$count", &[("$filter", &all)]), 400, "too_many_rows");
    // One hour less is few enough.
    let fewer = format!("{all} and Hour gt 1970-01-01T01:00:00Z");
    assert_eq!(get(&root, "KeyUsage/$count", &[("$filter", &fewer)]).expect(200).text, "10000");
    let most = rows(&ask(&fewer, &[("$orderby", "Uses desc"), ("$top", "2")]));
    assert_eq!([&most[0]["Uses"], &most[1]["Uses"]], [10_001, 10_000]);
    let whole = ask(&fewer, &[("$orderby", "Uses desc"), ("$select", "Uses")]);
    assert_eq!((rows(&whole).len(), whole.body.get("@odata.nextLink")), (10_000, None));
}
