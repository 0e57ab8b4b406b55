//! A closed-loop load generator over plain HTTP/1.1 keep-alive connections, light enough to leave
//! a core to the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::random;

/// Requests, ready to be sent; each connection picks at random.
pub(super) type Requests = Arc<Vec<Vec<u8>>>;

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) per_second: f64,
    /// CPU of the server process for each request, microseconds, by the kernel's accounting.
    pub(super) cpu_us: f64,
    /// The part of it that no serving thread used: the usage flush above all.
    pub(super) behind_us: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    /// Answers that were not what a good request gets.
    pub(super) unexpected: u64,
    /// Resident memory of the server at the end, bytes.
    pub(super) rss: u64,
}

/// Sends every request once, so that a measurement finds all facts in memory.
pub(super) async fn sweep(
    address: SocketAddr,
    requests: &Requests,
    connections: u32,
    expect: &'static [u8],
) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (next, requests) = (next.clone(), requests.clone());
            tokio::spawn(async move {
                let mut line = Line::open(address).await?;
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    anyhow::ensure!(line.ask(request, expect).await?, "a good request was refused");
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Sends requests on so many connections for so long; answers must hold `expect`.
pub(super) async fn run(
    address: SocketAddr,
    pid: u32,
    requests: &Requests,
    connections: u32,
    duration: Duration,
    expect: &'static [u8],
) -> anyhow::Result<Figures> {
    let clock = Clock::start();
    let stop = Arc::new(AtomicBool::new(false));
    let (cpu_before, serving_before) = (cpu_us(pid)?, serving_cpu_us(pid)?);
    let started = clock.monotonic_ns();
    let requests = requests.clone();
    let (mut times, unexpected) = on_one_core(async move {
        let tasks: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(drive(address, requests.clone(), stop.clone(), clock, expect)))
            .collect();
        tokio::time::sleep(duration).await;
        stop.store(true, Ordering::Relaxed);
        let (mut times, mut unexpected) = (Vec::new(), 0);
        for task in tasks {
            let (own, odd) = task.await??;
            times.extend(own);
            unexpected += odd;
        }
        anyhow::Ok((times, unexpected))
    })
    .await?;
    let elapsed = (clock.monotonic_ns() - started) as f64 / 1e9;
    let cpu = cpu_us(pid)? - cpu_before;
    let serving = serving_cpu_us(pid)? - serving_before;
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0);
    Ok(Figures {
        per_second: times.len() as f64 / elapsed,
        cpu_us: cpu / times.len().max(1) as f64,
        behind_us: (cpu - serving) / times.len().max(1) as f64,
        p50_us: at(0.5),
        p99_us: at(0.99),
        unexpected,
        rss: rss(pid)?,
    })
}

/// Runs on a thread of its own with a runtime of its own, which leaves the other core to the server.
/// It never sleeps: waking it would be work of the server, whose clients are on other machines.
async fn on_one_core<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    let run = move || -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(8).build()?;
        runtime.block_on(async move {
            let spin = tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
            let done = work.await;
            spin.abort();
            done
        })
    };
    tokio::task::spawn_blocking(run).await?
}

async fn drive(
    address: SocketAddr,
    requests: Requests,
    stop: Arc<AtomicBool>,
    clock: Clock,
    expect: &'static [u8],
) -> anyhow::Result<(Vec<u64>, u64)> {
    let mut line = Line::open(address).await?;
    let mut seed = [0; 8];
    random::fill(&mut seed);
    let mut state = u64::from_le_bytes(seed) | 1;
    let (mut times, mut unexpected) = (Vec::with_capacity(1 << 18), 0);
    while !stop.load(Ordering::Relaxed) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let request = &requests[(state % requests.len() as u64) as usize];
        let sent = clock.monotonic_ns();
        if !line.ask(request, expect).await? {
            unexpected += 1;
        }
        times.push((clock.monotonic_ns() - sent) / 1000);
    }
    Ok((times, unexpected))
}

/// One connection that asks and reads in turn.
pub(super) struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Whether the answer holds `expect`.
    pub(super) async fn ask(&mut self, request: &[u8], expect: &[u8]) -> anyhow::Result<bool> {
        self.stream.write_all(request).await?;
        let length = self.read_answer().await?;
        Ok(memchr::memmem::find(&self.buffer[..length], expect).is_some())
    }

    /// Reads one answer; returns its length in the buffer.
    async fn read_answer(&mut self) -> anyhow::Result<usize> {
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let count = self.stream.read(&mut self.buffer[filled..]).await?;
            anyhow::ensure!(count > 0, "the server closed the connection");
            filled += count;
            if let Some(whole) = whole_length(&self.buffer[..filled])
                && filled >= whole
            {
                return Ok(whole);
            }
        }
    }
}

fn whole_length(answer: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(answer, b"\r\n\r\n")? + 4;
    let at = memchr::memmem::find(&answer[..head], b"content-length: ")? + 16;
    let digits = answer[at..head].iter().take_while(|byte| byte.is_ascii_digit());
    Some(head + digits.fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0')))
}

/// CPU that a process has used, microseconds (user and system).
fn cpu_us(pid: u32) -> anyhow::Result<f64> {
    stat_cpu_us(&std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?)
}

/// CPU of the threads that serve connections.
fn serving_cpu_us(pid: u32) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")? {
        // A thread may end between listing and reading.
        let text = std::fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        if text.contains("(serve-") {
            sum += stat_cpu_us(&text)?;
        }
    }
    Ok(sum)
}

fn stat_cpu_us(text: &str) -> anyhow::Result<f64> {
    // Fields are counted behind the name, which may hold blanks.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    Ok(ticks * 1e6 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory of a process, bytes.
pub(super) fn rss(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS:")
}

/// The most that it ever was.
pub(super) fn peak_rss(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    Ok(kilobytes * 1024)
}

/// The median of the runs, by throughput.
pub(super) fn median(mut runs: Vec<Figures>) -> Figures {
    runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle).unwrap_or_default()
}
