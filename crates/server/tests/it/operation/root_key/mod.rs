//! Where the root key comes from, and what a wrong one does (OPS-3, OPS-4, STO-2).

mod passphrase;
mod pkcs11;
mod shares;
mod typing;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::cli::Run;
use crate::process::{Process, refused_start};
use crate::support::{Place, text};

fn key_file(place: &Place) -> PathBuf {
    place.data().join("root.key")
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("changed");
}

/// Moves the root key out of the data folder; returns where it is and its text.
fn take_away(place: &Place) -> (PathBuf, String) {
    let elsewhere = place.folder.path().join("kept.key");
    fs::rename(key_file(place), &elsewhere).expect("moved");
    let digits = fs::read_to_string(&elsewhere).expect("a key").trim().to_owned();
    (elsewhere, digits)
}

/// Everything in the data folder, and the database if that is elsewhere.
fn snapshot(place: &Place) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(place.data())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        // Every reader of SQLite makes this one anew; it holds no data.
        .filter(|path| path.extension().is_none_or(|end| end != "db-shm"))
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .filter(|(path, bytes)| !(bytes.is_empty() && path.extension().is_some_and(|end| end == "db-wal")))
        .collect();
    files.sort();
    files.push(("database".into(), place.dump().into_bytes()));
    files
}

/// Writes a file that nobody else may read.
fn private(place: &Place, name: &str, content: &str) -> PathBuf {
    let file = place.folder.path().join(name);
    fs::write(&file, content).expect("written");
    set_mode(&file, 0o600);
    file
}

/// `keyward root-key …` on the data folder, with a configuration.
fn root_key(place: &Place, config: &str, args: &[&str]) -> Run {
    let config = private(place, "root-key.yml", config);
    let mut all = vec!["root-key"];
    all.extend(args);
    all.extend(["--config", config.to_str().expect("UTF-8")]);
    place.run(&all).into()
}

/// A start that must be refused and change nothing.
#[track_caller]
fn stays_closed(place: &Place, config: &str, environment: &[(&str, &str)], code: i32, why: &[&str]) {
    let before = snapshot(place);
    let refused = refused_start(place, config, environment);
    assert_eq!(refused.code, code, "{}", refused.err);
    for part in why {
        assert!(refused.err.contains(part), "{part:?} is not in {}", refused.err);
    }
    assert_eq!(snapshot(place), before);
}

fn serves(place: &Place, secret: &str, config: &str, environment: &[(&str, &str)]) {
    let server = Process::start(place, config, environment);
    server.caller(secret).get("/v1/me").expect(200);
    server.terminate();
}

#[test]
fn ops_3_the_first_start_makes_a_file_for_the_owner_alone() {
    let place = Place::new();
    place.bootstrap();
    let file = key_file(&place);
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let digits = fs::read_to_string(&file).expect("a key");
    assert_eq!(digits.trim().len(), 64);
    assert!(!place.dump().contains(digits.trim()), "it is not in the database");
}

#[test]
fn ops_3_ops_9_a_file_that_others_may_read_is_refused() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        set_mode(&key_file(&place), mode);
        let before = snapshot(&place);
        let refused = refused_start(&place, "", &[]);
        assert_eq!(refused.code, 3, "{mode:o}: {}", refused.err);
        assert!(refused.err.contains("chmod 600"), "{}", refused.err);
        assert_eq!(snapshot(&place), before, "{mode:o}");
    }
    for mode in [0o400, 0o600] {
        set_mode(&key_file(&place), mode);
        serves(&place, &secret, "", &[]);
    }
}

#[test]
fn ops_3_sto_2_a_database_without_its_root_key_does_not_start() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let (elsewhere, digits) = take_away(&place);
    let before = snapshot(&place);
    let refused = refused_start(&place, "", &[]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("root.key") && refused.err.contains("missing"), "{}", refused.err);
    assert_eq!(snapshot(&place), before, "nothing was written, and no new key was made");
    fs::rename(elsewhere, key_file(&place)).expect("moved");
    serves(&place, &secret, "", &[]);
    assert!(!place.dump().contains(&digits));
}

#[test]
fn ops_3_ops_4_sto_2_a_wrong_root_key_is_refused_before_anything_is_written() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let right = fs::read_to_string(key_file(&place)).expect("a key");
    let mut almost = right.trim().to_owned().into_bytes();
    almost[63] = if almost[63] == b'0' { b'1' } else { b'0' };
    let almost = String::from_utf8(almost).expect("digits");
    for wrong in ["f".repeat(64), almost, "not a key".into(), String::new(), right.trim()[..62].into()] {
        fs::write(key_file(&place), &wrong).expect("written");
        let before = snapshot(&place);
        for refused in [refused_start(&place, "", &[]), place.run(&["pepper", "rotate"]).into()] {
            assert_eq!(refused.code, 3, "{}", refused.err);
            assert!(wrong.len() < 20 || !refused.err.contains(&wrong), "it is not printed: {}", refused.err);
        }
        assert_eq!(snapshot(&place), before);
    }
    fs::write(key_file(&place), &right).expect("written");
    serves(&place, &secret, "", &[]);
}

#[test]
fn ops_3_a_named_file_is_used_and_never_made() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let (elsewhere, _) = take_away(&place);
    let config = format!("root_key: {{file: {}}}", elsewhere.display());
    serves(&place, &secret, &config, &[]);
    assert!(!key_file(&place).exists());
    serves(&place, &secret, "", &[("KEYWARD_ROOT_KEY__FILE", elsewhere.to_str().expect("UTF-8"))]);
    set_mode(&elsewhere, 0o644);
    assert_eq!(refused_start(&place, &config, &[]).code, 3);
    let nowhere = place.folder.path().join("nowhere.key");
    let refused = refused_start(&place, &format!("root_key: {{file: {}}}", nowhere.display()), &[]);
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("nowhere.key") && !nowhere.exists(), "{}", refused.err);
}

#[test]
fn ops_3_the_variable_that_names_a_file_is_used() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let (elsewhere, _) = take_away(&place);
    serves(&place, &secret, "", &[("KEYWARD_ROOT_KEY_FILE", elsewhere.to_str().expect("UTF-8"))]);
    assert!(!key_file(&place).exists());
    let refused = refused_start(&place, "", &[("KEYWARD_ROOT_KEY_FILE", "nowhere.key")]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("nowhere.key"), "{}", refused.err);
}

#[test]
fn ops_3_a_systemd_credential_is_used() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let (elsewhere, _) = take_away(&place);
    let folder = place.folder.path().join("credentials");
    fs::create_dir(&folder).expect("made");
    let credential = folder.join("keyward-root-key");
    fs::rename(elsewhere, &credential).expect("moved");
    let environment = [("CREDENTIALS_DIRECTORY", folder.to_str().expect("UTF-8"))];
    serves(&place, &secret, "", &environment);
    // What systemd shows of a credential that the service reads by an access control list.
    set_mode(&credential, 0o440);
    serves(&place, &secret, "", &environment);
    for mode in [0o444, 0o404, 0o460] {
        set_mode(&credential, mode);
        assert_eq!(refused_start(&place, "", &environment).code, 3, "{mode:o}");
    }
}

#[test]
fn ops_3_the_environment_works_with_a_warning() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let (_, digits) = take_away(&place);
    serves(&place, &secret, "", &[("KEYWARD_ROOT_KEY", &digits)]);
    let log = place.log();
    let warning = log.lines().find(|line| line.contains("root key") && line.contains("WARN"));
    assert!(warning.is_some_and(|line| line.contains("environment") && line.contains("use a file")), "{log}");
    assert!(!log.contains(&digits));
    assert_eq!(refused_start(&place, "", &[("KEYWARD_ROOT_KEY", "canary-no-key")]).code, 3);
}

#[test]
fn ops_3_a_command_prints_the_key() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let (elsewhere, digits) = take_away(&place);
    serves(&place, &secret, &format!("root_key: {{command: cat {}}}", elsewhere.display()), &[]);
    assert!(!place.log().contains(&digits));
    let before = snapshot(&place);
    for command in ["false", "echo canary-no-key", "no-such-program-anywhere"] {
        let refused = refused_start(&place, &format!("root_key: {{command: {command}}}"), &[]);
        assert_eq!(refused.code, 3, "{command}: {}", refused.err);
        assert!(refused.err.contains("root_key.command"), "{}", refused.err);
    }
    assert_eq!(snapshot(&place), before);
}
