//! What is published is what the code writes. `UPDATE_DOCS=1` writes the published files anew.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use regex::Regex;

use super::*;
use crate::token::{AccessKey, generate, take_apart};

fn compiled(kind: &Kind) -> Regex {
    Regex::new(&kind.pattern()).expect("the pattern is a regular expression")
}

/// Different bytes with each call, the same in each run.
fn source() -> impl FnMut(&mut [u8]) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 33) as u8;
        }
    }
}

fn samples(kind: &Kind, count: usize) -> Vec<String> {
    let mut fill = source();
    let mut one = || {
        let id = AccessKey::generate(&mut fill);
        generate(kind.prefix, id, &mut fill).expose().to_owned()
    };
    (0..count).map(|_| one()).collect()
}

#[test]
fn leak_1_each_pattern_finds_a_thousand_samples_of_its_kind_and_none_of_another() {
    let patterns = KINDS.each_ref().map(compiled);
    for (kind, pattern) in KINDS.iter().zip(&patterns) {
        let samples = samples(kind, 1_000);
        for (at, sample) in samples.iter().enumerate() {
            assert!(take_apart(sample).is_some());
            let around = [
                sample.clone(),
                format!("export KEY=\"{sample}\""),
                format!("Authorization: Bearer {sample}\r\n"),
                format!("{{\"secret\":\"{sample}\"}}"),
                format!("https://x.example/?key={sample}&a=b"),
            ];
            let found = pattern.find(&around[at % around.len()]).map(|found| found.as_str().to_owned());
            assert_eq!(found.as_ref(), Some(sample));
        }
        for (other, pattern) in KINDS.iter().zip(&patterns).filter(|(other, _)| *other != kind) {
            assert!(!samples.iter().any(|sample| pattern.is_match(sample)), "{}", other.name);
        }
    }
}

#[test]
fn leak_1_no_pattern_finds_a_near_miss() {
    for kind in &KINDS {
        let pattern = compiled(kind);
        for sample in samples(kind, 50) {
            let (prefix, body) = sample.split_once('_').expect("a prefix");
            let at_checksum = sample.len() - CHECKSUM_LEN;
            let mut large = sample.clone();
            large.replace_range(at_checksum..=at_checksum, "5");
            let near = [
                format!("{prefix}-{body}"),
                format!("{prefix}{body}"),
                format!("{prefix}_{}", &body[1..]),
                format!("{prefix}_{body}0"),
                format!("{}_{body}", prefix.to_uppercase()),
                format!("x{prefix}_{body}"),
                format!("{prefix}_{}-{}", &body[..30], &body[31..]),
                format!("{prefix}_{}", "é".repeat(65)),
                format!("kwa_{}", &body[..16]),
                format!("{prefix}_…{}", &body[61..]),
                large,
                sample[..40].to_owned(),
                format!("{} {}", &sample[..30], &sample[30..]),
                "0123456789abcdef".repeat(4),
            ];
            for text in near {
                assert!(!pattern.is_match(&text), "{}: {text}", kind.name);
            }
        }
    }
}

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compares a published file with what it should be, or writes it.
fn must_equal(path: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(file(path), text).expect("the file can be written");
    }
    let found = fs::read_to_string(file(path)).unwrap_or_default();
    assert!(found == text, "{path} is not as the code says; run the tests with UPDATE_DOCS=1");
}

#[test]
fn leak_1_the_rule_file_for_gitleaks_is_what_the_code_says() {
    let mut text = String::from(
        "# Rules for Gitleaks: gitleaks git --config gitleaks.toml\n\
         # Written out of crates/core/src/token/kinds.rs by its test; a find whose CRC-32 is wrong is none.\n\n\
         title = \"Keyward credentials\"\n",
    );
    for kind in &KINDS {
        let _ = write!(
            text,
            "\n[[rules]]\nid = \"keyward-{}\"\ndescription = \"{}\"\nregex = '''{}'''\nkeywords = [\"{}_\"]\n",
            kind.name.replace('_', "-"),
            kind.title,
            kind.pattern(),
            kind.prefix,
        );
    }
    must_equal("integrations/secret-scanning/gitleaks.toml", &text);
}

#[test]
fn leak_1_the_custom_detectors_for_trufflehog_are_what_the_code_says() {
    let mut text = String::from(
        "# Custom detectors for TruffleHog: trufflehog filesystem . --config trufflehog.yml\n\
         # Written out of crates/core/src/token/kinds.rs by its test; a find whose CRC-32 is wrong is none.\n\n\
         detectors:\n",
    );
    for kind in &KINDS {
        let _ = write!(
            text,
            "  - name: {}\n    keywords:\n      - {}_\n    regex:\n      credential: '({})'\n",
            kind.title,
            kind.prefix,
            kind.pattern(),
        );
    }
    must_equal("integrations/secret-scanning/trufflehog.yml", &text);
}

#[test]
fn leak_1_the_page_of_the_form_has_the_patterns() {
    const PAGE: &str = "docs/reference/key-format.md";
    let (begin, end) = ("<!-- patterns -->\n", "<!-- end of patterns -->\n");
    let mut table = String::from("| kind | prefix | pattern |\n|---|---|---|\n");
    for kind in &KINDS {
        let _ = writeln!(table, "| {} | `{}` | `{}` |", kind.title, kind.prefix, kind.pattern());
    }
    let page = fs::read_to_string(file(PAGE)).expect("the page");
    let (before, rest) = page.split_once(begin).expect("the mark where the patterns begin");
    let (_, after) = rest.split_once(end).expect("the mark where they end");
    must_equal(PAGE, &format!("{before}{begin}{table}{end}{after}"));
}

#[test]
fn x_9_the_kinds_are_told_apart_by_their_prefixes() {
    for kind in &KINDS {
        assert_eq!(Kind::of(kind.prefix), Some(*kind));
    }
    assert_eq!(Kind::of("kwr"), None);
    for class in crate::key::KeyClass::ALL {
        let prefixes = crate::token::Prefixes::default();
        let kind = Kind::of(prefixes.of(class)).expect("each class has a kind");
        assert_eq!(kind.name, format!("{}_key", class.as_str()));
    }
}
