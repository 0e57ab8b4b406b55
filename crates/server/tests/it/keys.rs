//! `/v1/keys`: the life of a key.

mod bulk;
mod create;
mod edit;
mod exposure;
mod format;
mod generations;
mod handovers;
mod list;
mod processes;
mod quota;
mod refused;
mod repeat;
mod revoke;
mod rotate;
mod schedule;

use serde_json::{Value, json};

pub(crate) use format::resigned;

use crate::support::{Answer, Caller, Server, text};

/// Every key that the caller may see.
pub(crate) fn count(caller: &Caller) -> usize {
    rows(&caller.get("/v1/keys?limit=200").ok()).len()
}

/// The items of a list.
pub(crate) fn rows(list: &Value) -> &Vec<Value> {
    list["data"].as_array().expect("a list")
}

/// The path of a key.
pub(crate) fn path(key: &Value) -> String {
    format!("/v1/keys/{}", text(&key["id"]))
}

/// The first fault of a refusal: pointer and code.
pub(crate) fn fault(answer: &Answer) -> (&str, &str) {
    let fault = &answer.body["errors"][0];
    (fault["pointer"].as_str().unwrap_or_default(), fault["code"].as_str().unwrap_or_default())
}

/// Unix milliseconds of a time as the API writes it.
pub(crate) fn millis(time: &Value) -> i64 {
    text(time).parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond()
}

/// The id of a built-in role.
pub(crate) fn built_in(caller: &Caller, name: &str) -> String {
    let roles = caller.get("/v1/roles?limit=200").ok();
    let role = rows(&roles).iter().find(|role| role["name"] == name && role["built_in"] == true);
    text(&role.unwrap_or_else(|| panic!("a role {name}"))["id"])
}

/// A second tenant with an administrator; returns the tenant's id, and who administers it.
pub(crate) fn tenant(server: &Server, slug: &str, admin: &str) -> (String, Caller) {
    let root = server.root();
    let tenant = text(&root.post("/v1/tenants", json!({ "slug": slug })).ok()["id"]);
    let inside = |method: &str, path: &str| root.request(method, path).header("x-keyward-tenant", slug);
    let roles = Answer::read(inside("GET", "/v1/roles").send().expect("an answer")).ok();
    let role = rows(&roles).iter().find(|role| role["name"] == "admin").expect("the role admin");
    let user = json!({ "username": admin, "role_ids": [role["id"]] });
    let user = Answer::read(inside("POST", "/v1/users").json(&user).send().expect("an answer")).ok();
    let key = json!({ "class": "member", "owner_id": user["id"], "label": "admin" });
    let key = Answer::read(inside("POST", "/v1/keys").json(&key).send().expect("an answer")).ok();
    (tenant, server.caller(&text(&key["secret"])))
}

#[test]
fn bm_7_key_5_mo_4_bm_11_a_secret_is_shown_once() {
    let server = Server::start();
    let root = server.root();
    let created = root.post("/v1/keys", json!({ "class": "workspace", "label": "export" })).expect(201);
    assert_eq!(created.header("cache-control"), "no-store");
    let key = &created.body;
    let secret = text(&key["secret"]);
    assert_eq!(secret.len(), 69);
    let copy = format!("key:{}::{secret},tenant id: {}", text(&key["access_key"]), server.tenant());
    assert_eq!(key["copy"], copy, "bm_11");
    assert_eq!(root.code(&secret), "ok");
    let shown = root.get(&path(key)).expect(200);
    assert!(!shown.text.contains(&secret));
    assert!(!server.place.dump().contains(&secret), "va_3");
}

const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
    INSERT INTO keys (tenant_id, id, access_key, class, label, switch, created_at, created_by, updated_at,
        updated_by, version)
    SELECT t.id, 'key_0000000000000000000' || CAST(1000000 + n.i AS TEXT),
        '000000000' || CAST(1000000 + n.i AS TEXT), 'ingest',
        CASE WHEN n.i <= 15000 THEN 'one of some'
            ELSE 'a label that is long enough for a table that is long, and so goes on for a while' END,
        'on', 1, 'test', 1, 'test', 1
    FROM n, tenants t";
const THEIR_SECRETS: &str = "INSERT INTO key_secrets (tenant_id, key_id, generation, pepper_id, hash, hint,
        created_at, created_by)
    SELECT tenant_id, id, 1, 1, '0000000000000000000000000000000000000000000000000000000000000000', 'x', 1,
        'test' FROM keys WHERE created_by = 'test'";

/// Puts 60 000 ingest keys into the one tenant that there is; 15 000 are called `one of some`.
pub(crate) fn many_keys(server: &Server) {
    assert_eq!([server.place.sql(MANY), server.place.sql(THEIR_SECRETS)], [60_000, 60_000]);
}
