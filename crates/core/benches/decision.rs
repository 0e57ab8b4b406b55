//! What a verification costs without network and look-up: reading the credential, hashing it,
//! deciding. Each is set against one HMAC in the same run, which no design can do without.
//!
//!     cargo bench -p keyward-core --bench decision

#![expect(clippy::disallowed_methods, reason = "a benchmark has its own clock")]

use std::hint::black_box;
use std::time::Instant;

use keyward_core::decide::{Finding, KeyFacts, LimitState, Now, Request, decide};
use keyward_core::key::{Features, Key, KeyClass, SecretVersion, Switch, Tenant};
use keyward_core::limit::RateLimit;
use keyward_core::policy::Policy;
use keyward_core::right::RightSet;
use keyward_core::secret::Pepper;
use keyward_core::token::{self, AccessKey, Prefixes};

const ROUNDS: usize = 9;
const REPEATS: u32 = 200_000;
const NOW: Now = Now { unix_ms: 1_800_000_000_000, monotonic_ns: 1 << 50 };

fn main() {
    let prefixes = Prefixes::default();
    let secret = token::generate("kww", AccessKey::generate(&mut fill), &mut fill);
    let pepper = Pepper::new(1, &[7; 32]);
    let (key, tenant) = (key(), tenant());
    let version = SecretVersion {
        generation: 1,
        pepper: 1,
        hash: pepper.hash(secret.expose()),
        created_at: 0,
        retires_at: None,
    };
    let rights = RightSet::everything();
    let limit = RateLimit { name: "bench".into(), requests: 1_000_000, per_seconds: 1, burst: None };
    let limits = [LimitState { limit: &limit, arrival: 0 }];
    let facts = KeyFacts {
        key: &key,
        secret: &version,
        owner: None,
        tenant: &tenant,
        rights: &rights,
        last_used_at: None,
        limits: &limits,
        credits: [None; 2],
    };
    let request = Request { cost: 1, ..Request::default() };
    let hmac = nanoseconds(|| {
        black_box(pepper.hash(black_box(secret.expose())));
    });
    let parsing = nanoseconds(|| {
        black_box(token::parse(black_box(secret.expose()), &prefixes).is_some());
    });
    let deciding = nanoseconds(|| drop(black_box(decide(&Finding::Key(black_box(facts)), &request, NOW))));
    let whole = nanoseconds(|| {
        let parsed = token::parse(black_box(secret.expose()), &prefixes).expect("well formed");
        assert!(version.hash.matches(&pepper.hash(parsed.expose())));
        drop(black_box(decide(&Finding::Key(facts), &request, NOW)));
    });
    println!("what                    ns   of one HMAC");
    for (what, time) in
        [("HMAC", hmac), ("read the form", parsing), ("decide", deciding), ("all of it", whole)]
    {
        println!("{what:<18} {time:>7.0} {:>13.2}", time / hmac);
    }
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

/// Any bytes will do here.
fn fill(bytes: &mut [u8]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (at * 37 % 251) as u8;
    }
}

fn key() -> Key {
    Key {
        class: KeyClass::Workspace,
        switch: Switch::On,
        not_before: None,
        expires_at: Some(NOW.unix_ms + 1),
        idle_seconds: None,
        conditions: None,
        awaits_approval: false,
    }
}

fn tenant() -> Tenant {
    Tenant { suspended: false, features: Features::default(), policy: Policy::default() }
}
