//! Token exchange (RFC 8693): children of keys and tokens (X12).

use serde_json::{Value, json};

use super::{ACCESS_TOKEN, EXCHANGE, Holder, World, refused};
use crate::support::text;
use crate::tokens::{claims, enable, token};

#[test]
fn x_12_of_a_key_a_narrower_and_shorter_token() {
    let world = World::new();
    let wish = [("scope", "models/emea:read"), ("expires_in", "60"), ("audience", "agent")];
    let told = world.ada.exchange(&world.ada.secret, &wish).ok();
    assert_eq!(
        (&told["issued_token_type"], &told["token_type"], &told["expires_in"], &told["scope"]),
        (&json!(ACCESS_TOKEN), &json!("Bearer"), &json!(60), &json!("models/emea:read"))
    );
    let child = text(&told["access_token"]);
    let said = claims(&child);
    assert_eq!((&said["sub"], &said["act"]), (&json!(world.user), &json!({ "sub": world.ada.id })));
    assert_eq!(said["aud"], "agent");
    assert_eq!(world.ask(&child, &["models/emea:read"])["code"], "ok");
    assert_eq!(world.ask(&child, &["models/apac:read"])["code"], "insufficient_rights");
    // The agent who was handed only the token makes nothing more of it.
    refused(world.agent.exchange(&child, &[]), 400, "invalid_grant");
}

/// Of ada's key by the agent, who is named in the next one, by the other agent.
fn chain(world: &World) -> (String, String) {
    let first =
        world.agent.exchanged(&world.ada.secret, &[("may_act", &world.other.id), ("expires_in", "900")]);
    let second = world.other.exchanged(&first, &[("scope", "reports:read")]);
    (first, second)
}

#[test]
fn x_12_the_chain_of_actors_is_told_everywhere() {
    let world = World::new();
    let (first, second) = chain(&world);
    assert_eq!(claims(&first)["act"], json!({ "sub": world.agent.id }));
    assert_eq!(claims(&first)["may_act"], json!({ "sub": world.other.id }));
    let chained = json!({ "sub": world.other.id, "act": { "sub": world.agent.id } });
    let said = claims(&second);
    assert_eq!((&said["act"], &said["may_act"]), (&chained, &Value::Null));
    assert_eq!((&said["sub"], &said["client_id"]), (&json!(world.user), &json!(world.other.client_id)));
    let looked = world.gateway.introspect(&second).ok();
    assert_eq!(
        (&looked["active"], &looked["act"], &looked["scope"]),
        (&json!(true), &chained, &json!("reports:read"))
    );
    let seen = world.ask(&second, &["reports:read"]);
    assert_eq!((&seen["code"], &seen["token"]["actor"]), (&json!("ok"), &json!(world.other.id)));
    assert_eq!(seen["key"]["id"], json!(world.ada.id), "the key that it rests on");
    assert_eq!(world.ask(&second, &["models/emea:read"])["code"], "insufficient_rights");
    refused(world.other.exchange(&second, &[("scope", "models/emea:read")]), 400, "invalid_scope");
}

#[test]
fn x_12_a_child_ends_with_all_that_it_came_of() {
    let world = World::new();
    let key = |holder: &Holder, act: &str| {
        world.root.post(&format!("/v1/keys/{}/{act}", holder.id), json!({})).expect(200);
    };
    let (first, second) = chain(&world);
    for holder in [&world.ada, &world.agent, &world.other] {
        key(holder, "deactivate");
        assert_eq!(world.code(&second), "inactive");
        key(holder, "activate");
        assert_eq!(world.code(&second), "ok");
    }
    key(&world.agent, "secret");
    assert_eq!((world.code(&first), world.code(&second)), ("retired_secret".into(), "retired_secret".into()));
    let world = World::new();
    let (first, second) = chain(&world);
    world.agent.revoke(&first);
    assert_eq!((world.code(&first), world.code(&second)), ("revoked".into(), "revoked".into()));
    let steps = json!({ "credential": second, "explain": true });
    let steps = world.root.post("/v1/verify", steps).ok()["explain"].clone();
    let failed: Vec<&Value> =
        steps.as_array().expect("steps").iter().filter(|step| step["passed"] == false).collect();
    assert_eq!(failed, [&json!({ "check": "revoked", "passed": false })]);
    let (first, second) = chain(&world);
    world.root.post(&format!("/v1/keys/{}/revoke", world.other.id), json!({ "reason": "x" })).expect(200);
    assert_eq!((world.code(&first), world.code(&second)), ("ok".into(), "revoked".into()), "a branch alone");
    world.root.post(&format!("/v1/users/{}/suspend", world.user), json!({})).expect(200);
    assert_ne!(world.code(&first), "ok");
}

#[test]
fn x_12_an_exchange_never_widens() {
    let world = World::new();
    let wish = [("expires_in", "30"), ("audience", "a"), ("audience", "b"), ("may_act", &*world.other.id)];
    let first = world.agent.exchanged(&world.ada.secret, &wish);
    let told = world.other.exchange(&first, &[("expires_in", "3600")]).ok();
    assert!(told["expires_in"].as_i64().expect("seconds") <= 30, "{told}");
    assert_eq!(claims(&text(&told["access_token"]))["aud"], json!(["a", "b"]));
    assert_eq!(claims(&world.other.exchanged(&first, &[("audience", "b")]))["aud"], "b");
    refused(world.other.exchange(&first, &[("audience", "c")]), 400, "invalid_target");
    refused(world.gateway.exchange(&first, &[]), 400, "invalid_grant");
    // What the agent may do itself is no matter, and what ada may not do is out of reach.
    refused(world.agent.exchange(&world.ada.secret, &[("scope", "nothing:read")]), 400, "invalid_scope");
    let counted = world.agent.exchanged(&world.ada.secret, &[("budget", "2"), ("may_act", &world.other.id)]);
    refused(world.other.exchange(&counted, &[]), 400, "invalid_grant");
    let mut token = world.agent.exchanged(&world.ada.secret, &[]);
    for _ in 0..8 {
        token = world.agent.exchanged(&token, &[]);
    }
    refused(world.agent.exchange(&token, &[]), 400, "invalid_grant");
    assert_eq!(
        claims(&token)["act"],
        json!({ "sub": world.agent.id }),
        "one who acts again and again acts once"
    );
}

#[test]
fn x_12_x_13_what_cannot_be_exchanged() {
    let world = World::new();
    let (backend, _) = enable(&world.root, json!({}));
    let foreign = crate::api::tenant(&world.server, "acme").1;
    let ended = world.ada.token(&[]);
    world.ada.revoke(&ended);
    let of_gateway = world.gateway.token(&[]);
    let tampered = of_gateway.replace("eyJ", "eyK");
    for subject in
        [&token(&backend, "ada"), &backend.secret, &foreign.secret, &ended, &of_gateway, &tampered, "x"]
    {
        refused(world.agent.exchange(subject, &[]), 400, "invalid_grant");
    }
    let good = [
        ("grant_type", EXCHANGE),
        ("subject_token", &*world.ada.secret),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    world.agent.send("/oauth2/token", &good).expect(200);
    for more in [
        ("actor_token", &*of_gateway),
        ("actor_token_type", ACCESS_TOKEN),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:saml2"),
        ("may_act", "ada"),
        ("may_act", &world.user),
        ("budget", "0"),
        ("budget", "-3"),
        ("budget", "1000001"),
    ] {
        refused(world.agent.send("/oauth2/token", &[&good[..], &[more]].concat()), 400, "invalid_request");
    }
    refused(world.agent.send("/oauth2/token", &good[..2]), 400, "invalid_request");
    refused(world.agent.send("/oauth2/token", &[good[0], good[2]]), 400, "invalid_request");
    let other_type = [good[0], good[1], ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")];
    refused(world.agent.send("/oauth2/token", &other_type), 400, "invalid_request");
}
