//! A node that stood still must not believe what it knew before (X7, R2).

use std::time::Duration;

use serde_json::json;

use crate::reliability::signal;
use crate::support::{Server, text};

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
