//! Everything in a text that is written like a credential; found offline, without asking anybody.

use std::collections::HashSet;

use keyward_core::key::KeyClass;
use keyward_core::token::kinds::Kind;
use keyward_core::token::{self, AccessKey, BODY_LEN, KEY_ID_LEN, Prefixes};

use super::foreign;

/// Finds in one text, at most.
pub(crate) const MOST: usize = 100;
/// Longest prefix of a key that a configuration may have.
const LONGEST_PREFIX: usize = 8;

/// Something in a text that is written like a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Find<'t> {
    /// Where: never shown, never logged.
    pub(crate) text: &'t str,
    /// The line, from 1.
    pub(crate) line: usize,
    pub(crate) what: What,
}

/// What it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Ours by its form.
    Own {
        /// `None` for a prefix that is not known here.
        kind: Option<Kind>,
        class: Option<KeyClass>,
        /// `None` when the checksum is wrong: then nothing in it can be believed.
        access_key: Option<AccessKey>,
    },
    /// The public half of a key, which is no secret.
    AccessKey(AccessKey),
    /// Somebody else's.
    Foreign(foreign::Foreign),
    /// A word like any other, which may have been imported as somebody's credential.
    Word,
}

/// Finds of a text in its order, each text once; true when there were more.
pub(crate) fn find<'t>(text: &'t str, prefixes: &Prefixes) -> (Vec<Find<'t>>, bool) {
    let others = foreign::find(text, MOST + 1).into_iter();
    let mut places: Vec<(usize, &str, What)> =
        others.map(|(place, foreign)| (place.start, &text[place], What::Foreign(foreign))).collect();
    places.extend(words(text).filter_map(|(start, word)| own(text, start, word, prefixes)));
    places.sort_by_key(|(start, ..)| *start);
    let mut seen = HashSet::new();
    places.retain(|(_, text, _)| seen.insert(*text));
    let more = places.len() > MOST;
    places.truncate(MOST);
    let (mut line, mut from) = (1, 0);
    let finds = places.into_iter().map(|(start, found, what)| {
        line += text[from..start].matches('\n').count();
        from = start;
        Find { text: found, line, what }
    });
    (finds.collect(), more)
}

/// Runs of letters, digits and underscores, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let parts = text.split(move |c: char| !is_part(c)).filter(|word| !word.is_empty());
    parts.map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// The credential at the end of a word, such as that in `EXPORTED_kwm_…`.
fn own<'t>(
    text: &'t str,
    start: usize,
    word: &'t str,
    prefixes: &Prefixes,
) -> Option<(usize, &'t str, What)> {
    let (head, body) = word.rsplit_once('_')?;
    let mut begin = head.rfind('_').map_or(0, |at| at + 1);
    // The letter of `\n` in a text that was quoted is none of the prefix.
    if begin == 0 && text[..start].ends_with('\\') && head.starts_with(['n', 'r', 't']) {
        begin = 1;
    }
    let (prefix, found) = (&head[begin..], &word[begin..]);
    let what = match body.len() {
        KEY_ID_LEN if prefix == "kwa" => What::AccessKey(AccessKey::parse(found)?),
        BODY_LEN if is_prefix(prefix) => {
            let class = prefixes.class_of(prefix);
            let kind = class.and_then(kind_of).or_else(|| Kind::of(prefix));
            What::Own { kind, class, access_key: token::take_apart(found).map(|(_, id)| id) }
        }
        _ => return None,
    };
    Some((start + begin, found, what))
}

fn kind_of(class: KeyClass) -> Option<Kind> {
    Kind::of(Prefixes::default().of(class))
}

fn is_prefix(text: &str) -> bool {
    (1..=LONGEST_PREFIX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

impl Find<'_> {
    /// What it begins with and its last four characters: all of it that is ever told.
    pub(crate) fn hint(&self) -> String {
        match &self.what {
            What::AccessKey(access_key) => access_key.to_string(),
            What::Own { .. } => {
                let prefix = self.text.split_once('_').map_or("", |(prefix, _)| prefix);
                format!("{prefix}_…{}", &self.text[self.text.len() - 4..])
            }
            // Of a private key only its first line was found.
            What::Foreign(foreign) if foreign.begins.starts_with('-') => self.text.to_owned(),
            What::Word => format!("…{}", &self.text[self.text.len() - 4..]),
            What::Foreign(foreign) => format!("{}…{}", foreign.begins, &self.text[self.text.len() - 4..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(prefix: &str) -> String {
        let mut next = 7_u8;
        let fill = &mut |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_mul(31).wrapping_add(17);
                *byte = next;
            }
        };
        let access_key = AccessKey::generate(fill);
        token::generate(prefix, access_key, fill).expose().to_owned()
    }

    #[test]
    fn x_10_a_blob_tells_all_that_is_in_it_by_line_and_once() {
        let (member, trusted) = (secret("kwm"), secret("kwt"));
        let npm = format!("npm_{}", "a1".repeat(18));
        let text = format!(
            "# config\nTOKEN={member}\n\"{{\\\"a\\\":\\\"x\\n{trusted}\\\"}}\"\nSAME_{member}; {npm}\nkwa_{}\n",
            &member[4..20]
        );
        let (finds, more) = find(&text, &Prefixes::default());
        assert!(!more);
        let told: Vec<_> = finds.iter().map(|find| (find.line, find.text)).collect();
        let access_key = format!("kwa_{}", &member[4..20]);
        assert_eq!(told, [(2, &*member), (3, &*trusted), (4, &*npm), (5, &*access_key)]);
        for find in &finds[..2] {
            assert!(
                matches!(find.what, What::Own { access_key: Some(_), kind: Some(_), .. }),
                "{:?}",
                find.line
            );
            assert!(find.hint().len() <= 12 && find.text.ends_with(&find.hint()[7..]));
        }
    }

    #[test]
    fn x_9_a_wrong_checksum_and_an_unknown_prefix_are_told() {
        let mut damaged = secret("kww");
        damaged.replace_range(30..31, if damaged.as_bytes()[30] == b'0' { "1" } else { "0" });
        let own = secret("acme");
        let text = format!("{damaged} {own}");
        let (finds, _) = find(&text, &Prefixes::default());
        let broken = What::Own { kind: Kind::of("kww"), class: Some(KeyClass::Workspace), access_key: None };
        assert_eq!(finds[0].what, broken);
        assert!(matches!(finds[1].what, What::Own { kind: None, class: None, access_key: Some(_) }));
        let written = KeyClass::ALL.map(|class| Prefixes::default().of(class).to_owned());
        let known = Prefixes::new(written, vec![("acme".into(), KeyClass::Ingest)]);
        let (finds, _) = find(&own, &known);
        assert!(matches!(finds[0].what, What::Own { class: Some(KeyClass::Ingest), kind: Some(_), .. }));
    }

    #[test]
    fn r_10_finds_are_bounded_and_garbage_is_none() {
        let keys: String = (0..300).map(|number| format!("kwa_{number:016}\n")).collect();
        let (finds, more) = find(&keys, &Prefixes::default());
        assert_eq!((finds.len(), more), (MOST, true));
        for garbage in ["", "hunter2", "kwm_", "_", "\\n_", "kwa_short", "é_é", &"_".repeat(1000)] {
            assert_eq!(find(garbage, &Prefixes::default()), (Vec::new(), false), "{garbage}");
        }
    }
}
