//! Failed logins of users against those of unknown names and at unknown tenants, in random order: do
//! their times differ?

use keyward_core::token::AccessKey;
use serde_json::{Value, json};

use super::super::load::Line;
use super::super::stage::Stage;
use super::{BenchLoginArgs, known, request_at, round, unknown};
use crate::clock::Clock;
use crate::random;

/// From here on a difference is no chance any more.
const LEAK: f64 = 4.5;
/// The medians may differ by so many percent.
const MOST_PERCENT: f64 = 1.0;
/// The slowest are what else the machine does.
const KEPT: f64 = 0.9;
/// Who tries: a user, somebody unknown, somebody at an unknown tenant.
const ARMS: usize = 3;

/// The times of one run, of each arm.
type Times = [Vec<f64>; ARMS];

/// One run: times in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Round {
    medians_us: [f64; ARMS],
    others: [Difference; ARMS - 1],
}

/// How one arm differs from that of users.
#[derive(Clone, Copy, Debug)]
struct Difference {
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

/// Which of the three comes first, and in which direction it goes on, is left to chance.
async fn sample(line: &mut Line, samples: u32) -> anyhow::Result<Times> {
    let clock = Clock::start();
    let mut times = Times::default();
    for number in 0..samples {
        let mut chance = [0; 2];
        random::fill(&mut chance);
        for turn in 0..ARMS {
            let turn = if chance[1] & 1 == 0 { turn } else { ARMS - turn };
            let arm = (usize::from(chance[0]) + turn) % ARMS;
            let request = attempt(arm, number);
            let sent = clock.monotonic_ns();
            let refused = line.ask(&request, b"\"code\":\"invalid_login\"").await?;
            let took = clock.monotonic_ns() - sent;
            anyhow::ensure!(refused, "a wrong password was not refused as one");
            times[arm].push(took as f64 / 1000.0);
        }
    }
    Ok(times)
}

fn attempt(arm: usize, number: u32) -> Vec<u8> {
    let password = AccessKey::generate(&mut random::fill).to_string();
    let source = number * ARMS as u32 + arm as u32;
    match arm {
        0 => request_at("primary", &known(number), &password, source),
        1 => request_at("primary", &unknown(number), &password, source),
        _ => request_at("nowhere", &known(number), &password, source),
    }
}

impl Round {
    fn of(mut times: Times) -> Self {
        for arm in &mut times {
            arm.sort_by(f64::total_cmp);
        }
        let medians_us = std::array::from_fn(|arm| times[arm][times[arm].len() / 2]);
        let mut all = times.concat();
        all.sort_by(f64::total_cmp);
        let slowest = all[((all.len() as f64 * KEPT) as usize).min(all.len() - 1)];
        let kept = times.map(|arm| arm.into_iter().filter(|time| *time <= slowest).collect::<Vec<_>>());
        let others = std::array::from_fn(|other| Difference {
            percent: (medians_us[0] - medians_us[other + 1]).abs() / medians_us[0] * 100.0,
            t: welch(&kept[0], &kept[other + 1]),
        });
        Self { medians_us, others }
    }

    /// What is not as it must be.
    pub(super) fn beyond(&self) -> Option<String> {
        let tells = |other: &Difference| other.percent >= MOST_PERCENT || other.t.abs() >= LEAK;
        self.others.iter().any(tells).then(|| {
            let Self { medians_us, others } = self;
            format!("failed logins tell who is there: medians of {medians_us:.0?} us, {others:.2?}")
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

/// Adds the figures: for each run those of the arms.
pub(super) fn write(args: &BenchLoginArgs, rounds: &[Round], report: &mut Value) {
    let all = |values: &dyn Fn(&Round) -> Vec<f64>| {
        let of = |one: &Round| values(one).into_iter().map(round).collect::<Vec<_>>();
        json!(rounds.iter().map(of).collect::<Vec<_>>())
    };
    report["samples"] = args.samples.into();
    report["arms"] = json!(["user", "unknown name", "unknown tenant"]);
    report["median_us"] = all(&|one| one.medians_us.to_vec());
    report["difference_percent"] = all(&|one| one.others.map(|other| other.percent).to_vec());
    report["welch_t"] = all(&|one| one.others.map(|other| other.t).to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(around: f64) -> Vec<f64> {
        (0..1000).map(|number| around + f64::from(number % 10)).collect()
    }

    #[test]
    fn ver_1_a_difference_of_one_percent_would_be_seen_and_chance_is_not() {
        let round = |name: f64, tenant: f64| Round::of([waves(1000.0), waves(name), waves(tenant)]);
        let same = round(1000.0, 1000.0);
        assert!(same.others.iter().all(|other| (other.percent, other.t) == (0.0, 0.0)), "{same:?}");
        assert_eq!(same.beyond(), None);
        // Three in a thousand, far below what the medians may differ by, are seen as well.
        for (other, round, most) in [(0, round(1011.0, 1000.0), 100.0), (1, round(1000.0, 1003.0), 1.0)] {
            let found = round.others[other];
            assert!(found.t < -LEAK && found.percent < most && round.beyond().is_some(), "{round:?}");
        }
    }
}
