//! A node that stood still must not believe what it knew before (X7, R2), nor stop the others (R4).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::reliability::{count, signal};
use crate::support::{Node, Server, engine, text, wait_until};

const STALENESS: Duration = Duration::from_millis(300);
const TRIALS: usize = 20;

#[test]
fn x7_r2_a_node_that_was_stopped_accepts_nothing_that_was_revoked_meanwhile() {
    let server = Server::with_config("verify: { max_staleness: 300ms, on_database_loss: serve_for 10s }\n");
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    for trial in 0..TRIALS {
        let key = a.key(json!({ "class": "ingest", "label": format!("trial {trial}") }));
        let secret = text(&key["secret"]);
        assert_eq!(b.code(&secret), "ok");
        signal(node.pid(), "STOP");
        a.post(&format!("/v1/keys/{}/revoke", text(&key["id"])), json!({})).ok();
        std::thread::sleep(STALENESS + Duration::from_millis(50));
        let code = std::thread::scope(|scope| {
            // It lies in the socket when the node wakes up, before it can have read the feed.
            let asked = scope.spawn(|| b.code(&secret));
            std::thread::sleep(Duration::from_millis(20));
            signal(node.pid(), "CONT");
            asked.join().expect("no panic")
        });
        assert_eq!(code, "revoked", "trial {trial}");
        assert_eq!(b.code(&secret), "revoked", "trial {trial}");
    }
}

/// Stops the node at a moment when it holds the lock of the tenant.
fn stop_in_a_write(server: &Server, node: &Node) {
    wait_until(|| {
        signal(node.pid(), "STOP");
        // No node that runs is idle in a transaction for so long.
        std::thread::sleep(Duration::from_millis(150));
        let holders = count(
            &server.place,
            "SELECT COUNT(*) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
             WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
               AND a.state = 'idle in transaction' AND a.state_change < clock_timestamp() - interval '100 ms'",
        );
        if holders == 0 {
            signal(node.pid(), "CONT");
        }
        holders > 0
    });
}

#[test]
fn x7_r4_a_node_that_stops_in_the_midst_of_a_write_holds_others_up_for_the_timeout_alone() {
    if engine() != "postgres" {
        eprintln!("skipped: the lock of a process is the lock of its file on {}", engine());
        return;
    }
    let server = Server::with_config("database: { timeout: 1s }\n");
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let body = || json!({ "class": "ingest", "label": "written" });
    let (began, done) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Not for ever, should what follows fail.
            while !done.load(Ordering::Acquire) && began.elapsed() < Duration::from_secs(60) {
                b.post("/v1/keys", body());
            }
        });
        stop_in_a_write(&server, &node);
        let since = Instant::now();
        while a.post("/v1/keys", body()).status != 201 {
            assert!(since.elapsed() < Duration::from_secs(3), "writes wait for a node that stands still");
        }
        done.store(true, Ordering::Release);
        signal(node.pid(), "CONT");
    });
    wait_until(|| b.post("/v1/keys", body()).status == 201);
}
