//! Failed logins of users against those of unknown names, in random order: do their times differ?

use keyward_core::token::AccessKey;
use serde_json::{Value, json};

use super::super::load::Line;
use super::super::stage::Stage;
use super::{BenchLoginArgs, known, request, round, unknown};
use crate::clock::Clock;
use crate::random;

/// From here on a difference is no chance any more.
const LEAK: f64 = 4.5;
/// The medians may differ by so many percent.
const MOST_PERCENT: f64 = 1.0;
/// The slowest are what else the machine does.
const KEPT: f64 = 0.9;

/// One run: times in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Round {
    known_us: f64,
    unknown_us: f64,
    /// Of the medians, by that of users.
    percent: f64,
    t: f64,
}

/// Asks in turn, one after the other on one connection.
pub(super) async fn measure(stage: &Stage, args: &BenchLoginArgs) -> anyhow::Result<Vec<Round>> {
    let (address, _server) = stage.serve_as_configured().await?;
    let mut line = Line::open(address).await?;
    let mut rounds = Vec::new();
    for _ in 0..args.runs {
        rounds.push(Round::of(sample(&mut line, args.samples).await?));
    }
    Ok(rounds)
}

/// The times of both, users first. Which of a pair comes first is left to chance.
async fn sample(line: &mut Line, samples: u32) -> anyhow::Result<[Vec<f64>; 2]> {
    let clock = Clock::start();
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..samples {
        let mut first = [0];
        random::fill(&mut first);
        for turn in 0..2 {
            let arm = usize::from(first[0] & 1) ^ turn;
            let name = if arm == 0 { known(number) } else { unknown(number) };
            let request = request(&name, &wrong_password(), number * 2 + turn as u32);
            let sent = clock.monotonic_ns();
            let refused = line.ask(&request, b"\"code\":\"invalid_login\"").await?;
            let took = clock.monotonic_ns() - sent;
            anyhow::ensure!(refused, "a wrong password was not refused as one");
            times[arm].push(took as f64 / 1000.0);
        }
    }
    Ok(times)
}

fn wrong_password() -> String {
    AccessKey::generate(&mut random::fill).to_string()
}

impl Round {
    fn of(mut times: [Vec<f64>; 2]) -> Self {
        for arm in &mut times {
            arm.sort_by(f64::total_cmp);
        }
        let [known_us, unknown_us] = [0, 1].map(|arm: usize| times[arm][times[arm].len() / 2]);
        let mut all = times.concat();
        all.sort_by(f64::total_cmp);
        let slowest = all[((all.len() as f64 * KEPT) as usize).min(all.len() - 1)];
        let kept = times.map(|arm| arm.into_iter().filter(|time| *time <= slowest).collect::<Vec<_>>());
        let percent = (known_us - unknown_us).abs() / known_us * 100.0;
        Self { known_us, unknown_us, percent, t: welch(&kept[0], &kept[1]) }
    }

    /// What is not as it must be.
    pub(super) fn beyond(&self) -> Option<String> {
        let told = self.percent >= MOST_PERCENT || self.t.abs() >= LEAK;
        told.then(|| {
            format!(
                "failed logins tell who is there: {:.0} us for users, {:.0} us for others, t = {:.2}",
                self.known_us, self.unknown_us, self.t
            )
        })
    }
}

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let of = |sample: &[f64]| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (of(a), of(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

/// Adds the figures.
pub(super) fn write(args: &BenchLoginArgs, rounds: &[Round], report: &mut Value) {
    let all =
        |value: fn(&Round) -> f64| json!(rounds.iter().map(|one| round(value(one))).collect::<Vec<_>>());
    report["samples"] = args.samples.into();
    report["user_median_us"] = all(|one| one.known_us);
    report["unknown_median_us"] = all(|one| one.unknown_us);
    report["difference_percent"] = all(|one| one.percent);
    report["welch_t"] = all(|one| one.t);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(around: f64) -> Vec<f64> {
        (0..1000).map(|number| around + f64::from(number % 10)).collect()
    }

    #[test]
    fn ver_1_a_difference_of_one_percent_would_be_seen_and_chance_is_not() {
        let same = Round::of([waves(1000.0), waves(1000.0)]);
        assert_eq!((same.percent, same.t, same.beyond()), (0.0, 0.0, None));
        let slower = Round::of([waves(1000.0), waves(1011.0)]);
        assert!(slower.percent > 1.0 && slower.t < -LEAK && slower.beyond().is_some(), "{slower:?}");
        // Three in a thousand, far below what the medians may differ by.
        let little = Round::of([waves(1003.0), waves(1000.0)]);
        assert!(little.percent < 1.0 && little.beyond().is_some(), "{little:?}");
    }
}
