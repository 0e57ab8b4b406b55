//! Hashes that are slow on purpose: read with bounds on what one costs, and computed on the threads for
//! that (`hashers.rs`).

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use subtle::ConstantTimeEq as _;

/// Above what the systems that write such hashes use by themselves, and below what would hold a thread for
/// seconds.
const MAX_BCRYPT_COST: u32 = 14;
/// Bytes of a text that bcrypt looks at.
const BCRYPT_SEES: usize = 72;
const MAX_ROUNDS: u32 = 2_000_000;
const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 8;
/// Bytes of a hash that are kept and compared, at least.
const MIN_OUTPUT: usize = 16;

/// A slow hash that was read.
pub(crate) enum SlowHash {
    /// bcrypt, as it is written.
    Bcrypt(String),
    /// Argon2 with what it was made with, salt and output.
    Argon2(Box<Argon2<'static>>, Vec<u8>, Vec<u8>),
    /// PBKDF2-HMAC-SHA-256 of Django: rounds, salt and output.
    Pbkdf2(NonZeroU32, Vec<u8>, Vec<u8>),
}

impl SlowHash {
    /// Reads bcrypt, an Argon2 PHC string, or Django's `pbkdf2_sha256$rounds$salt$hash`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(rest) = text.strip_prefix("pbkdf2_sha256$") {
            return django(rest);
        }
        if text.starts_with("$argon2") { phc(text) } else { bcrypt_of(text) }
    }

    /// Whether it is the hash of this text.
    pub(crate) fn fits(&self, text: &str) -> bool {
        match self {
            // Of a longer text the rest would be proven by nothing.
            Self::Bcrypt(hash) => text.len() <= BCRYPT_SEES && bcrypt::verify(text, hash).unwrap_or(false),
            Self::Argon2(argon, salt, output) => {
                let mut again = vec![0; output.len()];
                let hashed = argon.hash_password_into(text.as_bytes(), salt, &mut again);
                hashed.is_ok() && bool::from(again.ct_eq(output))
            }
            Self::Pbkdf2(rounds, salt, output) => {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, *rounds, salt, text.as_bytes(), output).is_ok()
            }
        }
    }
}

fn bcrypt_of(text: &str) -> Result<SlowHash, &'static str> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| "this is no bcrypt hash")?;
    if text.len() != 60 {
        return Err("a bcrypt hash has 60 characters");
    }
    if !(4..=MAX_BCRYPT_COST).contains(&parts.get_cost()) {
        return Err("the cost of bcrypt is 4 to 14 here");
    }
    Ok(SlowHash::Bcrypt(text.to_owned()))
}

fn django(rest: &str) -> Result<SlowHash, &'static str> {
    const FORM: &str = "expected pbkdf2_sha256$rounds$salt$hash";
    let mut parts = rest.split('$');
    let (Some(rounds), Some(salt), Some(output), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(FORM);
    };
    let rounds: NonZeroU32 = rounds.parse().map_err(|_| FORM)?;
    if rounds.get() > MAX_ROUNDS {
        return Err("more than 2000000 rounds of PBKDF2");
    }
    let output = STANDARD.decode(output).map_err(|_| FORM)?;
    if salt.is_empty() || output.len() < MIN_OUTPUT || output.len() > 64 {
        return Err(FORM);
    }
    Ok(SlowHash::Pbkdf2(rounds, salt.as_bytes().to_vec(), output))
}

/// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`; without `v`, version 16 is meant.
fn phc(text: &str) -> Result<SlowHash, &'static str> {
    const FORM: &str = "expected an Argon2 hash as in $argon2id$v=19$m=…,t=…,p=…$salt$hash";
    let mut parts = text.split('$').skip(1).peekable();
    let algorithm = match parts.next() {
        Some("argon2id") => Algorithm::Argon2id,
        Some("argon2i") => Algorithm::Argon2i,
        Some("argon2d") => Algorithm::Argon2d,
        _ => return Err(FORM),
    };
    let version = match parts.next_if(|part| part.starts_with("v=")) {
        Some("v=19") => Version::V0x13,
        Some("v=16") | None => Version::V0x10,
        Some(_) => return Err(FORM),
    };
    let mut numbers = parts.next().ok_or(FORM)?.split(',');
    let mut number = |name: &str| -> Result<u32, &'static str> {
        numbers.next().and_then(|text| text.strip_prefix(name)?.parse().ok()).ok_or(FORM)
    };
    let (memory, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    if memory > MAX_MEMORY_KIB || passes > MAX_PASSES || lanes > MAX_LANES {
        return Err("Argon2 may take 64 MiB, 10 passes and 8 lanes at most here");
    }
    let mut bytes = || parts.next().and_then(|part| STANDARD_NO_PAD.decode(part).ok()).ok_or(FORM);
    let (salt, output) = (bytes()?, bytes()?);
    if parts.next().is_some() || numbers.next().is_some() || !(MIN_OUTPUT..=64).contains(&output.len()) {
        return Err(FORM);
    }
    let params = Params::new(memory, passes, lanes, Some(output.len())).map_err(|_| FORM)?;
    Ok(SlowHash::Argon2(Box::new(Argon2::new(algorithm, version, params)), salt, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(hash: &str, text: &str) -> bool {
        SlowHash::parse(hash).unwrap_or_else(|why| panic!("{hash}: {why}")).fits(text)
    }

    #[test]
    fn x_11_vectors_of_others_fit_their_text_alone() {
        for (hash, text) in [
            // John the Ripper's and OpenBSD's test vector.
            ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
            // The reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1, and -i -t 3 -m 12.
            (
                "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "password",
            ),
        ] {
            assert!(fits(hash, text), "{hash}");
            assert!(!fits(hash, "another"), "{hash}");
        }
        // python3: hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2), base64; also RFC 7914's function.
        assert!(fits("pbkdf2_sha256$2$salt$rk0Mla9rRtMtCt/5KPBt0CowP47zwlHf1uLYWpVHTEM=", "password"));
        assert!(!fits("pbkdf2_sha256$3$salt$rk0Mla9rRtMtCt/5KPBt0CowP47zwlHf1uLYWpVHTEM=", "password"));
    }

    #[test]
    fn x_11_bcrypt_proves_nothing_behind_72_bytes() {
        let (text, cost) = ("x".repeat(72), 4);
        let hash = bcrypt::hash_with_salt(&text, cost, [7; 16]).expect("hashed").to_string();
        assert!(fits(&hash, &text));
        assert!(!fits(&hash, &format!("{text}y")));
    }

    #[test]
    fn sto_4_a_hash_that_costs_too_much_is_refused_unread() {
        for hash in [
            "$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2b$04$short",
            "$argon2id$v=19$m=65537,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=11,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$AAAA",
            "$argon2x$v=19$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "pbkdf2_sha256$2000001$salt$rk0Mla9rRtMtCt/5KPBt0CowP47zwlHf1uLYWpVHTEM=",
            "pbkdf2_sha256$0$salt$rk0Mla9rRtMtCt/5KPBt0CowP47zwlHf1uLYWpVHTEM=",
            "pbkdf2_sha256$2$salt",
        ] {
            assert!(SlowHash::parse(hash).is_err(), "{hash}");
        }
    }
}
