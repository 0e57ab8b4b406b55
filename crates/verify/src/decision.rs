//! What a node decided.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The answer to a [`Question`](crate::Question). Fields that a newer node adds are left out.
#[derive(Clone, Debug, Deserialize)]
pub struct Decision {
    /// Yes or no.
    pub valid: bool,
    /// `ok`, or the reason code of the refusal (`docs/reference/errors.md`).
    pub code: String,
    /// The key, or that which the session or token came of.
    pub key: Option<Key>,
    /// Present when the credential is the token of a session.
    pub session: Option<Session>,
    /// Who the credential speaks for.
    pub principal: Option<Principal>,
    /// The tenant of the credential.
    pub tenant: Option<Tenant>,
    /// Present when the credential is an access token.
    pub token: Option<Token>,
    /// What the credential may do; empty when it is refused.
    pub rights: Vec<String>,
    /// When the credential ends by itself, RFC 3339.
    pub expires_at: Option<String>,
    /// When to come again: present when limits or credits are used up.
    pub retry_after_seconds: Option<u64>,
    /// For how long anybody may keep this answer; 0 where each use is counted, and for refusals.
    pub cache_ttl_seconds: u32,
}

/// A key.
#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    /// `key_…`
    pub id: String,
    /// `kwa_…`, the public half.
    pub access_key: String,
    /// `member`, `workspace` or `ingest`.
    pub class: String,
    /// What its owner calls it.
    pub label: String,
}

/// A session.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// `session_…`
    pub id: String,
    /// How it began: `password` or `key`.
    pub method: String,
}

/// A user, or a key that speaks for its workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Principal {
    /// `user` or `workspace`.
    pub kind: String,
    /// `user_…` or `key_…`; never reused.
    pub id: String,
    /// Only users have one.
    pub username: Option<String>,
}

/// A tenant.
#[derive(Clone, Debug, Deserialize)]
pub struct Tenant {
    /// `tenant_…`
    pub id: String,
    /// Its name in addresses.
    pub slug: String,
    /// Its number.
    pub number: i64,
}

/// An access token.
#[derive(Clone, Debug, Deserialize)]
pub struct Token {
    /// Its `jti`.
    pub id: String,
    /// What asked for it.
    pub client_id: String,
    /// Who really acts, if that is not the principal.
    pub actor: Option<String>,
    /// Who may accept it.
    pub audience: Vec<String>,
    /// What its issuer passed on.
    pub claims: Map<String, Value>,
}

impl Decision {
    /// The HTTP status to answer with, as `/authz` does: 200, 401, 403 or 429.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.code.as_str() {
            _ if self.valid => 200,
            "address_denied" | "second_factor_missing" | "insufficient_rights" | "condition_failed" => 403,
            "rate_limited" | "credits_exhausted" => 429,
            _ => 401,
        }
    }

    /// For how many milliseconds it may be kept while changes are followed, at `now`, Unix milliseconds.
    pub(crate) fn keep_ms(&self, max_age_ms: u64, now: i64) -> u64 {
        if !self.valid {
            return 0;
        }
        let by_node_ms = u64::from(self.cache_ttl_seconds) * 1000;
        // Of tokens and sessions the changes are not told, and what is counted is not kept at all.
        let is_key = self.key.is_some() && self.session.is_none() && self.token.is_none();
        let longest_ms = if is_key && by_node_ms > 0 { max_age_ms } else { by_node_ms.min(max_age_ms) };
        match self.expires_at.as_deref().map(str::parse::<jiff::Timestamp>) {
            None => longest_ms,
            Some(Ok(end)) => u64::try_from(end.as_millisecond() - now).unwrap_or(0).min(longest_ms),
            Some(Err(_)) => 0,
        }
    }

    /// Whether whoever asked the same at the same time may have this answer too: one that spent units of a
    /// limit answers for one use.
    pub(crate) fn may_be_shared(&self) -> bool {
        if self.valid { self.cache_ttl_seconds > 0 } else { self.retry_after_seconds.is_none() }
    }

    /// Whether it rests on facts of one of these keys, users and tenants.
    pub(crate) fn rests_on(&self, changed: &HashSet<&str>) -> bool {
        let key = self.key.as_ref().map(|key| &key.access_key);
        let others = [self.principal.as_ref().map(|it| &it.id), self.tenant.as_ref().map(|it| &it.id)];
        others.into_iter().chain([key]).flatten().any(|id| changed.contains(id.as_str()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A decision about a key, with other values for some fields.
    pub(crate) fn decision(others: Value) -> Decision {
        let mut value = json!({
            "valid": true, "code": "ok", "rights": ["a:b"], "expires_at": null, "limits": [],
            "key": { "id": "key_1", "access_key": "kwa_1", "class": "member", "label": "" },
            "principal": { "kind": "user", "id": "user_1", "username": "ada" },
            "tenant": { "id": "tenant_1", "slug": "acme", "number": 1 },
            "cache_ttl_seconds": 1,
        });
        let Value::Object(others) = others else { panic!("fields") };
        value.as_object_mut().expect("an object").extend(others);
        serde_json::from_value(value).expect("a decision")
    }

    #[test]
    fn only_keys_without_limits_are_kept_for_long() {
        let refused = json!({ "valid": false, "code": "revoked", "cache_ttl_seconds": 0 });
        let session = json!({ "session": { "id": "session_1", "method": "key" } });
        let token = json!({ "token": { "id": "1", "client_id": "kwa_1", "actor": null, "audience": [], "claims": {} } });
        for (others, ms) in [
            (json!({}), 10_000),
            (json!({ "cache_ttl_seconds": 0 }), 0),
            (refused, 0),
            (session, 1000),
            (token, 1000),
            (json!({ "expires_at": "1970-01-01T00:00:05.500Z" }), 4500),
            (json!({ "expires_at": "1970-01-01T00:00:01.000Z" }), 0),
            (json!({ "expires_at": "1970-01-01T00:00:00.000Z" }), 0),
            (json!({ "expires_at": "soon" }), 0),
        ] {
            assert_eq!(decision(others.clone()).keep_ms(10_000, 1000), ms, "{others}");
        }
    }

    #[test]
    fn what_spent_a_unit_answers_for_one_use() {
        assert!(decision(json!({})).may_be_shared());
        assert!(!decision(json!({ "cache_ttl_seconds": 0 })).may_be_shared());
        assert!(decision(json!({ "valid": false, "code": "revoked" })).may_be_shared());
        let limited = json!({ "valid": false, "code": "rate_limited", "retry_after_seconds": 3 });
        assert!(!decision(limited).may_be_shared());
    }

    #[test]
    fn statuses_are_those_of_authz() {
        for (code, status) in [
            ("invalid_key", 401),
            ("revoked", 401),
            ("some_code_of_a_newer_node", 401),
            ("address_denied", 403),
            ("second_factor_missing", 403),
            ("insufficient_rights", 403),
            ("condition_failed", 403),
            ("rate_limited", 429),
            ("credits_exhausted", 429),
        ] {
            assert_eq!(decision(json!({ "valid": false, "code": code })).status(), status, "{code}");
        }
        assert_eq!(decision(json!({})).status(), 200);
    }

    #[test]
    fn a_decision_rests_on_key_user_and_tenant() {
        let about = |id: &str| decision(json!({})).rests_on(&HashSet::from([id]));
        assert!(about("kwa_1") && about("user_1") && about("tenant_1"));
        assert!(!about("kwa_2") && !about("1"));
    }
}
