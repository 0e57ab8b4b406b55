//! Whose word counts: forwarding headers from trusted proxies only (KEY-13, X6, X1).

use serde_json::{Value, json};

use super::{ask, ask_as};
use crate::support::{Caller, Server, text, wait_until};

const NOBODY: &str = "server: {trusted_proxies: []}";
const OTHERS: &str = "server: {trusted_proxies: [10.0.0.0/8, 192.0.2.0/24]}";

/// A key with these conditions.
fn conditional(server: &Server, conditions: Value) -> Caller {
    let body =
        json!({ "class": "workspace", "label": "conditional", "role_ids": [], "conditions": conditions });
    server.caller(&text(&server.root().key(body)["secret"]))
}

#[test]
fn key_13_x6_the_end_clients_address_comes_from_a_trusted_proxy() {
    let server = Server::start();
    let bound = conditional(&server, json!({ "cidrs": ["192.0.2.0/24", "2001:db8::/32"] }));
    for (name, value) in [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-For", "198.51.100.1, 192.0.2.7"),
        ("X-Forwarded-For", "192.0.2.7, 127.0.0.1"),
        ("X-Forwarded-For", "192.0.2.7:4711"),
        ("X-Forwarded-For", "2001:db8::1"),
        ("X-Forwarded-For", "[2001:db8::1]:4711"),
        ("X-Forwarded-For", "::ffff:192.0.2.7"),
        ("X-Real-Ip", "192.0.2.7"),
    ] {
        ask_as(&bound, &[(name, value)]).expect(200);
    }
    for (name, value) in [
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-For", "192.0.2.7, 198.51.100.1"),
        ("X-Forwarded-For", "192.0.2.7, unknown"),
        ("X-Forwarded-For", "192.0.2.7, "),
        ("X-Forwarded-For", ""),
        ("X-Real-Ip", "198.51.100.1"),
        ("Forwarded", "for=192.0.2.7"),
        ("X-Client-Ip", "192.0.2.7"),
    ] {
        ask_as(&bound, &[(name, value)]).refused(403, "address_denied");
    }
    ask_as(&bound, &[]).refused(403, "address_denied");
    let both = [("X-Forwarded-For", "198.51.100.1"), ("X-Real-Ip", "192.0.2.7")];
    ask_as(&bound, &both).refused(403, "address_denied");
    let twice = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "198.51.100.1")];
    ask_as(&bound, &twice).refused(403, "address_denied");
}

#[test]
fn key_13_nobody_else_can_name_an_address() {
    for config in [NOBODY, OTHERS] {
        let server = Server::with_config(config);
        let bound = conditional(&server, json!({ "cidrs": ["192.0.2.0/24"] }));
        for name in ["X-Forwarded-For", "X-Real-Ip"] {
            ask_as(&bound, &[(name, "192.0.2.7")]).refused(403, "address_denied");
            let call = bound.request("GET", "/v1/me").header(name, "192.0.2.7").send().expect("an answer");
            assert_eq!(call.status(), 403, "the management API neither");
        }
        let local = conditional(&server, json!({ "cidrs": ["127.0.0.0/8"] }));
        ask_as(&local, &[("X-Forwarded-For", "192.0.2.7")]).expect(200);
    }
}

#[test]
fn key_13_aud_1_the_record_holds_the_address_that_counts() {
    for (config, expected) in [("", "192.0.2.7"), (NOBODY, "127.0.0.1")] {
        let server = Server::with_config(config);
        let root = server.root();
        let (_, key) = root.member("ada", &[]);
        let made = root.request("POST", "/v1/roles").header("X-Forwarded-For", "192.0.2.7");
        let made = made.json(&json!({ "name": "recorded", "rights": ["a:read"] })).send().expect("an answer");
        assert_eq!(made.status(), 201);
        let event = &root.get("/v1/audit-events?action=role.create&limit=1").ok()["data"][0];
        assert_eq!(event["address"], expected);
        ask_as(
            &server.caller(&text(&key["secret"])),
            &[("X-Forwarded-For", "192.0.2.7"), ("User-Agent", "probe/1")],
        )
        .expect(200);
        let path = format!("/v1/keys/{}/usage", text(&key["id"]));
        wait_until(|| !root.get(&path).ok()["last_used_address"].is_null());
        let used = root.get(&path).ok();
        assert_eq!(
            (&used["last_used_address"], &used["last_used_agent"]),
            (&json!(expected), &json!("probe/1"))
        );
    }
}

#[test]
fn x6_x1_method_and_path_come_from_a_trusted_proxy() {
    let server = Server::start();
    let bound = conditional(&server, json!({ "methods": ["GET"], "paths": ["/api/**"] }));
    let names = [("X-Forwarded-Method", "X-Forwarded-Uri"), ("X-Original-Method", "X-Original-Uri")];
    for (method, uri) in names {
        ask_as(&bound, &[(method, "GET"), (uri, "/api/things?x=1")]).expect(200);
        ask_as(&bound, &[(method, "POST"), (uri, "/api/things")]).refused(403, "condition_failed");
        ask_as(&bound, &[(method, "GET"), (uri, "/admin")]).refused(403, "condition_failed");
        ask_as(&bound, &[(method, "GET")]).refused(403, "condition_failed");
        ask_as(&bound, &[(uri, "/api/things")]).refused(403, "condition_failed");
        ask_as(&bound, &[(method, "GET"), (method, "POST"), (uri, "/api/x")])
            .refused(403, "ambiguous_request");
    }
    bound.get("/authz/api/things").expect(200);
    bound.get("/authz/admin").refused(403, "condition_failed");
    bound.post("/authz/api/things", json!({})).refused(403, "condition_failed");
    let above = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/api/../admin")];
    ask_as(&bound, &above).refused(403, "ambiguous_request");
}

#[test]
fn x6_x1_from_anyone_else_method_and_path_are_not_believed() {
    for config in [NOBODY, OTHERS] {
        let server = Server::with_config(config);
        let bound = conditional(&server, json!({ "methods": ["GET"], "paths": ["/api/**"] }));
        let claimed = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/api/things")];
        ask_as(&bound, &claimed).refused(403, "condition_failed");
        let claimed = [("X-Original-Method", "GET"), ("X-Original-Uri", "/api/things")];
        ask_as(&bound, &claimed).refused(403, "condition_failed");
        let free = server.caller(&server.operator());
        ask_as(&free, &claimed).expect(200);
    }
}

#[test]
fn x1_az_1_the_needed_right_is_the_proxys_to_name() {
    let server = Server::start();
    let (_, key) = server.root().member("ada", &["reports:read", "models/*:read"]);
    let ada = server.caller(&text(&key["secret"]));
    let needing = |rights: &str| ask_as(&ada, &[("X-Keyward-Right", rights)]);
    needing("reports:read").expect(200);
    needing("reports:read models/emea:read").expect(200);
    needing("reports:read,models/emea:read").expect(200);
    needing("reports:read models/emea:write").refused(403, "insufficient_rights");
    needing("models/emea/2026:read").refused(403, "insufficient_rights");
    for broken in ["reports", "reports:", "REPORTS READ", "reports:read;admin", ":"] {
        needing(broken).refused(403, "insufficient_rights");
    }
    let twice = [("X-Keyward-Right", "reports:read"), ("X-Keyward-Right", "users:write")];
    ask_as(&ada, &twice).refused(403, "insufficient_rights");
    for config in [NOBODY, OTHERS] {
        let server = Server::with_config(config);
        let refused = ask_as(&server.root(), &[("X-Keyward-Right", "reports:read")]);
        refused.refused(403, "ambiguous_request");
        ask(&server.url, &[("X-Keyward-Right", "reports:read")]).expect(401);
    }
}
