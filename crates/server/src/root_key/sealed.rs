//! The root key sealed under another key, as one line of text:
//!
//! ```text
//! keyward-sealed-1:argon2id:65536:3:1:SALT:SEALED:CHECKSUM      under a passphrase
//! keyward-sealed-1:pkcs11:SALT:SEALED:CHECKSUM                  by a key in a token
//! ```
//!
//! SALT and CHECKSUM are hexadecimal, SEALED is base64 of nonce and AES-256-GCM-SIV. What stands before
//! SEALED is its associated data. The checksum tells a damaged line from a wrong passphrase.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{passphrase, pkcs11};
use crate::config::{Pkcs11Settings, RootKeySettings};
use crate::error::{Error, Result};
use crate::random;
use crate::seal::RootKey;

const FORM: &str = "keyward-sealed-1";
const SALT: usize = 16;

/// A sealed root key.
pub(crate) struct Sealed {
    head: String,
    sealed: String,
    lock: Lock,
    salt: Vec<u8>,
}

/// What opens it.
#[derive(Clone, Copy)]
enum Lock {
    Passphrase(passphrase::Cost),
    Pkcs11,
}

impl Sealed {
    /// Whether a text is one, of whatever version and in whatever state.
    pub(super) fn is_form_of(text: &str) -> bool {
        text.starts_with("keyward-sealed-")
    }

    /// Reads the line.
    pub(super) fn parse(text: &str, place: &str) -> Result<Self> {
        if !text.starts_with(&format!("{FORM}:")) {
            return Err(Error::Startup(format!(
                "{place}: the root key was sealed by a newer version of Keyward"
            )));
        }
        let damaged = || Error::Damaged(format!("{place}: the sealed root key is damaged"));
        let (rest, checksum) = text.rsplit_once(':').ok_or_else(damaged)?;
        if checksum != checksum_of(rest) {
            return Err(damaged());
        }
        let (head, sealed) = rest.rsplit_once(':').ok_or_else(damaged)?;
        let fields: Vec<&str> = head.split(':').skip(1).collect();
        let (lock, salt) = match fields[..] {
            ["argon2id", memory, passes, lanes, salt] => {
                let cost = passphrase::Cost::parse([memory, passes, lanes]).ok_or_else(damaged)?;
                (Lock::Passphrase(cost), salt)
            }
            ["pkcs11", salt] => (Lock::Pkcs11, salt),
            _ => return Err(damaged()),
        };
        let salt = random::from_hex(salt).ok_or_else(damaged)?;
        Ok(Self { head: head.into(), sealed: sealed.into(), lock, salt })
    }

    /// Opens it with what the configuration gives.
    pub(super) fn open(&self, settings: &RootKeySettings, place: &str) -> Result<RootKey> {
        let (key, wrong) = match self.lock {
            Lock::Passphrase(cost) => {
                let given = passphrase::given(settings.passphrase_file.as_ref())?;
                (cost.stretch(&given, &self.salt)?, "this is not its passphrase".to_owned())
            }
            Lock::Pkcs11 => {
                let token = &settings.pkcs11;
                let wrong = format!("the key {} of the token {} is another one", token.key, token.token);
                (pkcs11::key(token, &self.salt, pkcs11::Missing::Refuse)?, wrong)
            }
        };
        RootKey::unseal(&key, &self.sealed, self.head.as_bytes())
            .ok_or_else(|| Error::Locked(format!("{place}: the root key stays closed: {wrong}")))
    }
}

/// The line for a root key sealed under a passphrase.
pub(crate) fn under_passphrase(root: &RootKey, passphrase: &str) -> Result<String> {
    let (salt, cost) = (new_salt(), passphrase::Cost::default());
    let key = cost.stretch(passphrase, &salt)?;
    line(root, &key, &format!("{FORM}:argon2id:{cost}:{}", random::to_hex(&salt)))
}

/// The line for a root key sealed by a token. A key that the token lacks is made in it.
pub(crate) fn by_token(root: &RootKey, token: &Pkcs11Settings) -> Result<String> {
    let salt = new_salt();
    let key = pkcs11::key(token, &salt, pkcs11::Missing::Make)?;
    line(root, &key, &format!("{FORM}:pkcs11:{}", random::to_hex(&salt)))
}

fn line(root: &RootKey, key: &Zeroizing<[u8; 32]>, head: &str) -> Result<String> {
    let rest = format!("{head}:{}", root.sealed_under(key, head.as_bytes())?);
    Ok(format!("{rest}:{}", checksum_of(&rest)))
}

fn new_salt() -> [u8; SALT] {
    let mut salt = [0; SALT];
    random::fill(&mut salt);
    salt
}

fn checksum_of(text: &str) -> String {
    random::to_hex(&Sha256::digest(text)[..4])
}
