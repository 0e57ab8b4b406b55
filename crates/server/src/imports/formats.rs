//! The hashes of other systems, as they come in a file.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::slow::SlowHash;
use crate::error::{Error, Result};
use crate::random::{from_hex, to_hex};

/// How the credentials of a file were hashed, or which system hashed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Not at all.
    Plain,
    Sha256,
    Sha512,
    HmacSha256,
    Bcrypt,
    Argon2,
    /// As Django writes them: `pbkdf2_sha256$…`, and `sha512$$…` of djangorestframework-api-key.
    Django,
    Unkey,
    BetterAuth,
    Kong,
    DrfApiKey,
}

/// What is known of a credential.
pub(crate) enum Known {
    /// The credential itself, to be hashed at once.
    Text(Zeroizing<String>),
    /// Lower-case hexadecimal digits of a hash that is the same for the same text.
    Sha256(String),
    Sha512(String),
    HmacSha256(String),
    /// A hash with a salt of its own, checked to cost no more than a login.
    Slow,
}

impl Format {
    /// Reads the hash of a row.
    ///
    /// # Errors
    /// `Error::Invalid` with what is wrong about it.
    pub(crate) fn read(self, text: &str) -> Result<Known> {
        match self {
            Self::Plain | Self::Kong => Ok(Known::Text(Zeroizing::new(text.to_owned()))),
            Self::Sha256 | Self::Unkey | Self::BetterAuth => digest(text, 32).map(Known::Sha256),
            Self::Sha512 => digest(text, 64).map(Known::Sha512),
            Self::HmacSha256 => digest(text, 32).map(Known::HmacSha256),
            Self::Django | Self::DrfApiKey => match text.strip_prefix("sha512$$") {
                Some(digits) => digest(digits, 64).map(Known::Sha512),
                None => slow(text, &["pbkdf2_sha256$"]),
            },
            Self::Bcrypt => slow(text, &["$2a$", "$2b$", "$2x$", "$2y$"]),
            Self::Argon2 => slow(text, &["$argon2"]),
        }
    }
}

fn bad(detail: &str) -> Error {
    Error::invalid("/hash", "bad_hash", detail)
}

/// A digest in hexadecimal digits, base64 or base64url, with padding or without.
fn digest(text: &str, length: usize) -> Result<String> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let bytes = match text.len() == 2 * length {
        true => from_hex(text),
        false => GeneralPurpose::new(alphabet, config).decode(text).ok(),
    };
    let bytes = bytes.filter(|bytes| bytes.len() == length);
    bytes.map(|bytes| to_hex(&bytes)).ok_or_else(|| {
        bad(&format!("expected {} hexadecimal digits, or the same {length} bytes in base64", 2 * length))
    })
}

fn slow(text: &str, starts: &[&str]) -> Result<Known> {
    if !starts.iter().any(|start| text.starts_with(start)) {
        return Err(bad(&format!("expected it to begin with {}", starts.join(" or "))));
    }
    SlowHash::parse(text).map(|_| Known::Slow).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

    fn sha256(format: Format, text: &str) -> String {
        match format.read(text) {
            Ok(Known::Sha256(digits)) => digits,
            _ => panic!("{text} was not read"),
        }
    }

    #[test]
    fn x_11_a_digest_is_the_same_in_every_spelling() {
        // printf password | openssl dgst -sha256 -binary | base64
        let spelled =
            ["XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", "XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg"];
        for text in spelled {
            assert_eq!(sha256(Format::Unkey, text), HEX);
            assert_eq!(sha256(Format::BetterAuth, text), HEX);
        }
        assert_eq!(sha256(Format::Sha256, HEX), HEX);
        assert_eq!(sha256(Format::Sha256, &HEX.to_ascii_uppercase()), HEX);
        // With the two characters in which the alphabets differ.
        let other = sha256(Format::Sha256, "-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(other, sha256(Format::Sha256, "+/8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    }

    #[test]
    fn x_11_what_is_no_hash_of_the_format_is_refused() {
        for (format, text) in [
            (Format::Sha256, ""),
            (Format::Sha256, &HEX[1..]),
            (Format::Sha256, "zz884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"),
            (Format::Sha512, HEX),
            (Format::Bcrypt, HEX),
            (Format::Argon2, "$2b$04$zzz"),
            (Format::Django, "md5$a$b"),
            (Format::DrfApiKey, "sha512$$abcd"),
        ] {
            assert!(format.read(text).is_err(), "{format:?} {text}");
        }
    }
}
