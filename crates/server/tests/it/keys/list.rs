//! Listing keys: what admins and owners see, filters, pages.

use serde_json::{Value, json};

use super::{count, fault, path, rows, tenant};
use crate::support::{Caller, Server, client, text, wait_until};

fn labels(caller: &Caller, query: &str) -> Vec<String> {
    let list = caller.get(&format!("/v1/keys?{query}")).ok();
    rows(&list).iter().map(|key| text(&key["label"])).collect()
}

#[test]
fn mo_7_sq_6_admins_see_active_revoked_and_expired_keys() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let gone = root.key(json!({ "class": "workspace", "label": "gone" }));
    root.key(json!({ "class": "workspace", "label": "short", "ttl_seconds": 1 }));
    let off = root.key(json!({ "class": "ingest", "label": "off" }));
    root.post(&format!("{}/revoke", path(&gone)), json!({ "reason": "lost laptop" })).ok();
    root.post(&format!("{}/deactivate", path(&off)), json!({})).ok();
    assert_eq!(server.caller(&text(&key["secret"])).get("/v1/me").status, 200);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    for (status, label) in
        [("active", "bob's key"), ("revoked", "gone"), ("expired", "short"), ("inactive", "off")]
    {
        let found = labels(&root, &format!("status={status}"));
        assert!(found.contains(&label.to_owned()), "{status}: {found:?}");
    }
    assert_eq!(labels(&root, "status=revoked,expired&sort=label"), ["gone", "short"]);
    wait_until(|| root.get(&path(&key)).ok()["last_used_at"].is_string());
    let listed = root.get("/v1/keys").ok();
    let find = |id: &Value| rows(&listed).iter().find(|row| row["id"] == *id).expect("listed").clone();
    let row = find(&key["id"]);
    assert_eq!((&row["owner_username"], &row["has_admin_rights"]), (&json!("bob"), &json!(false)));
    assert_eq!(text(&row["owner_id"]), bob);
    for field in ["label", "created_at", "created_by", "last_used_at", "expires_at"] {
        assert!(row[field].is_string(), "{field}: {row}");
    }
    let row = find(&gone["id"]);
    assert_eq!((&row["revoked_reason"], &row["has_admin_rights"]), (&json!("lost laptop"), &json!(true)));
    assert!(row["revoked_at"].is_string() && row["revoked_by"].is_string());
}

#[test]
fn mo_8_va_4_users_make_and_see_their_own() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let (alice, _) = root.member("alice", &[]);
    let caller = server.caller(&text(&key["secret"]));
    let own = caller.post("/v1/keys", json!({ "class": "member", "label": "my script" })).expect(201).body;
    let secret = text(&own["secret"]);
    assert_eq!(secret.trim_matches(|c: char| !c.is_ascii_alphanumeric()), secret, "no quotes, no blanks");
    let mut seen = labels(&caller, "sort=label");
    assert_eq!(seen, ["bob's key", "my script"]);
    assert_eq!(labels(&caller, &format!("owner_id={alice}&sort=label")), seen, "a filter widens nothing");
    seen = labels(&root, &format!("owner_id={bob}&sort=label"));
    assert_eq!(seen, ["bob's key", "my script"]);
    caller.delete(&path(&own)).expect(204);
    assert_eq!(labels(&caller, "status=active"), ["bob's key"]);
}

#[test]
fn az_12_x_5_keys_of_another_tenant_do_not_exist() {
    let server = Server::start();
    let (_, ada) = tenant(&server, "acme", "ada");
    let key = server.root().key(json!({ "class": "workspace", "label": "primary" }));
    assert_eq!(labels(&ada, ""), ["admin"]);
    for id in [text(&key["id"]), text(&key["access_key"])] {
        let hidden = ada.get(&format!("/v1/keys/{id}")).refused(404, "not_found");
        let nothing = ada.get("/v1/keys/key_00000000000000000000000000").refused(404, "not_found");
        assert_eq!(hidden.body["detail"], nothing.body["detail"]);
        for action in ["revoke", "rotate", "deactivate", "extend", "explain"] {
            ada.post(&format!("/v1/keys/{id}/{action}"), json!({})).refused(404, "not_found");
        }
        ada.patch(&format!("/v1/keys/{id}"), json!({ "label": "mine" })).refused(404, "not_found");
        ada.delete(&format!("/v1/keys/{id}")).refused(404, "not_found");
    }
    assert_eq!(server.root().get(&path(&key)).ok()["version"], 1);
    let theirs = ada.post("/v1/verify", json!({ "credential": key["secret"] })).ok();
    assert_eq!((&theirs["code"], &theirs["key"]), (&json!("invalid_key"), &Value::Null));
}

#[test]
fn mo_7_filters_narrow() {
    let server = Server::start();
    let root = server.root();
    let (bob, _) = root.member("bob", &[]);
    root.key(json!({ "class": "ingest", "label": "Collector 1" }));
    root.key(json!({ "class": "workspace", "label": "nightly_export", "expires": "never" }));
    let first = "First operator key";
    for (query, expect) in [
        ("class=ingest", vec!["Collector 1"]),
        ("class=ingest,member&sort=label", vec!["Collector 1", "bob's key"]),
        (&format!("owner_id={bob}"), vec!["bob's key"]),
        ("q=COLLECT", vec!["Collector 1"]),
        ("q=bob", vec!["bob's key"]),
        ("label=nightly_export", vec!["nightly_export"]),
        ("label=nightly", vec![]),
        ("never_expires=true", vec!["nightly_export"]),
        ("created_before=2020-01-01T00:00:00Z", vec![]),
        ("expires_before=2020-01-01T00:00:00Z", vec![]),
        ("created_after=2020-01-01T00:00:00Z&class=ingest", vec!["Collector 1"]),
        ("unused=true&sort=label", vec!["Collector 1", first, "bob's key", "nightly_export"]),
    ] {
        let mut found = labels(&root, query);
        let mut expect: Vec<_> = expect.into_iter().map(String::from).collect();
        // Collations of the engines differ about capitals; the order is tested elsewhere.
        found.sort();
        expect.sort();
        assert_eq!(found, expect, "{query}");
    }
}

#[test]
fn mo_7_filters_that_do_not_exist_are_refused_with_a_suggestion() {
    let server = Server::start();
    let root = server.root();
    for (query, parameter, code, hint) in [
        ("stauts=active", "stauts", "unknown_field", "did you mean status?"),
        ("status=activ", "status", "bad_value", "did you mean active?"),
        ("class=membre", "class", "bad_value", "did you mean member?"),
        ("sort=-lable", "sort", "bad_value", "did you mean label?"),
        ("limit=0", "limit", "out_of_range", ""),
        ("limit=x", "limit", "bad_value", ""),
        ("created_before=yesterday", "created_before", "bad_time", ""),
        ("status=active&status=revoked", "status", "duplicate_parameter", ""),
        ("cursor=nonsense", "cursor", "bad_cursor", ""),
    ] {
        let refused = root.get(&format!("/v1/keys?{query}")).refused(400, "malformed_request");
        assert_eq!(fault(&refused), (parameter, code), "{query}: {}", refused.text);
        assert!(refused.text.contains(hint), "{query}: {}", refused.text);
    }
}

#[test]
fn mo_7_pages_hold_every_key_once_under_every_sort() {
    let server = Server::start();
    let root = server.root();
    for number in 0..9 {
        root.key(
            json!({ "class": "ingest", "label": format!("k{}", number % 4), "ttl_seconds": 90_000 - number }),
        );
    }
    let all = count(&root);
    for sort in ["created_at", "-created_at", "label", "-label", "expires_at", "-expires_at", "last_used_at"]
    {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = root.get(&format!("/v1/keys?sort={sort}&limit=3{cursor}")).ok();
            assert!(rows(&page).len() <= 3);
            seen.extend(rows(&page).iter().map(|key| text(&key["id"])));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), all, "{sort}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "{sort}: each once");
    }
    let page = root.get("/v1/keys?class=ingest&limit=2").ok();
    let cursor = text(&page["next_cursor"]);
    for other in ["class=workspace", "class=ingest&sort=label", "class=ingest&status=active", ""] {
        let refused =
            root.get(&format!("/v1/keys?{other}&cursor={cursor}")).refused(400, "malformed_request");
        assert_eq!(fault(&refused), ("cursor", "bad_cursor"), "{other}");
    }
    assert_eq!(rows(&root.get(&format!("/v1/keys?class=ingest&limit=5&cursor={cursor}")).ok()).len(), 5);
}

#[test]
fn mo_7_a_limit_above_200_is_cut_to_200() {
    let server = Server::start();
    let (client, url, secret) = (client(), format!("{}/v1/keys", server.url), server.operator());
    for _ in 0..200 {
        let body = json!({ "class": "ingest", "label": "one of many" });
        let answer = client.post(&url).bearer_auth(&secret).json(&body).send().expect("an answer");
        assert_eq!(answer.status(), 201);
    }
    let root = server.root();
    let page = root.get("/v1/keys?limit=1000").ok();
    assert_eq!(rows(&page).len(), 200);
    let rest = root.get(&format!("/v1/keys?limit=1000&cursor={}", text(&page["next_cursor"]))).ok();
    assert_eq!((rows(&rest).len(), &rest["next_cursor"]), (1, &Value::Null));
    assert_eq!(rows(&root.get("/v1/keys").ok()).len(), 50);
}
