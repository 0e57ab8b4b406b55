//! Failures inside `/v1/verify` bodies: throttled by source, told, and no burden to others (VER-5).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{metered, metric};
use crate::api::{all, inside, tenant};
use crate::keys::resigned;
use crate::support::{Caller, Server, text};

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

/// Bad credentials of each kind: garbage, a key that is not there, a secret that is not the key's.
fn bad(key: &Value) -> [String; 3] {
    let secret = text(&key["secret"]);
    let [unknown, wrong] = [(4, 20), (20, 63)].map(|(from, to)| {
        let body = format!("{}{}{}", &secret[..from], "7".repeat(to - from), &secret[to..63]);
        resigned(&body)
    });
    ["kwm_garbage".into(), unknown, wrong]
}

/// Asks about the credentials in turn, a hundred at once; returns the codes told.
fn flood(caller: &Caller, credentials: &[String], source: Option<&str>) -> Vec<String> {
    let one = |at: usize| json!({ "credential": credentials[at % credentials.len()], "client_ip": source });
    let body = json!({ "requests": (0..100).map(one).collect::<Vec<_>>() });
    let answer = caller.post("/v1/verify/batch", body).ok();
    answer["results"].as_array().expect("results").iter().map(|result| text(&result["code"])).collect()
}

fn code(caller: &Caller, credential: &str, source: &str) -> String {
    let body = json!({ "credential": credential, "client_ip": source });
    text(&caller.post("/v1/verify", body).ok()["code"])
}

fn events(caller: &Caller, action: &str) -> Vec<Value> {
    all(caller, &format!("/v1/audit-events?action={action}"))
}

#[test]
fn ver_5_failures_of_a_source_are_throttled_and_its_good_keys_pass() {
    let (mut server, port) = metered("");
    let (_, acme) = tenant(&server, "acme");
    let (_, globex) = tenant(&server, "globex");
    let key = acme.key(json!({ "class": "workspace", "label": "good" }));
    let (good, bad) = (text(&key["secret"]), bad(&key));
    let told: Vec<_> = (0..6).flat_map(|_| flood(&acme, &bad, Some(A))).collect();
    let first = told.iter().position(|code| code == "rate_limited").expect("no throttle at all");
    assert!((300..=400).contains(&first), "{first}");
    assert!(told[..first].iter().all(|code| code == "invalid_key"), "one refusal for all kinds");
    let throttled = told[first..].iter().filter(|code| *code == "rate_limited").count();
    assert!(throttled > 150 && metric(port, "keyward_failures_throttled_total") >= throttled as u64);
    let (pair, seconds) = (json!({ "credential": bad[1], "client_ip": A }), Duration::from_secs(2));
    let answer = acme.post("/v1/verify", pair).ok();
    assert_eq!(
        (&answer["valid"], &answer["key"], &answer["rights"]),
        (&json!(false), &Value::Null, &json!([]))
    );
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(code(&acme, &good, A), "ok", "a good key of the same source");
    }
    assert!(started.elapsed() < seconds, "and at once");
    assert_eq!(code(&acme, &bad[1], B), "invalid_key", "another source");
    assert_eq!(code(&globex, &bad[1], A), "invalid_key", "the same source at another tenant (AZ-4)");
    server.terminate();
    let server = server.restart();
    let [acme, globex] = [&acme, &globex].map(|caller| server.caller(&caller.secret));
    let spikes = events(&acme, "verify.failures_spike");
    assert_eq!(spikes.iter().map(|event| text(&event["address"])).collect::<Vec<_>>(), vec![A; spikes.len()]);
    assert!((1..=2).contains(&spikes.len()), "one for a source and minute: {spikes:?}");
    assert_eq!((&spikes[0]["reason"], &spikes[0]["target"]["id"]), (&json!("rate_limited"), &json!(A)));
    let count =
        |events: &[Value]| -> i64 { events.iter().filter_map(|e| e["after"]["attempts"].as_i64()).sum() };
    assert_eq!(count(&spikes), throttled as i64 + 1);
    assert_eq!(count(&events(&acme, "auth.failed")), 602, "all of them, from A and from B");
    assert_eq!(count(&events(&globex, "auth.failed")), 1);
    assert_eq!(events(&globex, "verify.failures_spike").len(), 0);
    assert_eq!(events(&server.root(), "verify.failures_spike").len(), 0);
    assert_eq!(acme.get("/v1/audit-events/verification").ok()["ok"], true);
}

#[test]
fn ver_5_b_verifies_while_a_fails_by_thousands() {
    let mut server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "good" }));
    let (good, bad) = (text(&key["secret"]), bad(&key));
    assert_eq!(code(&root, &good, B), "ok");
    let (stop, failed, slowest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let told = flood(&root, &bad, Some(A));
                    assert!(told.iter().all(|code| code == "invalid_key" || code == "rate_limited"));
                    failed.fetch_add(100, Ordering::Relaxed);
                }
            });
        }
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1_800) {
            for source in [B, A] {
                let asked = Instant::now();
                let told = code(&root, &good, source);
                slowest.fetch_max(asked.elapsed().as_micros() as u64, Ordering::Relaxed);
                if told != "ok" {
                    stop.store(true, Ordering::Relaxed);
                    panic!("a good key from {source} was told {told}");
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (failed, slowest) = (failed.into_inner(), Duration::from_micros(slowest.into_inner()));
    println!("{failed} failures in 1.8 s, the slowest good answer took {slowest:?}");
    assert!(failed >= 5_000, "{failed} failures are no flood");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    server.terminate();
    let server = server.restart();
    let noticed = [events(&server.root(), "auth.failed"), events(&server.root(), "verify.failures_spike")];
    assert!(noticed.iter().all(|events| (1..=3).contains(&events.len())), "{noticed:?}");
    let count: i64 = noticed[0].iter().filter_map(|event| event["after"]["attempts"].as_i64()).sum();
    assert_eq!(count, failed as i64, "every failure is counted");
}

#[test]
fn ver_5_failures_of_all_together_are_throttled_and_the_operator_is_told() {
    let mut server = Server::start();
    let (id, acme) = tenant(&server, "acme");
    let good = acme.key(json!({ "class": "workspace", "label": "good" }));
    let garbage = ["kwm_garbage".to_owned()];
    let deadline = Instant::now() + Duration::from_secs(25);
    while flood(&acme, &garbage, None).iter().all(|code| code == "invalid_key") {
        assert!(Instant::now() < deadline, "no throttle at all");
    }
    let fresh: Vec<_> = (0..3).flat_map(|_| flood(&acme, &garbage, Some(B))).collect();
    assert!(fresh.iter().any(|code| code == "rate_limited"), "also from a source without a failure so far");
    assert_eq!(code(&acme, &text(&good["secret"]), B), "ok");
    server.terminate();
    let server = server.restart();
    let told = events(&server.root(), "auth.failures_spike");
    assert_eq!((told.len(), &told[0]["target"]["id"]), (1, &json!("others")), "{told:?}");
    let own =
        inside(&server.root(), &id, "GET", "/v1/audit-events?action=verify.failures_spike", &Value::Null);
    assert_eq!(own.ok()["data"], json!([]), "no source was at fault alone");
}
