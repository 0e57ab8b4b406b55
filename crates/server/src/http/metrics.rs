//! Prometheus metrics, on a listener of their own (HTTP-7). No label ever holds an id or a name.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use keyward_core::decide::{Code, Decision};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::app::App;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobLabels {
    kind: String,
    outcome: &'static str,
}

/// Counters of this node. Those of the hot routes are found by place, not by name.
pub(crate) struct Metrics {
    verified: [AtomicU64; Code::ALL.len() + 1],
    authorized: [AtomicU64; Code::ALL.len() + 1],
    pub(crate) panics: Counter,
    pub(crate) refused_callers: Counter,
    pub(crate) throttled: Counter,
    managed: Family<StatusLabel, Counter>,
    managed_seconds: Histogram,
    pub(crate) minted: Counter,
    pub(crate) usage_flushed: Counter,
    pub(crate) usage_failures: Counter,
    jobs: Family<JobLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            verified: std::array::from_fn(|_| AtomicU64::new(0)),
            authorized: std::array::from_fn(|_| AtomicU64::new(0)),
            panics: Counter::default(),
            refused_callers: Counter::default(),
            throttled: Counter::default(),
            managed: Family::default(),
            managed_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            minted: Counter::default(),
            usage_flushed: Counter::default(),
            usage_failures: Counter::default(),
            jobs: Family::default(),
        }
    }
}

impl Metrics {
    /// Counts an answer of `/v1/verify`.
    pub(crate) fn verified(&self, decision: &Decision) {
        self.verified[place(decision)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer to a gateway.
    pub(crate) fn authorized(&self, decision: &Decision) {
        self.authorized[place(decision)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt at a job that leaves the process.
    pub(crate) fn attempted(&self, kind: &str, is_done: bool) {
        let outcome = if is_done { "done" } else { "failed" };
        self.jobs.get_or_create(&JobLabels { kind: kind.into(), outcome }).inc();
    }

    /// Counts an answer of the router, with the milliseconds that it took if those tell of any work.
    pub(crate) fn managed(&self, status: StatusCode, millis: Option<u64>) {
        self.managed.get_or_create(&StatusLabel { status: status.as_u16() }).inc();
        if let Some(millis) = millis {
            self.managed_seconds.observe(millis as f64 / 1000.0);
        }
    }
}

fn place(decision: &Decision) -> usize {
    match decision {
        Decision::Allow { .. } => 0,
        Decision::Deny { code, .. } => *code as usize + 1,
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// Reads what the application knows at the moment of a scrape.
struct Scrape(Arc<App>);

impl std::fmt::Debug for Scrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let app = &self.0;
        for (name, help, counts) in [
            ("keyward_verify", "Answers of /v1/verify by outcome", &app.metrics.verified),
            ("keyward_authz", "Answers of /authz, over HTTP and gRPC, by outcome", &app.metrics.authorized),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (at, count) in counts.iter().enumerate() {
                let outcome = at.checked_sub(1).map_or("ok", |at| Code::ALL[at].as_str());
                let counter = ConstCounter::new(count.load(Ordering::Relaxed));
                counter.encode(metric.encode_family(&OutcomeLabel { outcome })?)?;
            }
        }
        let reads = ConstCounter::new(app.verifier.cache.reads.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "keyward_store_reads",
            "Queries that cache misses have cost",
            None,
            MetricType::Counter,
        )?;
        reads.encode(metric)?;
        let mut metric =
            encoder.encode_descriptor("keyward_cache_entries", "Facts in memory", None, MetricType::Gauge)?;
        let kinds = ["key", "user", "tenant", "session", "unknown"];
        for (kind, size) in kinds.into_iter().zip(app.verifier.cache.sizes()) {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            ConstGauge::new(size).encode(metric.encode_family(&KindLabel { kind })?)?;
        }
        let waiting = i64::try_from(app.verifier.usage.waiting()).unwrap_or(i64::MAX);
        let metric = encoder.encode_descriptor(
            "keyward_usage_waiting",
            "Keys whose use is not written yet",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(waiting).encode(metric)?;
        let lag = app.verifier.cache.lag_ms() as f64 / 1000.0;
        let metric = encoder.encode_descriptor(
            "keyward_feed_lag",
            "Age of the last confirmation that facts are current",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        ConstGauge::new(lag).encode(metric)
    }
}

/// The metrics listener's router.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut registry = Registry::default();
    let metrics = &app.metrics;
    registry.register("keyward_panics", "Handlers that panicked", metrics.panics.clone());
    registry.register(
        "keyward_callers_refused",
        "Management calls that failed to authenticate",
        metrics.refused_callers.clone(),
    );
    registry.register("keyward_failures_throttled", "Failures answered with 429", metrics.throttled.clone());
    registry.register(
        "keyward_management_requests",
        "Answers of the management API",
        metrics.managed.clone(),
    );
    registry.register_with_unit(
        "keyward_management_duration",
        "Time to answer management calls",
        Unit::Seconds,
        metrics.managed_seconds.clone(),
    );
    registry.register("keyward_tokens_minted", "Access tokens made", metrics.minted.clone());
    registry.register("keyward_usage_flushed", "Keys whose use was written", metrics.usage_flushed.clone());
    registry.register(
        "keyward_usage_flush_failures",
        "Flushes that failed and will be tried again",
        metrics.usage_failures.clone(),
    );
    registry.register("keyward_jobs", "Attempts at what leaves the process", metrics.jobs.clone());
    let build = Family::<VersionLabel, prometheus_client::metrics::gauge::Gauge<i64, AtomicI64>>::default();
    build.get_or_create(&VersionLabel { version: env!("CARGO_PKG_VERSION"), engine: app.db.engine() }).set(1);
    registry.register("keyward_build_info", "Version and storage engine", build);
    registry.register_collector(Box::new(Scrape(app)));
    Router::new().route("/metrics", get(scrape)).with_state(Arc::new(registry))
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
    engine: &'static str,
}

async fn scrape(
    State(registry): State<Arc<Registry>>,
) -> Result<([(http::HeaderName, &'static str); 1], String), StatusCode> {
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], as_text_format(&text)))
}

/// OpenMetrics as the older text format that every scraper and `promtool` read: there a counter is
/// declared by the name of its sample, and units and the end have no lines of their own.
fn as_text_format(open_metrics: &str) -> String {
    let counters: HashSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    for line in open_metrics.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let declared = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        match declared.and_then(|rest| rest.split_once(' ')) {
            Some((name, rest)) if counters.contains(name) => {
                text.push_str(&format!("{} {name}_total {rest}\n", &line[..6]));
            }
            _ => text.extend([line, "\n"]),
        }
    }
    text
}
