//! Tokens that may be used so many times (X12).

use serde_json::json;

use super::World;
use crate::support::text;
use crate::tokens::claims;

#[test]
fn x_12_a_budget_is_spent_to_the_last_use_and_no_further() {
    let world = World::new();
    let token = world.ada.exchanged(&world.ada.secret, &[("budget", "3")]);
    assert_eq!(claims(&token)["budget"], 3);
    let asked = world.ask(&token, &["secrets:read"]);
    assert_eq!(asked["code"], "insufficient_rights", "what is refused costs nothing");
    let first = world.ask(&token, &["reports:read"]);
    assert_eq!((&first["code"], &first["cache_ttl_seconds"]), (&json!("ok"), &json!(0)));
    assert_eq!(world.gateway.introspect(&token).ok()["active"], true, "a use, too");
    let dear = json!({ "credential": token, "cost": 2 });
    assert_eq!(world.root.post("/v1/verify", dear).ok()["code"], "credits_exhausted", "one is left");
    assert_eq!(world.code(&token), "ok");
    assert_eq!(world.code(&token), "credits_exhausted");
    assert_eq!(world.gateway.introspect(&token).ok(), json!({ "active": false }));
    let events = world.root.get("/v1/audit-events?action=token.budget").ok();
    let event = &events["data"][0];
    assert_eq!((&event["target"]["id"], &event["after"]["budget"]), (&claims(&token)["jti"], &json!(3)));
    assert_eq!(event["key_id"], json!(world.ada.id));
}

#[test]
fn x_12_all_nodes_and_threads_together_spend_it_once() {
    let world = World::new();
    let node = world.server.second_node();
    let token = world.ada.token(&[("budget", "40")]);
    let here = world.root.clone();
    let there = node.caller(&here.secret);
    let count = |caller: &crate::support::Caller| (0..20).filter(|_| caller.code(&token) == "ok").count();
    let good: usize = std::thread::scope(|scope| {
        let tasks: Vec<_> =
            [&here, &there, &here, &there].map(|caller| scope.spawn(move || count(caller))).into();
        tasks.into_iter().map(|task| task.join().expect("counted")).sum()
    });
    // What one node has leased and not spent, the other cannot have: a tenth at most.
    assert!((36..=40).contains(&good), "{good}");
    let rest = count(&here) + count(&there);
    assert_eq!((good + rest, text(&json!(world.code(&token)))), (40, "credits_exhausted".into()));
}
