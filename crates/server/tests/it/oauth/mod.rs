//! OAuth 2.0: tokens by key and by exchange, introspection, revocation, and what is told about them.

mod audience;
mod budget;
mod client;
mod documentation;
mod exchange;
mod introspection;
mod metadata;
mod refusals;

use serde_json::{Value, json};

use crate::support::{Answer, Caller, Server, client, text};
use crate::tokens::NAMED;

/// `grant_type` and the type of tokens in an exchange.
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Everything that introspection says of what is not good.
pub(crate) const INACTIVE: &str = r#"{"active":false}"#;

/// A key as an OAuth client.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) url: String,
    /// The id of the key.
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

/// The body of a form.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

impl Holder {
    /// The key that was just made.
    pub(crate) fn of(server: &Server, key: &Value) -> Self {
        Self::at(&server.url, key)
    }

    /// The same where the server is not of the usual kind.
    pub(crate) fn at(url: &str, key: &Value) -> Self {
        Self {
            url: url.into(),
            id: text(&key["id"]),
            client_id: text(&key["access_key"]),
            secret: text(&key["secret"]),
        }
    }

    /// Sends a form with Basic.
    pub(crate) fn send(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let request = client().post(format!("{}{path}", self.url));
        let request = request.basic_auth(&self.client_id, Some(&self.secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Answer::read(request.body(form(pairs)).send().expect("an answer"))
    }

    /// Asks for a token of itself.
    pub(crate) fn credentials(&self, more: &[(&str, &str)]) -> Answer {
        self.send("/oauth2/token", &[&[("grant_type", "client_credentials")], more].concat())
    }

    /// A token of itself.
    pub(crate) fn token(&self, more: &[(&str, &str)]) -> String {
        text(&self.credentials(more).ok()["access_token"])
    }

    /// Exchanges a token or key.
    pub(crate) fn exchange(&self, subject: &str, more: &[(&str, &str)]) -> Answer {
        let own =
            [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)];
        self.send("/oauth2/token", &[&own[..], more].concat())
    }

    /// A token made of another, or of a key.
    pub(crate) fn exchanged(&self, subject: &str, more: &[(&str, &str)]) -> String {
        text(&self.exchange(subject, more).ok()["access_token"])
    }

    /// What introspection says.
    pub(crate) fn introspect(&self, token: &str) -> Answer {
        self.send("/oauth2/introspect", &[("token", token)])
    }

    /// Ends a token; the answer is always the same.
    pub(crate) fn revoke(&self, token: &str) {
        let answer = self.send("/oauth2/revoke", &[("token", token)]).expect(200);
        assert_eq!(answer.text, "");
    }
}

/// A refusal in the words of RFC 6749.
#[track_caller]
pub(crate) fn refused(answer: Answer, status: u16, word: &str) -> Answer {
    assert_eq!((answer.status, answer.body["error"].as_str()), (status, Some(word)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    assert!(text(&answer.body["error_description"]).bytes().all(plain), "{}", answer.text);
    let challenge = answer.headers.get("www-authenticate").is_some();
    assert_eq!(challenge, status == 401, "{}", answer.text);
    answer
}

/// A server, and the keys of two users, of a gateway and of the workspace.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) root: Caller,
    pub(crate) user: String,
    pub(crate) role: String,
    /// Ada's key: may read models and reports.
    pub(crate) ada: Holder,
    /// The key of an agent, which may do nothing by itself.
    pub(crate) agent: Holder,
    /// Another agent.
    pub(crate) other: Holder,
    /// May verify.
    pub(crate) gateway: Holder,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Server::with_config(NAMED))
    }

    pub(crate) fn of(server: Server) -> Self {
        let root = server.root();
        let role = root.role("reader", &["models/**:read", "reports:read"]);
        let user = root.user("ada", &[&role]);
        let ada = root.key(json!({ "class": "member", "owner_id": user, "label": "ada" }));
        let worker = |name: &str, right: &str| {
            let role = root.role(name, &[right]);
            let key = root.key(json!({ "class": "workspace", "label": name, "role_ids": [role] }));
            Holder::of(&server, &key)
        };
        let (agent, other) = (worker("agent", "nothing:read"), worker("other", "nothing:write"));
        let gateway = worker("gateway", "verify:call");
        let ada = Holder::of(&server, &ada);
        Self { root, user, role, ada, agent, other, gateway, server }
    }

    /// What verify says of a token and rights.
    pub(crate) fn ask(&self, token: &str, rights: &[&str]) -> Value {
        self.root.post("/v1/verify", json!({ "credential": token, "rights": rights })).ok()
    }

    /// The code alone, with nothing asked.
    pub(crate) fn code(&self, token: &str) -> String {
        text(&self.ask(token, &[])["code"])
    }
}
