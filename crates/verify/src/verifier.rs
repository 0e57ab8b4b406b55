//! The verifier of an application.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::clock::Clock;
use crate::decision::Decision;
use crate::flights::{Flights, Outcome};
use crate::follower::Follower;
use crate::kept::{Kept, millis};
use crate::node::Node;
use crate::question::{Mark, Question};
use crate::unknown::Unknown;

/// Asks a Keyward node, and remembers what it decided for as long as that is true. Clones share
/// everything.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    kept: Arc<Kept>,
    flights: Flights,
    /// Made at the start: marks mean nothing outside of this process.
    key: Hmac<Sha256>,
    clock: Clock,
    max_age_ms: u64,
    _follower: Follower,
}

/// What a verifier is made of.
pub struct Builder<'a> {
    url: &'a str,
    token: &'a str,
    plain_http: bool,
    max_age: Duration,
    max_staleness: Duration,
    max_entries: usize,
    timeout: Duration,
}

/// Why there is no verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The address of the node is none.
    #[error("the address of the Keyward node must be https://… or http://…")]
    Url,
    /// Credentials would go over the network in the clear.
    #[error(
        "plain http to another machine shows every credential on the way: use https, or allow_plain_http"
    )]
    PlainHttp,
    /// The verifier's own key holds what no key has.
    #[error("the verifier's own key holds characters that no key has")]
    Token,
    /// TLS cannot be used: most likely there are no certificate authorities on this machine.
    #[error("TLS cannot be prepared")]
    Tls,
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// It was not called from within a runtime of tokio.
    #[error("a verifier is made within a tokio runtime")]
    NoRuntime,
}

impl Verifier {
    /// A verifier that asks the node at `url` with `token`: the secret of a key that has the right
    /// `verify:call`, and no limits.
    ///
    /// # Errors
    /// As for [`Builder::build`].
    pub fn new(url: &str, token: &str) -> Result<Self, BuildError> {
        Self::builder(url, token).build()
    }

    /// The same with other bounds.
    #[must_use]
    pub fn builder<'a>(url: &'a str, token: &'a str) -> Builder<'a> {
        Builder {
            url,
            token,
            plain_http: false,
            max_age: Duration::from_secs(10),
            max_staleness: Duration::from_secs(10),
            max_entries: 10_000,
            timeout: Duration::from_secs(2),
        }
    }

    /// Decides: from memory if it can, else by the node. Whoever asks the same at once shares an answer.
    ///
    /// # Errors
    /// [`Unknown`] when there is no decision. That is no refusal: answer with 503.
    pub async fn verify(&self, question: &Question<'_>) -> Result<Arc<Decision>, Unknown> {
        let mark = question.mark(&self.0.key);
        match self.kept(&mark) {
            Some(decision) => Ok(decision),
            None => self.0.flights.share(mark, || self.ask(mark, question)).await,
        }
    }

    /// The decision, if it is remembered; never waits.
    #[must_use]
    pub fn try_cached(&self, question: &Question<'_>) -> Option<Arc<Decision>> {
        self.kept(&question.mark(&self.0.key))
    }

    fn kept(&self, mark: &Mark) -> Option<Arc<Decision>> {
        self.0.kept.get(mark, self.0.clock.monotonic_ms())
    }

    async fn ask(&self, mark: Mark, question: &Question<'_>) -> Outcome {
        let Inner { node, kept, clock, max_age_ms, .. } = &*self.0;
        // A decision is as old as the question.
        let asked_ms = clock.monotonic_ms();
        let answer = node.ask(question).await?;
        let decision = Arc::new(answer.decision);
        let keep_ms = decision.keep_ms(*max_age_ms, clock.unix_ms());
        if keep_ms > 0 {
            kept.keep(mark, &decision, answer.position, asked_ms.saturating_add(keep_ms));
        }
        Ok(decision)
    }
}

impl Builder<'_> {
    /// For how long a decision is remembered at most, 10 s unless told. Each time it is asked again, the key
    /// is seen as used.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }

    /// For how long decisions are believed while nothing is heard of the node, 10 s unless told. This bounds
    /// what a revocation can lose to an application that is cut off.
    #[must_use]
    pub fn max_staleness(self, max_staleness: Duration) -> Self {
        Self { max_staleness, ..self }
    }

    /// How many decisions are remembered, 10 000 unless told; those used least make room.
    #[must_use]
    pub fn max_entries(self, max_entries: usize) -> Self {
        Self { max_entries, ..self }
    }

    /// How long a question to the node may take, 2 s unless told.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Allows `http://` to another machine, for a network that encrypts by itself.
    #[must_use]
    pub fn allow_plain_http(self) -> Self {
        Self { plain_http: true, ..self }
    }

    /// Makes the verifier and begins to follow what changes.
    ///
    /// # Errors
    /// [`BuildError`] says what is wrong with address, token or machine. Nothing is asked of the node yet.
    pub fn build(self) -> Result<Verifier, BuildError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BuildError::NoRuntime);
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| BuildError::Randomness)?;
        let key = Hmac::<Sha256>::new_from_slice(&bytes).map_err(|_| BuildError::Randomness)?;
        let node = Arc::new(Node::new(self.url, self.token, self.plain_http, self.timeout)?);
        let kept = Arc::new(Kept::new(self.max_entries, self.max_staleness));
        let clock = Clock::start();
        let follower = Follower::start(node.clone(), kept.clone(), clock);
        let (flights, max_age_ms) = (Flights::default(), millis(self.max_age));
        Ok(Verifier(Arc::new(Inner { node, kept, flights, key, clock, max_age_ms, _follower: follower })))
    }
}
