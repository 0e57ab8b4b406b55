//! Argon2id on a few threads of its own (STO-4): so many as the configuration says, each with one
//! block of memory that it keeps, behind a queue that is full at some point. A storm of logins then
//! costs a bounded amount of memory, and verifications hardly anything.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use keyward_core::address::source_of;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::random;

/// What a guess costs: OWASP's first choice for Argon2id.
const COST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
const OUTPUT: usize = 32;

type Memory = Vec<Block>;
type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Of the places one source may hold one in so many, so that nobody alone shuts everybody out.
const SHARE: usize = 4;

/// The threads, and the places in front of them.
pub(crate) struct Hashers {
    threads: usize,
    places: Arc<Semaphore>,
    most_per_source: usize,
    sources: Arc<Sources>,
    queue: Sender<Job>,
}

/// How many places each source holds.
#[derive(Default)]
struct Sources(Mutex<HashMap<IpAddr, usize>>);

/// A place among those who are served or wait; given back when dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    source: Option<(Arc<Sources>, IpAddr)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((sources, source)) = &self.source {
            sources.give_back(*source);
        }
    }
}

impl Sources {
    /// Takes one more place; false when the source has as many as it may have.
    fn take(&self, source: IpAddr, most: usize) -> bool {
        let mut held = self.held();
        let own = held.entry(source).or_default();
        let free = *own < most;
        *own += usize::from(free);
        free
    }

    fn give_back(&self, source: IpAddr) {
        let mut held = self.held();
        if let Some(own) = held.get_mut(&source) {
            *own -= 1;
            if *own == 0 {
                held.remove(&source);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().expect("no code panics while it counts")
    }
}

impl Hashers {
    /// Starts so many threads, 0 being half of the processors; `waiting` more may queue.
    pub(crate) fn start(threads: usize, waiting: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { processors.div_ceil(2) } else { threads };
        let (queue, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = jobs.clone();
            std::thread::spawn(move || work(&jobs));
        }
        let places = threads + waiting;
        let most_per_source = (places / SHARE).max(threads);
        Self {
            threads,
            places: Arc::new(Semaphore::new(places)),
            most_per_source,
            sources: Arc::default(),
            queue,
        }
    }

    /// What all blocks of memory take together, bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.threads as u64 * u64::from(COST.memory_kib) * 1024
    }

    /// Takes a place.
    ///
    /// # Errors
    /// 503 when all are taken, or as many as one source may have.
    pub(crate) fn place(&self, source: Option<IpAddr>) -> Result<Place> {
        let busy = || Error::Http {
            status: 503,
            code: "busy",
            detail: crate::http::problems::detail("busy").into(),
        };
        let permit = self.places.clone().try_acquire_owned().map_err(|_| busy())?;
        let source = source.map(source_of);
        if source.is_some_and(|source| !self.sources.take(source, self.most_per_source)) {
            return Err(busy());
        }
        Ok(Place { _permit: permit, source: source.map(|source| (self.sources.clone(), source)) })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, _: &Place, password: &Zeroizing<String>) -> Result<Hash> {
        let password = password.clone();
        let mut salt = [0; 16];
        random::fill(&mut salt);
        self.run(move |memory| COST.hash(memory, &password, &salt)).await?
    }

    /// Whether the password is the one that was hashed.
    pub(crate) async fn verify(&self, _: &Place, password: &Zeroizing<String>, hash: Hash) -> Result<bool> {
        let password = password.clone();
        let again = self.run(move |memory| {
            let again = hash.cost.hash(memory, &password, &hash.salt)?;
            Ok::<_, Error>(bool::from(again.output.ct_eq(&*hash.output)))
        });
        again.await?
    }

    /// Computes a slow hash of another kind, which brings its own memory.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        _: &Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.run(|_| work()).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = move |memory: &mut Memory| {
            // Nobody waits any more: the client went away.
            if !answer.is_closed() {
                let _ = answer.send(work(memory));
            }
        };
        self.queue.send(Box::new(job)).map_err(|_| Error::internal("no thread hashes passwords"))?;
        answered.await.map_err(Error::internal)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    give_way();
    let mut memory = Memory::new();
    loop {
        let next = jobs.lock().expect("no code panics while it waits for work").recv();
        let Ok(job) = next else { return };
        job(&mut memory);
    }
}

/// Hashing has what nobody else wants of the processors: Linux takes one away from it at once, where a
/// thread that is merely nice finishes its slice first. A login can wait, a verification cannot (STO-4).
fn give_way() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::warn!(?error, "hashing cannot give way to verifications");
    }
}

/// What a guess costs, as a hash remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    fn hash(self, memory: &mut Memory, password: &str, salt: &[u8]) -> Result<Hash> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(OUTPUT));
        let params = params.map_err(Error::internal)?;
        memory.resize(params.block_count(), Block::default());
        let mut output = Zeroizing::new([0; OUTPUT]);
        let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
            password.as_bytes(),
            salt,
            &mut *output,
            memory.as_mut_slice(),
        );
        memory.fill(Block::default());
        hashed.map_err(Error::internal)?;
        Ok(Hash { cost: self, salt: salt.to_vec(), output })
    }
}

/// The hash of a password with all that is needed to compare another one; written as a PHC string.
#[derive(Clone)]
pub(crate) struct Hash {
    cost: Cost,
    salt: Vec<u8>,
    output: Zeroizing<[u8; OUTPUT]>,
}

impl Hash {
    /// A hash of no password, which costs as much as any other (VER-1).
    pub(crate) fn of_nothing() -> Self {
        Self { cost: COST, salt: vec![0; 16], output: Zeroizing::new([0; OUTPUT]) }
    }

    /// Whether it costs less than a new one would.
    pub(crate) fn is_outdated(&self) -> bool {
        self.cost != COST
    }

    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let mut numbers = parts.next()?.split(',');
        let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.parse().ok();
        let cost = Cost { memory_kib: number("m=")?, passes: number("t=")?, lanes: number("p=")? };
        let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        let output = Zeroizing::new(STANDARD_NO_PAD.decode(parts.next()?).ok()?);
        let output = Zeroizing::new(output.as_slice().try_into().ok()?);
        parts.next().is_none().then_some(Self { cost, salt, output })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let (salt, output) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(*self.output));
        write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${output}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(password: &str) -> Zeroizing<String> {
        Zeroizing::new(password.into())
    }

    #[test]
    fn sto_4_a_known_phc_string_is_read_and_written_as_it_was() {
        // Made by the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1.
        let known = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = Hash::parse(known).expect("a PHC string");
        assert_eq!(hash.to_string(), known);
        assert!(hash.is_outdated());
        let again = hash.cost.hash(&mut Memory::new(), "password", b"somesalt").expect("hashed");
        assert_eq!(again.to_string(), known);
        for bad in
            ["", "$argon2i$v=19$m=1,t=1,p=1$AAAA$AAAA", &known[..known.len() - 2], "$argon2id$v=19$m=x"]
        {
            assert!(Hash::parse(bad).is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn sto_4_sto_7_a_hash_fits_its_password_alone() {
        let hashers = Hashers::start(1, 1);
        let place = hashers.place(None).expect("a place");
        let long = "x".repeat(72);
        let hash = hashers.hash(&place, &text(&long)).await.expect("hashed");
        assert!(hash.to_string().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(!hash.is_outdated());
        let read = Hash::parse(&hash.to_string()).expect("own output parses");
        assert!(hashers.verify(&place, &text(&long), read.clone()).await.expect("verified"));
        for other in [format!("{long}y"), format!("{long}\0"), long[1..].to_owned()] {
            assert!(!hashers.verify(&place, &text(&other), read.clone()).await.expect("verified"));
        }
        assert!(!hashers.verify(&place, &text(""), Hash::of_nothing()).await.expect("verified"));
        let other = hashers.hash(&place, &text(&long)).await.expect("hashed");
        assert_ne!(other.to_string(), hash.to_string(), "each has a salt of its own");
    }

    #[test]
    fn sto_4_beyond_the_queue_nobody_waits() {
        let hashers = Hashers::start(1, 2);
        let places: Vec<_> = (0..3).map(|_| hashers.place(None).expect("a place")).collect();
        assert!(matches!(hashers.place(None), Err(Error::Http { status: 503, code: "busy", .. })));
        drop(places);
        assert!(hashers.place(None).is_ok());
    }

    #[test]
    fn sto_4_one_source_never_takes_every_place() {
        let hashers = Hashers::start(1, 7);
        let source = |text: &str| Some(text.parse().expect("an address"));
        let own: Vec<_> = (0..2).map(|_| hashers.place(source("2001:db8::1")).expect("a place")).collect();
        for same in ["2001:db8::1", "2001:db8::ffff"] {
            assert!(matches!(hashers.place(source(same)), Err(Error::Http { status: 503, .. })));
        }
        assert!(hashers.place(source("2001:db8:0:1::1")).is_ok());
        drop(own);
        assert!(hashers.place(source("2001:db8::ffff")).is_ok());
    }
}
