//! Tokens asked for with a trusted secret over HTTP, against the bare signatures that they need.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use super::BenchLoadArgs;
use super::load;
use super::stage::Stage;
use crate::clock::Clock;
use crate::random;

/// As much as is signed of a usual token.
const SIGNED: usize = 600;

/// Measures both in turn; server and signatures have one core each.
pub(super) async fn run(args: &BenchLoadArgs) -> anyhow::Result<Value> {
    let stage = Stage::build(1).await?;
    let (address, server) = stage.serve().await?;
    let secret = prepare(address, &stage).await?;
    let body = r#"{"username":"minted"}"#;
    let request = format!(
        "POST /v1/trusted/tokens HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let requests = Arc::new(vec![request.into_bytes()]);
    let (mut own, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        limit.push(signing_rate(args)?);
        let answer = b"\"token\":\"eyJ";
        own.push(load::run(address, server.pid(), &requests, args.connections, args.duration, answer).await?);
    }
    limit.sort_by(f64::total_cmp);
    let limit = limit[limit.len() / 2];
    let own = load::median(own);
    Ok(json!({
        "what": "mint",
        "connections": args.connections,
        "tokens_per_second": own.per_second.round(),
        "signatures_per_second": limit.round(),
        "ratio": (own.per_second / limit * 1000.0).round() / 1000.0,
        "cpu_us_per_token": (own.cpu_us * 10.0).round() / 10.0,
        "cpu_us_per_signature": (10_000_000.0 / limit).round() / 10.0,
        "p50_us": own.p50_us,
        "p99_us": own.p99_us,
        "unexpected": own.unexpected,
    }))
}

/// A user, and a secret that asks for tokens of it as often as it can.
async fn prepare(address: SocketAddr, stage: &Stage) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build()?;
    let post = async |path: &str, body: Value| -> anyhow::Result<Value> {
        let request = client.post(format!("http://{address}{path}")).bearer_auth(&stage.root.secret);
        Ok(request.json(&body).send().await?.error_for_status()?.json().await?)
    };
    post("/v1/users", json!({ "username": "minted" })).await?;
    let most = 100_000_000;
    let ceiling = json!({ "per_minute": most, "per_user_per_minute": most });
    let made = post("/v1/trusted/enable", json!({ "ceiling": ceiling })).await?;
    Ok(made["secret"].as_str().context("no secret")?.to_owned())
}

/// One signature after the other, with the same library.
fn signing_rate(args: &BenchLoadArgs) -> anyhow::Result<f64> {
    let mut seed = [0; 32];
    random::fill(&mut seed);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed)?;
    let message = [b'x'; SIGNED];
    let clock = Clock::start();
    let (started, mut count) = (clock.monotonic_ns(), 0_u64);
    let end = started + u64::try_from(args.duration.as_nanos())?;
    while clock.monotonic_ns() < end {
        std::hint::black_box(pair.sign(std::hint::black_box(&message)));
        count += 1;
    }
    Ok(count as f64 * 1e9 / (clock.monotonic_ns() - started) as f64)
}
