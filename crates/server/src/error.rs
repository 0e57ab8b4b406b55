//! What can go wrong, said once. How it is told stands with each surface (`http/problem.rs`).

use serde::Serialize;

use crate::logins::challenge::Challenge;

/// The result of operations and stores.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault in one field of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fault {
    /// JSON pointer (RFC 6901) into the body, or the name of a query parameter.
    pub(crate) pointer: String,
    /// Stable word for programs.
    pub(crate) code: &'static str,
    /// A sentence for people.
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// What happened. Public text and private cause never mix: only `Outage` and `Internal` carry a
/// cause, which goes to the log and nowhere else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request cannot be understood: syntax, unknown fields, wrong types.
    #[error("the request cannot be understood")]
    Malformed(Vec<Fault>),
    /// The request is understood and its values are not acceptable.
    #[error("a value is not acceptable")]
    Invalid(Vec<Fault>),
    /// No credential, or none that is valid; the code is what its presenter may know.
    #[error("authentication failed: {0}")]
    Unauthenticated(&'static str),
    /// The password is right, and the user has a second factor.
    #[error("a second factor is needed")]
    SecondFactor(Box<Challenge>),
    /// The caller may know that it exists but may not do this.
    #[error("{detail}")]
    Forbidden {
        /// Stable word for programs.
        code: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// Does not exist, or the caller may not know that it does.
    #[error("not found")]
    NotFound,
    /// The state does not allow it.
    #[error("{detail}")]
    Conflict {
        /// Stable word for programs.
        code: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// The caller's version of the object is old.
    #[error("the object has changed since it was read")]
    StaleVersion,
    /// A rule of the tenant's policy or the operator's features stands against it.
    #[error("{detail}")]
    Policy {
        /// Path of the rule in the policy, as in `member.max_ttl_days`.
        rule: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// Too many requests; holds the seconds to wait.
    #[error("too many requests")]
    RateLimited(u64),
    /// Another HTTP-level refusal with its own status.
    #[error("{detail}")]
    Http {
        /// HTTP status.
        status: u16,
        /// Stable word for programs.
        code: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// The instance has no administrator yet.
    #[error("the instance is not set up yet")]
    NotSetUp,
    /// The database cannot be used now.
    #[error("the database cannot be used now")]
    Outage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored value is not what was written there; says which (R18).
    #[error("{0}")]
    Damaged(String),
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server cannot start; told on the terminal, never over HTTP.
    #[error("{0}")]
    Startup(String),
    /// The root key cannot be opened with what was given; told on the terminal, never over HTTP.
    #[error("{0}")]
    Locked(String),
}

impl Error {
    /// One fault in one field.
    pub(crate) fn invalid(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault::new(pointer, code, detail)])
    }

    pub(crate) fn malformed(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed(vec![Fault::new(pointer, code, detail)])
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Forbidden { code, detail: detail.into() }
    }

    pub(crate) fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    pub(crate) fn outage(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Outage(cause.into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let taken = |what: &str| Self::conflict("already_exists", format!("{what} is already taken"));
        match crate::store::broken_rule(&error) {
            Some("trusted_secrets_name") => taken("this name"),
            Some("users_username") => taken("this user name"),
            Some("users_skeleton") => {
                Self::conflict("confusable_name", "this name looks like that of another user")
            }
            Some("roles_name" | "user_groups_name") => taken("this name"),
            Some("factors_credential") => taken("this passkey"),
            Some("tenants_slug") => taken("this slug"),
            _ if crate::store::is_outage(&error) => Self::outage(error),
            _ => Self::internal(error),
        }
    }
}
