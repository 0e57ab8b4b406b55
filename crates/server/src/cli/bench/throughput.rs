//! The hot routes against the constant answer, in turn, in one run.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::token::{self, AccessKey};
use serde_json::{Value, json};

use super::load::{self, Figures, Requests};
use super::stage::{self, Stage};
use super::{BenchLoadArgs, Presenting};
use crate::random;

/// Which route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Verify,
    Authz,
    Batch,
}

/// Every key has been met once when this begins.
const WARM_UP: Duration = Duration::from_secs(1);
/// Requests before memory is looked at for the first time.
const FIRST: usize = 100;
/// Keys in one batch.
const BATCH: usize = 100;

/// Measures a route; the figures carry their ratio to the constant answer.
pub(super) async fn run(kind: Kind, args: &BenchLoadArgs) -> anyhow::Result<Value> {
    let stage = Stage::build(args.keys).await?;
    let (address, server) = stage.serve().await?;
    let (constant_address, constant) = stage::constant().await?;
    let requests = requests(kind, args.present, &stage);
    let bare: Requests = Arc::new(vec![post("/", "", &"x".repeat(100))]);
    let expect: &[u8] = match kind {
        _ if args.present != Presenting::Good => b"\"valid\":false",
        Kind::Verify | Kind::Batch => b"\"valid\":true",
        Kind::Authz => b"x-auth-code: ok",
    };
    // What the first ones bring into memory, code and connections above all, is no key's.
    let first: Requests =
        Arc::new(requests.iter().take(if kind == Kind::Batch { 1 } else { FIRST }).cloned().collect());
    load::sweep(address, &first, args.connections, expect).await?;
    let idle = load::rss(server.pid())?;
    load::sweep(address, &requests, args.connections, expect).await?;
    load::run(address, server.pid(), &requests, args.connections, WARM_UP, expect).await?;
    let (mut own, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        let pid = constant.pid();
        limit.push(load::run(constant_address, pid, &bare, args.connections, args.duration, b"valid").await?);
        own.push(load::run(address, server.pid(), &requests, args.connections, args.duration, expect).await?);
    }
    Ok(report(kind, args, &load::median(own), &load::median(limit), idle))
}

fn report(kind: Kind, args: &BenchLoadArgs, own: &Figures, limit: &Figures, idle: u64) -> Value {
    let mut report = json!({
        "what": format!("{kind:?}").to_lowercase(),
        "presented": format!("{:?}", args.present).to_lowercase(),
        "keys": args.keys,
        "connections": args.connections,
        "requests_per_second": own.per_second.round(),
        "constant_per_second": limit.per_second.round(),
        "ratio": round(own.per_second / limit.per_second),
        "cpu_us_per_request": round(own.cpu_us),
        "behind_cpu_us_per_request": round(own.behind_us),
        "constant_cpu_us_per_request": round(limit.cpu_us),
        "cpu_ratio": round(limit.cpu_us / own.cpu_us),
        "p50_us": own.p50_us,
        "p99_us": own.p99_us,
        "unexpected": own.unexpected,
        "rss_bytes": own.rss,
        "bytes_per_key": own.rss.saturating_sub(idle) / u64::from(args.keys.max(1)),
    });
    if kind == Kind::Batch {
        report["keys_per_second"] = (own.per_second * BATCH as f64).round().into();
    }
    report
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The credentials of the run.
fn credentials(present: Presenting, stage: &Stage) -> Vec<String> {
    let strange = |_: &String| {
        let access_key = AccessKey::generate(&mut random::fill);
        token::generate("kww", access_key, &mut random::fill).expose().to_owned()
    };
    let damaged = |secret: &String| {
        let (rest, last) = secret.split_at(secret.len() - 1);
        format!("{rest}{}", if last == "0" { "1" } else { "0" })
    };
    match present {
        Presenting::Good => stage.secrets.to_vec(),
        Presenting::Unknown => stage.secrets.iter().map(strange).collect(),
        Presenting::Malformed => stage.secrets.iter().map(damaged).collect(),
    }
}

fn requests(kind: Kind, present: Presenting, stage: &Stage) -> Requests {
    let secrets = credentials(present, stage);
    let bearer = format!("authorization: Bearer {}\r\n", stage.root.secret);
    let one = |secret: &String| match kind {
        Kind::Authz => {
            format!("GET /authz HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {secret}\r\n\r\n")
                .into_bytes()
        }
        _ => post("/v1/verify", &bearer, &format!(r#"{{"credential":"{secret}"}}"#)),
    };
    let all = match kind {
        Kind::Verify | Kind::Authz => secrets.iter().map(one).collect(),
        Kind::Batch => secrets
            .chunks(BATCH)
            .map(|secrets| {
                let items: Vec<_> =
                    secrets.iter().map(|secret| format!(r#"{{"credential":"{secret}"}}"#)).collect();
                post("/v1/verify/batch", &bearer, &format!(r#"{{"requests":[{}]}}"#, items.join(",")))
            })
            .collect(),
    };
    Arc::new(all)
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
