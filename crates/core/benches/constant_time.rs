//! Whether comparing secret hashes tells by its time how much of them is alike (STO-10).
//!
//!     cargo bench -p keyward-core --bench constant_time
//!
//! Two kinds of wrong guesses, in random order: one differs from the secret's hash in its first byte
//! alone, one in its last. A comparison that stops at the first difference is much faster for the
//! first. Welch's t says whether the means of the two differ: |t| of 4.5 or more is a leak
//! (Reparaz et al., "Dude, is my code constant time?", 2017). A comparison that does stop early is
//! measured the same way, to show that this would be seen. Ends with 1 if either is not as it must be.

#![expect(clippy::disallowed_methods, reason = "a benchmark has its own clock")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use keyward_core::secret::{Pepper, SecretHash};

/// From here on a difference is no chance any more.
const LEAK: f64 = 4.5;
/// Of so many rounds the median counts: one may be disturbed by what else the machine does.
const ROUNDS: usize = 5;
const SAMPLES: usize = 200_000;
/// Comparisons in one sample: the clock is too coarse for one.
const REPEATS: usize = 32;
/// The slowest are interrupts, not comparisons.
const KEPT: f64 = 0.9;

fn main() -> ExitCode {
    let secret = Pepper::new(1, &[7; 32]).hash("kwm_what_is_looked_for").to_hex();
    let (first, last) = (changed(&secret, 0), changed(&secret, 62));
    let constant = Setting { secret: hash(&secret), guesses: [hash(&first), hash(&last)] };
    let early = Setting { secret: secret.into_bytes(), guesses: [first.into_bytes(), last.into_bytes()] };
    let t = median(|| constant.t(SecretHash::matches));
    let control = median(|| early.t(|a, b| stops_early(a, b)));
    println!("SecretHash::matches   |t| = {t:.2}, must be below {LEAK}");
    println!("stops at a difference |t| = {control:.2}, must be above {LEAK}");
    if t < LEAK && control > LEAK { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The digits with another one at this place.
fn changed(digits: &str, at: usize) -> String {
    let other = if &digits[at..=at] == "0" { "1" } else { "0" };
    format!("{}{other}{}", &digits[..at], &digits[at + 1..])
}

fn hash(digits: &str) -> SecretHash {
    SecretHash::from_hex(digits).expect("64 digits")
}

/// What nobody should write; as fast as it gets, byte by byte.
#[inline(never)]
fn stops_early(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| black_box(a) == black_box(b))
}

fn median(measure: impl Fn() -> f64) -> f64 {
    let mut found: Vec<f64> = (0..ROUNDS).map(|_| measure()).collect();
    found.sort_by(f64::total_cmp);
    found[ROUNDS / 2]
}

/// What is looked for, and a guess of either kind.
struct Setting<T> {
    secret: T,
    guesses: [T; 2],
}

impl<T> Setting<T> {
    /// |t| of the times that this comparison takes for the two kinds.
    fn t(&self, compare: impl Fn(&T, &T) -> bool) -> f64 {
        let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
        let mut order = Order(0x9e37_79b9_7f4a_7c15);
        for _ in 0..SAMPLES {
            let kind = order.next();
            let guess = &self.guesses[kind];
            let started = Instant::now();
            for _ in 0..REPEATS {
                black_box(compare(black_box(&self.secret), black_box(guess)));
            }
            times[kind].push(started.elapsed().as_nanos() as f64);
        }
        welch(times).abs()
    }
}

/// Which kind comes next, by xorshift: the order must not follow anything the machine does.
struct Order(u64);

impl Order {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::from(self.0 >> 40 & 1 == 1)
    }
}

/// Welch's t of two samples, both cut at one and the same time.
fn welch(times: [Vec<f64>; 2]) -> f64 {
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let slowest = all[(all.len() as f64 * KEPT) as usize];
    let [(count_a, mean_a, variance_a), (count_b, mean_b, variance_b)] = times.map(|mut sample| {
        sample.retain(|time| *time <= slowest);
        moments(&sample)
    });
    (mean_a - mean_b) / (variance_a / count_a + variance_b / count_b).sqrt()
}

/// Count, mean and variance.
fn moments(sample: &[f64]) -> (f64, f64, f64) {
    let count = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / count;
    let variance = sample.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (count, mean, variance)
}
