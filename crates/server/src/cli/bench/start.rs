//! How long a server with many keys takes from its start to its first right answer (R5).

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};

use super::BenchLoadArgs;
use super::load;
use super::stage::Stage;
use crate::clock::Clock;

/// Measures starts of one folder, one after the other; the median counts.
pub(super) async fn run(args: &BenchLoadArgs) -> anyhow::Result<Value> {
    let stage = Stage::build(args.keys.max(1)).await?;
    let client = Client::builder().timeout(Duration::from_secs(5)).build()?;
    let (mut ready, mut correct, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        let clock = Clock::start();
        let begun = clock.monotonic_ms();
        let (address, server) = stage.launch()?;
        until_ready(&client, address).await?;
        ready.push(clock.monotonic_ms() - begun);
        verify(&client, address, &stage).await?;
        correct.push(clock.monotonic_ms() - begun);
        tokio::time::sleep(Duration::from_secs(2)).await;
        idle.push(load::rss(server.pid())?);
    }
    Ok(json!({
        "what": "start",
        "keys": args.keys,
        "ready_ms": middle(ready),
        "first_right_answer_ms": middle(correct),
        "idle_rss_bytes": middle(idle),
    }))
}

async fn until_ready(client: &Client, address: SocketAddr) -> anyhow::Result<()> {
    for _ in 0..30_000 {
        if client.get(format!("http://{address}/readyz")).send().await.is_ok_and(|a| a.status().is_success())
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    anyhow::bail!("the server does not become ready")
}

async fn verify(client: &Client, address: SocketAddr, stage: &Stage) -> anyhow::Result<()> {
    let secret = stage.secrets.last().context("there is a key")?;
    let request = client.post(format!("http://{address}/v1/verify")).bearer_auth(&stage.root.secret);
    let answer: Value = request.json(&json!({ "credential": secret })).send().await?.json().await?;
    anyhow::ensure!(answer["valid"] == true, "the first answer is wrong");
    Ok(())
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
