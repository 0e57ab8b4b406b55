//! Sessions: what follows a login (SQ5, SQ8, SES-1 to SES-6).
//!
//! All times are Unix milliseconds, UTC.

/// How somebody logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With user name and password: a person, interactively.
    Password,
    /// With a passkey alone, whose device made sure who holds it: a person, with both factors at once.
    Passkey,
    /// With access key and secret: a program. Never opens the console (SQ3).
    Key,
}

impl Method {
    /// The word of the API and the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Key => "key",
        }
    }

    /// Reads the word of the API and the store.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Password, Self::Passkey, Self::Key].into_iter().find(|method| method.as_str() == word)
    }

    /// Whether a person logged in.
    #[must_use]
    pub fn is_interactive(self) -> bool {
        self != Self::Key
    }
}

/// The facts about a session that the decision needs.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// How it began.
    pub method: Method,
    /// Whether a second factor was given too.
    pub second_factor: bool,
    /// Ended by logout, by an administrator or by what it rested on.
    pub ended: bool,
    /// When somebody logged in; the absolute limit counts from here.
    pub started_at: i64,
    /// The last use that was allowed; the idle limit counts from here.
    pub last_seen_at: i64,
    /// An end that was told when it began: no idle limit then, and the absolute one as ever.
    pub ends_at: Option<i64>,
}

/// A login counts as fresh for so long, before what is dangerous (SES-6): 10 minutes.
pub const FRESH_MS: i64 = 10 * 60_000;
