//! Access tokens: what signs them, who asks for them, and what they open.

mod ceiling;
pub(crate) mod documentation;
mod many;
mod mint;
mod nodes;
mod revocation;
mod signing_keys;
mod subjects;
mod tenants;
mod trusted;
mod verify;

use serde_json::{Value, json};

use crate::support::{Answer, Caller, Server, text};

/// One name for all nodes of a test, as behind a load balancer.
pub(crate) const NAMED: &str = "server: {public_url: 'https://keys.example.org'}";

/// Enables trusted authentication; the backend with the secret, and the id.
pub(crate) fn enable(admin: &Caller, body: Value) -> (Caller, String) {
    let made = admin.post("/v1/trusted/enable", body).ok();
    (Caller { url: admin.url.clone(), secret: text(&made["secret"]) }, text(&made["id"]))
}

/// Asks for a token.
pub(crate) fn mint(backend: &Caller, body: Value) -> Answer {
    backend.post("/v1/trusted/tokens", body)
}

/// A token for a user, who is there.
pub(crate) fn token(backend: &Caller, username: &str) -> String {
    text(&mint(backend, json!({ "username": username })).ok()["token"])
}

/// A server with trusted authentication enabled and a user `ada` who may read models and reports.
pub(crate) struct Portal {
    pub(crate) server: Server,
    pub(crate) root: Caller,
    pub(crate) backend: Caller,
    /// Of the trusted secret.
    pub(crate) id: String,
    pub(crate) ada: String,
    pub(crate) role: String,
}

impl Portal {
    pub(crate) fn new() -> Self {
        Self::with_config(NAMED)
    }

    pub(crate) fn with_config(config: &str) -> Self {
        let server = Server::with_config(config);
        let root = server.root();
        let (backend, id) = enable(&root, json!({}));
        let role = root.role("reader", &["me:read", "models/**:read", "reports:read"]);
        let ada = root.user("ada", &[&role]);
        Self { server, root, backend, id, ada, role }
    }

    /// What verify says of a token and rights.
    pub(crate) fn ask(&self, token: &str, rights: &[&str]) -> Value {
        self.root.post("/v1/verify", json!({ "credential": token, "rights": rights })).ok()
    }
}

/// The payload of a token.
pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).expect("a payload");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}
