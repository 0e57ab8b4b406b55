//! HTTP to the server: the token, retries, and answers that are no success.

use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use keyward_core::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;

use super::exit::Printed;
use super::{Exit, Failure, Global, curl, output, problem, remembered};

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Nobody waits longer than this because a busy server asked for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One request, before the server's address and the token are added.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The HTTP method.
    pub(crate) method: Method,
    /// The path below the server's address, already encoded.
    pub(crate) path: String,
    /// Query parameters.
    pub(crate) query: Vec<(String, String)>,
    /// The JSON body.
    pub(crate) body: Option<Value>,
    /// Version for `If-Match`.
    pub(crate) if_match: Option<String>,
    /// Goes without a token where there is none.
    pub(crate) public: bool,
    /// The body goes as a form, with the key as an OAuth client.
    pub(crate) form: bool,
}

impl Request {
    /// A request with any method and no body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method, path, query: Vec::new(), body: None, if_match: None, public: false, form: false }
    }

    /// A read.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST with a JSON body.
    pub(crate) fn post(path: impl Into<String>, body: impl Into<Value>) -> Self {
        Self::new(Method::POST, path).body(body)
    }

    /// A merge patch (RFC 7396).
    pub(crate) fn patch(path: impl Into<String>, body: impl Into<Value>) -> Self {
        Self::new(Method::PATCH, path).body(body)
    }

    /// A form to an OAuth endpoint.
    pub(crate) fn form(path: impl Into<String>, body: impl Into<Value>) -> Self {
        Self { form: true, ..Self::post(path, body) }
    }

    /// Adds a JSON body.
    pub(crate) fn body(mut self, body: impl Into<Value>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Sets a query parameter, whatever `keyward api` was given for it.
    pub(crate) fn replace_query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.retain(|(known, _)| known != name);
        self.query(name, value)
    }

    /// Works only on this version of the object.
    pub(crate) fn if_match(mut self, version: Option<&String>) -> Self {
        self.if_match = version.map(|version| format!("\"{}\"", version.trim_matches('"')));
        self
    }

    /// Needs no token.
    pub(crate) fn public(mut self) -> Self {
        self.public = true;
        self
    }
}

/// The server, as this call talks to it.
pub(crate) struct Client {
    http: reqwest::Client,
    global: Global,
    token: Option<Secret>,
}

impl Client {
    /// Reads the token and the certificate authorities; sends nothing yet.
    pub(crate) fn new(global: &Global) -> anyhow::Result<Self> {
        let token = if global.print_curl { None } else { read_token(global)? };
        if token.is_some() && global.url.scheme() == "http" && !is_loopback(&global.url) && !global.quiet {
            eprintln!("warning: the token travels unencrypted to {}; use https", global.url);
        }
        Ok(Self { http: build_http(global)?, global: global.clone(), token })
    }

    /// The same with this token.
    pub(crate) fn with_token(global: &Global, token: Secret) -> anyhow::Result<Self> {
        Ok(Self { http: build_http(global)?, global: global.clone(), token: Some(token) })
    }

    /// The token, if one was found.
    pub(crate) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Whether a token was found.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends and reads the whole JSON answer; null stands for an empty one. A refusal becomes a
    /// [`Failure`] with its exit code.
    pub(crate) async fn send(&self, request: Request) -> anyhow::Result<Value> {
        let response = self.stream(request).await?;
        self.read(response).await
    }

    /// The same where a refusal with this code is part of the conversation: it is the inner error.
    pub(crate) async fn send_or(&self, request: Request, code: &str) -> anyhow::Result<Result<Value, Value>> {
        let response = self.answer(&request).await?;
        if response.status().is_success() {
            return self.read(response).await.map(Ok);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap_or_default();
        match serde_json::from_str::<Value>(&text) {
            Ok(problem) if problem["code"] == code => Ok(Err(problem)),
            _ => Err(problem::failure(status, &headers, &text).into()),
        }
    }

    /// The same where the refusal of one thing does not keep from the next: what speaks against it is the
    /// inner error.
    pub(crate) async fn send_or_refusal(&self, request: Request) -> anyhow::Result<Result<Value, Value>> {
        let response = self.answer(&request).await?;
        if response.status().is_success() {
            return self.read(response).await.map(Ok);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap_or_default();
        let about_it = [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY];
        match serde_json::from_str::<Value>(&text) {
            Ok(problem) if about_it.contains(&status) => Ok(Err(problem)),
            _ => Err(problem::failure(status, &headers, &text).into()),
        }
    }

    async fn read(&self, response: reqwest::Response) -> anyhow::Result<Value> {
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{} did not answer in JSON", self.global.url))
    }

    /// Sends and hands out the answer before its body is read.
    pub(crate) async fn stream(&self, request: Request) -> anyhow::Result<reqwest::Response> {
        let response = self.answer(&request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap_or_default();
        Err(problem::failure(status, &headers, &text).into())
    }

    /// Whatever the server answers.
    async fn answer(&self, request: &Request) -> anyhow::Result<reqwest::Response> {
        if self.global.print_curl {
            output::write_out(&(curl::command(&self.global, &self.address(request), request) + "\n"))?;
            return Err(Printed.into());
        }
        if !request.public && self.token.is_none() {
            return Err(signed_out().into());
        }
        Ok(self.try_until_answered(request).await?)
    }

    /// Tries again after a lost connection and after 503. The idempotency key stays the same, so
    /// that a POST whose answer was lost is not done twice.
    async fn try_until_answered(&self, request: &Request) -> Result<reqwest::Response, Failure> {
        let built = self.build(request);
        for attempt in 0.. {
            let last = attempt >= self.global.retries;
            let again = built.try_clone().expect("a body held in memory can be sent again");
            let pause = match self.http.execute(again).await {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE && !last => {
                    asked_pause(response.headers()).unwrap_or_else(|| backoff(attempt))
                }
                Ok(response) => return Ok(response),
                Err(error) if last || error.is_timeout() => return Err(self.unreachable(&error)),
                Err(_) => backoff(attempt),
            };
            if !self.global.quiet {
                eprintln!("no answer yet from {}, trying again in {} ms", self.global.url, pause.as_millis());
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("the last attempt returns")
    }

    fn build(&self, request: &Request) -> reqwest::Request {
        let mut built = reqwest::Request::new(request.method.clone(), self.address(request));
        let headers = built.headers_mut();
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, if request.form { basic(token) } else { bearer(token) });
        }
        for (name, value) in plain_headers(&self.global, request) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        if let Some(body) = &request.body {
            let kind = if request.form { "application/x-www-form-urlencoded" } else { "application/json" };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            let text = if request.form { form_text(body) } else { body.to_string() };
            *built.body_mut() = Some(text.into());
        }
        built
    }

    fn address(&self, request: &Request) -> Url {
        let mut url = self.global.url.clone();
        url.set_path(&format!("{}{}", self.global.url.path().trim_end_matches('/'), request.path));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        url
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let what = if error.is_timeout() { "gave no answer in time" } else { "cannot be reached" };
        Failure::new(Exit::Unreachable, format!("{} {what}", self.global.url))
            .detail(cause.to_string())
            .hint("is the server running, and is --url (KEYWARD_URL) right? `keyward doctor` looks closer")
    }
}

/// The headers that hold no secret, the same for sending and for `--print-curl`.
pub(crate) fn plain_headers(global: &Global, request: &Request) -> Vec<(&'static str, String)> {
    let mut headers = vec![("accept", "application/json".to_owned())];
    if let Some(tenant) = &global.tenant {
        headers.push(("x-keyward-tenant", tenant.clone()));
    }
    if let Some(version) = &request.if_match {
        headers.push(("if-match", version.clone()));
    }
    if request.method == Method::POST && !request.form {
        headers.push(("idempotency-key", crate::random::hex::<16>()));
    }
    headers
}

/// One segment of a path, encoded.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Reads `--url`: http or https, without a password inside.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("expected an address like https://keyward.example.com".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("give the address only; the token comes from $KEYWARD_TOKEN or --token-file".to_owned());
    }
    Ok(url)
}

/// Whether the address names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn build_http(global: &Global) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(global.timeout);
    if is_loopback(&global.url) {
        builder = builder.no_proxy();
    }
    if let Some(path) = &global.cacert {
        let pem = std::fs::read(path).map_err(|error| unreadable("--cacert", path, &error))?;
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
    } else if global.url.scheme() == "http" {
        // A machine without certificate authorities can still speak plain HTTP.
        builder = builder.tls_certs_only([]);
    }
    builder.build().context("cannot prepare HTTPS")
}

fn read_token(global: &Global) -> Result<Option<Secret>, Failure> {
    let text = match &global.token_file {
        Some(path) => {
            Some(std::fs::read_to_string(path).map_err(|error| unreadable("--token-file", path, &error))?)
        }
        None => std::env::var("KEYWARD_TOKEN").ok(),
    };
    let text = text.or_else(|| remembered::token(&global.url));
    let Some(text) = text.map(zeroize::Zeroizing::new) else { return Ok(None) };
    let token = text.trim();
    if token.is_empty() {
        return Ok(None);
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(Exit::Config, "the token holds characters that no token has")
            .hint("give KEYWARD_TOKEN or the token file nothing but the token"));
    }
    Ok(Some(Secret::new(token.to_owned())))
}

fn unreadable(option: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Config, format!("{option}: cannot read {}", path.display())).detail(error.to_string())
}

fn bearer(token: &Secret) -> HeaderValue {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
    let mut value = HeaderValue::from_str(&text).expect("a token was checked to be visible ASCII");
    value.set_sensitive(true);
    value
}

/// The access key stands inside the secret.
fn basic(token: &Secret) -> HeaderValue {
    let digits = token.expose().split_once('_').and_then(|(_, body)| body.get(..16)).unwrap_or_default();
    let pair = zeroize::Zeroizing::new(format!("kwa_{digits}:{}", token.expose()));
    let text = zeroize::Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
    let mut value = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// The parameters of a form, each with one value or several.
pub(crate) fn parameters(body: &Value) -> Vec<(&str, String)> {
    let members = body.as_object().into_iter().flatten();
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    members
        .flat_map(|(name, value)| match value.as_array() {
            Some(values) => values.iter().map(|value| (name.as_str(), one(value))).collect(),
            None => vec![(name.as_str(), one(value))],
        })
        .collect()
}

fn form_text(body: &Value) -> String {
    let pair = |(name, value): (&str, String)| format!("{}={}", segment(name), segment(&value));
    parameters(body).into_iter().map(pair).collect::<Vec<_>>().join("&")
}

fn signed_out() -> Failure {
    Failure::new(Exit::Forbidden, "Not signed in")
        .detail("neither KEYWARD_TOKEN nor KEYWARD_TOKEN_FILE nor --token-file gives a token, and nobody has logged in")
        .hint("`keyward login` opens a session; `keyward bootstrap` makes the first key")
}

fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(200 << attempt.min(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_passwords_or_other_schemes_are_refused() {
        assert!(parse_url("https://keyward.example.com/base").is_ok());
        for wrong in ["ftp://x", "keyward.example.com", "https://u:p@x", "http://x?token=1", "file:///etc"] {
            assert!(parse_url(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn loopback_is_recognised_in_every_form() {
        let loopback = |text| is_loopback(&parse_url(text).expect("an address"));
        assert!(loopback("http://127.0.0.1:8700"));
        assert!(loopback("http://[::1]:8700"));
        assert!(loopback("http://localhost"));
        assert!(!loopback("http://localhost.example.com"));
        assert!(!loopback("http://10.0.0.1"));
    }

    #[test]
    fn pauses_follow_the_server_up_to_a_ceiling() {
        let headers = |value| HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        assert_eq!(asked_pause(&headers("2")), Some(Duration::from_secs(2)));
        assert_eq!(asked_pause(&headers("9999")), Some(LONGEST_PAUSE));
        assert_eq!(asked_pause(&headers("soon")), None);
        assert_eq!(backoff(0), Duration::from_millis(200));
        assert_eq!(backoff(40), Duration::from_millis(12_800));
    }

    #[test]
    fn x_13_a_form_and_the_pair_of_a_secret() {
        let body = serde_json::json!({ "scope": "a:b c", "audience": ["x", "y"], "budget": 3 });
        assert_eq!(form_text(&body), "audience=x&audience=y&budget=3&scope=a%3Ab%20c");
        let value = basic(&Secret::new("kwm_0123456789abcDEFrest".into()));
        let pair = STANDARD.decode(&value.as_bytes()[6..]).expect("base64");
        assert_eq!(pair, b"kwa_0123456789abcDEF:kwm_0123456789abcDEFrest");
    }

    #[test]
    fn ids_cannot_leave_their_segment() {
        assert_eq!(segment("../users?x"), "..%2Fusers%3Fx");
        assert_eq!(segment("kwa_0aZ"), "kwa_0aZ");
    }
}
