//! Public identifiers: `user_…`, `key_…` and their kin (`api.md` rule 2).
//!
//! An id is a UUIDv7 written in 26 characters of lower-case Crockford base32 behind the name of
//! its kind. Ids are opaque and never secret; ids made later sort later.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;

/// The kind of thing an id names; fixes the prefix.
pub trait Kind {
    /// The word before the underscore.
    const PREFIX: &'static str;
}

/// Marker of tenant ids.
#[derive(Clone, Copy)]
pub enum Tenant {}
/// Marker of user ids.
#[derive(Clone, Copy)]
pub enum User {}
/// Marker of group ids.
#[derive(Clone, Copy)]
pub enum Group {}
/// Marker of role ids.
#[derive(Clone, Copy)]
pub enum Role {}
/// Marker of key ids.
#[derive(Clone, Copy)]
pub enum Key {}
/// Marker of audit event ids.
#[derive(Clone, Copy)]
pub enum Event {}
/// Marker of trusted secrets' ids.
#[derive(Clone, Copy)]
pub enum Trusted {}
/// Marker of access tokens' ids.
#[derive(Clone, Copy)]
pub enum Token {}
/// Marker of session ids.
#[derive(Clone, Copy)]
pub enum Session {}
/// Marker of ids of incidents.
#[derive(Clone, Copy)]
pub enum Incident {}
/// Marker of ids of drafts of policies.
#[derive(Clone, Copy)]
pub enum Draft {}
/// Marker of ids of second factors.
#[derive(Clone, Copy)]
pub enum Factor {}

impl Kind for Tenant {
    const PREFIX: &'static str = "tenant";
}
impl Kind for User {
    const PREFIX: &'static str = "user";
}
impl Kind for Group {
    const PREFIX: &'static str = "group";
}
impl Kind for Role {
    const PREFIX: &'static str = "role";
}
impl Kind for Key {
    const PREFIX: &'static str = "key";
}
impl Kind for Event {
    const PREFIX: &'static str = "event";
}
impl Kind for Trusted {
    const PREFIX: &'static str = "trusted";
}
impl Kind for Token {
    const PREFIX: &'static str = "token";
}
impl Kind for Session {
    const PREFIX: &'static str = "session";
}
impl Kind for Incident {
    const PREFIX: &'static str = "incident";
}
impl Kind for Draft {
    const PREFIX: &'static str = "draft";
}
impl Kind for Factor {
    const PREFIX: &'static str = "factor";
}

/// `tenant_…`
pub type TenantId = Id<Tenant>;
/// `user_…`
pub type UserId = Id<User>;
/// `group_…`
pub type GroupId = Id<Group>;
/// `role_…`
pub type RoleId = Id<Role>;
/// `key_…`
pub type KeyId = Id<Key>;
/// `event_…`
pub type EventId = Id<Event>;
/// `trusted_…`
pub type TrustedId = Id<Trusted>;
/// `token_…`
pub type TokenId = Id<Token>;
/// `session_…`
pub type SessionId = Id<Session>;

/// A typed id; equality and order are those of the UUID inside.
pub struct Id<K>(u128, PhantomData<fn() -> K>);

impl<K: Kind> Id<K> {
    /// Wraps the 128 bits of a UUID.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits, PhantomData)
    }

    /// The 128 bits of the UUID.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// A text that is not an id of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId {
    expected: &'static str,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected an id that looks like {}_… with {DIGITS} characters", self.expected)
    }
}

impl std::error::Error for InvalidId {}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId { expected: K::PREFIX };
        let digits = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|digits| digits.len() == DIGITS)
            .ok_or(invalid)?;
        let mut bits: u128 = 0;
        for (place, byte) in digits.bytes().enumerate() {
            let value = ALPHABET.iter().position(|&c| c == byte).ok_or(invalid)?;
            // 26 digits hold 130 bits: a first digit above 7 would overflow.
            if place == 0 && value > 7 {
                return Err(invalid);
            }
            bits = (bits << 5) | value as u128;
        }
        Ok(Self::from_u128(bits))
    }
}

/// No prefix is longer.
const LONGEST_PREFIX: usize = 12;
/// Room for the prefix, the underscore and the digits.
const MAX_TEXT: usize = LONGEST_PREFIX + 1 + DIGITS;

impl<K: Kind> Id<K> {
    /// Writes the text into a buffer on the stack and hands it on.
    pub fn with_text<T>(self, hand_on: impl FnOnce(&str) -> T) -> T {
        const { assert!(K::PREFIX.len() <= LONGEST_PREFIX) };
        let mut buffer = [b'_'; MAX_TEXT];
        let prefix = K::PREFIX.as_bytes();
        buffer[..prefix.len()].copy_from_slice(prefix);
        let end = prefix.len() + 1 + DIGITS;
        let mut rest = self.0;
        for slot in buffer[prefix.len() + 1..end].iter_mut().rev() {
            *slot = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        hand_on(std::str::from_utf8(&buffer[..end]).expect("prefix and digits are ASCII"))
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.pad(text))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parse_inverts_display(bits: u128) {
            let id = UserId::from_u128(bits);
            prop_assert_eq!(id.to_string().parse::<UserId>(), Ok(id));
        }

        #[test]
        fn display_keeps_order(a: u128, b: u128) {
            let (a, b) = (KeyId::from_u128(a), KeyId::from_u128(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn other_kinds_overflow_and_upper_case_are_refused() {
        let id = UserId::from_u128(u128::MAX).to_string();
        assert!(id.parse::<KeyId>().is_err());
        assert!(id.to_uppercase().parse::<UserId>().is_err());
        assert!(format!("user_8{}", "0".repeat(25)).parse::<UserId>().is_err());
        assert!("user_".parse::<UserId>().is_err());
        assert!(format!("{id}0").parse::<UserId>().is_err());
    }
}
