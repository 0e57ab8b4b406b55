//! Neither yes nor no.

use std::error::Error;

/// Whether the credential is good cannot be known now. Answer your client with 503: a 401 would make it
/// throw a good key away, and a 200 would let a revoked one in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The node cannot be reached, or is too slow; says why.
    #[error("the Keyward node cannot be asked: {0}")]
    Unreachable(String),
    /// The node did not take the question: the verifier's own key is no good, or lacks the right
    /// `verify:call`, or a right in the question is none, or the node is not ready.
    #[error("the Keyward node refused the question with {status} {code}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Code of the problem document, empty where there is none.
        code: String,
    },
    /// What came back is no answer of a Keyward node.
    #[error("the answer is none of a Keyward node")]
    Unreadable,
}

impl Unknown {
    /// The verifier itself is not let in.
    pub(crate) fn is_our_own_key(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }
}

impl From<reqwest::Error> for Unknown {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(deeper) = source {
            why = format!("{why}: {deeper}");
            source = deeper.source();
        }
        Self::Unreachable(why)
    }
}
