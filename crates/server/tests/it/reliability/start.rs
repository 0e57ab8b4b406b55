//! Starting: with many keys, with another node at the same moment, on a newer schema.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::count;
use crate::support::{Place, Server, client, free_port, text, wait_until};

const SEED: [&str; 2] = [
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
     INSERT INTO keys (tenant_id, id, access_key, class, label, switch, created_at, created_by, updated_at, updated_by, version)
     SELECT t.id, 'key_' || substr('00000000000000000000000000' || CAST(n.i AS TEXT), length(CAST(n.i AS TEXT)) + 1),
            substr('0000000000000000' || CAST(n.i AS TEXT), length(CAST(n.i AS TEXT)) + 1),
            'ingest', 'seeded', 'on', t.created_at, 'test', t.created_at, 'test', 1
     FROM n CROSS JOIN tenants t",
    "INSERT INTO key_secrets (tenant_id, key_id, generation, pepper_id, hash, hint, created_at, created_by)
     SELECT tenant_id, id, 1, 1, '00000000' || '00000000000000000000000000000000000000000000000000000000', 'kwi_…0000',
            created_at, 'test' FROM keys WHERE label = 'seeded'",
];

#[test]
fn r5_ready_soon_with_100_000_keys_and_right_at_once() {
    let mut server = Server::start();
    let root = server.root();
    let key = |label: &str| root.key(json!({ "class": "ingest", "label": label }));
    let (good, revoked) = (key("good"), key("revoked"));
    root.post(&format!("/v1/keys/{}/revoke", text(&revoked["id"])), json!({})).ok();
    for statement in SEED {
        assert_eq!(server.place.sql(statement), 100_000);
    }
    assert_eq!(server.terminate().1, Some(0));
    let started = Instant::now();
    let server = server.restart();
    let took = started.elapsed();
    let root = server.root();
    // The very first answers, from an empty cache.
    assert_eq!(root.code(&text(&good["secret"])), "ok");
    assert_eq!(root.code(&text(&revoked["secret"])), "revoked");
    assert_eq!(
        count(&server.place, "SELECT CAST(COUNT(*) AS BIGINT) FROM keys WHERE label = 'seeded'"),
        100_000
    );
    eprintln!("ready after {took:?} with 100 000 keys");
    assert!(took < Duration::from_secs(5), "it took {took:?} to get ready");
}

/// A server that is killed when the test ends.
struct Started(Child, String);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(place: &Place) -> Started {
    let listen = format!("127.0.0.1:{}", free_port());
    let data = place.data();
    let args = ["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen", &listen];
    let child = place.keyward(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    Started(child, format!("http://{listen}"))
}

fn answers(started: &mut Started) -> bool {
    if let Some(status) = started.0.try_wait().expect("can be asked") {
        let mut told = String::new();
        let stderr = started.0.stderr.as_mut().expect("is piped");
        std::io::Read::read_to_string(stderr, &mut told).expect("reads");
        panic!("a node ended with {status}: {told}");
    }
    client().get(format!("{}/healthz", started.1)).send().is_ok_and(|answer| answer.status() == 200)
}

#[test]
fn x14_two_nodes_start_at_once_on_an_empty_database() {
    for _ in 0..4 {
        let place = Place::new();
        let mut nodes = [spawn(&place), spawn(&place)];
        for node in &mut nodes {
            wait_until(|| answers(node));
        }
        assert_eq!(count(&place, "SELECT CAST(COUNT(*) AS BIGINT) FROM peppers"), 1);
        assert_eq!(
            count(&place, "SELECT CAST(COUNT(*) AS BIGINT) FROM data_keys WHERE scope = 'instance'"),
            1
        );
        let root = place.bootstrap();
        for node in &nodes {
            wait_until(|| {
                client().get(format!("{}/readyz", node.1)).send().is_ok_and(|told| told.status() == 200)
            });
            let me = client().get(format!("{}/v1/me", node.1)).bearer_auth(text(&root["secret"])).send();
            assert_eq!(me.expect("answers").status(), 200);
        }
    }
}

#[test]
fn ops_8_a_schema_from_the_future_is_refused_and_left_alone() {
    let mut server = Server::start();
    server.terminate();
    let future = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT 9999, 'from the future', success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    assert_eq!(server.place.sql(future), 1);
    let events = "SELECT CAST(COUNT(*) AS BIGINT) FROM audit_events";
    let before = count(&server.place, events);
    let run: crate::cli::Run = server.place.run(&["serve", "--listen", "127.0.0.1:0"]).into();
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains("newer version of keyward") && run.err.contains("9999"), "{}", run.err);
    assert_eq!(count(&server.place, events), before);
    server.place.sql("DELETE FROM _sqlx_migrations WHERE version = 9999");
    let server = server.restart();
    server.root().get("/v1/me").expect(200);
}
