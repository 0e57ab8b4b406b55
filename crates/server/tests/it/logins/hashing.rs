//! Many logins at once.

use serde_json::json;

use super::{PASSWORD, log_in, somebody};
use crate::support::{Server, text};

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

#[test]
fn sto_4_two_hundred_logins_at_once_cost_bounded_memory_and_verify_goes_on() {
    let server = Server::with_config("login: {hashers: 2, queue: 256}");
    for number in 0..4 {
        somebody(&server, &format!("user{number}"), &["me:read"]);
    }
    let root = server.root();
    let key = text(&root.key(json!({ "class": "ingest", "label": "x" }))["secret"]);
    assert_eq!(root.code(&key), "ok");
    let before = resident_kib(server.pid());
    let answers: Vec<(u16, String)> = std::thread::scope(|scope| {
        let attempt = |number: usize| {
            let body = json!({ "username": format!("user{}", number % 4), "password": PASSWORD });
            let answer = log_in(&server.url, body);
            (answer.status, answer.header("retry-after").to_owned())
        };
        let running: Vec<_> = (0..200).map(|number| scope.spawn(move || attempt(number))).collect();
        for _ in 0..20 {
            assert_eq!(root.code(&key), "ok");
        }
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let done = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!(done >= 60, "{done} of 200 logged in");
    for (status, retry_after) in &answers {
        assert!(*status == 200 || (*status == 503 && retry_after == "2"), "{status}");
    }
    // Two blocks of 19 MiB are there before; 200 at once would be 3.7 GiB.
    let grown = resident_kib(server.pid()).saturating_sub(before) / 1024;
    assert!(grown < 200, "{grown} MiB more");
}

#[test]
fn sto_4_beyond_the_queue_logins_are_503_and_tell_when_to_come_back() {
    let server = Server::with_config("login: {hashers: 1, queue: 1}");
    somebody(&server, "grace", &["me:read"]);
    let statuses: Vec<(u16, String)> = std::thread::scope(|scope| {
        let attempt = || {
            let answer = log_in(&server.url, json!({ "username": "grace", "password": PASSWORD }));
            (answer.status, answer.body["code"].as_str().unwrap_or("ok").to_owned())
        };
        let running: Vec<_> = (0..12).map(|_| scope.spawn(attempt)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(
        statuses.contains(&(200, "ok".into())) && statuses.contains(&(503, "busy".into())),
        "{statuses:?}"
    );
    assert!(statuses.iter().all(|(status, _)| [200, 503].contains(status)), "{statuses:?}");
}

/// What `./test --full` judges runs here in short: no login is lost, and the figures are there.
#[test]
fn sto_4_ver_1_a_storm_of_two_hundred_logins_loses_none_and_the_bench_measures_it() {
    let args = ["bench", "login", "--samples", "10", "--runs", "1", "-o", "json"];
    let output = crate::cli::keyward(&args).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&told["logins_at_once"], &told["logins_lost"]), (&json!(200), &json!(0)), "{told}");
    let number = |name: &str| told[name].as_f64().unwrap_or_else(|| panic!("no {name} in {told}"));
    assert!(number("verified_during_storms") > 100.0, "{told}");
    assert!(number("rss_bytes_peak") - number("rss_bytes_before") < 200.0 * 1024.0 * 1024.0, "{told}");
    assert_eq!(told["samples"], 10);
    let medians = told["median_us"][0].as_array().expect("a run");
    assert!(medians.len() == 3 && medians.iter().all(|time| time.as_f64() > Some(1000.0)), "{told}");
    assert_eq!(told["welch_t"][0].as_array().map(Vec::len), Some(2), "{told}");
}
