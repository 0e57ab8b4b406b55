//! The words of the console. English stands where it is used; the other languages stand in a
//! catalogue each (`locales/`), which a test keeps complete.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;

pub(crate) use crate::notifications::words::Language;

static GERMAN: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../locales/de.json")).expect("a test reads the catalogue")
});

/// Words in one language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(pub(crate) Language);

impl Words {
    /// The language, as `lang` has it.
    pub(crate) fn lang(self) -> &'static str {
        self.0.as_str()
    }

    /// A text.
    pub(crate) fn text(self, english: &'static str) -> &'static str {
        match self.0 {
            Language::En => english,
            Language::De => GERMAN.get(english).copied().unwrap_or(english),
        }
    }

    /// A text with each `{}` filled in, in order; what is filled in is not read again.
    pub(crate) fn fill(self, english: &'static str, values: &[&dyn Display]) -> String {
        let mut values = values.iter();
        let mut parts = self.text(english).split("{}");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            out.push_str(&values.next().map(ToString::to_string).unwrap_or_default());
            out.push_str(part);
        }
        out
    }

    /// The half of `one|many` that a number takes.
    pub(crate) fn count(self, english: &'static str, count: impl Display) -> String {
        let count = count.to_string();
        let (one, many) = self.text(english).split_once('|').unwrap_or(("{}", "{}"));
        if count == "1" { one } else { many }.replacen("{}", &count, 1)
    }
}

/// What a browser asks for (RFC 9110 §12.5.4): the first language of its list that there is.
pub(crate) fn of_browser(headers: &http::HeaderMap) -> Language {
    let wanted = headers.get(http::header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let tags = wanted.unwrap_or_default().split(',');
    tags.filter_map(|tag| Language::parse(tag.trim().get(..2)?.to_ascii_lowercase().as_str()))
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use regex::Regex;

    use super::*;

    fn files(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => files(&path, out),
                path => out.push(path),
            }
        }
    }

    /// Every text that pages and templates give to a language.
    fn used() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = vec![root.join("src/http/console.rs")];
        files(&root.join("src/http/console"), &mut paths);
        files(&root.join("templates"), &mut paths);
        let call = Regex::new(r#"(?s)\b(?:t|f|f2|n|text|fill|count|say)\(\s*"((?:[^"\\]|\\.)*)""#)
            .expect("a pattern");
        let arm = Regex::new(r#"=> (?:\{\s*)?"([A-Z][^"]*)""#).expect("a pattern");
        let mut texts = BTreeSet::new();
        for path in paths.iter().filter(|path| !path.ends_with("words.rs")) {
            let text = std::fs::read_to_string(path).expect("a file");
            texts.extend(call.captures_iter(&text).map(|found| found[1].to_owned()));
            texts.extend(arm.captures_iter(&text).map(|found| found[1].to_owned()));
        }
        texts
    }

    #[test]
    fn every_text_has_its_german_and_every_german_its_text() {
        let known: BTreeSet<String> = GERMAN.keys().map(|text| (*text).to_owned()).collect();
        let used = used();
        let missing: Vec<&String> = used.difference(&known).collect();
        assert!(missing.is_empty(), "not in locales/de.json: {missing:#?}");
        let stale: Vec<&String> = known.difference(&used).collect();
        assert!(stale.is_empty(), "in locales/de.json, and used nowhere: {stale:#?}");
    }

    #[test]
    fn a_translation_has_the_places_of_its_text() {
        for (english, german) in GERMAN.iter() {
            assert_eq!(english.matches('|').count(), german.matches('|').count(), "{english}");
            let last = |text: &str| text.rsplit('|').next().unwrap_or_default().matches("{}").count();
            assert_eq!(last(english), last(german), "{english}");
        }
    }

    #[test]
    fn texts_are_filled_once_and_counted() {
        let words = Words(Language::En);
        assert_eq!(words.fill("{} of {}", &[&"{}", &2]), "{} of 2");
        assert_eq!(words.count("1 key|{} keys", 1), "1 key");
        assert_eq!(words.count("1 key|{} keys", 0), "0 keys");
        let mut headers = http::HeaderMap::new();
        assert_eq!(of_browser(&headers), Language::En);
        headers.insert(http::header::ACCEPT_LANGUAGE, http::HeaderValue::from_static("fr, de-AT;q=0.8, en"));
        assert_eq!(of_browser(&headers), Language::De);
    }
}
