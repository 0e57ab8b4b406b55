//! What the token of a login may do: what its key may now, however much that is.

use keyward_core::jwt::Compact;
use serde_json::{Value, json};

use super::{at, enter, log_in, post, refused, start};
use crate::support::{Caller, Server, text};

/// A key with three roles of so many rights each beside the one to read keys.
fn key_with(root: &Caller, rights: usize) -> Value {
    let role = |number: usize| {
        let names =
            (0..rights).map(|right| format!("models/of-role-{number}/region-{right:02}/reports:read"));
        let names: Vec<String> = names.chain(["keys:read".to_owned()]).collect();
        root.role(
            &format!("role {number} of {rights}"),
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    let roles: Vec<String> = (0..3).map(role).collect();
    root.key(json!({ "class": "workspace", "label": format!("key {rights}"), "role_ids": roles }))
}

/// The rights that a token names.
fn scope(jwt: &str) -> String {
    Compact::parse(jwt).expect("a JWT").claims().expect("claims").scope
}

#[test]
fn bm_1_a_key_with_very_many_rights_logs_in() {
    let server = start();
    let root = server.root();
    let (few, many) = (key_with(&root, 2), key_with(&root, 80));
    assert!(scope(&enter(&server, &few).secret).contains("keys:read"));
    let told = log_in(&server, &many).ok();
    let jwt = text(&told["json_web_token"]);
    assert_eq!(scope(&jwt), "", "they have no room in it");
    let own = server.caller(&jwt);
    let info = own.get(&at("/userinfo")).ok();
    assert_eq!(info["permissions"].as_array().map(Vec::len), Some(241));
    own.get(&at("/access_keys")).expect(200);
    let fresh = post(&server, "/auth/tokens", &json!({ "token": told["token"] })).ok();
    let fresh = server.caller(&text(&fresh["json_web_token"]));
    fresh.get(&at("/access_keys")).expect(200);
    // No more than the key, here and elsewhere, and no longer.
    let wish = json!({ "name": "x", "type": "TENANT", "expiry_enum": "30 days" });
    refused(&own.post(&at("/access_keys"), wish), 403, "FORBIDDEN");
    own.get("/v1/keys").refused(403, "token_cannot_manage");
    assert_eq!(code(&server, &jwt, "models/of-role-1/region-01/reports:read"), "insufficient_rights");
    assert_eq!(
        code(&server, &text(&many["secret"]), "models/of-role-1/region-01/reports:read"),
        "ok",
        "a gateway is shown the key"
    );
    root.patch(&format!("/v1/keys/{}", text(&many["id"])), json!({ "role_ids": [] })).expect(200);
    refused(&own.get(&at("/access_keys")), 403, "FORBIDDEN");
    root.delete(&format!("/v1/keys/{}", text(&many["id"]))).expect(204);
    for ended in [&own, &fresh] {
        refused(&ended.get(&at("/userinfo")), 401, "UNAUTHORIZED");
    }
}

/// What the verifier says of a credential and a right.
fn code(server: &Server, credential: &str, right: &str) -> String {
    text(
        &server.root().post("/v1/verify", json!({ "credential": credential, "rights": [right] })).ok()["code"],
    )
}
