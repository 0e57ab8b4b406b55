//! The signing keys in memory: what signs access tokens, and what their signatures are checked by.

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_core::jwt::{self, Algorithm, Claims, Compact};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::facts::Age;
use crate::error::{Error, Result};
use crate::random;
use crate::seal::{self, INSTANCE, Place, RootKey};
use crate::store::Conn;
use crate::store::signing_keys::{self, SigningKeyRow};

/// All signing keys, the one that signs last first.
#[derive(Debug)]
pub(crate) struct Keyring {
    keys: Vec<SigningKey>,
    /// The public part, as a JWK set (RFC 7517).
    pub(crate) jwks: String,
    /// When it was read: a key that was removed since must not be believed for long.
    pub(super) age: Age,
}

/// One key with its private part.
#[derive(Debug)]
struct SigningKey {
    kid: String,
    signs_from: i64,
    pair: Pair,
    public: ParsedPublicKey,
}

#[derive(Debug)]
enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
}

/// The private part of a new key: an Ed25519 seed, or PKCS #8 of a P-256 key.
pub(crate) fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>> {
    match algorithm {
        Algorithm::EdDsa => {
            let mut seed = Zeroizing::new(vec![0; 32]);
            random::fill(&mut seed);
            Ok(seed)
        }
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(Error::internal)?;
            let document = pair.to_pkcs8v1().map_err(Error::internal)?;
            Ok(Zeroizing::new(document.as_ref().to_vec()))
        }
    }
}

/// Where the private part of a key stands.
pub(crate) fn place(kid: &str) -> Place<'_> {
    Place { scope: INSTANCE, column: "signing_keys.sealed", row: kid }
}

/// Reads all keys.
pub(crate) async fn load(root: &RootKey, conn: &mut Conn, now_ms: u64) -> Result<Keyring> {
    let mut keys = Vec::new();
    for row in signing_keys::all(conn).await? {
        let private = seal::open(root, conn, place(&row.kid), &row.sealed).await?;
        keys.push(SigningKey::new(row, &private)?);
    }
    let published: Vec<Value> = keys.iter().map(SigningKey::jwk).collect();
    Ok(Keyring { jwks: json!({ "keys": published }).to_string(), keys, age: Age::new(now_ms) })
}

impl Keyring {
    /// The token that says this, signed by the key whose time it is.
    pub(crate) fn sign(&self, claims: &Claims, now: i64) -> Result<String> {
        let key = self.keys.iter().find(|key| key.signs_from <= now);
        let key = key.ok_or_else(|| Error::internal("there is no signing key"))?;
        let signed = jwt::signing_input(key.pair.algorithm(), &key.kid, claims);
        let signature = key.pair.sign(signed.as_bytes())?;
        Ok(jwt::finish(signed, &signature))
    }

    /// Whether there is a key of this id.
    pub(crate) fn holds(&self, kid: &str) -> bool {
        self.find(kid).is_some()
    }

    /// Whether the key that the token names has signed it, by the algorithm that is the key's own.
    pub(crate) fn has_signed(&self, token: &Compact<'_>) -> bool {
        self.find(&token.kid).is_some_and(|key| {
            key.pair.algorithm() == token.algorithm
                && key.public.verify_sig(token.signed.as_bytes(), &token.signature).is_ok()
        })
    }

    fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

/// What checks signatures; those of ES256 are the two numbers side by side (RFC 7518 §3.4).
fn public_key(algorithm: Algorithm, bytes: &[u8]) -> Result<ParsedPublicKey, KeyRejected> {
    match algorithm {
        Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, bytes),
        Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes),
    }
}

impl SigningKey {
    fn new(row: SigningKeyRow, private: &[u8]) -> Result<Self> {
        let damaged = || Error::Damaged(format!("signing key {} cannot be read", row.kid));
        let pair = match Algorithm::parse(&row.algorithm).ok_or_else(damaged)? {
            Algorithm::EdDsa => {
                Pair::EdDsa(Ed25519KeyPair::from_seed_unchecked(private).map_err(|_| damaged())?)
            }
            Algorithm::Es256 => Pair::Es256(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private).map_err(|_| damaged())?,
            ),
        };
        let public = public_key(pair.algorithm(), pair.public()).map_err(|_| damaged())?;
        Ok(Self { kid: row.kid, signs_from: row.signs_from, pair, public })
    }

    /// The public members, and no others (RFC 7517, RFC 8037).
    fn jwk(&self) -> Value {
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::EdDsa(_) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": coordinate(self.pair.public()) })
            }
            Pair::Es256(_) => {
                // An uncompressed point: a byte 4, x and y.
                let point = self.pair.public();
                let (x, y) = point[1..].split_at((point.len() - 1) / 2);
                json!({ "kty": "EC", "crv": "P-256", "x": coordinate(x), "y": coordinate(y) })
            }
        };
        jwk["kid"] = self.kid.as_str().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.pair.algorithm().as_str().into();
        jwk
    }
}

impl Pair {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    fn public(&self) -> &[u8] {
        match self {
            Self::EdDsa(pair) => pair.public_key().as_ref(),
            Self::Es256(pair) => pair.public_key().as_ref(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(Error::internal)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests;
