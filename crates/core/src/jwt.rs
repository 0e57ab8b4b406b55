//! Access tokens: the compact form of a JWS (RFC 7515) and the claims of RFC 9068, read strictly
//! (RFC 8725, OAU-5, OAU-6, OAU-7).
//!
//! Whether a signature is true is not known here: [`Compact::parse`] takes the form apart, the
//! caller checks the signature over [`Compact::signed`], and only then asks for the claims.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::right::RightSet;
use crate::token::AccessKey;

/// No token is longer.
pub const MAX_LEN: usize = 4096;
/// How far the clocks of issuer and validator may differ (OAU-7): a token counts this much longer
/// than it says, and one from so far ahead counts already.
pub const LEEWAY_SECONDS: i64 = 5;
/// Actors in a chain, at most.
pub const MAX_ACTORS: usize = 8;
/// Bytes of a signature, the same for both algorithms.
pub const SIGNATURE_LEN: usize = 64;
/// `typ` of an access token (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";

/// The signature algorithms there are; no header can name another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::EdDsa, Self::Es256];

    /// The word of `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// Reads the word of `alg`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }
}

/// Exactly these members: `crit`, `jku`, `jwk`, `x5u` and whatever else are refused by being there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// A token taken apart; nothing in it is true before its signature was checked.
#[derive(Clone, Debug)]
pub struct Compact<'a> {
    /// What the header claims to be signed with.
    pub algorithm: Algorithm,
    /// The id of the signing key.
    pub kid: String,
    /// What the signature is about: header and payload as they were sent.
    pub signed: &'a str,
    /// The signature.
    pub signature: [u8; SIGNATURE_LEN],
    payload: &'a str,
}

impl<'a> Compact<'a> {
    /// Takes a token apart; `None` for anything that is not one of ours in form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_LEN || !is_compact(text) {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        if header.typ != TYPE || header.kid.is_empty() || header.kid.len() > 64 {
            return None;
        }
        let algorithm = Algorithm::parse(&header.alg)?;
        let signature = decode(signature)?.try_into().ok()?;
        Some(Self { algorithm, kid: header.kid, signed, signature, payload })
    }

    /// The claims; ask only once the signature was found to be true.
    #[must_use]
    pub fn claims(&self) -> Option<Claims> {
        let claims: Claims = serde_json::from_slice(&decode(self.payload)?).ok()?;
        let chain = std::iter::successors(claims.act.as_ref(), |act| act.act.as_deref());
        let chained = chain.count().max(claims.via.len()).max(claims.parents.len()) <= MAX_ACTORS;
        (!claims.aud.0.is_empty() && claims.iat <= claims.exp && chained).then_some(claims)
    }
}

/// Whether a credential has the form of a token, three parts with dots between them: no other
/// credential has a dot.
#[must_use]
pub fn is_compact(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What is signed for these claims.
///
/// # Panics
/// Never: the claims are plain data.
#[must_use]
pub fn signing_input(algorithm: Algorithm, kid: &str, claims: &Claims) -> String {
    let header = Header { alg: algorithm.as_str().into(), typ: TYPE.into(), kid: kid.into() };
    let mut text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).expect("a header is plain data"));
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).expect("claims are plain data"), &mut text);
    text
}

/// The token made of what was signed and its signature.
#[must_use]
pub fn finish(mut signed: String, signature: &[u8]) -> String {
    signed.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut signed);
    signed
}

/// Strict: no padding, no blanks, no stray bits, so that one token has one spelling.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What a token says (RFC 9068 §2.2, and what Keyward adds).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it speaks for: `user_…`, or the `key_…` of a workspace key.
    pub sub: String,
    /// Who may accept it.
    pub aud: Audience,
    /// What asked for it: `trusted_…`, or the `kwa_…` of a key; never a user, and never a `sub`.
    pub client_id: String,
    /// When it was issued, seconds.
    pub iat: i64,
    /// When it ends, seconds.
    pub exp: i64,
    /// Its id.
    pub jti: String,
    /// The tenant that it speaks in.
    pub tenant: String,
    /// The rights at the time of issue, separated by blanks.
    pub scope: String,
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub username: Option<String>,
    /// Who really acts, the latest first (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<Actor>,
    /// The one who may exchange it for a narrower one (RFC 8693 §4.4); nobody unless it is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub may_act: Option<Actor>,
    /// The secret that the first token on its way was asked for with; the token ends with it.
    pub origin: Origin,
    /// Whose secret that was, if it is another's than `client_id`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub root: Option<String>,
    /// The secrets by which it was exchanged after that; it ends with each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub via: Vec<Origin>,
    /// The ids of the tokens that it came of; it ends with each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parents: Vec<String>,
    /// How often it may be used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub budget: Option<u32>,
    /// The revocation epoch of the subject; a later one ends the token.
    pub epoch: i64,
    /// What the issuer was asked to pass on.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub ext: Map<String, Value>,
}

impl Claims {
    /// The rights in `scope`; `None` when one of them is none.
    #[must_use]
    pub fn rights(&self) -> Option<RightSet> {
        self.scope.split(' ').filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect()
    }
}

/// One who acts for the subject, and for whom that one was acting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// `trusted_…` or `key_…`.
    pub sub: String,
    /// The actor before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<Box<Actor>>,
}

/// Who may accept a token: one text, or a list of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience(pub Vec<String>);

impl Audience {
    /// Whether this one may accept it.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => Self(vec![one]),
            OneOrMany::Many(many) => Self(many),
        })
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            many => serializer.collect_seq(many),
        }
    }
}

/// A secret by the public id inside of it and its generation, written `<16 characters>.<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The public id.
    pub access_key: AccessKey,
    /// Which of its secrets.
    pub generation: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.access_key.digits(), self.generation)
    }
}

/// A text that is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOrigin;

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected 16 characters, a dot and a number")
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (digits, generation) = text.split_once('.').ok_or(InvalidOrigin)?;
        let access_key = AccessKey::from_digits(digits).ok_or(InvalidOrigin)?;
        let origin = Self { access_key, generation: generation.parse().map_err(|_| InvalidOrigin)? };
        // One spelling for each.
        if origin.to_string() == text { Ok(origin) } else { Err(InvalidOrigin) }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
