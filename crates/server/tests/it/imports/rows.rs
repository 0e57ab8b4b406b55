//! What is asked of a row: rights, quota, names, and that it is the only one of its kind.

use serde_json::{Value, json};

use super::{SHA256, TEXT, import, imported, named, refused, row};
use crate::api::{all, inside, person, tenant, worker};
use crate::support::{Caller, Server, text, wait_until};

/// `printf unkey_3ZzJ8kPq5Wc1YtNv6RbXhD | sha256sum`, in base64.
const OTHER: &str = "uN976vB9rROo8fOFARgbhErPO7cNniLNqaIOyrgC478=";
const OTHER_TEXT: &str = "unkey_3ZzJ8kPq5Wc1YtNv6RbXhD";

#[test]
fn x_11_az_1_importing_needs_its_right() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let maker = worker(&server, &admin, "maker", &["keys:create", "keys:read", "ingest/**:*"]);
    import(&maker, "sha256", json!([row("a", SHA256)])).refused(403, "insufficient_rights");
    assert_ne!(server.root().code(TEXT), "ok");
    let importer = worker(&server, &admin, "importer", &["keys:import", "keys:create", "ingest/**:*"]);
    assert_eq!(import(&importer, "sha256", json!([row("a", SHA256)])).ok()["imported"], 1);
    assert_eq!(server.root().code(TEXT), "ok");
}

#[test]
fn x_11_az_5_nobody_imports_what_they_may_not_grant() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (boss, _, _) = person(&server, &admin, "boss", &["**:*"]);
    let rights = ["keys:import", "keys:create", "keys/others:create", "keys:read", "reports:read"];
    let importer = worker(&server, &admin, "importer", &rights);
    let strong = admin.role("strong", &["users:write"]);
    admin.role("weak", &["reports:read"]);
    let workspace = |roles: Value| {
        let mut wish = row("w", SHA256);
        wish["class"] = json!("workspace");
        wish["roles"] = roles;
        wish
    };
    assert_eq!(refused(&importer, "sha256", workspace(json!([strong]))), "rights_exceed_caller");
    assert_eq!(
        refused(&importer, "sha256", workspace(json!([]))),
        "rights_exceed_caller",
        "admin unless told"
    );
    assert_eq!(refused(&importer, "sha256", workspace(json!(["no such role"]))), "not_found");
    let member =
        |owner: &str| json!({ "external_id": "m", "hash": SHA256, "class": "member", "owner": owner });
    assert_eq!(refused(&importer, "sha256", member(&boss)), "above_caller");
    assert_eq!(refused(&importer, "sha256", member("boss")), "above_caller");
    assert_eq!(refused(&importer, "sha256", member("nobody")), "not_found");
    assert_ne!(server.root().code(TEXT), "ok");
    imported(&importer, "sha256", workspace(json!(["weak"])));
    assert_eq!(server.root().code(TEXT), "ok");
    let alone = worker(&server, &admin, "alone", &["keys:import", "keys:create", "keys:read"]);
    assert_eq!(refused(&alone, "sha256", member("boss")), "not_found", "no word about who exists");
}

#[test]
fn x_11_bm_2_quota_policy_and_fields_count_for_imported_keys() {
    let server = Server::start();
    let root = server.root();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 1 })).expect(200);
    root.user("mia", &[]);
    let of_mia =
        |name: &str, hash: &str| json!({ "external_id": name, "hash": hash, "owner": "MIA", "scopes": [] });
    let report = import(&root, "sha256", json!([of_mia("a", SHA256), of_mia("b", OTHER)])).ok();
    assert_eq!((&report["imported"], &report["failed"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(report["errors"][0]["code"], "quota_exceeded");
    assert_eq!((&report["errors"][0]["row"], &report["errors"][0]["external_id"]), (&json!(1), &json!("b")));
    assert_ne!(root.code(OTHER_TEXT), "ok");
    let mut ended = row("ended", OTHER);
    ended["expires_at"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(refused(&root, "sha256", ended), "in_the_past");
    let mut wrong = row("wrong", OTHER);
    wrong["scopes"] = json!(["not a right"]);
    assert_eq!(refused(&root, "sha256", wrong), "bad_right");
    let mut bound = row("bound", OTHER);
    bound["conditions"] = json!({ "cidrs": ["192.0.2.0/24"] });
    bound["credits"] = json!(7);
    bound["credit_refill"] = json!({ "amount": 2, "every": "week" });
    bound["hint"] = json!("unkey_3Z");
    let key = imported(&root, "sha256", bound);
    assert_eq!((&key["credits"]["granted"], &key["secrets"][0]["hint"]), (&json!(7), &json!("unkey_3Z")));
    assert_eq!(key["credits"]["refill"], json!({ "amount": 2, "every": "week", "cap": 7 }));
    assert_eq!(root.code(OTHER_TEXT), "address_denied");
    let whole =
        json!({ "external_id": "x", "hash": "hunter2-kong", "hint": "hunter2-kon", "class": "ingest" });
    assert_eq!(refused(&root, "plain", whole), "bad_value");
}

#[test]
fn x_11_a_dry_run_tells_the_same_and_changes_nothing() {
    let server = Server::start();
    let root = server.root();
    let before = all(&root, "/v1/keys").len();
    let events = || all(&root, "/v1/audit-events?action=import.keys").len();
    let rows = json!([row("a", SHA256), row("b", SHA256), row("c", "nonsense")]);
    let body = json!({ "source": "old", "format": "sha256", "rows": rows });
    let tried = root.post("/v1/imports?validate_only=true", body.clone()).ok();
    assert_eq!((&tried["imported"], &tried["failed"]), (&json!(1), &json!(2)));
    assert_eq!((all(&root, "/v1/keys").len(), events()), (before, 0));
    assert_ne!(root.code(TEXT), "ok");
    let done = root.post("/v1/imports", body).ok();
    assert_eq!(tried, done);
    assert_eq!((all(&root, "/v1/keys").len(), events()), (before + 1, 1));
    assert_eq!(root.code(TEXT), "ok");
}

#[test]
fn x_11_a_repeated_import_skips_what_is_there() {
    let server = Server::start();
    let root = server.root();
    let send = |resume: bool, rows: Value| {
        root.post(
            "/v1/imports",
            json!({ "source": "old", "format": "sha256", "resume": resume, "rows": rows }),
        )
        .ok()
    };
    assert_eq!(send(false, json!([row("a", SHA256)]))["imported"], 1);
    let both = json!([row("a", SHA256), row("b", OTHER)]);
    let again = send(true, both.clone());
    assert_eq!((&again["imported"], &again["skipped"], &again["failed"]), (&json!(1), &json!(1), &json!(0)));
    let refused = send(false, both);
    assert_eq!((&refused["imported"], &refused["failed"]), (&json!(0), &json!(2)));
    assert_eq!(refused["errors"][0]["code"], "already_imported");
    assert_eq!([root.code(TEXT), root.code(OTHER_TEXT)], ["ok", "ok"]);
}

#[test]
fn x_11_a_credential_belongs_to_one_key_of_the_instance() {
    let server = Server::start();
    let root = server.root();
    let (acme, admin) = tenant(&server, "acme");
    let (_, stranger) = tenant(&server, "globex");
    let key = imported(&admin, "sha256", row("a", SHA256));
    assert_eq!(refused(&admin, "sha256", row("b", SHA256)), "duplicate_credential");
    assert_eq!(refused(&stranger, "sha256", row("a", SHA256)), "duplicate_credential");
    assert_eq!(root.code(TEXT), "ok");
    assert_eq!(
        refused(&admin, "sha256", row("b", SHA256)),
        "duplicate_credential",
        "also after its first use"
    );
    // Whose it is, nobody of another tenant learns.
    assert_eq!(stranger.code(TEXT), "invalid_key");
    stranger.get(&format!("/v1/keys/{}", text(&key["id"]))).refused(404, "not_found");
    assert_eq!(root.verify(TEXT)["tenant"]["id"], acme.as_str());
    // An id of elsewhere may be that of another tenant too.
    imported(&stranger, "sha256", row("a", OTHER));
    assert_eq!(named(&admin, &json!("a"))["id"], key["id"]);
    root.delete(&format!("/v1/tenants/{acme}?confirm=acme")).expect(204);
    wait_until(|| root.code(TEXT) == "invalid_key");
    imported(&stranger, "sha256", row("b", SHA256));
    wait_until(|| root.code(TEXT) == "ok");
}

#[test]
fn x_11_ver_9_an_import_counts_on_the_other_node_and_leaves_its_event() {
    let server = Server::start();
    let node = server.second_node();
    let (root, there) = (server.root(), node.caller(&server.operator()));
    assert_ne!(there.code(TEXT), "ok");
    let key = imported(&root, "sha256", row("a", SHA256));
    wait_until(|| there.code(TEXT) == "ok");
    let event = &all(&root, "/v1/audit-events?action=import.keys")[0];
    assert_eq!((&event["target"]["id"], &event["after"]["key_ids"]), (&json!("old"), &json!([key["id"]])));
    root.post(&format!("/v1/keys/{}/revoke", text(&key["id"])), json!({})).expect(200);
    assert_eq!(root.code(TEXT), "revoked");
    wait_until(|| there.code(TEXT) == "revoked");
}

#[test]
fn x_11_http_1_the_body_of_an_import_has_bounds_of_its_own() {
    let server = Server::start();
    let root = server.root();
    let many = |count: usize| -> Value {
        (0..count).map(|number| row(&format!("row {number}"), &format!("{number:064x}"))).collect()
    };
    assert_eq!(
        import(&root, "sha256", many(2_000)).ok()["imported"],
        2_000,
        "larger than other bodies may be"
    );
    import(&root, "sha256", many(2_001)).refused(422, "invalid_value");
    import(&root, "sha256", json!([])).refused(422, "invalid_value");
    let unknown = json!([{ "external_id": "a", "hash": SHA256, "secret": "x" }]);
    import(&root, "sha256", unknown).refused(400, "malformed_request");
    let huge = json!([row("huge", &"x".repeat(9 * 1024 * 1024))]);
    let answer = root
        .request("POST", "/v1/imports")
        .json(&json!({ "source": "old", "format": "plain", "rows": huge }));
    // The server may hang up while the rest is on its way.
    assert!(answer.send().map_or(true, |answer| answer.status() == 413));
    let body = json!({ "source": "no slug!", "format": "sha256", "rows": [row("a", SHA256)] });
    root.post("/v1/imports", body.clone()).refused(422, "invalid_value");
    inside(&root, "nowhere", "POST", "/v1/imports", &body).refused(404, "not_found");
}

#[test]
fn x_11_a_hint_never_makes_a_key_unreadable() {
    let server = Server::start();
    let root = server.root();
    let hinted = |hint: &str| {
        let mut wish = row(&format!("hint {hint}"), SHA256);
        wish["hint"] = json!(hint);
        wish
    };
    for bad in ["\"", "a\\", "\\u0000", "a\"b", "größe", "a b", "a\u{7f}"] {
        assert_eq!(refused(&root, "sha256", hinted(bad)), "bad_characters", "{bad:?}");
    }
    let key = imported(&root, "sha256", hinted("old_live…{'<"));
    assert_eq!(key["secrets"][0]["hint"], "old_live…{'<");
    assert_eq!(root.code(TEXT), "ok");
    // What an older version let in can be read all the same, and ended.
    let stored = "UPDATE key_secrets SET hint = 'a\"b\\c\\\"'
        WHERE key_id = (SELECT id FROM keys WHERE external_id IS NOT NULL)";
    assert_eq!(server.place.sql(stored), 1);
    let server = server.kill_and_restart();
    let root = server.root();
    assert_eq!(root.code(TEXT), "ok");
    assert_eq!(named(&root, &key["imported"]["external_id"])["secrets"][0]["hint"], "a\"b\\c\\\"");
    root.post(&format!("/v1/keys/{}/revoke", text(&key["id"])), json!({})).expect(200);
    assert_eq!(root.code(TEXT), "revoked");
}

#[test]
fn x_11_the_same_credential_in_two_formats_is_one_key() {
    let server = Server::start();
    let root = server.root();
    let (_, stranger) = tenant(&server, "globex");
    let hashed = imported(&root, "sha256", row("hashed", SHA256));
    assert_eq!(refused(&root, "plain", row("plain", TEXT)), "duplicate_credential");
    assert_eq!(refused(&stranger, "plain", row("plain", TEXT)), "duplicate_credential");
    assert_eq!(root.verify(TEXT)["key"]["id"], hashed["id"]);
    let mac = "b70c90f9cbfe57aa562cf76adf95c8f9bf0f68f939a3e0822973228d6c19f552";
    let rows = json!([row("keyed", mac)]);
    let keyed =
        json!({ "source": "old", "format": "hmac_sha256", "hmac_key": "old gateway's key", "rows": rows });
    assert_eq!(root.post("/v1/imports", keyed).ok()["imported"], 1);
    assert_eq!(refused(&root, "plain", row("plain", "gw.Rt5Yu8Io2Pa6Sd9Fg3Hj")), "duplicate_credential");
    // A hash tells nothing of a text that came before it: then the text counts, whatever is in memory.
    let clear = imported(&root, "plain", row("clear", OTHER_TEXT));
    imported(&root, "unkey", row("hashed too", OTHER));
    assert_eq!(root.verify(OTHER_TEXT)["key"]["id"], clear["id"]);
    let server = server.kill_and_restart();
    for _ in 0..3 {
        assert_eq!(server.root().verify(OTHER_TEXT)["key"]["id"], clear["id"]);
    }
}

#[test]
fn x_11_what_is_written_as_ours_is_nobody_elses() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "ingest", "label": "own" }));
    let secret = text(&key["secret"]);
    let last = if secret.ends_with('0') { "1" } else { "0" };
    let damaged = format!("{}{last}", &secret[..secret.len() - 1]);
    for own in [&secret, &damaged] {
        assert_eq!(refused(&root, "plain", row("own", own)), "own_credential", "{own}");
    }
    imported(&root, "plain", row("much like it", &secret[..60]));
    assert_eq!([root.code(&secret[..60]), root.code(&damaged)], ["ok", "invalid_key"]);
}

#[test]
fn x_11_az_4_who_brings_credentials_of_others_is_seen_and_stopped() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (_, stranger) = tenant(&server, "globex");
    let rows = |count: usize| -> Value {
        (0..count).map(|number| row(&format!("row {number}"), &format!("{number:064x}"))).collect()
    };
    assert_eq!(import(&admin, "sha256", rows(7)).ok()["imported"], 7);
    let tries = |caller: &Caller| all(caller, "/v1/audit-events?action=import.try");
    let report = import(&stranger, "sha256", rows(3)).ok();
    assert_eq!((&report["imported"], &report["failed"]), (&json!(0), &json!(3)));
    let mine = json!({ "source": "old", "format": "sha256", "rows": [row("mine", SHA256)] });
    assert_eq!(stranger.post("/v1/imports?validate_only=true", mine).ok()["imported"], 1);
    let told: Vec<_> = tries(&stranger).iter().map(|event| event["after"].clone()).collect();
    let expected = [(1, 1, 0), (3, 0, 3)]
        .map(|(rows, valid, failed)| json!({ "rows": rows, "valid": valid, "failed": failed }));
    assert_eq!(told, expected, "a dry run is seen too");
    // More of them end the request: nothing is told of its rows, and nothing of it is kept.
    let mut many = rows(7);
    many.as_array_mut().expect("rows").insert(0, row("mine", SHA256));
    import(&stranger, "sha256", many).refused(429, "rate_limited");
    assert!(all(&stranger, "/v1/keys").iter().all(|key| key["imported"].is_null()));
    assert_ne!(server.root().code(TEXT), "ok");
    let ended = &tries(&stranger)[0];
    assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("refused"), &json!("rate_limited")));
    assert_eq!(tries(&admin).len(), 0);
    // One's own are no secret.
    assert_eq!(import(&admin, "sha256", rows(7)).ok()["failed"], 7);
}
