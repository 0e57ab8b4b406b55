//! A POST whose answer was lost is sent again: it happens once (`api.md` 7), also when the server
//! was killed in between.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use serde_json::json;

use super::signal;
use crate::support::{Answer, Caller, Server};

fn create(root: &Caller, label: &str) -> Option<Answer> {
    let request = root.request("POST", "/v1/keys").header("idempotency-key", label);
    let answer = request.json(&json!({ "class": "ingest", "label": label })).send().ok()?;
    Some(Answer::read(answer))
}

#[test]
fn r1_a_retry_after_kill_9_never_creates_two() {
    let mut server = Server::start();
    let mut repeated = 0;
    for cycle in 0..12 {
        let label = format!("once-{cycle}");
        let wait = Duration::from_millis(RandomState::new().hash_one(cycle) % 25);
        let pid = server.pid();
        let root = server.root();
        let first = std::thread::scope(|scope| {
            let first = scope.spawn(|| create(&root, &label));
            std::thread::sleep(wait);
            signal(pid, "KILL");
            first.join().expect("no panic")
        });
        server = server.kill_and_restart();
        let root = server.root();
        let again = create(&root, &label).expect("an answer");
        let found =
            root.get(&format!("/v1/keys?label={label}")).ok()["data"].as_array().expect("a list").len();
        if let Some(first) = first {
            // The answer had arrived, so the retry tells the same, without the secret.
            let (first, again) = (first.ok(), again.ok());
            assert_eq!((again["id"].clone(), again["secret"].clone()), (first["id"].clone(), json!(null)));
            assert_eq!(found, 1);
        } else if again.status == 201 {
            assert_eq!(found, 1, "{label}");
        } else {
            repeated += 1;
            again.refused(409, "request_in_progress");
            assert!(found <= 1, "{label} was made {found} times");
        }
    }
    eprintln!("{repeated} of 12 retries met the unfinished first request");
}
