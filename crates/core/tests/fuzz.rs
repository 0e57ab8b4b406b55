//! The fuzz targets of `fuzz/`, over their seeds, mutations of them, and random bytes.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/bodies.rs"]
mod bodies;

/// Inputs made of each seed.
const MUTATIONS: usize = 400;
/// Inputs of nothing but chance.
const RANDOM: usize = 2_000;

/// Marsaglia's xorshift: the same inputs in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("below a usize")
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(160)).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A few bytes changed, left out or doubled.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        const INTERESTING: &[u8] = b"/*:.%;\\_-\n ,[]0aZ\0\xff";
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 if !bytes.is_empty() => bytes[at] = INTERESTING[self.below(INTERESTING.len())],
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                _ => bytes.insert(at, INTERESTING[self.below(INTERESTING.len())]),
            }
        }
        bytes
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("each target has seeds")
        .map(|file| file.expect("listed").path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("read")).collect()
}

#[test]
fn sup_3_fuzz_targets_hold_on_their_seeds_and_on_random_bytes() {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for (name, body) in bodies::TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 5, "{name} has few seeds");
        for seed in &seeds {
            body(seed);
            for _ in 0..MUTATIONS {
                body(&chance.mutate(seed));
            }
        }
        for _ in 0..RANDOM {
            body(&chance.bytes());
        }
    }
}

#[test]
fn sup_3_every_target_is_a_binary_of_the_fuzz_workspace() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml"));
    let manifest = manifest.expect("fuzz/Cargo.toml");
    for (name, _) in bodies::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), bodies::TARGETS.len());
}
