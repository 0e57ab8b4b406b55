//! Many logins at once, and verifications before and meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::load::{self, Line, Requests};
use super::super::stage::Stage;
use super::{BenchLoginArgs, PASSWORD, known, request, round};
use crate::clock::Clock;

/// Connections that verify.
const CONNECTIONS: u32 = 8;
/// Between two verifications of one of them: 2 000 a second all together, well below what fills a core.
const PAUSE: Duration = Duration::from_millis(4);
/// How long the server is watched without logins.
const IDLE: Duration = Duration::from_secs(4);
/// Verification may take so much longer at the 99th percentile.
const MOST: f64 = 2.0;
/// For 200 connections, their sessions and what the allocator keeps, beside the hashers' blocks.
const SLACK: u64 = 32 << 20;

/// What the storms showed.
pub(super) struct Storm {
    /// 99th percentiles of verifications, microseconds: before, meanwhile.
    runs: Vec<(u64, u64)>,
    verified: usize,
    logins: u32,
    lost: u32,
    /// Milliseconds of the last login to be answered, in each run.
    lasted_ms: Vec<u64>,
    rss_before: u64,
    rss_peak: u64,
    cap: u64,
}

/// Lets storms come, each after a quiet time.
pub(super) async fn measure(stage: &Stage, args: &BenchLoginArgs, cap: u64) -> anyhow::Result<Storm> {
    let (address, server) = stage.serve_as_configured().await?;
    let requests = verifications(stage);
    load::sweep(address, &requests, CONNECTIONS, b"\"valid\":true").await?;
    let rss_before = load::rss(server.pid())?;
    let (runs, lasted_ms) = (Vec::new(), Vec::new());
    let mut found = Storm { runs, verified: 0, logins: 0, lost: 0, lasted_ms, rss_before, rss_peak: 0, cap };
    for _ in 0..args.runs {
        let idle = verify_during(address, &requests, async {
            tokio::time::sleep(IDLE).await;
            Ok(())
        });
        let (idle, ()) = idle.await?;
        let (stormy, (lost, lasted)) =
            verify_during(address, &requests, log_in_all(address, args.logins)).await?;
        found.verified += stormy.len();
        found.runs.push((p99(idle), p99(stormy)));
        found.logins += args.logins;
        found.lost += lost;
        found.lasted_ms.push(lasted);
    }
    found.rss_peak = load::peak_rss(server.pid())?;
    Ok(found)
}

fn verifications(stage: &Stage) -> Requests {
    let caller = &stage.root.secret;
    let one = |secret: &String| {
        let body = format!(r#"{{"credential":"{secret}"}}"#);
        format!(
            "POST /v1/verify HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {caller}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    Arc::new(stage.secrets.iter().map(one).collect())
}

/// The times of verifications, in microseconds, while something else happens; and that.
async fn verify_during<T>(
    address: SocketAddr,
    requests: &Requests,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Vec<u64>, T)> {
    let (stop, stopped) = watch::channel(false);
    let requests = requests.clone();
    // A thread of its own: what the logins cost on this side is no time of the server.
    let verifying = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let lines: Vec<_> = (0..CONNECTIONS)
                .map(|number| tokio::spawn(verify_slowly(address, requests.clone(), number, stopped.clone())))
                .collect();
            let mut times = Vec::new();
            for line in lines {
                times.extend(line.await??);
            }
            anyhow::Ok(times)
        })
    });
    let done = work.await;
    stop.send(true)?;
    Ok((verifying.await??, done?))
}

async fn verify_slowly(
    address: SocketAddr,
    requests: Requests,
    number: u32,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Vec<u64>> {
    let (clock, mut line, mut times) = (Clock::start(), Line::open(address).await?, Vec::new());
    // Not all at the same moment.
    tokio::time::sleep(PAUSE * number / CONNECTIONS).await;
    let mut ticks = tokio::time::interval(PAUSE);
    let mut at = number as usize;
    while !*stopped.borrow() {
        ticks.tick().await;
        at = (at + 1) % requests.len();
        let sent = clock.monotonic_ns();
        anyhow::ensure!(line.ask(&requests[at], b"\"valid\":true").await?, "a good key was refused");
        times.push((clock.monotonic_ns() - sent) / 1000);
    }
    Ok(times)
}

/// As many logins as are wanted, all at the same time; how many failed, and for how long they came.
async fn log_in_all(address: SocketAddr, count: u32) -> anyhow::Result<(u32, u64)> {
    let clock = Clock::start();
    let began = clock.monotonic_ms();
    let all: Vec<_> = (0..count)
        .map(|number| {
            tokio::spawn(async move {
                let mut line = Line::open(address).await?;
                line.ask(&request(&known(number), PASSWORD, number), b"\"token\":\"kws_").await
            })
        })
        .collect();
    let mut lost = 0;
    for login in all {
        lost += u32::from(!login.await??);
    }
    Ok((lost, clock.monotonic_ms() - began))
}

fn p99(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or(0)
}

impl Storm {
    /// The run in the middle, by its ratio.
    fn median(&self) -> (u64, u64, f64) {
        let mut runs: Vec<_> = self
            .runs
            .iter()
            .map(|&(idle, stormy)| (idle, stormy, stormy as f64 / idle.max(1) as f64))
            .collect();
        runs.sort_by(|a, b| a.2.total_cmp(&b.2));
        runs[runs.len() / 2]
    }

    fn grown(&self) -> u64 {
        self.rss_peak.saturating_sub(self.rss_before)
    }

    /// What is not as it must be.
    pub(super) fn beyond(&self) -> Vec<String> {
        let (idle, stormy, ratio) = self.median();
        let slow = format!("verify takes {stormy} us at p99 during a storm of logins, {idle} us without");
        let large = format!("{} bytes more memory, hashers may take {}", self.grown(), self.cap);
        let lost = format!("{} of {} logins were lost", self.lost, self.logins);
        let bounds = [(ratio > MOST, slow), (self.grown() > self.cap + SLACK, large), (self.lost > 0, lost)];
        bounds.into_iter().filter_map(|(beyond, text)| beyond.then_some(text)).collect()
    }

    /// Adds the figures.
    pub(super) fn write(&self, report: &mut Value) {
        let (idle, stormy, ratio) = self.median();
        report["logins_at_once"] = (self.logins as usize / self.runs.len()).into();
        report["logins_lost"] = self.lost.into();
        report["storm_ms"] = json!(self.lasted_ms);
        report["verified_during_storms"] = self.verified.into();
        report["verify_p99_us_idle"] = idle.into();
        report["verify_p99_us_storm"] = stormy.into();
        report["verify_p99_ratio"] = round(ratio).into();
        report["verify_p99_us_runs"] = json!(self.runs);
        report["rss_bytes_before"] = self.rss_before.into();
        report["rss_bytes_peak"] = self.rss_peak.into();
        report["hashers_bytes"] = self.cap.into();
    }
}
