//! Codes as people type them, and the numbers behind them (VER-7, RFC 6238).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Builder, Secret, Totp};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::random;

/// Bytes of a seed: as many as SHA-1 gives (RFC 4226 §4).
pub(crate) const SEED: usize = 20;
const DIGITS: usize = 6;
/// Recovery codes that are made at once; the first character of each tells them apart.
pub(crate) const RECOVERY_CODES: u8 = 10;
/// Characters of a recovery code: one that tells which it is, and 55 random bits.
const RECOVERY_LEN: usize = 12;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// What stands for itself in a URI.
const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Nobody types more.
const MAX_BYTES: usize = 256;

/// A code in the one form that is compared.
pub(crate) enum Code {
    /// Six digits.
    Totp(Zeroizing<String>),
    /// Which of the recovery codes it may be, and its characters.
    Recovery(i64, Zeroizing<String>),
}

impl Code {
    /// Reads a code whatever its spelling: blanks, hyphens, full-width digits, upper case.
    pub(crate) fn read(typed: &str) -> Option<Self> {
        if typed.len() > MAX_BYTES {
            return None;
        }
        let mut plain = Zeroizing::new(String::with_capacity(MAX_BYTES * 4));
        plain.extend(typed.nfkc().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase));
        if plain.len() == DIGITS && plain.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Totp(plain));
        }
        let meant = |c: char| match c {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        let plain = Zeroizing::new(plain.chars().map(meant).collect::<String>());
        let number = plain.chars().next()?.to_digit(10)?;
        let fits = plain.len() == RECOVERY_LEN && plain.bytes().all(|byte| ALPHABET.contains(&byte));
        fits.then_some(Self::Recovery(number.into(), plain))
    }

    /// The kind of factor that it belongs to.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Totp(_) => super::TOTP,
            Self::Recovery(..) => super::RECOVERY_CODE,
        }
    }
}

/// A new recovery code with this number, in the form that is hashed.
pub(crate) fn make_recovery_code(number: u8) -> Zeroizing<String> {
    let mut random = Zeroizing::new([0; RECOVERY_LEN - 1]);
    random::fill(&mut *random);
    let mut text = Zeroizing::new(String::with_capacity(RECOVERY_LEN));
    let _ = write!(text, "{number}");
    text.extend(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])));
    text
}

/// A recovery code as it is shown.
pub(crate) fn written(code: &str) -> String {
    format!("{}-{}-{}", &code[..4], &code[4..8], &code[8..])
}

/// The generator of a seed: SHA-1, six digits, thirty seconds, as every authenticator has it.
fn generator(seed: &[u8]) -> Result<Totp> {
    Builder::new().with_secret(seed).with_skew(1).build().map_err(Error::internal)
}

/// The time step whose code this is: the present one, or its neighbours.
pub(crate) fn step_of(seed: &[u8], code: &str, now_ms: i64) -> Result<Option<i64>> {
    let seconds = u64::try_from(now_ms / 1000).unwrap_or(0);
    let step = generator(seed)?.check(code, seconds);
    step.map(i64::try_from).transpose().map_err(Error::internal)
}

/// A seed as authenticators take it.
pub(crate) fn base32(seed: &[u8]) -> String {
    Secret::from(seed).to_base32()
}

/// The address that an authenticator reads from a picture.
pub(crate) fn uri(seed: &[u8], issuer: &str, account: &str) -> String {
    let (issuer, account) = (utf8_percent_encode(issuer, UNSAFE), utf8_percent_encode(account, UNSAFE));
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
        base32(seed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_SEED: &[u8] = b"12345678901234567890";

    fn plain(typed: &str) -> Option<(&'static str, String)> {
        Code::read(typed).map(|code| match &code {
            Code::Totp(text) | Code::Recovery(_, text) => (code.kind(), text.to_string()),
        })
    }

    #[test]
    fn ver_7_the_codes_are_those_of_rfc_6238() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let at = |shift: i64| step_of(RFC_SEED, code, (seconds + shift) * 1000).expect("a seed");
            assert_eq!(at(0), Some(seconds / 30), "{seconds}");
            assert_eq!((at(30), at(-30)), (at(0), at(0)), "one step around is good");
            assert_eq!(at(60), None, "two are not");
            assert!(seconds < 90 || at(-60).is_none(), "nor on the other side");
        }
    }

    #[test]
    fn ver_7_every_spelling_of_a_code_is_one() {
        for typed in
            ["123456", " 123 456", "123-456\n", "１２３４５６", "\u{2003}１２３ 456", "123\u{200b}456"]
        {
            assert_eq!(plain(typed), Some(("totp", "123456".into())), "{typed:?}");
        }
        for typed in ["0abc-defg-hjkm", "0ABC DEFG HJKM", " oabcdefghjkm", "０ａｂｃ-defg-hjkm"] {
            assert_eq!(plain(typed), Some(("recovery_code", "0abcdefghjkm".into())), "{typed:?}");
        }
        let long = "1".repeat(MAX_BYTES + 1);
        for typed in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "abcd-efgh-jkmn", "0abc-defg-hjku", &long]
        {
            assert_eq!(plain(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn sto_1_recovery_codes_are_random_and_read_back() {
        let codes: Vec<_> = (0..RECOVERY_CODES).map(make_recovery_code).collect();
        for (number, code) in codes.iter().enumerate() {
            let Some(Code::Recovery(read, text)) = Code::read(&written(code)) else { panic!("a code") };
            assert_eq!((read, text.as_str()), (i64::try_from(number).expect("small"), code.as_str()));
            assert!(!codes.iter().any(|other| other[1..] == code[1..] && other != code));
        }
    }

    #[test]
    fn an_authenticator_reads_the_address() {
        let told = uri(RFC_SEED, "keys.example.org", "Gräfin X");
        assert_eq!(
            told,
            "otpauth://totp/keys.example.org:Gr%C3%A4fin%20X?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=keys.example.org&algorithm=SHA1&digits=6&period=30"
        );
    }
}
