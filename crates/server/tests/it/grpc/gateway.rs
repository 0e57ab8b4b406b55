//! Whose word counts in a check (KEY-13, HTTP-9, X1).

use serde_json::{Value, json};

use super::{CLIENT, Check, start};
use crate::oauth::World;
use crate::support::{Server, text};

const NOBODY: &str = "server: {trusted_proxies: []}";
const OTHERS: &str = "server: {trusted_proxies: [10.0.0.0/8, 198.51.100.0/24]}";

/// The secret of a key with these conditions.
fn conditional(server: &Server, conditions: Value) -> String {
    let body =
        json!({ "class": "workspace", "label": "conditional", "role_ids": [], "conditions": conditions });
    text(&server.root().key(body)["secret"])
}

#[test]
fn key_13_x_6_the_clients_address_is_the_one_that_the_gateway_saw() {
    let (server, gate) = start("");
    let bound = conditional(&server, json!({ "cidrs": ["192.0.2.0/24", "2001:db8::/32"] }));
    for source in [CLIENT, "2001:db8::1", "::ffff:192.0.2.7"] {
        gate.ask_as(&bound, Check { source, ..Check::default() }).allowed();
    }
    for source in ["203.0.113.5", "127.0.0.1", "", "/run/envoy.sock"] {
        gate.ask_as(&bound, Check { source, ..Check::default() }).refused(403, "address_denied");
    }
    let forged = [("x-forwarded-for", CLIENT), ("x-real-ip", CLIENT), ("forwarded", "for=192.0.2.7")];
    let check = Check { source: "203.0.113.5", headers: &forged, ..Check::default() };
    gate.ask_as(&bound, check).refused(403, "address_denied");
    // A proxy of ours before the gateway tells whom it saw.
    gate.ask_as(&bound, Check { source: "127.0.0.1", ..check }).allowed();
    let appended = [("x-forwarded-for", "192.0.2.7, 203.0.113.5")];
    let check = Check { source: "127.0.0.1", headers: &appended, ..check };
    gate.ask_as(&bound, check).refused(403, "address_denied");
}

#[test]
fn key_13_x_6_from_others_than_trusted_proxies_a_check_tells_the_credential_alone() {
    for config in [NOBODY, OTHERS] {
        let (server, gate) = start(config);
        let bound = conditional(&server, json!({ "cidrs": ["192.0.2.0/24"] }));
        gate.ask_as(&bound, Check::default()).refused(403, "address_denied");
        let here = conditional(&server, json!({ "cidrs": ["127.0.0.0/8"] }));
        gate.ask_as(&here, Check::default()).allowed();
        let reading = conditional(&server, json!({ "methods": ["GET"], "paths": ["/things"] }));
        gate.ask_as(&reading, Check::default()).refused(403, "condition_failed");
        let needing = Check { extensions: &[("right", "things:read")], ..Check::default() };
        gate.ask_as(&server.operator(), needing).refused(403, "ambiguous_request");
        gate.ask_as(&server.operator(), Check::default()).allowed();
    }
}

#[test]
fn x_1_az_1_the_needed_right_is_what_the_route_says() {
    let (server, gate) = start("");
    let (_, key) = server.root().member("ada", &["reports:read", "models/*:read"]);
    let ada = text(&key["secret"]);
    let needing = |right: &str, headers: &[(&str, &str)]| {
        gate.ask_as(&ada, Check { extensions: &[("right", right)], headers, ..Check::default() })
    };
    needing("reports:read", &[]).allowed();
    needing("reports:read models/emea:read", &[]).allowed();
    needing("", &[]).allowed();
    for right in ["reports:write", "reports:read,models/emea:write", "reports", ":"] {
        needing(right, &[]).refused(403, "insufficient_rights");
    }
    // The client cannot have an easier one asked for, in the place of the route's or beside it.
    let easier = [("x-keyward-right", "reports:read")];
    needing("reports:write", &easier).refused(403, "insufficient_rights");
    needing("reports:read", &[("x-keyward-right", "reports:write")]).allowed();
    // Where the route names none, a header counts as in `/authz`.
    gate.ask_as(&ada, Check { headers: &easier, ..Check::default() }).allowed();
    let harder = Check { headers: &[("x-keyward-right", "reports:write")], ..Check::default() };
    gate.ask_as(&ada, harder).refused(403, "insufficient_rights");
}

#[test]
fn oau_9_x_1_the_audience_is_what_the_route_says() {
    let (server, gate) = start("");
    let world = World::of(server);
    let token = world.ada.token(&[("audience", "reports")]);
    let ask = |extensions: &[(&str, &str)], headers: &[(&str, &str)]| {
        gate.ask_as(&token, Check { extensions, headers, ..Check::default() })
    };
    ask(&[], &[]).allowed();
    ask(&[("audience", "reports")], &[]).allowed();
    let forged: &[(&str, &str)] = &[("x-keyward-audience", "reports")];
    for headers in [&[], forged] {
        ask(&[("audience", "billing")], headers).refused(401, "wrong_audience");
    }
    ask(&[], &[("x-keyward-audience", "billing")]).allowed();
}

#[test]
fn http_9_x_1_nothing_that_a_client_sends_passes_for_the_gateways_word() {
    let (server, gate) = start("");
    let (user, key) = server.root().member("ada", &[]);
    let ada = text(&key["secret"]);
    let names = ["subject", "user", "tenant", "key-id", "rights", "actor", "expires-at", "status", "code"];
    let names = names.map(|name| format!("x-auth-{name}"));
    let forged: Vec<_> = names.iter().map(|name| (name.as_str(), "forged")).collect();
    let told = gate.ask_as(&ada, Check { headers: &forged, ..Check::default() }).allowed();
    for name in &names {
        assert_eq!(told.values(name).len(), 1, "{name} is set over what the client sent");
    }
    assert!(told.headers.iter().all(|(_, value)| value != "forged"), "{told:?}");
    assert_eq!(told.header("x-auth-subject"), user);
    let bound = conditional(&server, json!({ "methods": ["GET"], "paths": ["/public/**"] }));
    let headers = [
        ("x-forwarded-method", "GET"),
        ("x-original-method", "GET"),
        ("x-forwarded-uri", "/public/a"),
        ("x-original-uri", "/public/a"),
        ("x-http-method-override", "GET"),
    ];
    let post = Check { method: "POST", target: "/public/a", headers: &headers, ..Check::default() };
    gate.ask_as(&bound, post).refused(403, "condition_failed");
    let private = Check { target: "/private", headers: &headers, ..Check::default() };
    gate.ask_as(&bound, private).refused(403, "condition_failed");
    gate.ask_as(&bound, Check { target: "/public/a?b=c", ..Check::default() }).allowed();
}
