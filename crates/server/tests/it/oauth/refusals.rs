//! What the doors refuse, told as RFC 6749 has it (OAU-3, OAU-11, OAU-15).

use serde_json::json;

use super::{ACCESS_TOKEN, EXCHANGE, Holder, INACTIVE, World, form, refused};
use crate::support::{Answer, Caller, client, text};

/// A request to the token endpoint with these headers and this body.
fn send(world: &World, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = client().post(format!("{}/oauth2/token", world.server.url)).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(request.send().expect("an answer"))
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn oau_15_x_13_a_client_that_does_not_prove_itself_gets_nothing() {
    let world = World::new();
    let grant = "grant_type=client_credentials";
    let answer = refused(send(&world, &[FORM], grant), 401, "invalid_client");
    assert!(answer.header("www-authenticate").starts_with("Basic realm="));
    assert_eq!(answer.body["error_uri"], "/problems/no_credential");
    let with =
        |id: &str, secret: &str| Holder { client_id: id.into(), secret: secret.into(), ..world.ada.clone() };
    let unknown =
        refused(with("kwa_0000000000000000", &world.ada.secret).credentials(&[]), 401, "invalid_client");
    let wrong =
        refused(with(&world.agent.client_id, &world.ada.secret).credentials(&[]), 401, "invalid_client");
    assert_eq!(unknown.text, wrong.text, "KEY-4: a stranger learns nothing");
    refused(with("ada", &world.ada.secret).credentials(&[]), 401, "invalid_client");
    refused(with(&world.ada.client_id, "").credentials(&[]), 401, "invalid_client");
    // The secret alone, as Bearer, is for the API.
    let bearer = format!("Bearer {}", world.ada.secret);
    refused(send(&world, &[FORM, ("authorization", &bearer)], grant), 401, "invalid_client");
    let pair = form(&[("client_id", &world.ada.client_id), ("client_secret", &world.ada.secret)]);
    refused(send(&world, &[FORM, ("x-api-key", &world.ada.secret)], grant), 400, "invalid_request");
    assert_eq!(send(&world, &[FORM], &format!("{grant}&{pair}")).status, 200);
    // A key that ended is told so, because it holds the right secret.
    world.root.post(&format!("/v1/keys/{}/revoke", world.other.id), json!({ "reason": "x" })).expect(200);
    let ended = refused(world.other.credentials(&[]), 401, "invalid_client");
    assert_eq!(ended.body["error_uri"], "/problems/revoked");
}

#[test]
fn oau_15_x_13_forms_are_read_strictly() {
    let world = World::new();
    let grant = "grant_type=client_credentials";
    let pair = form(&[("client_id", &world.ada.client_id), ("client_secret", &world.ada.secret)]);
    let good = format!("{grant}&{pair}");
    for bad in [
        format!("{good}&{grant}"),
        format!("{good}&scope=a%3Ab&scope=c%3Ad"),
        format!("{good}&new=1&new=2"),
        format!("{good}&scope=%zz"),
        format!("{good}&scope=a%00b"),
        pair.clone(),
        format!("grant_type=&{pair}"),
    ] {
        refused(send(&world, &[FORM], &bad), 400, "invalid_request");
    }
    let basic = "Basic a2V5OnNlY3JldA==";
    refused(send(&world, &[FORM, ("authorization", basic)], &good), 400, "invalid_request");
    let two = [FORM, ("authorization", basic), ("authorization", basic)];
    refused(send(&world, &two, grant), 400, "invalid_request");
    let json = json!({ "grant_type": "client_credentials", "client_id": world.ada.client_id }).to_string();
    refused(send(&world, &[("content-type", "application/json")], &json), 400, "invalid_request");
    refused(send(&world, &[], &good), 400, "invalid_request");
    let named = [("grant_type", "client_credentials"), ("client_id", "kwa_0000000000000000")];
    refused(world.ada.send("/oauth2/token", &named), 400, "invalid_request");
    assert_eq!(send(&world, &[FORM], &format!("{good}&scope=&new=1")).status, 200);
}

#[test]
fn oau_3_only_post_and_no_grants_of_old() {
    let world = World::new();
    for path in ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"] {
        for method in ["GET", "PUT", "DELETE"] {
            let request =
                client().request(method.parse().expect("a method"), format!("{}{path}", world.server.url));
            let request = request.basic_auth(&world.ada.client_id, Some(&world.ada.secret));
            let told = refused(Answer::read(request.send().expect("an answer")), 405, "invalid_request");
            assert_eq!(told.header("allow"), "POST");
        }
        let query = world.ada.send(&format!("{path}?token=x"), &[("token", "x")]);
        refused(query, 400, "invalid_request");
        let url = world.ada.send(&format!("{path}?client_secret={}", world.ada.secret), &[]);
        url.refused(400, "credential_in_url");
    }
    for grant in ["password", "implicit", "authorization_code", "refresh_token", "urn:x"] {
        let pairs = [("grant_type", grant), ("username", "ada"), ("password", "x"), ("refresh_token", "y")];
        refused(world.ada.send("/oauth2/token", &pairs), 400, "unsupported_grant_type");
    }
    let stranger = Caller { url: world.server.url.clone(), secret: String::new() };
    stranger.get("/oauth2/authorize").refused(404, "not_found");
}

#[test]
fn imp_8_oau_12_browsers_ingest_keys_and_bound_keys_get_no_tokens() {
    let world = World::new();
    let pair = form(&[("client_id", &world.ada.client_id), ("client_secret", &world.ada.secret)]);
    let good = format!("grant_type=client_credentials&{pair}");
    for mark in [("origin", "https://app.example.org"), ("cookie", "a=b"), ("sec-fetch-site", "same-origin")]
    {
        let answer = refused(send(&world, &[FORM, mark], &good), 400, "invalid_request");
        assert!(answer.headers.get("access-control-allow-origin").is_none(), "WEB-2");
    }
    // Node's fetch on a server sends this one alone.
    assert_eq!(send(&world, &[FORM, ("sec-fetch-mode", "cors")], &good).status, 200);
    let ingest = world.root.key(json!({ "class": "ingest", "label": "ingest" }));
    refused(Holder::of(&world.server, &ingest).credentials(&[]), 400, "unauthorized_client");
    let secret = text(&ingest["secret"]);
    refused(world.ada.exchange(&secret, &[]), 400, "invalid_grant");
    let bound = |conditions: serde_json::Value| {
        let key =
            json!({ "class": "member", "owner_id": world.user, "label": "bound", "conditions": conditions });
        let key = world.root.key(key);
        let holder = Holder::of(&world.server, &key);
        let answer = holder.credentials(&[]);
        world.root.delete(&format!("/v1/keys/{}", holder.id)).expect(204);
        answer
    };
    refused(bound(json!({ "methods": ["GET"] })), 400, "unauthorized_client");
    refused(bound(json!({ "cidrs": ["203.0.113.0/24"] })), 401, "invalid_client");
    bound(json!({ "cidrs": ["127.0.0.0/8"] })).expect(200);
}

#[test]
fn oau_11_the_api_tells_missing_rights_as_insufficient_scope() {
    let world = World::new();
    let caller = world.server.caller(&world.agent.secret);
    let told = caller.get("/v1/keys").refused(403, "insufficient_rights");
    assert_eq!(told.header("www-authenticate"), "Bearer realm=\"keyward\", error=\"insufficient_scope\"");
    let wrong = world.server.caller("wrong").get("/v1/keys").refused(401, "invalid_key");
    assert!(wrong.header("www-authenticate").contains("error=\"invalid_token\""));
    let bare = client().get(format!("{}/v1/keys", world.server.url)).send().expect("an answer");
    assert_eq!(bare.headers()["www-authenticate"], "Bearer realm=\"keyward\"");
}

/// What cannot be renewed cannot be stolen to be renewed: there are no refresh tokens.
#[test]
fn oau_4_no_grant_gives_a_refresh_token_and_no_door_takes_one() {
    let world = World::new();
    let exchange = [
        ("grant_type", EXCHANGE),
        ("subject_token", &*world.ada.secret),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    let wish = ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token");
    for pairs in [&[("grant_type", "client_credentials")][..], &exchange] {
        let answer = world.ada.send("/oauth2/token", pairs).expect(200);
        assert!(answer.body.get("refresh_token").is_none(), "{}", answer.text);
        let offline = [pairs, &[("scope", "offline_access")]].concat();
        let answer = world.ada.send("/oauth2/token", &offline);
        assert!(!answer.text.contains("refresh_token\""), "{}", answer.text);
    }
    refused(world.ada.send("/oauth2/token", &[&exchange[..], &[wish]].concat()), 400, "invalid_request");
    let made_up = format!("kwr_{}", &world.ada.secret[4..]);
    let told = world
        .gateway
        .send("/oauth2/introspect", &[("token", &made_up), ("token_type_hint", "refresh_token")]);
    assert_eq!(told.expect(200).text, INACTIVE);
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", &*made_up)];
    refused(world.ada.send("/oauth2/token", &pairs), 400, "unsupported_grant_type");
}
