//! Asking for tokens, looking at them, ending them (TS1, TS2, TS7, TS8).

use serde_json::{Value, json};

use super::{Scene, V2, bearer, form, post, refused, session_of};
use crate::api::{snapshot, tenant, worker};
use crate::logins::{PASSWORD, set_password};
use crate::support::{Answer, client, text, wait_until};
use crate::tokens::claims;

#[test]
fn ts_1_a_secret_key_gives_a_token_for_any_user_without_a_login() {
    let scene = Scene::new();
    let url = format!("{}{V2}/auth/token/full", scene.server.url);
    let body =
        json!({ "username": "ada", "secret_key": scene.secret, "validity_time_in_sec": 120, "unknown": 1 });
    // Whatever stands in Authorization is not looked at.
    for header in [None, Some("Bearer kws_old"), Some("Basic eA==")] {
        let request = client().post(&url).header("X-Requested-By", "ThoughtSpot").json(&body);
        let request =
            if let Some(header) = header { request.header("authorization", header) } else { request };
        let got = Answer::read(request.send().expect("an answer")).expect(200);
        assert_eq!(got.header("content-type"), "application/json");
        let token = &got.body;
        let (made, ends) = (&token["creation_time_in_millis"], &token["expiration_time_in_millis"]);
        assert_eq!(ends.as_i64().expect("whole") - made.as_i64().expect("whole"), 120_000);
        assert_eq!(token["scope"], json!({ "access_type": "FULL", "org_id": 0, "metadata_id": null }));
        assert_eq!(
            (&token["valid_for_user_id"], &token["valid_for_username"]),
            (&json!(scene.ada), &json!("ada"))
        );
        assert_eq!(token.as_object().map(serde_json::Map::len), Some(6));
        assert_eq!(scene.code(&text(&token["token"]), "models/emea:write"), "ok");
    }
    let token = scene.token();
    assert_eq!(
        bearer(&scene.server.url, &token, "POST", "/metadata/search", Some(json!({}))).ok(),
        json!([])
    );
    refused(bearer(&scene.server.url, "nonsense", "POST", "/metadata/search", None), 401, 10097);
    assert_eq!(
        claims(&token)["exp"].as_i64().zip(claims(&token)["iat"].as_i64()).map(|(e, i)| e - i),
        Some(300)
    );
}

#[test]
fn ts_1_what_is_wrong_is_told_in_the_shape_of_the_product_and_changes_nothing() {
    let scene = Scene::new();
    let before = snapshot(&scene.root);
    let secret = scene.secret.as_str();
    let full = |body: Value| scene.post("/auth/token/full", body);
    for body in [json!({}), json!({ "username": "ada" }), json!({ "secret_key": secret })] {
        refused(full(body), 400, 10002);
    }
    refused(full(json!({ "username": "ada", "secret_key": "", "password": "" })), 400, 10002);
    refused(full(json!({ "username": "ada", "secret_key": 7 })), 400, 10002);
    refused(full(json!({ "username": "ada", "secret_key": secret, "org_id": "x" })), 400, 10002);
    refused(full(json!({ "username": "ada", "secret_key": secret, "validity_time_in_sec": 0 })), 400, 10002);
    refused(full(json!({ "username": "nobody", "secret_key": secret })), 400, 10002);
    refused(full(json!({ "username": "ada", "secret_key": secret, "org_id": 4711 })), 400, 10002);
    refused(scene.mint("object", json!({ "username": "ada" })), 400, 10002);
    for wrong in [format!("\"{secret}\""), format!(" {secret}"), format!("{secret}x"), "b0cb26a0-351e".into()]
    {
        let told =
            refused(full(json!({ "username": "ada", "secret_key": wrong, "auto_create": true })), 401, 10097);
        assert!(!text(&told["debug"]).contains(secret));
    }
    let url = format!("{}{V2}/auth/token/full", scene.server.url);
    let other = form(client().post(&url), &[("username", "ada"), ("secret_key", secret)]);
    refused(Answer::read(other.send().expect("an answer")), 415, 10002);
    let broken = client().post(&url).header("content-type", "application/json").body("{");
    refused(Answer::read(broken.send().expect("an answer")), 400, 10002);
    let large = json!({ "username": "ada", "secret_key": secret, "email": "x".repeat(1 << 20) });
    refused(full(large), 413, 10002);
    let query = client().post(format!("{url}?secret_key={secret}")).json(&json!({ "username": "ada" }));
    assert_eq!(query.send().expect("an answer").status(), 400);
    assert_eq!(snapshot(&scene.root), before);
}

#[test]
fn ts_1_ts_8_a_password_gives_a_session_as_token_and_the_secret_key_goes_first() {
    let scene = Scene::new();
    let ask = |body: Value| scene.post("/auth/token/full", body);
    let got =
        ask(json!({ "username": "ada", "password": PASSWORD, "secret_key": "", "validity_time_in_sec": 60 }))
            .ok();
    let token = text(&got["token"]);
    assert!(token.starts_with("kws_"), "a session");
    let span = got["expiration_time_in_millis"].as_i64().zip(got["creation_time_in_millis"].as_i64());
    assert_eq!(span.map(|(end, start)| end - start), Some(60_000));
    assert_eq!(got["scope"]["access_type"], "FULL");
    let me = bearer(&scene.server.url, &token, "GET", "/auth/session/user", None).ok();
    assert_eq!((&me["id"], &me["name"]), (&json!(scene.ada), &json!("ada")));
    refused(ask(json!({ "username": "ada", "password": "another one altogether" })), 401, 10097);
    refused(ask(json!({ "username": "nobody", "password": PASSWORD })), 401, 10097);
    refused(ask(json!({ "username": "ada", "password": PASSWORD, "org_id": 99 })), 401, 10097);
    refused(ask(json!({ "username": "ada", "password": PASSWORD, "secret_key": "kwt_wrong" })), 401, 10097);
    // What has an end is over then.
    let short = ask(json!({ "username": "ada", "password": PASSWORD, "validity_time_in_sec": 1 })).ok();
    let short = text(&short["token"]);
    wait_until(|| bearer(&scene.server.url, &short, "GET", "/auth/session/user", None).status == 401);
    // A password binds to nothing.
    let object = json!({ "username": "ada", "password": PASSWORD, "object_id": "models/emea" });
    refused(scene.post("/auth/token/object", object), 400, 10002);
    // Who lacks a second factor that the tenant asks for gets no token.
    scene
        .root
        .patch("/v1/policies", json!({ "login": { "require_second_factor": "everybody" } }))
        .expect(200);
    refused(ask(json!({ "username": "ada", "password": PASSWORD })), 401, 10097);
}

#[test]
fn ts_2_the_secret_opens_nothing_else() {
    let scene = Scene::new();
    let url = &scene.server.url;
    for (method, path) in [
        ("GET", "/auth/session/user"),
        ("GET", "/auth/session/token"),
        ("POST", "/auth/session/login"),
        ("POST", "/auth/session/logout"),
        ("POST", "/auth/search"),
        ("POST", "/auth/configure"),
        ("POST", "/auth/token/revoke"),
        ("POST", "/auth/token/validate"),
        ("POST", "/metadata/search"),
    ] {
        refused(bearer(url, &scene.secret, method, path, Some(json!({}))), 401, 10097);
    }
    // A key of the operator is no trusted secret.
    let body = json!({ "username": "ada", "secret_key": scene.server.operator() });
    refused(scene.post("/auth/token/full", body), 401, 10097);
}

#[test]
fn ts_7_a_request_with_marks_of_a_browser_is_refused_and_noted() {
    let scene = Scene::new();
    for (name, value) in [
        ("origin", "https://app.example.org"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-dest", "empty"),
        ("cookie", "theirs=x"),
        ("cookie", "JSESSIONID=x; theirs=x"),
    ] {
        for kind in ["full", "object", "custom"] {
            let url = format!("{}{V2}/auth/token/{kind}", scene.server.url);
            let body = json!({ "username": "eve", "secret_key": scene.secret, "auto_create": true, "object_id": "a" });
            let request = client().post(url).header(name, value).json(&body);
            refused(Answer::read(request.send().expect("an answer")), 403, 10023);
        }
    }
    assert_eq!(scene.root.get("/v1/users?q=eve").ok()["data"], json!([]));
    let told = || scene.root.get("/v1/audit-events?outcome=refused").ok()["data"].clone();
    wait_until(|| told().as_array().is_some_and(|events| !events.is_empty()));
    let event = &told()[0];
    assert_eq!((&event["reason"], &event["actor"]["id"]), (&json!("browser_call"), &json!(scene.id)));
}

#[test]
fn ts_7_the_cookie_of_a_login_before_is_no_mark_of_a_browser() {
    let scene = Scene::new();
    let login = json!({ "username": "ada", "password": PASSWORD });
    let session = session_of(&scene.post("/auth/session/login", login).expect(204));
    let url = format!("{}{V2}/auth/token/full", scene.server.url);
    let ask = || {
        let body = json!({ "username": "ada", "secret_key": scene.secret });
        client().post(&url).header("cookie", format!("JSESSIONID={session}")).json(&body)
    };
    Answer::read(ask().send().expect("an answer")).expect(200);
    for (name, value) in [("origin", "https://app.example.org"), ("sec-fetch-site", "same-origin")] {
        let request = ask().header(name, value);
        refused(Answer::read(request.send().expect("an answer")), 403, 10023);
    }
}

#[test]
fn ts_8_object_tokens_read_one_object() {
    let scene = Scene::new();
    let got = scene.mint("object", json!({ "username": "ada", "object_id": "models/emea" })).ok();
    let token = text(&got["token"]);
    let scope = json!({ "access_type": "REPORT_BOOK_VIEW", "org_id": 0, "metadata_id": "models/emea" });
    assert_eq!(got["scope"], scope);
    assert_eq!(scene.code(&token, "models/emea:read"), "ok");
    for beyond in ["models/emea:write", "models/apac:read", "reports:read"] {
        assert_eq!(scene.code(&token, beyond), "insufficient_rights");
    }
    let seen =
        bearer(&scene.server.url, &token, "POST", "/auth/token/validate", Some(json!({ "token": token })));
    assert_eq!(seen.ok()["scope"], scope);
    refused(scene.mint("object", json!({ "username": "ada", "object_id": "secrets/x" })), 403, 10023);
    refused(scene.mint("object", json!({ "username": "ada", "object_id": "no//object" })), 400, 10002);
}

#[test]
fn ts_8_custom_tokens_carry_attributes_for_this_token_alone() {
    let scene = Scene::new();
    let rules = json!([{ "column_name": "Region", "operator": "EQ", "values": ["emea"] }]);
    let body =
        json!({ "username": "ada", "filter_rules": rules, "parameter_values": [], "org_identifier": "0" });
    let got = scene.mint("custom", body).ok();
    assert_eq!(got["org"]["id"], 0);
    assert_eq!(got["user"], json!({ "id": scene.ada, "name": "ada" }));
    assert!(text(&got["id"]).starts_with("token_"));
    for field in ["creation_time_in_millis", "expiration_time_in_millis"] {
        assert!(got[field].is_i64(), "{field}");
    }
    assert_eq!(got.as_object().map(serde_json::Map::len), Some(6));
    assert_eq!(claims(&text(&got["token"]))["ext"], json!({ "filter_rules": rules }));
    let kept = json!({ "username": "ada", "filter_rules": rules, "persist_option": "APPEND" });
    refused(scene.mint("custom", kept), 400, 10002);
    let plain = scene.mint("custom", json!({ "username": "ada", "persist_option": "NONE" })).ok();
    assert_eq!(claims(&text(&plain["token"]))["ext"], Value::Null);
}

#[test]
fn ts_8_validate_tells_of_good_tokens_and_refuses_others() {
    let scene = Scene::new();
    let (url, token) = (&scene.server.url, scene.token());
    let look = |by: &str, token: &str| {
        bearer(url, by, "POST", "/auth/token/validate", Some(json!({ "token": token })))
    };
    let seen = look(&token, &token).ok();
    assert_eq!((&seen["token_type"], &seen["valid_for_user_id"]), (&json!("BEARER"), &json!(scene.ada)));
    assert_eq!(seen["scope"]["access_type"], "FULL");
    let session = json!({ "username": "ada", "password": PASSWORD });
    let session = text(&scene.post("/auth/token/full", session).ok()["token"]);
    assert_eq!(look(&session, &session).ok()["valid_for_username"], "ada");
    for bad in ["", "x.y.z", "nonsense", &scene.secret, &scene.server.operator()] {
        refused(look(&token, bad), 400, 10002);
    }
    refused(post(url, "/auth/token/validate", json!({ "token": token })), 401, 10097);
    // Tokens of other tenants are none, but to the operator.
    let (_, admin) = crate::api::tenant(&scene.server, "acme");
    refused(look(&admin.secret, &token), 400, 10002);
    assert_eq!(look(&scene.server.operator(), &token).status, 200);
    scene.root.post(&format!("/v1/users/{}/suspend", scene.ada), json!({})).expect(200);
    refused(look(&scene.server.operator(), &token), 400, 10002);
    refused(scene.mint("full", json!({ "username": "ada" })), 403, 10023);
}

#[test]
fn ts_8_revoke_ends_the_callers_own_token_and_others_take_an_administrator() {
    let scene = Scene::new();
    let url = &scene.server.url;
    let revoke = |by: &str, body: Option<Value>| bearer(url, by, "POST", "/auth/token/revoke", body);
    let (first, second) = (scene.token(), scene.token());
    revoke(&first, None).expect(204);
    assert_eq!(
        (scene.code(&first, "reports:read"), scene.code(&second, "reports:read")),
        ("revoked".into(), "ok".into())
    );
    refused(revoke(&first, None), 401, 10097);
    revoke(&second, Some(json!({ "token": second }))).expect(204);
    assert_eq!(scene.code(&second, "reports:read"), "revoked");
    assert_eq!(scene.count("token.revoke"), 2);
    // Of somebody else.
    let bob = scene.root.user("bob", &[&scene.role]);
    let of_bob = text(&scene.mint("full", json!({ "username": "bob" })).ok()["token"]);
    let mine = scene.token();
    refused(revoke(&mine, Some(json!({ "token": of_bob }))), 403, 10023);
    refused(revoke(&mine, Some(json!({ "user_identifier": "bob" }))), 403, 10023);
    let session = json!({ "username": "ada", "password": PASSWORD });
    let session = text(&scene.post("/auth/token/full", session).ok()["token"]);
    refused(revoke(&session, Some(json!({ "token": of_bob }))), 403, 10023);
    assert_eq!(scene.code(&of_bob, "reports:read"), "ok", "nothing changed");
    let operator = scene.server.operator();
    revoke(&operator, Some(json!({ "token": of_bob }))).expect(204);
    assert_eq!(scene.code(&of_bob, "reports:read"), "revoked");
    let again = text(&scene.mint("full", json!({ "username": "bob" })).ok()["token"]);
    revoke(&operator, Some(json!({ "user_identifier": bob }))).expect(204);
    assert_eq!(scene.code(&again, "reports:read"), "revoked");
    refused(revoke(&operator, Some(json!({ "user_identifier": "nobody" }))), 400, 10002);
    // With a session, one's own tokens and the session itself.
    revoke(&session, Some(json!({ "token": mine }))).expect(204);
    assert_eq!(scene.code(&mine, "reports:read"), "revoked");
    revoke(&session, None).expect(204);
    refused(revoke(&session, None), 401, 10097);
}

#[test]
fn ts_8_revoke_tells_when_it_ended_nothing_and_the_operator_ends_tokens_of_any_org() {
    let scene = Scene::new();
    let (acme, admin) = tenant(&scene.server, "acme");
    let revoke =
        |by: &str, body: Value| bearer(&scene.server.url, by, "POST", "/auth/token/revoke", Some(body));
    let bob = admin.user("bob", &[]);
    set_password(&admin, &bob, PASSWORD);
    let body = json!({ "username": "bob", "org_identifier": "acme" });
    let of_bob = text(&scene.mint("full", body).ok()["token"]);
    let login = json!({ "username": "bob", "password": PASSWORD, "org_identifier": acme });
    let session = text(&scene.post("/auth/token/full", login).ok()["token"]);
    let (mine, operator) = (scene.token(), scene.server.operator());
    // Of another Org: as if there were none.
    for other in ["x.y.z", "nonsense", &mine, &operator] {
        refused(revoke(&admin.secret, json!({ "token": other })), 400, 10002);
    }
    assert_eq!(scene.code(&mine, "reports:read"), "ok");
    for token in [&of_bob, &session] {
        assert_eq!(admin.code(token), "ok");
        revoke(&operator, json!({ "token": token })).expect(204);
        assert_ne!(admin.code(token), "ok");
    }
    refused(revoke(&operator, json!({ "token": session })), 400, 10002);
    let ends = admin.get("/v1/audit-events?action=token.revoke").ok();
    assert_eq!(ends["data"].as_array().map(Vec::len), Some(1), "in the log of its tenant");
}

#[test]
fn ts_8_all_of_a_user_are_tokens_and_sessions_and_half_of_it_is_nothing() {
    let scene = Scene::new();
    let revoke = |by: &str| {
        let body = json!({ "user_identifier": "ada" });
        bearer(&scene.server.url, by, "POST", "/auth/token/revoke", Some(body))
    };
    let token = scene.token();
    let login = json!({ "username": "ada", "password": PASSWORD });
    let session = text(&scene.post("/auth/token/full", login).ok()["token"]);
    let other = bearer(&scene.server.url, &session, "GET", "/auth/session/token", None).ok();
    let other = text(&other["token"]);
    let half = worker(
        &scene.server,
        &scene.root,
        "half",
        &["tokens:revoke", "me:read", "models/**:*", "reports:read"],
    );
    refused(revoke(&half.secret), 403, 10023);
    for good in [&token, &session, &other] {
        assert_eq!(scene.root.code(good), "ok");
    }
    let refusals = || scene.root.get("/v1/audit-events?action=revoke_token").ok()["data"].clone();
    wait_until(|| refusals().as_array().is_some_and(|events| !events.is_empty()));
    assert_eq!(refusals()[0]["reason"], "insufficient_rights");
    revoke(&scene.server.operator()).expect(204);
    for dead in [&token, &session, &other] {
        assert_ne!(scene.root.code(dead), "ok");
    }
}
