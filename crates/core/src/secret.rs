//! Secrets at rest and in hand (VA3, STO-1, STO-3, STO-9, STO-10).
//!
//! A [`Secret`] prints nothing, cannot be serialised and is wiped when dropped. What the store
//! keeps is its [`SecretHash`]: HMAC-SHA-256 under a [`Pepper`] that is not in the database.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A credential in clear. It leaves the process in exactly one answer per surface.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over the text; the caller keeps no copy.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one answer that shows it and for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What lists may show afterwards: prefix and the last four characters (KEY-5).
    #[must_use]
    pub fn hint(&self) -> String {
        let prefix = self.0.split('_').next().unwrap_or_default();
        format!("{prefix}_…{}", &self.0[self.0.len().saturating_sub(4)..])
    }
}

/// A pepper with its id: 32 bytes, the HMAC key schedule computed once.
#[derive(Clone)]
pub struct Pepper {
    id: u32,
    keyed: Hmac<Sha256>,
}

impl Pepper {
    /// Prepares a pepper; ids grow with each rotation.
    #[must_use]
    pub fn new(id: u32, bytes: &[u8; 32]) -> Self {
        let keyed = Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length");
        Self { id, keyed }
    }

    /// The id that rows hashed under this pepper carry.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The keyed hash of a credential.
    #[must_use]
    pub fn hash(&self, credential: &str) -> SecretHash {
        let mut mac = self.keyed.clone();
        mac.update(credential.as_bytes());
        SecretHash(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({})", self.id)
    }
}

/// The keyed hash of a secret, 32 bytes. Comparing takes the same time wherever the first
/// difference stands; there is no `==`.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Reads the 64 lower-case hexadecimal digits of the store.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (slot, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *slot = u8::try_from(high << 4 | low).ok()?;
        }
        Some(Self(bytes))
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The first bytes, for a look-up under a name that tells nothing without the key.
    pub(crate) fn first_bytes(&self) -> [u8; 16] {
        std::array::from_fn(|at| self.0[at])
    }

    /// Constant-time equality (STO-10).
    #[must_use]
    pub fn matches(&self, other: &SecretHash) -> bool {
        // Word by word: `subtle` guards each step, and four steps are cheaper than thirty-two.
        let words = |hash: &[u8; 32]| -> [u64; 4] {
            std::array::from_fn(|at| u64::from_le_bytes(std::array::from_fn(|byte| hash[8 * at + byte])))
        };
        words(&self.0).ct_eq(&words(&other.0)).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sto_1_hash_depends_on_pepper_and_credential() {
        let (one, two) = (Pepper::new(1, &[1; 32]), Pepper::new(2, &[2; 32]));
        assert!(one.hash("a").matches(&one.hash("a")));
        assert!(!one.hash("a").matches(&one.hash("b")));
        assert!(!one.hash("a").matches(&two.hash("a")));
    }

    #[test]
    fn hash_is_the_standard_hmac_sha_256() {
        // RFC 4231 test case 2 has the key "Jefe"; a key padded with zeroes to the block size is
        // the same HMAC key.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hash = Pepper::new(1, &key).hash("what do ya want for nothing?");
        assert_eq!(hash.to_hex(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn hex_round_trip_and_refusals() {
        let hash = Pepper::new(1, &[7; 32]).hash("x");
        let again = SecretHash::from_hex(&hash.to_hex()).expect("own output parses");
        assert!(again.matches(&hash));
        assert!(SecretHash::from_hex("00").is_none());
        assert!(SecretHash::from_hex(&"g".repeat(64)).is_none());
    }

    #[test]
    fn sto_9_debug_of_a_pepper_and_hint_of_a_secret_show_nothing_secret() {
        assert_eq!(format!("{:?}", Pepper::new(3, &[9; 32])), "Pepper(3)");
        assert_eq!(Secret::new("kwm_abcdefgh1234".into()).hint(), "kwm_…1234");
    }
}
