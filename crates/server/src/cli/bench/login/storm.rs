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
/// Beside the hashers' blocks: 200 connections, and the page caches of the database's.
const SLACK: u64 = 64 << 20;

/// What the storms showed.
#[derive(Default)]
pub(super) struct Storm {
    /// 99th percentiles of verifications, microseconds: before, meanwhile.
    runs: Vec<(u64, u64)>,
    /// The same of the medians.
    medians: Vec<(u64, u64)>,
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
    let mut found = Storm { rss_before, cap, ..Storm::default() };
    for _ in 0..args.runs {
        let idle = verify_during(address, &requests, async {
            tokio::time::sleep(IDLE).await;
            Ok(())
        });
        let (idle, ()) = idle.await?;
        let lines = open_lines(address, args.logins).await?;
        let (stormy, (lost, lasted)) = verify_during(address, &requests, log_in_all(lines)).await?;
        found.verified += stormy.len();
        found.medians.push((percentile(&idle, 50), percentile(&stormy, 50)));
        found.runs.push((percentile(&idle, 99), percentile(&stormy, 99)));
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

/// The times of verifications, in microseconds and in order, while something else happens; and that.
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
    let mut times = verifying.await??;
    times.sort_unstable();
    Ok((times, done?))
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

/// Connections, each with what it will send.
async fn open_lines(address: SocketAddr, count: u32) -> anyhow::Result<Vec<(Line, Vec<u8>)>> {
    let mut lines = Vec::new();
    for number in 0..count {
        lines.push((Line::open(address).await?, request(&known(number), PASSWORD, number)));
    }
    Ok(lines)
}

/// A login on each connection, all at the same time; how many failed, and for how long they came.
async fn log_in_all(lines: Vec<(Line, Vec<u8>)>) -> anyhow::Result<(u32, u64)> {
    let clock = Clock::start();
    let began = clock.monotonic_ms();
    let log_in =
        |(mut line, request): (Line, Vec<u8>)| async move { line.ask(&request, b"\"token\":\"kws_").await };
    let all: Vec<_> = lines.into_iter().map(|line| tokio::spawn(log_in(line))).collect();
    let mut lost = 0;
    for login in all {
        lost += u32::from(!login.await??);
    }
    Ok((lost, clock.monotonic_ms() - began))
}

fn percentile(times: &[u64], percent: usize) -> u64 {
    times.get(times.len() * percent / 100).copied().unwrap_or(0)
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
        report["verify_p50_us_runs"] = json!(self.medians);
        report["rss_bytes_before"] = self.rss_before.into();
        report["rss_bytes_peak"] = self.rss_peak.into();
        report["hashers_bytes"] = self.cap.into();
    }
}
