//! Randomness from the operating system, and the ids made of it (KEY-2).

use keyward_core::id::{Id, Kind};

/// Fills the buffer from the operating system's generator.
pub(crate) fn fill(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system always has randomness once it has booted");
}

/// The same generator for those who ask for one.
pub(crate) fn generator() -> impl getrandom::rand_core::CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

/// A new id: UUIDv7, so that ids made later sort later.
pub(crate) fn new_id<K: Kind>(now_ms: i64) -> Id<K> {
    let mut random = [0; 10];
    fill(&mut random);
    let time = u64::try_from(now_ms).unwrap_or(0);
    let uuid = uuid::Builder::from_unix_timestamp_millis(time, &random).into_uuid();
    Id::from_u128(uuid.as_u128())
}

/// A number below `bound`, for what nobody must guess: to spread work over time.
pub(crate) fn below(bound: u32) -> u32 {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    u32::from_le_bytes(bytes) % bound
}

/// Lower-case hexadecimal digits of `N` random bytes.
pub(crate) fn hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    fill(&mut bytes);
    to_hex(&bytes)
}

/// Lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
