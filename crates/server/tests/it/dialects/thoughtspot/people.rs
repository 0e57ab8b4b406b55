//! Users who are made and brought up to date on the way (TS8), and the Orgs that they are of (TS4).

use serde_json::{Value, json};

use super::{Scene, post, refused};
use crate::api::tenant;
use crate::logins::{PASSWORD, set_password};
use crate::support::text;
use crate::tokens::enable;

fn names(scene: &Scene, user: &str) -> Vec<String> {
    let mut names: Vec<String> = scene.user(user)["group_ids"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|id| text(&scene.root.get(&format!("/v1/groups/{}", text(id))).ok()["name"]))
        .collect();
    names.sort();
    names
}

#[test]
fn ts_8_full_makes_a_user_with_groups_and_brings_one_up_to_date() {
    let scene = Scene::new();
    scene.root.post("/v1/groups", json!({ "name": "Readers", "role_ids": [scene.role] })).ok();
    let make = |more: Value| {
        let mut body = json!({ "username": "eve", "auto_create": true });
        more.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
        scene.mint("full", body)
    };
    refused(scene.mint("full", json!({ "username": "eve" })), 400, 10002);
    let first = json!({ "email": "eve@example.org", "display_name": "Eve", "group_identifiers": ["readers", "Fresh", "fresh"] });
    let got = make(first.clone()).ok();
    let eve = text(&got["valid_for_user_id"]);
    assert_eq!(scene.code(&text(&got["token"]), "models/emea:read"), "ok");
    let user = scene.user(&eve);
    assert_eq!(
        (&user["origin"], &user["display_name"], &user["email"]),
        (&json!("jit"), &json!("Eve"), &json!("eve@example.org"))
    );
    assert_eq!(names(&scene, &eve), ["Fresh", "Readers"]);
    assert_eq!((scene.count("user.create"), scene.count("group.create")), (3, 2), "root, ada and eve");
    // The same once more changes nothing.
    make(first).expect(200);
    assert_eq!((scene.count("user.edit"), scene.user(&eve)), (0, user));
    // Absent is unchanged, an empty list is none.
    make(json!({ "display_name": "Eve E." })).expect(200);
    assert_eq!((text(&scene.user(&eve)["display_name"]), names(&scene, &eve).len()), ("Eve E.".into(), 2));
    let got = make(json!({ "group_identifiers": ["Other"] })).ok();
    assert_eq!(names(&scene, &eve), ["Other"]);
    assert_eq!(scene.code(&text(&got["token"]), "models/emea:read"), "insufficient_rights");
    make(json!({ "group_identifiers": [] })).expect(200);
    assert_eq!(names(&scene, &eve), [""; 0]);
    let events = scene.root.get(&format!("/v1/audit-events?action=user.edit&actor_id={}", scene.id)).ok();
    assert_eq!(events["data"].as_array().map(Vec::len), Some(3));
    // Without auto_create nobody is touched.
    scene.mint("full", json!({ "username": "eve", "display_name": "Mallory" })).expect(200);
    assert_eq!(scene.user(&eve)["display_name"], "Eve E.");
}

#[test]
fn ts_8_imp_5_two_who_make_the_same_user_with_the_same_group_at_once_both_get_a_token() {
    let scene = Scene::new();
    for round in 0..5 {
        let ask = || {
            let groups = json!([format!("Fresh {round}")]);
            let body = json!({ "username": format!("eve-{round}"), "auto_create": true, "group_identifiers": groups });
            text(&scene.mint("full", body).ok()["valid_for_user_id"])
        };
        let ids: Vec<String> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(names(&scene, &ids[0]), [format!("Fresh {round}")]);
    }
    assert_eq!(scene.count("group.create"), 5, "none twice");
}

#[test]
fn ts_8_groups_are_made_on_the_way_up_to_a_bound() {
    let scene = Scene::new();
    let make = |round: usize, count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("g {round} {number}")).collect();
        let body =
            json!({ "username": format!("eve-{round}"), "auto_create": true, "group_identifiers": names });
        scene.mint("full", body)
    };
    // The administrators are one.
    (0..9).for_each(|round| drop(make(round, 100).expect(200)));
    let told = refused(make(9, 100), 400, 10002);
    assert!(text(&told["debug"]).contains("1000"), "{told}");
    assert_eq!(scene.root.get("/v1/users?q=eve-9").ok()["data"], json!([]), "all or nothing");
    make(9, 99).expect(200);
    refused(make(10, 1), 400, 10002);
    // What is there is joined as before.
    make(0, 50).expect(200);
    scene.root.post("/v1/groups", json!({ "name": "by hand" })).ok();
}

#[test]
fn ts_8_custom_makes_a_user_unless_told_and_changes_none() {
    let scene = Scene::new();
    let body = json!({ "username": "eve", "display_name": "Eve", "groups": [{ "identifier": "Fresh" }] });
    let got = scene.mint("custom", body).ok();
    let eve = text(&got["user"]["id"]);
    assert_eq!(names(&scene, &eve), ["Fresh"]);
    let before = scene.user(&eve);
    scene.mint("custom", json!({ "username": "eve", "display_name": "E.", "groups": [] })).expect(200);
    assert_eq!(scene.user(&eve), before);
    refused(scene.mint("custom", json!({ "username": "mallory", "auto_create": false })), 400, 10002);
}

#[test]
fn ts_8_imp_5_nobody_above_the_ceiling_is_changed_and_no_group_above_it_is_joined_or_left() {
    let scene = Scene::new();
    let path = format!("/v1/trusted/{}", scene.id);
    let set = |ceiling: Value| scene.root.patch(&path, json!({ "ceiling": ceiling })).expect(200);
    let update = |name: &str, more: Value| {
        let mut body = json!({ "username": name, "auto_create": true });
        more.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
        scene.mint("full", body)
    };
    // Administrators, even where their tokens are given.
    set(json!({ "admins": true }));
    let root = text(&scene.server.root["user_id"]);
    let before = scene.user(&root);
    scene.mint("full", json!({ "username": "root" })).expect(200);
    refused(update("root", json!({ "email": "eve@example.org" })), 403, 10023);
    assert_eq!(scene.user(&root), before);
    set(json!({ "admins": null }));
    // Groups of administrators.
    let ada = scene.user(&scene.ada);
    refused(update("ada", json!({ "group_identifiers": ["Administrators"] })), 403, 10023);
    refused(update("eve", json!({ "group_identifiers": ["Administrators"] })), 403, 10023);
    refused(update("eve", json!({ "group_identifiers": ["no/name"] })), 400, 10002);
    refused(update("ada", json!({ "email": "no address" })), 400, 10002);
    // A ceiling of groups, and none of making users at all.
    let allowed = text(&scene.root.post("/v1/groups", json!({ "name": "Allowed" })).ok()["id"]);
    set(json!({ "create_group_ids": [allowed] }));
    refused(update("ada", json!({ "group_identifiers": ["Fresh"] })), 403, 10023);
    set(json!({ "create_users": false, "create_group_ids": null }));
    refused(update("ada", json!({ "display_name": "Ada" })), 403, 10023);
    refused(update("eve", json!({})), 400, 10002);
    update("ada", json!({})).expect(200);
    assert_eq!(scene.user(&scene.ada), ada, "nothing changed");
    assert_eq!(scene.root.get("/v1/users?q=eve").ok()["data"], json!([]));
    assert_eq!(scene.root.get("/v1/groups?q=fresh").ok()["data"], json!([]));
}

#[test]
fn ts_4_an_org_is_a_tenant_and_only_the_primary_secret_reaches_others() {
    let scene = Scene::new();
    let (acme, admin) = tenant(&scene.server, "acme");
    let path = format!("/v1/tenants/{acme}");
    scene
        .root
        .patch(&path, json!({ "name": "Acme Ltd", "features": { "trusted_secrets": true } }))
        .expect(200);
    let number = scene.root.get(&path).ok()["number"].clone();
    let bob = admin.user("bob", &[]);
    let (own, _) = enable(&admin, json!({}));
    let ask = |secret: &str, kind: &str, org: Value| {
        let mut body = json!({ "username": "bob", "secret_key": secret });
        org.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
        scene.post(&format!("/auth/token/{kind}"), body)
    };
    for org in [json!({ "org_id": number }), json!({ "org_identifier": "acme" })] {
        let got = ask(&scene.secret, "full", org).ok();
        assert_eq!((&got["valid_for_user_id"], &got["scope"]["org_id"]), (&json!(bob), &number));
        assert_eq!(admin.code(&text(&got["token"])), "ok");
    }
    for org in [json!(number), json!(number.to_string()), json!("acme"), json!("Acme Ltd")] {
        let got = ask(&scene.secret, "custom", json!({ "org_identifier": org, "auto_create": false })).ok();
        assert_eq!(got["org"], json!({ "id": number, "name": "Acme Ltd" }));
    }
    // The Org of the secret where none is named; none but its own.
    assert_eq!(ask(&own.secret, "full", json!({})).ok()["scope"]["org_id"], number);
    assert_eq!(ask(&own.secret, "full", json!({ "org_id": number })).status, 200);
    for org in [json!({ "org_id": 0 }), json!({ "org_id": 4711 }), json!({ "org_identifier": "no such" })] {
        refused(ask(&own.secret, "full", org), 400, 10002);
    }
    refused(ask(&scene.secret, "full", json!({})), 400, 10002);
    // A name is anybody's to give: the slug, and before it the id, goes first.
    let (named, other) = tenant(&scene.server, "other");
    let rename = |name: &str| scene.root.patch(&format!("/v1/tenants/{named}"), json!({ "name": name }));
    let mallory = other.user("bob", &[]);
    for name in [acme.as_str(), "acme"] {
        rename(name).expect(200);
        let got = ask(&scene.secret, "custom", json!({ "org_identifier": name, "auto_create": false })).ok();
        assert_eq!(got["user"]["id"], bob, "not {mallory}");
    }
    // The operator's leave.
    scene.root.patch(&path, json!({ "features": { "trusted_secrets": false } })).expect(200);
    refused(ask(&own.secret, "full", json!({})), 403, 10023);
    // Passwords are of an Org too.
    set_password(&admin, &bob, PASSWORD);
    let login = |org: Value| {
        let body = json!({ "username": "bob", "password": PASSWORD, "org_identifier": org });
        post(&scene.server.url, "/auth/session/login", body)
    };
    for org in [number.clone(), json!("acme")] {
        login(org).expect(204);
    }
    refused(login(json!(0)), 401, 10097);
    refused(login(json!("no such")), 401, 10097);
}
