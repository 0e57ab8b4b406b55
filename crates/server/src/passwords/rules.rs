//! What a password must be like (AUT-1, AUT-2, STO-7).

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Characters of a password that nothing else backs (NIST SP 800-63B).
const SHORTEST: usize = 15;
/// Bytes; longer input is refused before anything is done with it.
const LONGEST: usize = 1024;
/// What stays of a password must have so many characters when the words of its place are taken out.
const OWN: usize = 8;
/// Shorter names are in too many words to count.
const WORD: usize = 4;

static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// The one form of a password that is hashed: NFKC, nothing cut off, nothing trimmed.
///
/// # Errors
/// 422 for what is empty or too long to be looked at.
pub(crate) fn normal(pointer: &str, password: &str) -> Result<Zeroizing<String>> {
    if password.is_empty() || password.len() > LONGEST {
        return Err(refused(pointer, "bad_length", "a password has 1 to 1024 bytes"));
    }
    Ok(Zeroizing::new(password.nfkc().collect()))
}

/// The normal form of a new password, if it is good enough. `words` are those that a guesser tries
/// first here: names of user, tenant and product.
///
/// # Errors
/// 422 with the reason.
pub(crate) fn check(pointer: &str, password: &str, words: &[&str]) -> Result<Zeroizing<String>> {
    let normal = normal(pointer, password)?;
    if normal.chars().count() < SHORTEST {
        let detail = "a password has 15 characters or more; take a few words";
        return Err(refused(pointer, "too_short", detail));
    }
    let lower: Zeroizing<String> = Zeroizing::new(normal.to_lowercase());
    if is_common(&lower) {
        return Err(refused(
            pointer,
            "too_common",
            "many people choose this one, and so it is guessed first",
        ));
    }
    let mut rest = lower.clone();
    for word in words.iter().map(|word| word.to_lowercase()).filter(|word| word.chars().count() >= WORD) {
        rest = Zeroizing::new(rest.replace(&word, ""));
    }
    if rest.len() < lower.len() && rest.chars().count() < OWN {
        let detail = "it is little more than names of user, tenant or product, which are guessed first";
        return Err(refused(pointer, "too_obvious", detail));
    }
    Ok(normal)
}

/// On the list, two of the list, or one short thing over and over.
fn is_common(lower: &str) -> bool {
    let listed = |text: &str| COMMON.contains(text);
    let splits = || lower.char_indices().skip(1).map(|(at, _)| lower.split_at(at));
    listed(lower) || splits().any(|(left, right)| listed(left) && listed(right)) || is_repeated(lower)
}

fn is_repeated(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=chars.len() / 3).any(|period| chars.iter().zip(&chars[period..]).all(|(a, b)| a == b))
}

fn refused(pointer: &str, code: &'static str, detail: impl Into<String>) -> Error {
    Error::invalid(pointer, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str) -> &'static str {
        match check("/password", password, &["grace", "acme-corp", "keyward", "ann"]) {
            Ok(_) => "ok",
            Err(Error::Invalid(faults)) => faults[0].code,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn aut_1_length_is_counted_in_characters_and_nothing_is_prescribed() {
        for (password, expect) in [
            ("", "bad_length"),
            ("fourteen chars", "too_short"),
            ("fifteen letters", "ok"),
            ("correct horse battery staple", "ok"),
            ("   spaces count too   ", "ok"),
            ("пароль из трёх слов", "ok"),
            ("日本語のパスワードは長くてもよい", "ok"),
            ("👩‍🚀🦀🐘🎺🪁🧊🪐🌵🫖🧵🧲", "too_short"),
            ("👩‍🚀🦀🐘🎺🪁🧊🪐🌵🫖🧵🧲🦥🦩", "ok"),
        ] {
            assert_eq!(code(password), expect, "{password}");
        }
        // Squares alone would repeat after 89 characters.
        let digit = |at: usize| char::from(b'!' + ((at * at + at / 89) % 89) as u8);
        let varied = |bytes: usize| (0..bytes).map(digit).collect::<String>();
        assert_eq!(code(&varied(64)), "ok");
        assert_eq!(code(&varied(256)), "ok");
        assert_eq!(code(&varied(1024)), "ok");
        assert_eq!(code(&varied(1025)), "bad_length");
    }

    #[test]
    fn aut_1_sto_7_one_spelling_is_hashed_and_nothing_is_cut() {
        let same = |a: &str, b: &str| *normal("", a).expect("fits") == *normal("", b).expect("fits");
        assert!(same("ｆｕｌｌwidth", "fullwidth"));
        assert!(same("A\u{30a}ngström", "\u{c5}ngström"));
        assert!(!same("secret ", "secret"), "blanks are part of it");
        assert!(!same("Secret", "secret"));
        assert!(!same("a\0b", "a"));
        let long = "x".repeat(72);
        assert!(!same(&long, &format!("{long}y")));
    }

    #[test]
    fn aut_2_common_passwords_and_words_of_the_place_are_refused_with_the_reason() {
        assert!(COMMON.len() >= 3000, "{}", COMMON.len());
        for (password, expect) in [
            ("1qaz2wsx3edc4rfv", "too_common"),
            ("1QAZ2WSX3EDC4RFV", "too_common"),
            ("qwertyuiop12345678", "too_common"),
            ("passwordpassword", "too_common"),
            ("aaaaaaaaaaaaaaaaaaaa", "too_common"),
            ("abcabcabcabcabc", "too_common"),
            ("grace-grace-grace", "too_obvious"),
            ("Keyward-Grace-1!", "too_obvious"),
            ("keywardkeyward1", "too_obvious"),
            ("Acme-Corp-2026!!", "too_obvious"),
            ("ann ann ann wins", "ok"),
        ] {
            assert_eq!(code(password), expect, "{password}");
        }
    }
}
