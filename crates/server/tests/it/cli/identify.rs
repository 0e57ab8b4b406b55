//! `keyward identify -`: offline, and the token is never echoed.

use serde_json::Value;

use super::{keyward, run_with_input};

/// Made with key id and random part of zeroes, so its checksum can be reckoned once by hand.
fn known_secret() -> String {
    use keyward_core::token::{AccessKey, generate};
    let fill = &mut |bytes: &mut [u8]| bytes.fill(11);
    let access_key = AccessKey::generate(fill);
    generate("kww", access_key, fill).expose().to_owned()
}

#[test]
fn a_secret_is_named_but_not_shown() {
    let secret = known_secret();
    for input in [secret.clone(), format!("  \"{secret}\"\n")] {
        let run = run_with_input(&mut keyward(&["identify", "-", "-o", "json"]), &input);
        assert_eq!(run.code, 0, "{}", run.err);
        let told: serde_json::Value = serde_json::from_str(&run.out).expect("JSON");
        let told = &told["found"][0];
        assert_eq!((&told["kind"], &told["class"]), (&"workspace_key".into(), &"workspace".into()));
        assert_eq!(told["checksum"], "right");
        assert_eq!(told["access_key"], format!("kwa_{}", &secret[4..20]));
        let random = &secret[20..63];
        assert!(!run.out.contains(random) && !run.err.contains(random));
    }
}

#[test]
fn damage_and_garbage_are_10() {
    let mut damaged = known_secret();
    damaged.replace_range(30..31, "x");
    for (input, checksum) in [(damaged.as_str(), "wrong".into()), ("hunter2", Value::Null), ("", Value::Null)]
    {
        let run = run_with_input(&mut keyward(&["identify", "-o", "json"]), input);
        assert_eq!(run.code, 10, "{input:?}: {}", run.err);
        let told: serde_json::Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!(told["found"][0]["checksum"], checksum);
        assert!(input.is_empty() || (!run.out.contains(input) && !run.err.contains(input)));
    }
}

#[test]
fn a_token_as_argument_is_refused_without_repeating_it() {
    let secret = known_secret();
    for command in ["identify", "verify"] {
        let run = super::run(&[command, &secret]);
        assert_eq!((run.code, run.out.as_str()), (2, ""));
        assert!(run.err.contains("never an argument"), "{}", run.err);
        assert!(!run.err.contains(&secret), "{}", run.err);
    }
}

#[test]
fn it_reads_a_file_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("found.txt");
    std::fs::write(&file, known_secret()).expect("written");
    let run = super::run(&["identify", "--file", file.to_str().expect("UTF-8")]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("\tworkspace_key\tworkspace\tkww_…"), "{}", run.out);
}
