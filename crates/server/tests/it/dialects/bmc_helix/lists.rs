//! Lists by the number of the page, and the search.

use serde_json::{Value, json};

use super::{at, enter, operator, refused, start};
use crate::support::{Caller, Server, text};

/// Names on a page, and what is told of all pages.
fn names(caller: &Caller, query: &str) -> (Vec<String>, Value) {
    let listed = caller.get(&at(&format!("/access_keys{query}"))).ok();
    read(&listed)
}

fn read(listed: &Value) -> (Vec<String>, Value) {
    let records = listed["records"].as_array().expect("records");
    (records.iter().map(|record| text(&record["name"])).collect(), listed["_metadata"].clone())
}

/// A server with these keys beside the operator's own.
fn with_keys() -> (Server, Caller) {
    let server = start();
    let operator = operator(&server);
    for (name, kind) in [("beta", "TENANT"), ("alpha", "API"), ("delta", "TENANT"), ("gamma", "API")] {
        let body =
            json!({ "name": name, "type": kind, "expiry_enum": "30 days", "description": "of the walk" });
        operator.post(&at("/access_keys"), body).expect(200);
        // Each at a moment of its own.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    (server, operator)
}

#[test]
fn bm_12_keys_are_listed_by_pages_that_have_numbers() {
    let (_server, operator) = with_keys();
    let (all, metadata) = names(&operator, "");
    assert_eq!(
        all[1..],
        ["beta", "alpha", "delta", "gamma"],
        "the oldest first, the operator's own before all"
    );
    assert_eq!(metadata, json!({ "page": 0, "records_per_page": 1000, "page_count": 1, "total_count": 5 }));
    let (first, metadata) = names(&operator, "?page=0&size=2&orderBy=name&sortOrder=desc&userType=api");
    assert_eq!(first, ["gamma", "alpha"]);
    assert_eq!(metadata["total_count"], 2);
    let (last, metadata) = names(&operator, "?page=2&size=2");
    assert_eq!((last, &metadata["page_count"]), (vec!["gamma".to_owned()], &json!(3)));
    let (none, metadata) = names(&operator, "?page=9&size=2&unheard=of");
    assert_eq!((none.len(), &metadata["total_count"], &metadata["page"]), (0, &json!(5), &json!(9)));
    for field in
        ["user_id", "name", "description", "access_key", "status", "expiry_enum", "created_date_time"]
    {
        let up = names(&operator, &format!("?orderBy={field}&sortOrder=asc")).0;
        assert_eq!(up.len(), 5, "{field}");
    }
    for wrong in ["page=-1", "size=0", "size=x", "orderBy=colour", "sortOrder=sideways", "userType=ghost"] {
        refused(&operator.get(&at(&format!("/access_keys?{wrong}"))), 400, "BAD_REQUEST");
    }
}

#[test]
fn bm_12_keys_are_searched_and_deleted_ones_are_gone() {
    let (server, operator) = with_keys();
    let search = |body: Value| read(&operator.post(&at("/access_keys/search"), body).ok());
    assert_eq!(search(json!({ "name": "ALPH" })).0, ["alpha"]);
    assert_eq!(search(json!({ "description": "walk", "type": "TENANT" })).0, ["beta", "delta"]);
    let (page, metadata) = search(json!({ "type": "API", "orderBy": "name", "size": 1, "page": 1 }));
    assert_eq!((page, &metadata["page_count"]), (vec!["gamma".to_owned()], &json!(2)));
    let gamma =
        operator.post(&at("/access_keys/search"), json!({ "name": "gamma" })).ok()["records"][0].clone();
    let access_key = text(&gamma["access_key"]);
    assert_eq!(search(json!({ "access_key": access_key })).0, ["gamma"]);
    assert_eq!(search(json!({ "user_id": gamma["user_id"] })).0, ["gamma"]);
    operator.patch(&at(&format!("/access_keys/{access_key}")), json!({ "status": "INACTIVE" })).expect(200);
    assert_eq!(search(json!({ "status": "INACTIVE" })).0, ["gamma"]);
    operator.delete(&at(&format!("/access_keys/{access_key}"))).expect(204);
    assert_eq!(search(json!({ "name": "gamma" })).1["total_count"], 0);
    assert_eq!(names(&operator, "").1["total_count"], 4);
    for wrong in [json!({ "type": "GHOST" }), json!({ "name": 7 }), json!({ "page": -1 })] {
        refused(&operator.post(&at("/access_keys/search"), wrong), 400, "BAD_REQUEST");
    }
    // Whoever may see their own keys alone finds those.
    let (_, key) = server.root().member("grace", &[]);
    let own = enter(&server, &key);
    assert_eq!(names(&own, "").0, ["grace's key"]);
    assert_eq!(read(&own.post(&at("/access_keys/search"), json!({})).ok()).0, ["grace's key"]);
}
