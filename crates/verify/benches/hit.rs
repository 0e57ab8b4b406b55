//! What a remembered decision costs, against one HMAC in the same run.
//!
//!     cargo bench -p keyward-verify --bench hit
//!
//! A listener in this process stands in for the node, so that there is a decision to remember.

#![expect(clippy::disallowed_methods, reason = "a benchmark has its own clock")]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use keyward_verify::{Question, Verifier};
use sha2::Sha256;

const ROUNDS: usize = 9;
const REPEATS: u32 = 200_000;
const SECRET: &str = "kwm_0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijk123456";
const DECISION: &str = r#"{"valid": true, "code": "ok", "rights": ["reports:read"], "expires_at": null,
    "key": {"id": "key_1", "access_key": "kwa_1", "class": "member", "label": "bench"},
    "principal": {"kind": "user", "id": "user_1", "username": "ada"},
    "tenant": {"id": "tenant_1", "slug": "acme", "number": 1}, "cache_ttl_seconds": 1}"#;
const NEWS: &str = r#"{"position": 1, "start_over": false, "changes": []}"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let url = format!("http://{}", stand_in());
    let (day, token) = (Duration::from_secs(86_400), "kww_bench");
    let build = async { Verifier::builder(&url, token).max_age(day).max_staleness(day).build() };
    let verifier = runtime.block_on(build).expect("a verifier");
    let bare = Question::secret(SECRET).rights(&["reports:read"]);
    let whole = bare.method("GET").path("/reports/2026/11").client_ip(Ipv4Addr::LOCALHOST.into());
    for question in [bare, whole] {
        while verifier.try_cached(&question).is_none() {
            // Remembered from the first news on.
            let _ = runtime.block_on(verifier.verify(&question));
        }
    }
    let keyed = Hmac::<Sha256>::new_from_slice(&[7; 32]).expect("any length");
    let hmac = nanoseconds(|| {
        black_box(keyed.clone().chain_update(black_box(SECRET)).finalize());
    });
    println!("what                                ns   of one HMAC");
    for (what, time) in [
        ("HMAC", hmac),
        ("hit: secret and right", nanoseconds(|| drop(black_box(verifier.try_cached(black_box(&bare)))))),
        ("hit: with method, path, address", nanoseconds(|| drop(black_box(verifier.try_cached(&whole))))),
    ] {
        println!("{what:<32} {time:>6.0} {:>13.2}", time / hmac);
    }
}

/// Answers every request on a port of this machine as a node would.
fn stand_in() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let body = if request[..count].starts_with(b"POST") { DECISION } else { NEWS };
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\nx-keyward-position: 1\r\ncontent-length:";
            let _ = write!(stream, "{head} {length}\r\n\r\n{body}");
        }
    });
    address
}

/// Nanoseconds for one go: the median of the rounds.
fn nanoseconds(work: impl Fn()) -> f64 {
    let round = || {
        let started = Instant::now();
        (0..REPEATS).for_each(|_| work());
        started.elapsed().as_nanos() as f64 / f64::from(REPEATS)
    };
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
