//! The questions that go over the network.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::decision::Decision;
use crate::question::Question;
use crate::unknown::Unknown;
use crate::verifier::BuildError;

/// For how long the node holds a question about changes back, while there are none.
const HOLD: Duration = Duration::from_secs(1);
/// Up to which change the node knew the facts of an answer; told to those who send it.
const POSITION: &str = "x-keyward-position";

/// A Keyward node, or a balancer before several.
pub(crate) struct Node {
    http: reqwest::Client,
    verify: Url,
    changes: Url,
    authorization: HeaderValue,
    timeout: Duration,
}

/// What changed since a position.
#[derive(Debug, Deserialize)]
pub(crate) struct News {
    /// Where to go on from, as the node writes it.
    pub(crate) next: String,
    /// Up to which change this tells.
    pub(crate) position: i64,
    pub(crate) start_over: bool,
    pub(crate) changes: Vec<Change>,
}

/// A key, user or tenant.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    pub(crate) id: String,
}

/// A decision, and up to which change its facts were known.
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    /// Nodes that do not tell changes tell no position.
    pub(crate) position: Option<i64>,
}

#[derive(Deserialize)]
struct ProblemDocument {
    code: String,
}

impl Node {
    pub(crate) fn new(url: &str, token: &str, plain: bool, timeout: Duration) -> Result<Self, BuildError> {
        let url = Url::parse(url).map_err(|_| BuildError::Url)?;
        let is_own = is_loopback(&url);
        match url.scheme() {
            "https" => {}
            "http" if plain || is_own => {}
            "http" => return Err(BuildError::PlainHttp),
            _ => return Err(BuildError::Url),
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| BuildError::Token)?;
        authorization.set_sensitive(true);
        // A redirect would carry credentials to wherever it leads.
        let mut http = reqwest::Client::builder().redirect(Policy::none()).connect_timeout(timeout);
        if is_own {
            http = http.no_proxy();
        }
        if url.scheme() == "http" {
            // A machine without certificate authorities can still speak plain HTTP.
            http = http.tls_certs_only([]);
        }
        let at = |path: &str| url.join(path).map_err(|_| BuildError::Url);
        Ok(Self {
            http: http.build().map_err(|_| BuildError::Tls)?,
            verify: at("/v1/verify")?,
            changes: at("/v1/verify/changes")?,
            authorization,
            timeout,
        })
    }

    /// Asks for a decision.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Result<Answer, Unknown> {
        let body = serde_json::to_vec(question).map_err(|_| Unknown::Unreadable)?;
        let request = self.http.post(self.verify.clone()).header(CONTENT_TYPE, "application/json");
        let response = self.send(request.header(POSITION, "wanted").body(body), self.timeout).await?;
        let position = response.headers().get(POSITION).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { decision: read(response).await?, position })
    }

    /// Asks what changed since `after`; the node waits a second for something to tell.
    pub(crate) async fn changes(&self, after: Option<&str>) -> Result<News, Unknown> {
        let mut url = self.changes.clone();
        if let Some(after) = after {
            url.set_query(Some(&format!("after={after}")));
        }
        read(self.send(self.http.get(url), HOLD + self.timeout).await?).await
    }

    async fn send(&self, request: RequestBuilder, timeout: Duration) -> Result<Response, Unknown> {
        let request = request.header(AUTHORIZATION, self.authorization.clone()).timeout(timeout);
        let response = request.send().await?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response);
        }
        let problem = read::<ProblemDocument>(response).await;
        Err(Unknown::Refused { status, code: problem.map(|problem| problem.code).unwrap_or_default() })
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Unknown> {
    let body = response.bytes().await?;
    serde_json::from_slice(&body).map_err(|_| Unknown::Unreadable)
}

/// Whether the address names this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_the_machine() {
        let node = |url: &str, plain| Node::new(url, "kww_x", plain, HOLD).map(|_| ());
        for url in ["https://keys.example.org", "http://localhost:8700", "http://127.0.0.9", "http://[::1]:1"]
        {
            assert_eq!(node(url, false), Ok(()), "{url}");
        }
        assert_eq!(node("http://keys.example.org", false), Err(BuildError::PlainHttp));
        assert_eq!(node("http://keys.example.org", true), Ok(()));
        assert_eq!(node("ftp://localhost", true), Err(BuildError::Url));
        assert_eq!(node("keys.example.org", true), Err(BuildError::Url));
        let token = Node::new("https://keys.example.org", "kww_x\n", false, HOLD).map(|_| ());
        assert_eq!(token, Err(BuildError::Token));
    }
}
