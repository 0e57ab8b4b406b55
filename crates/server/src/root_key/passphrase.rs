//! A passphrase as what opens the root key: stretched by Argon2id (RFC 9106).

use std::fmt;
use std::path::PathBuf;

use argon2::{Algorithm, Argon2, Params, Version};
use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::Profile as _;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// NIST SP 800-63B for a secret that nothing else backs.
const SHORTEST: usize = 15;

/// What a guess costs.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Default for Cost {
    /// The second choice of RFC 9106 §4, for machines that cannot spare 2 GiB, on one lane: 64 MiB.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.memory_kib, self.passes, self.lanes)
    }
}

impl Cost {
    /// Reads what `Display` wrote.
    pub(super) fn parse(fields: [&str; 3]) -> Option<Self> {
        let [memory_kib, passes, lanes] = fields.map(|field| field.parse().ok());
        Some(Self { memory_kib: memory_kib?, passes: passes?, lanes: lanes? })
    }

    /// The key that a passphrase stands for.
    pub(super) fn stretch(self, passphrase: &str, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
        let fail = |why: argon2::Error| Error::Startup(format!("the passphrase cannot be used: {why}"));
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(fail)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(normal(passphrase)?.as_bytes(), salt, &mut *key)
            .map_err(fail)?;
        Ok(key)
    }
}

/// The passphrase of a root key that is sealed.
pub(super) fn given(file: Option<&PathBuf>) -> Result<Zeroizing<String>> {
    super::ask(file, "keyward-passphrase", "root_key.passphrase_file", "the passphrase of the root key")
}

/// A passphrase to seal with: from a file, or typed twice.
pub(crate) fn chosen(file: Option<&PathBuf>) -> Result<Zeroizing<String>> {
    let passphrase = match file {
        Some(file) => super::first_line(&super::file::read(file)?),
        None => typed_twice()?,
    };
    if normal(&passphrase)?.chars().count() < SHORTEST {
        return Err(Error::invalid(
            "passphrase",
            "too_short",
            format!("has fewer than {SHORTEST} characters; take some words"),
        ));
    }
    Ok(passphrase)
}

fn typed_twice() -> Result<Zeroizing<String>> {
    let what = "a new passphrase for the root key";
    let passphrase = super::ask(None, "", "--passphrase-file", what)?;
    let again = super::typed("the same again")?;
    if *passphrase == *again {
        Ok(passphrase)
    } else {
        Err(Error::invalid("passphrase", "mismatch", "was typed in two ways"))
    }
}

/// One spelling for all keyboards (RFC 8265).
fn normal(passphrase: &str) -> Result<Zeroizing<String>> {
    let normal = OpaqueString::new().enforce(passphrase);
    normal.map(|text| Zeroizing::new(text.into_owned())).map_err(|_| {
        Error::invalid(
            "passphrase",
            "unusable",
            "is empty, or has characters that cannot be typed alike again",
        )
    })
}
