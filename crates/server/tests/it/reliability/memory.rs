//! Memory stays flat under guessing (R10).

use std::fs;

use keyward_core::token::{AccessKey, generate};
use serde_json::json;

use crate::support::{Server, text};

/// Resident memory in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("is told");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
}

/// A stream of numbers that need not be secret.
struct Numbers(u64);

impl Numbers {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = self.0.to_le_bytes()[3];
        }
    }

    /// A secret with the right form and checksum, which nobody was ever given.
    fn guess(&mut self) -> String {
        let access_key = AccessKey::generate(&mut |bytes| self.fill(bytes));
        generate("kwm", access_key, &mut |bytes| self.fill(bytes)).expose().to_owned()
    }
}

/// Guesses in all; `KEYWARD_TEST_GUESSES` makes it more.
fn guesses() -> usize {
    std::env::var("KEYWARD_TEST_GUESSES").map_or(60_000, |text| text.parse().expect("a number"))
}

#[test]
fn r10_memory_is_flat_under_random_invalid_keys() {
    let server = Server::with_config("verify: { max_cached_unknown: 6000 }\n");
    let root = server.root();
    let real = text(&root.key(json!({ "class": "ingest", "label": "real" }))["secret"]);
    let http = reqwest::blocking::Client::builder().build().expect("a client");
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut guess = |batches: usize| {
        for _ in 0..batches {
            let requests: Vec<_> = (0..100).map(|_| json!({ "credential": numbers.guess() })).collect();
            let request = http.post(format!("{}/v1/verify/batch", server.url)).bearer_auth(&root.secret);
            let answer = request.json(&json!({ "requests": requests })).send().expect("an answer");
            let answer: serde_json::Value = answer.json().expect("JSON");
            let results = answer["results"].as_array().expect("results");
            assert!(results.len() == 100 && results.iter().all(|result| result["code"] == "invalid_key"));
        }
    };
    // Three times what is remembered, so that the bound has been reached.
    guess(180);
    let before = resident(server.pid());
    guess(guesses() / 100 - 180);
    let after = resident(server.pid());
    eprintln!("{before} KiB after 18 000 guesses, {after} KiB after {}", guesses());
    assert!(after <= before + before / 20 + 2048, "memory grew from {before} to {after} KiB");
    assert_eq!(root.code(&real), "ok");
}
