//! The written form of credentials (X9, KEY-1, KEY-2, KEY-3, KEY-7; `design.md` §3).
//!
//! `<prefix>_<key id><random><checksum>`: key id 16, random part 43, checksum 6 characters, all
//! base62. The checksum is the CRC-32 (IEEE) of everything before it, so that garbage is refused
//! before any look-up and a scanner can check a find offline.

pub mod kinds;

use std::fmt;

use crate::key::KeyClass;
use crate::secret::{Secret, SecretHash};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of the public key id (95 bits).
pub const KEY_ID_LEN: usize = 16;
/// Characters of the random part (256 bits).
pub const RANDOM_LEN: usize = 43;
/// Characters of the checksum.
pub const CHECKSUM_LEN: usize = 6;
/// Characters behind the underscore.
pub const BODY_LEN: usize = KEY_ID_LEN + RANDOM_LEN + CHECKSUM_LEN;
/// No credential of any kind is longer (KEY-7).
pub const MAX_LEN: usize = 128;
const ACCESS_KEY_PREFIX: &str = "kwa_";
/// What the token of a session starts with.
pub const SESSION_PREFIX: &str = "kws";
/// What the token of a link that sets a password starts with.
pub const LINK_PREFIX: &str = "kwl";
/// What the token of a link that hands a secret over starts with.
pub const HANDOVER_PREFIX: &str = "kwh";
/// What begins that which a login answers with while the second factor is missing.
pub const CHALLENGE_PREFIX: &str = "kwf";
/// What the setup token of a fresh instance starts with.
pub const SETUP_PREFIX: &str = "kwb";

/// The public half of a key: `kwa_` and 16 characters. Looked up, listed, revoked; it never
/// authenticates (KEY-6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessKey([u8; KEY_ID_LEN]);

impl AccessKey {
    /// Reads `kwa_…` as written in lists, Basic user names and URLs.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_digits(text.strip_prefix(ACCESS_KEY_PREFIX)?)
    }

    /// Reads the bare 16 characters, as they stand inside a secret and in the database.
    #[must_use]
    pub fn from_digits(digits: &str) -> Option<Self> {
        let bytes: [u8; KEY_ID_LEN] = digits.as_bytes().try_into().ok()?;
        is_alphanumeric(&bytes).then_some(Self(bytes))
    }

    /// The id that a keyed hash stands for: what is no credential of ours is looked up by it.
    #[must_use]
    pub fn of_hash(hash: &SecretHash) -> Self {
        Self(hash.first_bytes().map(|byte| ALPHABET[usize::from(byte % 62)]))
    }

    /// A fresh key id from the caller's source of randomness.
    pub fn generate(fill: &mut impl FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; KEY_ID_LEN];
        fill_base62(&mut bytes, fill);
        Self(bytes)
    }

    /// The bare 16 characters.
    #[must_use]
    pub fn digits(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an access key is ASCII by construction")
    }
}

impl fmt::Display for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ACCESS_KEY_PREFIX}{}", self.digits())
    }
}

impl serde::Serialize for AccessKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The prefixes of this instance: one that is written for each class, and those still accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes {
    written: [String; 3],
    accepted: Vec<(String, KeyClass)>,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self::new(["kwm".into(), "kww".into(), "kwi".into()], Vec::new())
    }
}

impl Prefixes {
    /// `written` in the order member, workspace, ingest; `accepted` names prefixes of earlier
    /// configurations, whose credentials stay valid.
    #[must_use]
    pub fn new(written: [String; 3], accepted: Vec<(String, KeyClass)>) -> Self {
        Self { written, accepted }
    }

    /// The prefix that new secrets of the class carry.
    #[must_use]
    pub fn of(&self, class: KeyClass) -> &str {
        &self.written[class as usize]
    }

    /// The class whose secrets begin so.
    #[must_use]
    pub fn class_of(&self, prefix: &str) -> Option<KeyClass> {
        KeyClass::ALL
            .into_iter()
            .find(|&class| self.of(class) == prefix)
            .or_else(|| self.accepted.iter().find(|(old, _)| old == prefix).map(|(_, class)| *class))
    }
}

/// A credential that has the right form; says nothing yet about whether it exists.
#[derive(Clone, Copy)]
pub struct ParsedSecret<'a> {
    /// The class that the prefix claims.
    pub class: KeyClass,
    /// The public id inside.
    pub access_key: AccessKey,
    text: &'a str,
}

impl<'a> ParsedSecret<'a> {
    /// The whole text, for hashing only.
    #[must_use]
    pub fn expose(&self) -> &'a str {
        self.text
    }
}

/// What a trusted secret begins with: the prefix of no class of keys, so that it opens nothing but
/// the doors that ask for it (TS2).
pub const TRUSTED_PREFIX: &str = "kwt";

/// Checks the form of a trusted secret and returns the public id inside.
#[must_use]
pub fn parse_trusted(text: &str) -> Option<AccessKey> {
    parse_other(text, TRUSTED_PREFIX)
}

/// Checks prefix, length, alphabet and checksum of a secret; `None` is `malformed`.
#[must_use]
pub fn parse<'a>(text: &'a str, prefixes: &Prefixes) -> Option<ParsedSecret<'a>> {
    let (prefix, access_key) = take_apart(text)?;
    let class = prefixes.class_of(prefix)?;
    Some(ParsedSecret { class, access_key, text })
}

/// The same for what is no key but written alike: returns the public id inside.
#[must_use]
pub fn parse_other(text: &str, prefix: &str) -> Option<AccessKey> {
    take_apart(text).filter(|(given, _)| *given == prefix).map(|(_, id)| id)
}

/// Prefix and public id of whatever is written alike and whole, its prefix known or not.
#[must_use]
pub fn take_apart(text: &str) -> Option<(&str, AccessKey)> {
    if text.len() > MAX_LEN {
        return None;
    }
    let (prefix, body) = text.split_once('_')?;
    if body.len() != BODY_LEN || !is_alphanumeric(body.as_bytes()) {
        return None;
    }
    let (signed, checksum) = text.split_at(text.len() - CHECKSUM_LEN);
    if checksum.as_bytes() != checksum_of(signed) {
        return None;
    }
    Some((prefix, AccessKey::from_digits(&body[..KEY_ID_LEN])?))
}

/// Makes a secret for a key: 256 random bits from `fill` behind the prefix and key id.
pub fn generate(prefix: &str, access_key: AccessKey, fill: &mut impl FnMut(&mut [u8])) -> Secret {
    let mut random = [0; RANDOM_LEN];
    fill_base62(&mut random, fill);
    assemble(prefix, access_key, random)
}

/// Digits of a mark: of the 43 that are random else, 37 with 220 bits are left.
pub const MARK_LEN: usize = 6;

/// Makes what is no key but written alike, with a mark of its maker in front of what is random.
pub fn generate_marked(
    prefix: &str,
    id: AccessKey,
    mark: [u8; MARK_LEN],
    fill: &mut impl FnMut(&mut [u8]),
) -> Secret {
    let mut random = [0; RANDOM_LEN];
    fill_base62(&mut random, fill);
    random[..MARK_LEN].copy_from_slice(&mark);
    assemble(prefix, id, random)
}

/// The mark of a token that [`parse_other`] has read.
#[must_use]
pub fn mark_of(text: &str) -> Option<&[u8]> {
    text.split_once('_')?.1.as_bytes().get(KEY_ID_LEN..KEY_ID_LEN + MARK_LEN)
}

fn assemble(prefix: &str, access_key: AccessKey, mut random: [u8; RANDOM_LEN]) -> Secret {
    let mut text = String::with_capacity(prefix.len() + 1 + BODY_LEN);
    text.push_str(prefix);
    text.push('_');
    text.push_str(access_key.digits());
    text.extend(random.iter().map(|&byte| char::from(byte)));
    let checksum = checksum_of(&text);
    text.extend(checksum.iter().map(|&byte| char::from(byte)));
    zeroize::Zeroize::zeroize(&mut random);
    Secret::new(text)
}

/// Looks at every byte, whatever the first ones are: that way the compiler takes many at once.
fn is_alphanumeric(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & byte.is_ascii_alphanumeric())
}

fn checksum_of(signed: &str) -> [u8; CHECKSUM_LEN] {
    digits_of(u64::from(crc32fast::hash(signed.as_bytes())))
}

/// The last base62 digits of a number.
#[must_use]
pub fn digits_of<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for slot in digits.iter_mut().rev() {
        *slot = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits
}

/// Uniform base62 digits by rejection: bytes from 248 up would favour the first eight digits.
fn fill_base62(out: &mut [u8], fill: &mut impl FnMut(&mut [u8])) {
    let mut pool = [0_u8; 64];
    let mut next = pool.len();
    for slot in out {
        loop {
            if next == pool.len() {
                fill(&mut pool);
                next = 0;
            }
            let byte = pool[next];
            next += 1;
            if byte < 248 {
                *slot = ALPHABET[usize::from(byte % 62)];
                break;
            }
        }
    }
    zeroize::Zeroize::zeroize(&mut pool);
}

#[cfg(test)]
mod tests;
