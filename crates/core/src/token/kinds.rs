//! Every kind of credential that is written as prefix, id, random part and checksum, and the pattern
//! by which a scanner finds it (LEAK-1).

use super::{
    BODY_LEN, CHALLENGE_PREFIX, CHECKSUM_LEN, HANDOVER_PREFIX, LINK_PREFIX, SESSION_PREFIX, SETUP_PREFIX,
    TRUSTED_PREFIX,
};

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name for programs.
    pub name: &'static str,
    /// What it begins with, unless the configuration says otherwise.
    pub prefix: &'static str,
    /// What people call it.
    pub title: &'static str,
}

/// All of them. Refresh tokens (`kwr`) are reserved and do not exist.
pub const KINDS: [Kind; 9] = [
    Kind { name: "member_key", prefix: "kwm", title: "Keyward member key" },
    Kind { name: "workspace_key", prefix: "kww", title: "Keyward workspace key" },
    Kind { name: "ingest_key", prefix: "kwi", title: "Keyward ingest key" },
    Kind { name: "trusted_secret", prefix: TRUSTED_PREFIX, title: "Keyward trusted secret" },
    Kind { name: "session", prefix: SESSION_PREFIX, title: "Keyward session token" },
    Kind { name: "password_link", prefix: LINK_PREFIX, title: "Keyward password link" },
    Kind { name: "handover_link", prefix: HANDOVER_PREFIX, title: "Keyward hand-over link" },
    Kind { name: "login_challenge", prefix: CHALLENGE_PREFIX, title: "Keyward login challenge" },
    Kind { name: "setup_token", prefix: SETUP_PREFIX, title: "Keyward setup token" },
];

impl Kind {
    /// The kind that begins so.
    #[must_use]
    pub fn of(prefix: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.prefix == prefix)
    }

    /// The regular expression of this kind.
    #[must_use]
    pub fn pattern(&self) -> String {
        pattern(self.prefix)
    }
}

/// A regular expression that Go's RE2, Rust's `regex` and PCRE read alike. A CRC-32 ends below
/// 2³², so that the first of its six digits is 4 at most.
#[must_use]
pub fn pattern(prefix: &str) -> String {
    let (before, after) = (BODY_LEN - CHECKSUM_LEN, CHECKSUM_LEN - 1);
    format!(r"\b{prefix}_[0-9A-Za-z]{{{before}}}[0-4][0-9A-Za-z]{{{after}}}\b")
}

#[cfg(test)]
mod tests;
