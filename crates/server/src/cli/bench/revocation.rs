//! How long a revoked key is still accepted: on the node that took the revocation and on another.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};

use super::BenchLoadArgs;
use super::stage::Stage;
use crate::clock::Clock;

/// Trials; each makes, uses and revokes a key.
const TRIALS: usize = 100;

/// Measures both windows.
pub(super) async fn run(_args: &BenchLoadArgs) -> anyhow::Result<Value> {
    let stage = Stage::build(1).await?;
    let (first, _one) = stage.serve().await?;
    let (second, _two) = stage.serve().await?;
    let caller = Caller {
        client: Client::builder().timeout(Duration::from_secs(10)).build()?,
        secret: stage.root.secret.clone(),
        clock: Clock::start(),
    };
    let (mut same_node, mut other_node) = (0, Vec::with_capacity(TRIALS));
    for _ in 0..TRIALS {
        let key = caller.call(first, "/v1/keys", json!({"class":"workspace","label":"bench"})).await?;
        let (id, secret) = (text(&key, "id")?, text(&key, "secret")?);
        anyhow::ensure!(caller.accepts(first, secret).await?, "a fresh key is accepted");
        anyhow::ensure!(caller.accepts(second, secret).await?, "also by the other node");
        caller.call(first, &format!("/v1/keys/{id}/revoke"), json!({})).await?;
        let answered = caller.clock.monotonic_ns();
        same_node += usize::from(caller.accepts(first, secret).await?);
        let mut last_accept = answered;
        loop {
            let asked = caller.clock.monotonic_ns();
            if !caller.accepts(second, secret).await? {
                break;
            }
            last_accept = asked;
        }
        other_node.push((last_accept - answered) / 1_000);
    }
    other_node.sort_unstable();
    Ok(json!({
        "what": "revocation",
        "trials": TRIALS,
        "accepts_after_answer_same_node": same_node,
        "other_node_p50_us": other_node[TRIALS / 2],
        "other_node_p99_us": other_node[TRIALS * 99 / 100],
        "other_node_max_us": other_node[TRIALS - 1],
    }))
}

struct Caller {
    client: Client,
    secret: String,
    clock: Clock,
}

impl Caller {
    async fn call(&self, at: SocketAddr, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("http://{at}{path}")).bearer_auth(&self.secret).json(&body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn accepts(&self, at: SocketAddr, secret: &str) -> anyhow::Result<bool> {
        let answer = self.call(at, "/v1/verify", json!({ "credential": secret })).await?;
        answer["valid"].as_bool().context("verify says valid or not")
    }
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name].as_str().with_context(|| format!("the answer holds {name}"))
}
