//! What a trusted secret does for the first time, and too often.

use serde_json::json;

use super::kinds;
use crate::support::{Caller, text, wait_until};
use crate::tokens::{Portal, enable, mint};

/// Asks for a token as if from this address, behind a proxy that is trusted.
fn mint_from(backend: &Caller, address: &str, username: &str) -> u16 {
    let request = backend.request("POST", "/v1/trusted/tokens").header("X-Forwarded-For", address);
    request.json(&json!({ "username": username })).send().expect("an answer").status().as_u16()
}

#[test]
fn imp_11_new_networks_new_administrators_and_spikes_are_told_once() {
    let portal = Portal::new();
    let (root, server) = (&portal.root, &portal.server);
    let administrators = text(&root.get("/v1/groups?q=Administrators").ok()["data"][0]["id"]);
    let (dora_id, dora) = root.member("dora", &[]);
    root.put(&format!("/v1/groups/{administrators}/members/{dora_id}")).expect(204);
    let dora = server.caller(&text(&dora["secret"]));
    let actions = || -> Vec<String> {
        let told = dora.get("/v1/notifications?kind=trusted_use").ok();
        told["data"].as_array().expect("a list").iter().map(|news| text(&news["action"])).collect()
    };

    for address in ["198.51.100.7", "198.51.100.8", "203.0.113.9"] {
        assert_eq!(mint_from(&portal.backend, address, "ada"), 200);
    }
    wait_until(|| actions().len() == 2);
    assert_eq!(actions(), ["trusted.new_network"; 2], "two of the three are one network");

    // Administrators are above every ceiling unless it says so.
    assert_eq!(mint(&portal.backend, json!({ "username": "dora" })).status, 403);
    let ceiling = json!({ "name": "ops", "ceiling": { "admins": true, "per_minute": 3 } });
    let (ops, _) = enable(root, ceiling);
    for _ in 0..3 {
        assert_eq!(mint_from(&ops, "198.51.100.7", "dora"), 200);
    }
    for _ in 0..3 {
        assert_eq!(mint_from(&ops, "198.51.100.7", "dora"), 429);
    }
    wait_until(|| actions().len() == 5);
    let mut new = actions()[..3].to_vec();
    new.sort();
    assert_eq!(new, ["trusted.mint_spike", "trusted.new_network", "trusted.new_privileged"]);

    // What was told stays told, also after a restart.
    let server = portal.server.kill_and_restart();
    let backend = server.caller(&portal.backend.secret);
    assert_eq!(mint_from(&backend, "198.51.100.200", "ada"), 200);
    assert_eq!(mint_from(&backend, "192.0.2.1", "ada"), 200);
    let dora = server.caller(&dora.secret);
    wait_until(|| kinds(&dora).iter().filter(|kind| *kind == "trusted_use").count() == 6);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(kinds(&dora).iter().filter(|kind| *kind == "trusted_use").count(), 6);
}
