//! What the server says of itself is so (RFC 8414, OAU-16).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ACCESS_TOKEN, EXCHANGE, World, form, refused};
use crate::support::{Answer, Server, client, text};
use crate::tokens::claims;

const PATH: &str = "/.well-known/oauth-authorization-server";

fn get(url: &str) -> Answer {
    Answer::read(client().get(url).send().expect("an answer"))
}

fn words(list: &Value) -> BTreeSet<String> {
    list.as_array().expect("a list").iter().map(text).collect()
}

/// Proves who it is in one of the ways that clients know.
fn send(world: &World, url: &str, method: &str, pairs: &[(&str, &str)]) -> Answer {
    let (id, secret) = (&*world.ada.client_id, &*world.ada.secret);
    let mut all = pairs.to_vec();
    let mut request = client().post(url).header("content-type", "application/x-www-form-urlencoded");
    match method {
        "client_secret_basic" => request = request.basic_auth(id, Some(secret)),
        "client_secret_post" => all.extend([("client_id", id), ("client_secret", secret)]),
        "none" => all.push(("client_id", id)),
        "bearer" => request = request.bearer_auth(secret),
        "private_key_jwt" | "client_secret_jwt" => all.extend([
            ("client_id", id),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", "a.b.c"),
        ]),
        other => panic!("{other}"),
    }
    Answer::read(request.body(form(&all)).send().expect("an answer"))
}

/// Those that are claimed work, the others that there are do not.
fn try_grants(world: &World, grants: &BTreeSet<String>) {
    let more = [
        ("subject_token", &*world.ada.secret),
        ("subject_token_type", ACCESS_TOKEN),
        ("code", "x"),
        ("username", "ada"),
        ("password", "x"),
        ("refresh_token", "x"),
        ("device_code", "x"),
        ("assertion", "a.b.c"),
    ];
    for grant in [
        "client_credentials",
        EXCHANGE,
        "authorization_code",
        "implicit",
        "password",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:openid:params:grant-type:ciba",
    ] {
        let answer = world.ada.send("/oauth2/token", &[&[("grant_type", grant)], &more[..]].concat());
        match grants.contains(grant) {
            true => drop(answer.expect(200)),
            false => drop(refused(answer, 400, "unsupported_grant_type")),
        }
    }
}

#[test]
fn oau_16_x_13_every_claim_is_true_and_nothing_unclaimed_works() {
    let world = World::of(Server::start());
    let told = get(&format!("{}{PATH}", world.server.url)).expect(200);
    assert!(told.header("cache-control").contains("max-age"));
    let told = told.body;
    assert_eq!(told["issuer"], world.server.url.as_str(), "the address that it was asked at");
    assert_eq!(told["response_types_supported"], json!([]));
    let known = [
        "issuer",
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "grant_types_supported",
        "response_types_supported",
        "jwks_uri",
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
        "revocation_endpoint",
        "revocation_endpoint_auth_methods_supported",
    ];
    let claimed: BTreeSet<&str> = told.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(claimed, known.into_iter().collect(), "what is claimed must be tried below");
    let ways = [
        "client_secret_basic",
        "client_secret_post",
        "none",
        "bearer",
        "private_key_jwt",
        "client_secret_jwt",
    ];
    let token = world.ada.token(&[]);
    for endpoint in ["token", "introspection", "revocation"] {
        let url = text(&told[format!("{endpoint}_endpoint")]);
        let supported = words(&told[format!("{endpoint}_endpoint_auth_methods_supported")]);
        let pairs = match endpoint {
            "token" => [("grant_type", "client_credentials")],
            _ => [("token", &*token)],
        };
        for way in ways {
            let answer = send(&world, &url, way, &pairs);
            match supported.contains(way) {
                true => drop(answer.expect(200)),
                false => drop(refused(answer, 401, "invalid_client")),
            }
        }
    }
    try_grants(&world, &words(&told["grant_types_supported"]));
    // The keys are those that sign.
    let set = get(&text(&told["jwks_uri"])).ok();
    let header = token.split('.').next().expect("a header");
    let header: Value = serde_json::from_slice(
        &base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).expect("base64"),
    )
    .expect("JSON");
    let key = set["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .expect("the key");
    assert_eq!((&key["alg"], &claims(&world.ada.token(&[]))["iss"]), (&header["alg"], &told["issuer"]));
}

#[test]
fn oau_16_an_issuer_with_a_path_is_found_where_clients_look() {
    let server = Server::with_config("server: {public_url: 'https://example.org/keys'}");
    let told = get(&format!("{}{PATH}/keys", server.url)).ok();
    assert_eq!(told, get(&format!("{}{PATH}", server.url)).ok());
    assert_eq!(told["token_endpoint"], "https://example.org/keys/oauth2/token");
    get(&format!("{}{PATH}/other", server.url)).refused(404, "not_found");
    let plain = Server::start();
    get(&format!("{}{PATH}/keys", plain.url)).refused(404, "not_found");
}
