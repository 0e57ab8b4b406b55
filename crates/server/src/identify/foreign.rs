//! Credentials of others, by what their makers publish about their form. Only their name is told:
//! whether they work, nobody here knows.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A kind of credential that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// What people call it.
    pub(crate) name: &'static str,
    /// What it begins with, which is no secret.
    pub(crate) begins: &'static str,
}

impl Foreign {
    /// Whether it may be an access token of ours all the same.
    pub(crate) fn is_jwt(self) -> bool {
        self.begins == "eyJ"
    }
}

/// Name, beginning and pattern; where two fit at one place, the first does.
const FOREIGN: [(&str, &str, &str); 17] = [
    (
        "GitHub fine-grained personal access token",
        "github_pat_",
        r"\bgithub_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}\b",
    ),
    ("GitHub personal access token", "ghp_", r"\bghp_[0-9A-Za-z]{36}\b"),
    ("GitHub app or OAuth token", "gh", r"\bgh[orsu]_[0-9A-Za-z]{36,}\b"),
    ("AWS access key id", "AKIA", r"\bAKIA[2-7A-Z]{16}\b"),
    ("AWS temporary access key id", "ASIA", r"\bASIA[2-7A-Z]{16}\b"),
    ("Slack token", "xox", r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}"),
    ("Stripe secret key", "sk_live_", r"\bsk_live_[0-9A-Za-z]{16,}\b"),
    ("Stripe restricted key", "rk_live_", r"\brk_live_[0-9A-Za-z]{16,}\b"),
    ("Stripe test key", "sk_test_", r"\bsk_test_[0-9A-Za-z]{16,}\b"),
    ("Google API key", "AIza", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("GitLab personal access token", "glpat-", r"\bglpat-[0-9A-Za-z_-]{20,}"),
    ("npm access token", "npm_", r"\bnpm_[0-9A-Za-z]{36}\b"),
    ("PyPI API token", "pypi-", r"\bpypi-[0-9A-Za-z_-]{50,}"),
    ("Anthropic API key", "sk-ant-", r"\bsk-ant-[0-9A-Za-z_-]{20,}"),
    ("OpenAI API key", "sk-", r"\bsk-[0-9A-Za-z_-]{20,}"),
    ("JSON Web Token", "eyJ", r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}"),
    ("private key", "-----BEGIN", r"-----BEGIN (?:[0-9A-Z]+ )*PRIVATE KEY-----"),
];

static PATTERNS: LazyLock<Vec<(Foreign, Regex)>> = LazyLock::new(|| {
    let compile = |(name, begins, pattern): (_, _, &str)| {
        // Words of ASCII alone.
        let pattern = format!("(?-u){pattern}");
        (Foreign { name, begins }, Regex::new(&pattern).expect("a constant pattern is a regular expression"))
    };
    FOREIGN.map(compile).into()
});

/// Every credential of others in a text, `most` at most, in the order of the text.
pub(crate) fn find(text: &str, most: usize) -> Vec<(Range<usize>, Foreign)> {
    let mut found: Vec<(Range<usize>, Foreign)> = Vec::new();
    for (foreign, pattern) in PATTERNS.iter() {
        for place in pattern.find_iter(text).take(most) {
            if !found.iter().any(|(taken, _)| taken.start < place.end() && place.start() < taken.end) {
                found.push((place.range(), *foreign));
            }
        }
    }
    found.sort_by_key(|(place, _)| place.start);
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made up, each of the published form. Put together here, so that no scanner takes this file for a leak.
    fn samples() -> Vec<(&'static str, String)> {
        let fill = |begin: &str, count: usize| {
            let digits = b"a1B2c3D4e5F6g7H8i9J0".iter().cycle().take(count);
            format!("{begin}{}", digits.map(|&digit| char::from(digit)).collect::<String>())
        };
        let part = || fill("eyJ", 30);
        vec![
            ("GitHub fine-grained personal access token", fill(&(fill("github_pat_", 22) + "_"), 59)),
            ("GitHub personal access token", fill("ghp_", 36)),
            ("GitHub app or OAuth token", fill("ghs_", 36)),
            ("AWS access key id", format!("AKIA{}", "Q7".repeat(8))),
            ("AWS temporary access key id", format!("ASIA{}", "Q7".repeat(8))),
            ("Slack token", fill("xoxb-12345-", 24)),
            ("Stripe secret key", fill("sk_live_", 24)),
            ("Stripe restricted key", fill("rk_live_", 24)),
            ("Stripe test key", fill("sk_test_", 24)),
            ("Google API key", fill("AIza", 35)),
            ("GitLab personal access token", fill("glpat-", 20)),
            ("npm access token", fill("npm_", 36)),
            ("PyPI API token", fill("pypi-", 120)),
            ("Anthropic API key", fill("sk-ant-", 60)),
            ("OpenAI API key", fill("sk-proj-", 60)),
            ("JSON Web Token", format!("{}.{}.{}", part(), part(), fill("", 43))),
            ("private key", format!("-----BEGIN {}PRIVATE KEY-----", "EC ")),
        ]
    }

    #[test]
    fn x_10_each_kind_is_found_by_its_name_alone_and_among_others() {
        let samples = samples();
        assert_eq!(samples.len(), FOREIGN.len());
        for (name, sample) in &samples {
            let text = format!("TOKEN='{sample}'\n");
            let found = find(&text, 10);
            assert_eq!(
                found.iter().map(|(_, foreign)| foreign.name).collect::<Vec<_>>(),
                [*name],
                "{sample}"
            );
            assert_eq!(&text[found[0].0.clone()], sample);
            assert!(sample.starts_with(found[0].1.begins));
        }
        let all: String = samples.iter().map(|(_, sample)| format!("{sample}\n")).collect();
        let names: Vec<_> = find(&all, 100).into_iter().map(|(_, foreign)| foreign.name).collect();
        assert_eq!(names, samples.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert_eq!(find(&all, 3).len(), 3);
    }

    #[test]
    fn x_10_near_misses_of_others_are_not_named() {
        for text in
            ["ghp_short", "AKIAlowercase0000000", "sk-", "npm_install", "xox-", "AIza", "eyJhbGciOi", "a.b.c"]
        {
            assert_eq!(find(text, 10), [], "{text}");
        }
    }
}
