//! What a passkey has to sign. A challenge is made without being stored, so that whoever asks for many
//! fills nothing: random bytes, when it is over, and a keyed hash over both and what it is for. Any node
//! can tell its own; which were used is kept until they are over.

use passki::{ClientData, Passki};
use subtle::ConstantTimeEq as _;

use crate::random::{self, to_hex};
use crate::seal::RootKey;

/// A challenge is answered within so long.
pub(crate) const LIFE_MS: i64 = 5 * 60_000;
const RANDOM: usize = 16;
const TIME: usize = 8;
const HASH: usize = 32;

/// What a challenge is for: the answer to one is worth nothing anywhere else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// A login with nothing but a passkey.
    Login,
    /// The second half of the login that waits by this challenge.
    Factor(&'a str),
    /// Another proof within this session.
    StepUp(&'a str),
    /// Adding this factor.
    Enrolment(&'a str),
}

impl Purpose<'_> {
    fn message(self, random: &[u8], expires_at: i64) -> Vec<u8> {
        let (word, id) = match self {
            Self::Login => ("login", ""),
            Self::Factor(id) => ("factor", id),
            Self::StepUp(id) => ("step_up", id),
            Self::Enrolment(id) => ("enrolment", id),
        };
        let head = format!("passkey challenge v1\0{word}\0{id}\0");
        [head.as_bytes(), random, &expires_at.to_be_bytes()].concat()
    }
}

/// A challenge that this instance made, and that is not over.
pub(crate) struct Challenge {
    /// Its random part, by which it is used up.
    pub(crate) id: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expires_at: i64,
}

/// Makes a challenge.
pub(crate) fn make(root_key: &RootKey, purpose: Purpose<'_>, now: i64) -> Challenge {
    let mut random = [0; RANDOM];
    random::fill(&mut random);
    assemble(root_key, purpose, &random, now + LIFE_MS)
}

fn assemble(root_key: &RootKey, purpose: Purpose<'_>, random: &[u8], expires_at: i64) -> Challenge {
    let hash = root_key.mac(&purpose.message(random, expires_at));
    let bytes = [random, &expires_at.to_be_bytes(), &hash].concat();
    Challenge { id: to_hex(random), bytes, expires_at }
}

/// The challenge in what a browser has made a passkey sign; none if it is not ours, for something else,
/// or over.
pub(crate) fn read(
    root_key: &RootKey,
    purpose: Purpose<'_>,
    client_data: &str,
    now: i64,
) -> Option<Challenge> {
    let data = ClientData::from_base64(client_data).ok()?;
    let given = Passki::base64_decode(&data.challenge).ok()?;
    if given.len() != RANDOM + TIME + HASH {
        return None;
    }
    let (random, rest) = given.split_at(RANDOM);
    let expires_at = i64::from_be_bytes(rest[..TIME].try_into().ok()?);
    let ours = assemble(root_key, purpose, random, expires_at);
    (bool::from(ours.bytes.ct_eq(&given)) && now < expires_at).then_some(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_data(challenge: &[u8]) -> String {
        let challenge = Passki::base64_encode(challenge);
        let text = serde_json::json!({ "type": "webauthn.get", "origin": "x", "challenge": challenge });
        Passki::base64_encode(text.to_string().as_bytes())
    }

    #[test]
    fn aut_4_a_challenge_is_good_for_its_purpose_its_instance_and_its_time() {
        let (key, other) = (RootKey::generate(), RootKey::generate());
        let made = make(&key, Purpose::StepUp("session_1"), 1_000);
        let sent = client_data(&made.bytes);
        let good = |key, purpose, now| read(key, purpose, &sent, now).is_some();
        assert!(good(&key, Purpose::StepUp("session_1"), 1_000));
        assert!(good(&key, Purpose::StepUp("session_1"), 1_000 + LIFE_MS - 1));
        assert!(!good(&key, Purpose::StepUp("session_1"), 1_000 + LIFE_MS));
        assert!(!good(&key, Purpose::StepUp("session_2"), 1_000));
        assert!(!good(&key, Purpose::Login, 1_000));
        assert!(!good(&key, Purpose::Factor("session_1"), 1_000));
        assert!(!good(&key, Purpose::Enrolment("session_1"), 1_000));
        assert!(!good(&other, Purpose::StepUp("session_1"), 1_000));
    }

    #[test]
    fn aut_4_a_challenge_with_any_other_byte_or_length_is_not_ours() {
        let key = RootKey::generate();
        let made = make(&key, Purpose::Login, 1_000);
        for at in 0..made.bytes.len() {
            let mut bytes = made.bytes.clone();
            bytes[at] ^= 1;
            assert!(read(&key, Purpose::Login, &client_data(&bytes), 1_000).is_none(), "{at}");
            assert!(read(&key, Purpose::Login, &client_data(&made.bytes[..at]), 1_000).is_none(), "{at}");
        }
        let longer = [made.bytes.as_slice(), &[0]].concat();
        assert!(read(&key, Purpose::Login, &client_data(&longer), 1_000).is_none());
        for text in ["", "!", "e30", "bm8"] {
            assert!(read(&key, Purpose::Login, text, 1_000).is_none(), "{text}");
        }
    }
}
