//! What is asked, and the mark under which its answer is kept.

use std::net::IpAddr;

use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;

/// A credential and what it is to be good for. Everything here is part of the decision, and so of what a
/// kept one is found by; the user agent alone is only recorded.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Question<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    rights: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<u32>,
}

impl<'a> Question<'a> {
    /// About a secret, token or imported credential, as it came behind `Bearer` or in `X-API-Key`.
    #[must_use]
    pub fn secret(credential: &'a str) -> Self {
        Self { credential: Some(credential), ..Self::default() }
    }

    /// About an access key and its secret, as they come as user name and password of Basic.
    #[must_use]
    pub fn pair(access_key: &'a str, secret: &'a str) -> Self {
        Self { access_key: Some(access_key), secret: Some(secret), ..Self::default() }
    }

    /// Rights that must all be held, as in `reports/emea:read`; none unless told.
    #[must_use]
    pub fn rights(self, rights: &'a [&'a str]) -> Self {
        Self { rights, ..self }
    }

    /// Method of the request that the credential came with, for keys that are bound to methods. Without it
    /// such a key is refused.
    #[must_use]
    pub fn method(self, method: &'a str) -> Self {
        Self { method: Some(method), ..self }
    }

    /// Its path without the query, for keys that are bound to paths. Each path is a decision of its own.
    #[must_use]
    pub fn path(self, path: &'a str) -> Self {
        Self { path: Some(path), ..self }
    }

    /// The end client's address, for keys that are bound to networks. Take it from the connection, or from
    /// a header that your own proxy sets.
    #[must_use]
    pub fn client_ip(self, address: IpAddr) -> Self {
        Self { client_ip: Some(address), ..self }
    }

    /// Who asks, as it stands in `aud`: an access token for others is refused.
    #[must_use]
    pub fn audience(self, audience: &'a str) -> Self {
        Self { audience: Some(audience), ..self }
    }

    /// What the end client calls itself: shown with the last use of the key.
    #[must_use]
    pub fn user_agent(self, agent: &'a str) -> Self {
        Self { user_agent: Some(agent), ..self }
    }

    /// Units to spend from limits and credits; 1 unless told.
    #[must_use]
    pub fn cost(self, cost: u32) -> Self {
        Self { cost: Some(cost), ..self }
    }

    /// The mark of this question under `key`.
    pub(crate) fn mark(&self, key: &Hmac<Sha256>) -> Mark {
        let mut mac = key.clone();
        for part in [self.credential, self.access_key, self.secret, self.method, self.path, self.audience] {
            put(&mut mac, part.map(str::as_bytes));
        }
        match self.client_ip {
            None => put(&mut mac, None),
            Some(IpAddr::V4(address)) => put(&mut mac, Some(&address.octets())),
            Some(IpAddr::V6(address)) => put(&mut mac, Some(&address.octets())),
        }
        put(&mut mac, self.cost.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
        for right in self.rights {
            put(&mut mac, Some(right.as_bytes()));
        }
        Mark(mac.finalize().into_bytes().into())
    }
}

/// A question, hashed under a key of this process: what is kept holds no secret, and tells none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark([u8; 32]);

/// Each part with its length before it, so that no two questions are the same text.
fn put(mac: &mut Hmac<Sha256>, part: Option<&[u8]>) {
    match part {
        None => mac.update(&u64::MAX.to_be_bytes()),
        Some(bytes) => {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use hmac::KeyInit;

    use super::*;

    #[test]
    fn every_input_of_a_decision_is_in_the_mark() {
        let key = Hmac::<Sha256>::new_from_slice(&[1; 32]).expect("any length");
        let base = Question::secret("a");
        let questions = [
            base,
            Question::secret("b"),
            Question::pair("a", ""),
            Question::pair("", "a"),
            base.rights(&["a:b"]),
            base.rights(&["a:b", "c:d"]),
            base.rights(&["a:bc:d"]),
            base.method("GET"),
            base.path("GET"),
            base.audience("GET"),
            base.client_ip("10.0.0.1".parse().expect("an address")),
            base.client_ip("10.0.0.2".parse().expect("an address")),
            base.client_ip("::ffff:10.0.0.1".parse().expect("an address")),
            base.cost(0),
            base.cost(1),
        ];
        let marks: std::collections::HashSet<Mark> = questions.iter().map(|it| it.mark(&key)).collect();
        assert_eq!(marks.len(), questions.len());
        assert_eq!(base.user_agent("curl").mark(&key), base.mark(&key));
        let other = Hmac::<Sha256>::new_from_slice(&[2; 32]).expect("any length");
        assert_ne!(base.mark(&other), base.mark(&key));
    }

    #[test]
    fn a_question_is_told_as_the_node_reads_it() {
        let question =
            Question::secret("kwm_x").rights(&["a:b"]).client_ip("::1".parse().expect("an address"));
        let told = serde_json::to_string(&question).expect("JSON");
        assert_eq!(told, r#"{"credential":"kwm_x","rights":["a:b"],"client_ip":"::1"}"#);
    }
}
