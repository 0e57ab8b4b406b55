//! Secret types cannot be printed, serialised or compared with `==` (STO-9, STO-10).

use std::fmt::{Debug, Display};
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use keyward_core::secret::{Pepper, Secret, SecretHash};
use serde::Serialize;

/// A type to ask about.
struct Probe<T>(PhantomData<T>);

/// Whether a type implements a trait: the method of `_Has`, where the bound holds, is one reference
/// nearer than that of `_Lacks`.
macro_rules! implements {
    ($type:ty: $($bound:tt)+) => {{
        trait _Lacks {
            fn answer(&self) -> bool {
                false
            }
        }
        impl<T> _Lacks for &Probe<T> {}
        trait _Has {
            fn answer(&self) -> bool;
        }
        impl<T: $($bound)+> _Has for Probe<T> {
            fn answer(&self) -> bool {
                true
            }
        }
        (&Probe::<$type>(PhantomData)).answer()
    }};
}

#[test]
fn sto_9_a_secret_cannot_be_printed_or_serialised() {
    assert!(implements!(String: Debug) && implements!(String: Display) && implements!(String: Serialize));
    assert!(!implements!(Secret: Debug), "Secret is Debug");
    assert!(!implements!(Secret: Display), "Secret is Display");
    assert!(!implements!(Secret: Serialize), "Secret is Serialize");
    assert!(!implements!(Secret: Clone), "Secret can be copied");
    assert!(!implements!(Pepper: Display) && !implements!(Pepper: Serialize));
    assert!(!implements!(SecretHash: Display) && !implements!(SecretHash: Serialize));
}

#[test]
fn sto_10_secret_types_have_no_equality() {
    assert!(implements!(String: PartialEq) && implements!(String: std::hash::Hash));
    assert!(!implements!(Secret: PartialEq), "Secret has ==");
    assert!(!implements!(SecretHash: PartialEq), "SecretHash has ==");
    assert!(!implements!(Pepper: PartialEq), "Pepper has ==");
    // An order or a hash would compare just as well.
    assert!(!implements!(SecretHash: PartialOrd) && !implements!(SecretHash: std::hash::Hash));
}

/// What ends an expression whose text is a secret, or the hash of one.
const SECRET_ENDINGS: [&str; 2] = [".expose()", ".to_hex()"];

#[test]
fn sto_10_no_source_line_compares_secrets_with_operators() {
    let mut seen = 0;
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let code = text.split("#[cfg(test)]").next().expect("always a first part");
        for (number, line) in code.lines().enumerate() {
            seen += usize::from(SECRET_ENDINGS.iter().any(|word| line.contains(word)));
            assert!(!compares_secrets(line), "{}:{}: {line}", file.display(), number + 1);
        }
    }
    assert!(seen > 10, "secrets are used somewhere: {seen}");
}

#[test]
fn sto_10_the_search_for_comparisons_finds_them() {
    assert!(compares_secrets("if token.expose() == expected {"));
    assert!(compares_secrets("let same = expected != pepper.hash(text).to_hex();"));
    assert!(!compares_secrets("if text.len() == 64 {"));
    assert!(!compares_secrets("if version == 1 { hash(secret.expose()) }"));
}

/// Whether a secret expression and an operator stand in one part of a line.
fn compares_secrets(line: &str) -> bool {
    line.split([';', '{', '}']).any(|part| {
        SECRET_ENDINGS.iter().any(|ending| part.contains(ending))
            && (part.contains(" == ") || part.contains(" != "))
    })
}

/// The Rust files of the crates, without their tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("listed").path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        match path.extension() {
            _ if is_test => {}
            None if path.is_dir() => found.extend(sources(&path)),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
    found
}
