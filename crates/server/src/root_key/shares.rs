//! The root key in shares (Shamir): any `threshold` of them make it, fewer tell nothing about it.
//!
//! A share is `kwshare1-` and 46 bytes in hexadecimal, in groups of four: the mark of its set (4 random
//! bytes, 4 that only the whole root key can make), the threshold, its number, 32 bytes of the share,
//! and a checksum. Blanks, hyphens and the case of letters mean nothing.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use vsss_rs::Gf256;
use zeroize::{Zeroize, Zeroizing};

use super::file;
use crate::error::{Error, Result};
use crate::random;
use crate::seal::RootKey;

const START: &str = "kwshare1";
const LENGTH: usize = 8 + 2 + 32;
/// Stands for the terminal or standard input among the places of shares.
const ASK: &str = "-";

/// One share.
pub(crate) struct Share {
    mark: [u8; 8],
    threshold: u8,
    number: u8,
    value: Zeroizing<[u8; 32]>,
    place: String,
}

/// Whether a text is a share, in whatever state.
pub(super) fn is_share(text: &str) -> bool {
    text.starts_with("kwshare")
}

impl Share {
    fn parse(text: &str, place: &str) -> Result<Self> {
        let plain = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect::<String>();
        let plain = Zeroizing::new(plain.to_ascii_lowercase());
        let Some(digits) = plain.strip_prefix(START) else {
            return Err(Error::Locked(format!("{place}: this is no share; a share begins with {START}-")));
        };
        let damaged =
            || Error::Locked(format!("{place}: the share is damaged; compare it with what was written down"));
        let bytes = Zeroizing::new(random::from_hex(digits).ok_or_else(damaged)?);
        let (body, checksum) = bytes.split_at_checked(LENGTH).ok_or_else(damaged)?;
        if checksum != checksum_of(body) {
            return Err(damaged());
        }
        let (mark, rest) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
        let ([threshold, number], value) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        let value = Zeroizing::new(value.try_into().map_err(|_| damaged())?);
        Ok(Self { mark: *mark, threshold: *threshold, number: *number, value, place: place.into() })
    }

    /// The share as people keep it.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH + 4));
        bytes.extend(self.mark);
        bytes.extend([self.threshold, self.number]);
        bytes.extend(self.value.iter());
        let checksum = checksum_of(&bytes);
        bytes.extend(checksum);
        let digits = Zeroizing::new(random::to_hex(&bytes));
        digits.as_bytes().chunks(4).fold(Zeroizing::new(START.to_owned()), |mut text, group| {
            text.push('-');
            text.extend(group.iter().map(|digit| char::from(*digit)));
            text
        })
    }

    /// From 1 on.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }
}

fn checksum_of(bytes: &[u8]) -> [u8; 4] {
    let hash = Sha256::new().chain_update(START).chain_update(bytes).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Makes shares, any `threshold` of which are the root key.
pub(crate) fn split(root: &RootKey, count: u8, threshold: u8) -> Result<Vec<Share>> {
    let fail = |why| Error::invalid("shares", "impossible", format!("cannot be made: {why}"));
    let points = Gf256::split_bytes(threshold.into(), count.into(), root.expose(), random::generator());
    let mut salt = [0; 4];
    random::fill(&mut salt);
    let mark = mark(root, salt, threshold);
    let share = |mut point: Vec<u8>| {
        let mut value = Zeroizing::new([0; 32]);
        value.copy_from_slice(&point[1..]);
        let number = point[0];
        point.zeroize();
        Share { mark, threshold, number, value, place: String::new() }
    };
    Ok(points.map_err(fail)?.into_iter().map(share).collect())
}

/// Random, so that two sets of one root key differ, and bound to it, so that a forged share shows.
fn mark(root: &RootKey, salt: [u8; 4], threshold: u8) -> [u8; 8] {
    let tag = root.mac(&[b"keyward share set v1".as_slice(), &salt, &[threshold]].concat());
    let mut mark = [0; 8];
    mark[..4].copy_from_slice(&salt);
    mark[4..].copy_from_slice(&tag[..4]);
    mark
}

/// Reads shares from these places and puts the root key together.
pub(super) fn gather(places: &[PathBuf]) -> Result<RootKey> {
    let mut shares = Vec::new();
    for place in places {
        if place == Path::new(ASK) {
            ask(&mut shares)?;
        } else {
            let text = file::read(place)?;
            read_lines(&text, &place.display().to_string(), &mut shares)?;
        }
    }
    combine(&shares)
}

fn read_lines(text: &str, place: &str, shares: &mut Vec<Share>) -> Result<()> {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        shares.push(Share::parse(line, place)?);
    }
    Ok(())
}

/// Asks people until there are enough; a share that was mistyped may be typed again.
fn ask(shares: &mut Vec<Share>) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        for line in std::io::stdin().lock().lines() {
            let line = Zeroizing::new(line.map_err(|why| Error::Startup(format!("standard input: {why}")))?);
            read_lines(&line, "standard input", shares)?;
        }
        return Ok(());
    }
    while shares.first().is_none_or(|first| shares.len() < usize::from(first.threshold)) {
        let what = format!("share {} of the root key", shares.len() + 1);
        let line = super::typed(&what)?;
        if line.is_empty() {
            break;
        }
        match Share::parse(&line, &what) {
            Ok(share) => shares.push(share),
            Err(why) => eprintln!("{why}"),
        }
    }
    Ok(())
}

fn combine(shares: &[Share]) -> Result<RootKey> {
    let Some(first) = shares.first() else {
        return Err(Error::Locked("no share of the root key was given".into()));
    };
    for (at, share) in shares.iter().enumerate() {
        if (share.mark, share.threshold) != (first.mark, first.threshold) {
            return Err(Error::Locked(format!(
                "{} and {} hold shares of different sets ({} and {})",
                first.place,
                share.place,
                random::to_hex(&first.mark[..4]),
                random::to_hex(&share.mark[..4])
            )));
        }
        if let Some(twin) = shares[..at].iter().find(|other| other.number == share.number) {
            let (number, one, other) = (share.number, &twin.place, &share.place);
            return Err(Error::Locked(format!("share {number} was given twice: {one} and {other}")));
        }
    }
    if shares.len() < usize::from(first.threshold) {
        let (needed, given) = (first.threshold, shares.len());
        return Err(Error::Locked(format!("{needed} shares of the root key are needed, {given} given")));
    }
    join(shares, first)
}

fn join(shares: &[Share], first: &Share) -> Result<RootKey> {
    let unfit = || Error::Locked("the shares do not fit together: one of them was forged".into());
    let mut points: Vec<Vec<u8>> =
        shares.iter().map(|share| [&[share.number], &share.value[..]].concat()).collect();
    let secret = Gf256::combine_bytes(&points).map(Zeroizing::new);
    points.iter_mut().for_each(Zeroize::zeroize);
    let secret = secret.map_err(|_| unfit())?;
    let root = RootKey::from_bytes(secret.as_slice().try_into().map_err(|_| unfit())?);
    let salt = [first.mark[0], first.mark[1], first.mark[2], first.mark[3]];
    let fits = mark(&root, salt, first.threshold).ct_eq(&first.mark);
    if fits.into() { Ok(root) } else { Err(unfit()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(count: u8, threshold: u8) -> (RootKey, Vec<Share>) {
        let root = RootKey::generate();
        let shares = split(&root, count, threshold).expect("shares");
        (root, shares)
    }

    fn again(share: &Share, place: &str) -> Share {
        Share::parse(&share.text(), place).expect("own output parses")
    }

    #[track_caller]
    fn refusal(shares: &[Share]) -> String {
        match combine(shares) {
            Err(Error::Locked(why)) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it opened"),
        }
    }

    proptest! {
        #[test]
        fn ops_3_any_choice_of_enough_shares_is_the_root_key(
            threshold in 2_u8..6,
            more in 0_u8..4,
            order in Just((0_usize..9).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let (root, all) = shares(threshold + more, threshold);
            let chosen = order.iter().filter_map(|at| all.get(*at)).map(|share| again(share, "x"));
            let chosen: Vec<Share> = chosen.take(threshold.into()).collect();
            let found = combine(&chosen).expect("enough");
            prop_assert_eq!(found.expose(), root.expose());
            prop_assert!(refusal(&chosen[1..]).contains("are needed"));
        }
    }

    #[test]
    fn ops_3_one_wrong_digit_anywhere_is_seen() {
        let (_, all) = shares(3, 2);
        let text = all[0].text();
        for (at, digit) in text.char_indices().skip(START.len()).filter(|(_, c)| *c != '-') {
            let other = if digit == '0' { "1" } else { "0" };
            let wrong = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(
                matches!(Share::parse(&wrong, "x"), Err(Error::Locked(why)) if why.contains("damaged")),
                "{at}"
            );
        }
        for cut in [START.len() + 1, 30, text.len() - 1] {
            assert!(Share::parse(&text[..cut], "x").is_err(), "{cut}");
        }
        let shouted = text.to_uppercase().replace('-', " ");
        assert_eq!(*Share::parse(&shouted, "x").expect("the same").text(), *text);
    }

    #[test]
    fn ops_3_doubled_mixed_and_forged_shares_are_told_apart() {
        let (root, all) = shares(5, 3);
        let twice = [again(&all[0], "a"), again(&all[1], "b"), again(&all[0], "c")];
        assert_eq!(refusal(&twice), "share 1 was given twice: a and c");
        let later = split(&root, 5, 3).expect("another set of the same key");
        let mixed = refusal(&[again(&all[0], "a"), again(&all[1], "b"), again(&later[2], "c")]);
        assert!(mixed.starts_with("a and c hold shares of different sets"), "{mixed}");
        let mut forged = again(&all[2], "c");
        forged.value[0] ^= 1;
        let forged = again(&forged, "c");
        assert!(refusal(&[again(&all[0], "a"), again(&all[1], "b"), forged]).contains("forged"));
        assert!(refusal(&[]).contains("no share"));
    }

    #[test]
    fn ops_3_a_set_has_two_shares_or_more_and_a_threshold_it_can_reach() {
        let root = RootKey::generate();
        for (count, threshold) in [(5, 1), (5, 0), (2, 3), (0, 0), (1, 1)] {
            assert!(split(&root, count, threshold).is_err(), "{threshold} of {count}");
        }
        assert_eq!(split(&root, 255, 255).expect("the most").len(), 255);
    }
}
