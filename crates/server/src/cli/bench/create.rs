//! Key creation over HTTP against the engine's own rate of durable single-row commits.

use std::sync::Arc;

use serde_json::{Value, json};

use super::BenchLoadArgs;
use super::load;
use super::stage::Stage;
use crate::clock::Clock;
use crate::store::Db;
use crate::store::instance;

/// Measures both in turn, on databases of the same kind of folder.
pub(super) async fn run(args: &BenchLoadArgs) -> anyhow::Result<Value> {
    let stage = Stage::build(1).await?;
    let (address, server) = stage.serve().await?;
    let body = r#"{"class":"workspace","label":"bench","scopes":["verify:call"]}"#;
    let request = format!(
        "POST /v1/keys HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        stage.root.secret,
        body.len()
    );
    let requests = Arc::new(vec![request.into_bytes()]);
    let (mut own, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        limit.push(insert_rate(args).await?);
        own.push(
            load::run(address, server.pid(), &requests, args.connections, args.duration, b"HTTP/1.1 201")
                .await?,
        );
    }
    limit.sort_by(f64::total_cmp);
    let limit = limit[limit.len() / 2];
    let own = load::median(own);
    Ok(json!({
        "what": "create",
        "connections": args.connections,
        "keys_per_second": own.per_second.round(),
        "engine_inserts_per_second": limit.round(),
        "ratio": (own.per_second / limit * 1000.0).round() / 1000.0,
        "cpu_us_per_key": own.cpu_us.round(),
        "p50_us": own.p50_us,
        "p99_us": own.p99_us,
        "unexpected": own.unexpected,
    }))
}

/// One row, one commit, one after the other, with the server's own settings of the engine.
async fn insert_rate(args: &BenchLoadArgs) -> anyhow::Result<f64> {
    let folder = std::env::temp_dir().join(format!("keyward-bench-{}", crate::random::hex::<6>()));
    std::fs::create_dir(&folder)?;
    let patience = std::time::Duration::from_secs(5);
    let failure = crate::cli::local::failure;
    let db = Db::open_sqlite(&folder.join("bench.db"), patience).await.map_err(failure)?;
    db.migrate().await.map_err(failure)?;
    let clock = Clock::start();
    let (started, mut count) = (clock.monotonic_ms(), 0_u64);
    let end = started + u64::try_from(args.duration.as_millis())?;
    while clock.monotonic_ms() < end {
        let mut tx = db.begin().await.map_err(failure)?;
        instance::set(tx.conn(), &format!("row {count}"), "a value of usual length")
            .await
            .map_err(failure)?;
        tx.commit().await.map_err(failure)?;
        count += 1;
    }
    let seconds = (clock.monotonic_ms() - started) as f64 / 1000.0;
    db.close().await;
    let _ = std::fs::remove_dir_all(&folder);
    Ok(count as f64 / seconds)
}
