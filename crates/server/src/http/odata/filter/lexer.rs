//! A filter as words, literals and signs, each with its place.

use jiff::Timestamp;

/// Bytes of a filter, at most.
const MAX_LENGTH: usize = 4096;
/// Digits of a fraction, at most: what numbers are counted in.
const FRACTION: usize = 9;

/// What is wrong with a filter, and where: characters count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) at: usize,
    pub(crate) what: String,
}

impl Wrong {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// A piece of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    /// In billionths, so that comparing is exact.
    Number(i128),
    /// Nanoseconds since 1970.
    Time(i128),
    Open,
    Close,
    Comma,
    Equals,
}

impl Token {
    /// As it is told in an error.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(_) => "a text".into(),
            Self::Number(_) => "a number".into(),
            Self::Time(_) => "a time".into(),
            Self::Open => "(".into(),
            Self::Close => ")".into(),
            Self::Comma => ",".into(),
            Self::Equals => "=".into(),
        }
    }
}

/// The pieces with their places.
pub(super) fn lex(text: &str) -> Result<Vec<(usize, Token)>, Wrong> {
    if text.len() > MAX_LENGTH {
        return Err(Wrong::new(1, format!("longer than {MAX_LENGTH} bytes")));
    }
    let letters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut next = 0;
    while let Some(letter) = letters.get(next) {
        let begin = next;
        let token = match letter {
            ' ' | '\t' => {
                next += 1;
                continue;
            }
            '(' | ')' | ',' | '=' => {
                next += 1;
                sign(*letter)
            }
            '\'' => text_literal(&letters, &mut next)?,
            'A'..='Z' | 'a'..='z' | '_' => {
                Token::Word(take(&letters, &mut next, |c| c.is_ascii_alphanumeric() || c == '_'))
            }
            '0'..='9' | '-' => {
                let word = take(&letters, &mut next, |c| c.is_ascii_alphanumeric() || ".:+-".contains(c));
                literal(&word).ok_or_else(|| Wrong::new(begin + 1, not_a_literal(&word, &letters[next..])))?
            }
            other => return Err(Wrong::new(begin + 1, format!("{other:?} cannot stand here"))),
        };
        tokens.push((begin + 1, token));
    }
    Ok(tokens)
}

fn sign(letter: char) -> Token {
    match letter {
        '(' => Token::Open,
        ')' => Token::Close,
        ',' => Token::Comma,
        _ => Token::Equals,
    }
}

fn take(letters: &[char], next: &mut usize, fits: impl Fn(char) -> bool) -> String {
    let word: String = letters[*next..].iter().take_while(|c| fits(**c)).collect();
    // Everything that fits is ASCII.
    *next += word.len();
    word
}

/// A text between quotes, with two for one inside.
fn text_literal(letters: &[char], next: &mut usize) -> Result<Token, Wrong> {
    let begin = *next;
    let mut text = String::new();
    *next += 1;
    loop {
        match (letters.get(*next), letters.get(*next + 1)) {
            (Some('\''), Some('\'')) => {
                text.push('\'');
                *next += 2;
            }
            (Some('\''), _) => {
                *next += 1;
                return Ok(Token::Text(text));
            }
            (Some(letter), _) => {
                text.push(*letter);
                *next += 1;
            }
            (None, _) => return Err(Wrong::new(begin + 1, "this text has no end: a ' is missing")),
        }
    }
}

fn literal(word: &str) -> Option<Token> {
    let looks_like_time = word.len() > 10 && word.as_bytes().get(4) == Some(&b'-') && word.contains('T');
    if looks_like_time {
        return time(word).map(|at| Token::Time(at.as_nanosecond()));
    }
    number(word).map(Token::Number)
}

/// A moment. Our clock ends a day before the year 9999 does, whose last second is how many write "for ever":
/// what lies between stands for its end.
fn time(word: &str) -> Option<Timestamp> {
    if let Ok(at) = word.parse() {
        return Some(at);
    }
    let year_before = format!("9998{}", word.strip_prefix("9999")?);
    year_before.parse::<Timestamp>().ok().map(|_| Timestamp::MAX)
}

/// A decimal in billionths.
fn number(word: &str) -> Option<i128> {
    let (is_below, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let (whole, part) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(split) => split,
        None => (digits, ""),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 19
        || part.len() > FRACTION
        || !all_digits(whole)
        || !all_digits(part)
    {
        return None;
    }
    let billionths: i128 = format!("{whole}{part:0<FRACTION$}").parse().ok()?;
    Some(if is_below { -billionths } else { billionths })
}

/// What is wrong with a word before what stands behind it. A `+` that was not encoded comes as a blank.
fn not_a_literal(word: &str, behind: &[char]) -> String {
    let has_lost_plus = word.contains('T') && matches!(behind, [' ', '0'..='9', ..]);
    let hint = if has_lost_plus { "; write + as %2B, or use Z" } else { "" };
    format!("{word} is neither a number nor a time with its offset, as in 2027-01-31T12:00:00Z{hint}")
}
