//! Tokens for somebody else (OAU-9): verify and gateways say who asks.

use serde_json::json;

use super::World;
use crate::support::{Answer, Server, client};

#[test]
fn oau_9_x_1_verify_refuses_tokens_for_others() {
    let world = World::new();
    let token = world.ada.token(&[("audience", "reports"), ("audience", "billing")]);
    let ask = |credential: &str, audience: Option<&str>| {
        let told =
            world.root.post("/v1/verify", json!({ "credential": credential, "audience": audience })).ok();
        let batch = json!({ "requests": [{ "credential": credential, "audience": audience }] });
        let batch = world.root.post("/v1/verify/batch", batch).ok()["results"][0]["code"].clone();
        assert_eq!(told["code"], batch);
        told
    };
    assert_eq!(ask(&token, None)["code"], "ok", "as long as nobody says who they are");
    assert_eq!(
        (&ask(&token, Some("billing"))["code"], &ask(&token, Some("reports"))["code"]),
        (&json!("ok"), &json!("ok"))
    );
    for other in ["report", "reports ", "Reports", "", "reports billing"] {
        let told = ask(&token, Some(other));
        assert_eq!((&told["code"], &told["valid"]), (&json!("wrong_audience"), &json!(false)), "{other}");
        assert_eq!(told["rights"], json!([]));
    }
    assert_eq!(ask(&world.ada.secret, Some("reports"))["code"], "ok", "a key is for everybody");
    // This server is the audience where none was asked for.
    assert_eq!(ask(&world.ada.token(&[]), Some("https://keys.example.org"))["code"], "ok");
    assert_eq!(ask(&world.ada.token(&[]), Some("reports"))["code"], "wrong_audience");
    world.server.caller(&token).get("/v1/me").refused(401, "wrong_audience");
}

#[test]
fn oau_9_x_1_a_gateway_says_who_it_is_and_nobody_else_does() {
    let world = World::new();
    let token = world.ada.token(&[("audience", "reports")]);
    let ask = |url: &str, sent: &[&str]| {
        let mut request = client().get(format!("{url}/authz")).bearer_auth(&token);
        for audience in sent {
            request = request.header("x-keyward-audience", *audience);
        }
        Answer::read(request.send().expect("an answer"))
    };
    let here = &world.server.url;
    ask(here, &[]).expect(200);
    ask(here, &["reports"]).expect(200);
    let refused = ask(here, &["billing"]).refused(401, "wrong_audience");
    assert_eq!((refused.header("x-auth-subject"), refused.header("x-auth-code")), ("", "wrong_audience"));
    ask(here, &["reports", "billing"]).refused(403, "ambiguous_request");
    let alone = World::of(Server::with_config("server: {trusted_proxies: []}"));
    let token = alone.ada.token(&[("audience", "reports")]);
    let request = client().get(format!("{}/authz", alone.server.url)).bearer_auth(&token);
    let answer = request.header("x-keyward-audience", "reports").send().expect("an answer");
    Answer::read(answer).refused(403, "ambiguous_request");
}
