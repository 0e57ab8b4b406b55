//! `/v1/groups`: what membership gives and takes.

use serde_json::json;

use crate::api::{all, built_in, snapshot, tenant};
use crate::support::{Server, text};

#[test]
fn az_9_bm_6_members_get_and_lose_what_the_group_gives() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let role = admin.role("reader", &["models/**:read"]);
    let group = admin.post("/v1/groups", json!({ "name": "Readers", "role_ids": [role] })).expect(201).body;
    let path = format!("/v1/groups/{}", text(&group["id"]));
    let user = admin.user("mia", &[]);
    let none = admin.role("none", &["x:none"]);
    let key = admin.key(json!({ "class": "workspace", "label": "x", "role_ids": [none] }));
    let rights =
        |path: String, field: &str| admin.get(&path).ok()[field].to_string().contains("models/**:read");
    let both = || {
        (
            rights(format!("/v1/users/{user}"), "rights"),
            rights(format!("/v1/keys/{}", text(&key["id"])), "effective_rights"),
        )
    };
    assert_eq!(both(), (false, false));
    admin.put(&format!("{path}/members/{user}")).expect(204);
    admin.put(&format!("{path}/members/{}", text(&key["id"]))).expect(204);
    assert_eq!(both(), (true, true));
    assert_eq!(admin.get(&path).ok()["member_count"], 2);
    assert_eq!(all(&admin, &format!("{path}/members?")).len(), 1, "users alone");
    admin.patch(&path, json!({ "role_ids": [] })).expect(200);
    assert_eq!(both(), (false, false));
    admin.patch(&path, json!({ "role_ids": [role] })).expect(200);
    admin.delete(&path).expect(204);
    assert_eq!(both(), (false, false));
    admin.get(&path).refused(404, "not_found");
}

#[test]
fn bm_6_only_users_and_workspace_keys_are_members() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let path =
        format!("/v1/groups/{}/members", text(&admin.post("/v1/groups", json!({ "name": "G" })).ok()["id"]));
    let user = admin.user("mia", &[]);
    let member = admin.key(json!({ "class": "member", "owner_id": user, "label": "x" }));
    let ingest = admin.key(json!({ "class": "ingest", "label": "x" }));
    for key in [member, ingest] {
        admin.put(&format!("{path}/{}", text(&key["id"]))).refused(409, "not_assignable");
    }
    admin.delete(&format!("{path}/{user}")).refused(404, "not_found");
    admin.put(&format!("{path}/{user}")).expect(204);
    admin.put(&format!("{path}/{user}")).expect(204);
    admin.delete(&format!("{path}/{user}")).expect(204);
}

#[test]
fn az_7_no_group_is_named_like_the_built_in_one() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let group =
        format!("/v1/groups/{}", text(&admin.post("/v1/groups", json!({ "name": "Readers" })).ok()["id"]));
    let before = snapshot(&admin);
    for name in ["Administrators", "administrators", "ADMINISTRATORS", "Everyone", "Root", "system"] {
        for answer in
            [admin.post("/v1/groups", json!({ "name": name })), admin.patch(&group, json!({ "name": name }))]
        {
            assert_eq!(
                answer.refused(422, "invalid_value").body["errors"][0]["code"],
                "reserved_name",
                "{name}"
            );
        }
    }
    for name in [
        "Administrators ",
        " Administrators",
        "\u{410}dministrators",
        "Administrator\u{455}",
        "Admin\u{200b}istrators",
        "A\nB",
        "",
    ] {
        for answer in
            [admin.post("/v1/groups", json!({ "name": name })), admin.patch(&group, json!({ "name": name }))]
        {
            answer.refused(422, "invalid_value");
        }
    }
    admin.post("/v1/groups", json!({ "name": "READERS" })).refused(409, "already_exists");
    assert_eq!(snapshot(&admin), before);
    let built_in = built_in(&admin, "groups", "Administrators");
    admin
        .patch(&format!("/v1/groups/{built_in}"), json!({ "name": "Mere mortals" }))
        .refused(409, "built_in");
}

#[test]
fn az_10_a_group_changed_since_it_was_read_is_not_overwritten() {
    let server = Server::start();
    let root = server.root();
    let made = root.post("/v1/groups", json!({ "name": "G" })).ok();
    let path = format!("/v1/groups/{}", text(&made["id"]));
    let tag = root.get(&path).expect(200).header("etag").to_owned();
    root.patch(&path, json!({ "description": "first" })).expect(200);
    let stale =
        root.request("PATCH", &path).header("if-match", &tag).json(&json!({ "description": "second" }));
    crate::support::Answer::read(stale.send().expect("an answer")).refused(412, "stale_version");
    assert_eq!(root.get(&path).ok()["description"], "first");
}
