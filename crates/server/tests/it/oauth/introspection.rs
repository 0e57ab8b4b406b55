//! Introspection and revocation (RFC 7662, RFC 7009; OAU-9, OAU-10).

use serde_json::json;

use super::{Holder, INACTIVE, World, form, refused};
use crate::api;
use crate::support::{Answer, client, text};
use crate::tokens::{claims, enable, token};

#[test]
fn oau_9_x_1_what_is_good_is_told_to_those_who_may_know() {
    let world = World::new();
    let got = world.ada.token(&[("scope", "reports:read"), ("audience", "reports")]);
    let answer = world.gateway.introspect(&got).expect(200);
    assert_eq!(
        (answer.header("cache-control"), answer.header("content-type")),
        ("no-store", "application/json")
    );
    let (told, said) = (answer.body, claims(&got));
    for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "username", "act", "tenant"]
    {
        assert_eq!(told[name], said[name], "{name}");
    }
    assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("Bearer")));
    // A key is a token, too (X1), and its secret is not told back.
    let key = world.gateway.introspect(&world.ada.secret).expect(200);
    assert_eq!(
        (&key.body["active"], &key.body["client_id"], &key.body["sub"]),
        (&json!(true), &json!(world.ada.client_id), &json!(world.user))
    );
    assert!(!key.text.contains(&world.ada.secret));
    // The rights of this moment, not those of the issue.
    let wide = world.ada.token(&[]);
    world.root.patch(&format!("/v1/roles/{}", world.role), json!({ "rights": ["reports:read"] })).expect(200);
    assert_eq!(world.gateway.introspect(&wide).ok()["scope"], "reports:read");
    let (backend, id) = enable(&world.root, json!({}));
    let minted = world.gateway.introspect(&token(&backend, "ada")).ok();
    assert_eq!((&minted["active"], &minted["act"]["sub"]), (&json!(true), &json!(id)));
}

#[test]
fn oau_9_of_everything_else_exactly_that_it_is_not_active() {
    let world = World::new();
    let got = world.ada.token(&[("audience", "reports")]);
    let (foreign_tenant, foreign_admin) = api::tenant(&world.server, "acme");
    let foreign_key =
        foreign_admin.key(json!({ "class": "workspace", "label": "rs", "role_ids": [api::built_in(&foreign_admin, "roles", "admin")] }));
    let foreign = Holder::of(&world.server, &foreign_key);
    assert_ne!(foreign_tenant, world.server.tenant());
    let inactive = |holder: &Holder, pairs: &[(&str, &str)]| {
        assert_eq!(holder.send("/oauth2/introspect", pairs).expect(200).text, INACTIVE);
    };
    let theirs = foreign.token(&[]);
    assert_eq!(foreign.introspect(&theirs).ok()["active"], true);
    inactive(&foreign, &[("token", &got)]);
    inactive(&foreign, &[("token", &world.ada.secret)]);
    inactive(&world.gateway, &[("token", &theirs)]);
    inactive(&world.gateway, &[("token", &foreign.secret)]);
    inactive(&world.gateway, &[("token", &got), ("audience", "billing")]);
    let asked = world.gateway.send("/oauth2/introspect", &[("token", &got), ("audience", "reports")]);
    assert_eq!(asked.ok()["active"], true);
    inactive(&world.gateway, &[("token", "unknown")]);
    for cut in [1, 20, got.len() / 2, got.len() - 1] {
        inactive(&world.gateway, &[("token", &got[..cut])]);
    }
    // Without verify:call only what one asked for oneself (VER-10).
    inactive(&world.agent, &[("token", &got)]);
    inactive(&world.agent, &[("token", &world.gateway.secret)]);
    assert_eq!(world.agent.introspect(&world.agent.token(&[])).ok()["active"], true);
    assert_eq!(world.ada.introspect(&got).ok()["active"], true);
    let hint = [("token", &*got), ("token_type_hint", "refresh_token")];
    assert_eq!(world.gateway.send("/oauth2/introspect", &hint).ok()["active"], true, "a hint is a hint");
    world.ada.revoke(&got);
    inactive(&world.gateway, &[("token", &got)]);
    world.root.post(&format!("/v1/keys/{}/revoke", world.ada.id), json!({ "reason": "x" })).expect(200);
    inactive(&world.gateway, &[("token", &world.ada.secret)]);
    refused(world.gateway.send("/oauth2/introspect", &[]), 400, "invalid_request");
}

#[test]
fn oau_9_an_expired_token_is_not_active() {
    let world = World::new();
    let got = world.ada.token(&[("expires_in", "1")]);
    assert_eq!(world.gateway.introspect(&got).ok()["active"], true);
    // The row: its end and the leeway of five seconds.
    std::thread::sleep(std::time::Duration::from_millis(7_100));
    assert_eq!(world.gateway.introspect(&got).expect(200).text, INACTIVE);
    refused(world.ada.exchange(&got, &[]), 400, "invalid_grant");
}

#[test]
fn oau_9_oau_10_nobody_asks_or_ends_without_proving_who_they_are() {
    let world = World::new();
    let got = world.ada.token(&[]);
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let request = client().post(format!("{}{path}", world.server.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.bearer_auth(&got).body(form(&[("token", &got)])).send().expect("an answer");
        refused(Answer::read(answer), 401, "invalid_client");
        let wrong = Holder { secret: world.agent.secret.clone(), ..world.ada.clone() };
        refused(wrong.send(path, &[("token", &got)]), 401, "invalid_client");
    }
    assert_eq!(world.code(&got), "ok");
}

#[test]
fn oau_10_a_client_ends_what_it_asked_for_and_nothing_else() {
    let world = World::new();
    let got = world.ada.token(&[]);
    let (backend, _) = enable(&world.root, json!({}));
    let minted = token(&backend, "ada");
    // Others' tokens, garbage and what is over already: the same answer, and nothing happens.
    for strange in [&got, &minted, "x", &world.gateway.token(&[])] {
        world.agent.revoke(strange);
    }
    assert_eq!((world.code(&got), world.code(&minted)), ("ok".into(), "ok".into()));
    let events = || {
        world.root.get("/v1/audit-events?action=token.revoke").ok()["data"].as_array().expect("a list").len()
    };
    assert_eq!(events(), 0);
    world.ada.revoke(&got);
    assert_eq!((world.code(&got), events()), ("revoked".into(), 1));
    world.ada.revoke(&got);
    assert_eq!(events(), 1);
    let event = world.root.get("/v1/audit-events?action=token.revoke").ok()["data"][0].clone();
    assert_eq!((&event["actor"]["id"], &event["key_id"]), (&json!(world.user), &json!(world.ada.id)));
    // A key is not ended here, and whoever tries is told so.
    let told = refused(
        world.ada.send("/oauth2/revoke", &[("token", &world.ada.secret)]),
        400,
        "unsupported_token_type",
    );
    assert!(text(&told.body["error_description"]).contains("/v1/keys"));
    assert_eq!(world.code(&world.ada.secret), "ok");
    // From parent to child.
    let parent = world.agent.exchanged(&world.ada.secret, &[("may_act", &world.other.id)]);
    let child = world.other.exchanged(&parent, &[]);
    world.other.revoke(&parent);
    assert_eq!(world.code(&child), "ok", "the parent is not its own");
    world.agent.revoke(&parent);
    assert_eq!(world.code(&child), "revoked");
}
