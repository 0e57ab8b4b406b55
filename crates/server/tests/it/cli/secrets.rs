//! A secret is made only where it can be received.

use super::{NOWHERE, Run, SECRET, keyward};

fn create(extra: &[&str]) -> Run {
    let mut args = vec!["keys", "create", "--label", "x", "--url", NOWHERE, "--retries", "0"];
    args.extend(extra);
    keyward(&args).env("KEYWARD_TOKEN", SECRET).output().expect("the binary runs").into()
}

#[test]
fn a_pipe_is_refused_before_anything_is_sent() {
    for extra in [&[][..], &["-o", "csv"], &["-o", "tsv"], &["-o", "table"]] {
        let run = create(extra);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{extra:?}: {}", run.err);
        assert!(run.err.contains("--secret-out") && run.err.contains("-o json"), "{}", run.err);
    }
}

#[test]
fn json_and_yaml_were_asked_for_so_the_request_goes_out() {
    for format in ["json", "jsonl", "yaml"] {
        assert_eq!(create(&["-o", format]).code, 11);
    }
}

#[test]
fn an_existing_file_is_never_overwritten_and_a_failed_request_leaves_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    let name = path.to_str().expect("UTF-8");
    assert_eq!(create(&["--secret-out", name]).code, 11);
    assert!(!path.exists(), "an empty file was left behind");
    std::fs::write(&path, "precious").expect("written");
    let run = create(&["--secret-out", name]);
    assert_eq!(run.code, 2, "{}", run.err);
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "precious");
}
