//! Alerts of GitHub's secret scanning, as its partners get them (LEAK-2, LEAK-3).
//!
//! The keys that sign the alerts come from a file; nothing is fetched.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::mask::Mask;
use super::{Finding, end, is_url, reporter};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::failures;
use crate::http::json;
use crate::names::check_label;
use crate::verify::recognise::Recognised;

/// Bytes of an alert, at most.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;
/// Values in it: each match has five.
const MOST_VALUES: usize = 100_000;
/// Credentials in one transaction: short enough for writers that wait.
const STEP: usize = 50;

/// Tokens of one alert that may fail to be looked up before it is left for later.
const MOST_FAILURES: usize = 5;

/// A place where GitHub found what fits a pattern of ours.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Match {
    /// What was found.
    token: String,
    /// The name under which the pattern is registered.
    #[serde(rename = "type")]
    kind: String,
    /// Where it was found; may be empty.
    #[serde(default)]
    url: Option<String>,
    /// `content`, `commit`, `issue_comment`, …
    #[serde(default)]
    source: Option<String>,
}

/// All matches of an alert.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Alert(Vec<Match>);

/// What became of a match.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Feedback {
    /// SHA-256 of the token, base64.
    token_hash: String,
    /// The type as it was sent.
    token_type: String,
    /// `true_positive` for a credential of this server, dead or alive, else `false_positive`.
    label: &'static str,
}

/// What became of all matches, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Feedbacks(Vec<Feedback>);

/// The list of keys as GitHub publishes it.
#[derive(Debug, Deserialize)]
struct PublicKeys {
    public_keys: Vec<PublicKey>,
}

#[derive(Debug, Deserialize)]
struct PublicKey {
    key_identifier: String,
    /// PEM.
    key: String,
}

/// How an alert proves that it comes from GitHub.
pub(crate) struct Proof<'a> {
    /// `Github-Public-Key-Identifier`
    pub(crate) identifier: &'a str,
    /// `Github-Public-Key-Signature`
    pub(crate) signature: &'a str,
}

/// Takes an alert: checks who signed it, ends what is ours, and tells what was.
pub(crate) async fn take(app: &App, call: Call, proof: Option<Proof<'_>>, body: &[u8]) -> Result<Feedbacks> {
    app.must_be_set_up().await?;
    let keys = keys(app).await?;
    if !proof.is_some_and(|proof| is_signed(&keys, &proof, body)) {
        let wait = failures::note(app, None, "report_leak", call.address);
        return Err(wait.map_or(Error::Unauthenticated("invalid_signature"), Error::RateLimited));
    }
    let Alert(matches) = json::parse_up_to(body, MOST_VALUES)?;
    let Sorted { ours, labels, mut failed } = sort_out(app, &matches).await;
    for (tenant, findings) in ours {
        failed = failed.or(end_of_tenant(app, &tenant, &call, findings).await.err());
    }
    match failed {
        // What could be ended is; the alert comes again for the rest.
        Some(error) => Err(error),
        None => Ok(Feedbacks(matches.iter().map(|found| feedback(found, &labels)).collect())),
    }
}

/// Ends what was found of a tenant, step by step; what one step cannot do keeps no other back.
async fn end_of_tenant(app: &App, tenant: &str, call: &Call, mut findings: Vec<Finding>) -> Result<()> {
    let actor = reporter(tenant, "github", call.clone());
    let mut done = Ok(());
    while !findings.is_empty() {
        let rest = findings.split_off(findings.len().min(STEP));
        done = done.and(end(app, &actor, std::mem::replace(&mut findings, rest)).await);
    }
    done
}

/// The keys of the file, read each time: it is small, alerts are rare, and a new one counts at once.
async fn keys(app: &App) -> Result<Vec<PublicKey>> {
    let file = app.settings.leaks.github.keys_file.as_deref().unwrap_or(Path::new(""));
    let bad = |why: &dyn std::fmt::Display| Error::internal(format!("{}: {why}", file.display()));
    let text = tokio::fs::read(file).await.map_err(|error| bad(&error))?;
    let keys: PublicKeys = serde_json::from_slice(&text).map_err(|error| bad(&error))?;
    Ok(keys.public_keys)
}

/// Whether one of the keys signed exactly these bytes.
fn is_signed(keys: &[PublicKey], proof: &Proof<'_>, body: &[u8]) -> bool {
    let Some(key) = keys.iter().find(|key| key.key_identifier == proof.identifier) else { return false };
    let der = SubjectPublicKeyInfoDer::from_pem_slice(key.key.as_bytes());
    let signature = STANDARD.decode(proof.signature);
    let (Ok(der), Ok(signature)) = (der, signature) else { return false };
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &der).verify(body, &signature).is_ok()
}

/// What stands in an alert.
#[derive(Default)]
struct Sorted<'m> {
    /// Findings by tenant.
    ours: BTreeMap<String, Vec<Finding>>,
    /// Which tokens are ours.
    labels: BTreeMap<&'m str, bool>,
    /// Why one of them could not be looked up.
    failed: Option<Error>,
}

/// Looks each token up once, wherever it was found. One that cannot be keeps no other back.
async fn sort_out<'m>(app: &App, matches: &'m [Match]) -> Sorted<'m> {
    let mut places: BTreeMap<&str, Vec<&Match>> = BTreeMap::new();
    for found in matches {
        places.entry(&found.token).or_default().push(found);
    }
    let (mut sorted, mut failures) = (Sorted::default(), 0);
    for (token, found) in places {
        let what = match app.verifier.recognise(token).await {
            Ok(what) => what,
            Err(error) => {
                sorted.failed = Some(error);
                failures += 1;
                // The database is away: others would only wait for it too.
                if failures == MOST_FAILURES {
                    break;
                }
                continue;
            }
        };
        sorted.labels.insert(token, what.is_some());
        if let Some(what) = what {
            let mask = Mask { token, prefixes: &app.verifier.prefixes };
            sorted.ours.entry(what.tenant()).or_default().push(finding(what, &mask, &found));
        }
    }
    sorted
}

/// One credential with its places. An address that cannot be told is left out, the credential is not.
fn finding(what: Recognised, mask: &Mask<'_>, found: &[&Match]) -> Finding {
    let urls = found.iter().filter_map(|found| found.url.as_deref());
    let mut urls: Vec<String> = urls.filter(|url| is_url(url)).map(|url| mask.url(url)).collect();
    urls.sort();
    urls.dedup();
    let source = found.iter().find_map(|found| found.source.clone());
    let note = source.filter(|source| check_label("", source, 100).is_ok());
    Finding { what, urls, note: note.map(|note| mask.text(&note)) }
}

fn feedback(found: &Match, labels: &BTreeMap<&str, bool>) -> Feedback {
    let is_ours = labels.get(found.token.as_str()).copied().unwrap_or(false);
    Feedback {
        token_hash: STANDARD.encode(Sha256::digest(found.token.as_bytes())),
        token_type: found.kind.clone(),
        label: if is_ours { "true_positive" } else { "false_positive" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's guide for partners, and the public key that it is signed by.
    const IDENTIFIER: &str = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c";
    const SIGNATURE: &str =
        "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==";
    const BODY: &str = r#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;
    const KEYS: &str = r#"{"public_keys": [
        {"key_identifier": "90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a", "is_current": false,
         "key": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq\nkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==\n-----END PUBLIC KEY-----\n"},
        {"key_identifier": "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c", "is_current": true,
         "key": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n"}
    ]}"#;

    #[test]
    fn leak_2_the_example_of_the_guide_is_signed_and_nothing_else_is() {
        let keys = serde_json::from_str::<PublicKeys>(KEYS).expect("the published form").public_keys;
        let signed = |identifier, signature, body: &str| {
            is_signed(&keys, &Proof { identifier, signature }, body.as_bytes())
        };
        assert!(signed(IDENTIFIER, SIGNATURE, BODY));
        assert!(!signed(IDENTIFIER, SIGNATURE, &BODY.replace("some_token", "some_other")));
        assert!(!signed(IDENTIFIER, SIGNATURE, &format!("{BODY}\n")));
        assert!(!signed(&keys[0].key_identifier, SIGNATURE, BODY), "another key");
        assert!(!signed("unknown", SIGNATURE, BODY) && !signed("", SIGNATURE, BODY));
        for broken in ["", "?", "MEQ=", &SIGNATURE[4..], &SIGNATURE.to_lowercase()] {
            assert!(!signed(IDENTIFIER, broken, BODY), "{broken}");
        }
    }

    #[test]
    fn leak_2_feedback_names_tokens_by_their_hash() {
        let Alert(matches) =
            json::parse_up_to(BODY.as_bytes(), MOST_VALUES).expect("the example can be read");
        let told = feedback(&matches[0], &BTreeMap::from([("some_token", false)]));
        assert_eq!((told.label, told.token_type.as_str()), ("false_positive", "some_type"));
        assert_eq!(told.token_hash, STANDARD.encode(Sha256::digest(b"some_token")));
    }
}
