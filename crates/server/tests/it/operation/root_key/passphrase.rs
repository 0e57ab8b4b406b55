//! A root key that is sealed under a passphrase (OPS-3).

use std::fs;
use std::path::PathBuf;

use super::{key_file, private, root_key, serves, set_mode, snapshot, stays_closed, take_away, typing};
use crate::process::{Process, serve};
use crate::support::{Place, free_port, text};

const RIGHT: &str = "correct horse battery stäple";
const WRONG: &str = "correct horse battery staple";

/// A place whose root key is sealed under [`RIGHT`]; returns the operator's secret, the file of the sealed
/// key and the digits of the key.
fn sealed(place: &Place) -> (String, PathBuf, String) {
    let secret = text(&place.bootstrap()["secret"]);
    let file = place.folder.path().join("root.sealed");
    let passphrase = private(place, "first-passphrase", RIGHT);
    let args = ["export", "--as", "passphrase", "--to", file.to_str().expect("UTF-8")];
    let done = root_key(
        place,
        "",
        &[&args[..], &["--passphrase-file", passphrase.to_str().expect("UTF-8")]].concat(),
    );
    assert_eq!(done.code, 0, "{}", done.err);
    let (plain, digits) = take_away(place);
    fs::remove_file(plain).expect("removed");
    (secret, file, digits)
}

/// A configuration with the sealed key, and the passphrase in a file.
fn config(place: &Place, sealed: &std::path::Path, passphrase: &str) -> String {
    let file = private(place, "passphrase", passphrase);
    format!("root_key: {{file: {}, passphrase_file: {}}}", sealed.display(), file.display())
}

#[test]
fn ops_3_a_passphrase_opens_the_root_key() {
    let place = Place::new();
    let (secret, file, digits) = sealed(&place);
    let line = fs::read_to_string(&file).expect("a line");
    assert!(line.starts_with("keyward-sealed-1:argon2id:65536:3:1:"), "{line}");
    assert!(!line.contains(&digits) && !place.dump().contains(&digits));
    // The same letters, once as one character and once as two; and what editors put at the end.
    for spelling in [RIGHT, "correct horse battery sta\u{308}ple", &format!("{RIGHT}\r\n")] {
        serves(&place, &secret, &config(&place, &file, spelling), &[]);
    }
    assert!(!key_file(&place).exists(), "no other root key was made");
    assert!(!place.log().contains(RIGHT) && !place.log().contains(&digits));
}

#[test]
fn ops_3_a_wrong_passphrase_has_its_own_exit_code_and_changes_nothing() {
    let place = Place::new();
    let (secret, file, _) = sealed(&place);
    for wrong in [WRONG, "correct horse battery stäpl", "x"] {
        let config = config(&place, &file, wrong);
        stays_closed(&place, &config, &[], 14, &["root.sealed", "stays closed", "not its passphrase"]);
        let local = root_key(&place, &config, &["split", "--shares", "3", "--threshold", "2", "-o", "json"]);
        assert_eq!((local.code, local.out.as_str()), (14, ""), "{}", local.err);
        assert!(wrong.len() < 2 || !local.err.contains(wrong), "it is not printed: {}", local.err);
    }
    stays_closed(&place, &config(&place, &file, ""), &[], 2, &["passphrase", "empty"]);
    let open = private(&place, "open-passphrase", RIGHT);
    set_mode(&open, 0o644);
    let readable = format!("root_key: {{file: {}, passphrase_file: {}}}", file.display(), open.display());
    stays_closed(&place, &readable, &[], 3, &["open-passphrase", "chmod 600"]);
    serves(&place, &secret, &config(&place, &file, RIGHT), &[]);
}

#[test]
fn ops_3_sto_2_a_damaged_sealed_root_key_is_told_from_a_wrong_passphrase() {
    let place = Place::new();
    let (secret, file, _) = sealed(&place);
    let good = fs::read_to_string(&file).expect("a line");
    let right = config(&place, &file, RIGHT);
    let damage = [
        good.replace("65536", "65535"),
        good.trim_end()[..good.len() - 3].to_owned(),
        good.replacen(":3:1:", ":3:1:00", 1),
    ];
    for wrong in damage {
        fs::write(&file, &wrong).expect("written");
        stays_closed(&place, &right, &[], 12, &["root.sealed", "damaged"]);
    }
    fs::write(&file, good.replace("keyward-sealed-1", "keyward-sealed-2")).expect("written");
    stays_closed(&place, &right, &[], 3, &["newer version"]);
    fs::write(&file, &good).expect("written");
    serves(&place, &secret, &right, &[]);
}

#[test]
fn ops_3_a_sealed_root_key_and_its_passphrase_come_as_systemd_credentials() {
    let place = Place::new();
    let (secret, file, _) = sealed(&place);
    let folder = place.folder.path().join("credentials");
    fs::create_dir(&folder).expect("made");
    fs::rename(file, folder.join("keyward-root-key")).expect("moved");
    let environment = [("CREDENTIALS_DIRECTORY", folder.to_str().expect("UTF-8"))];
    stays_closed(&place, "", &environment, 3, &["nobody can be asked", "keyward-passphrase"]);
    private(&place, "credentials/keyward-passphrase", RIGHT);
    serves(&place, &secret, "", &environment);
    private(&place, "credentials/keyward-passphrase", WRONG);
    stays_closed(&place, "", &environment, 14, &["not its passphrase"]);
}

#[test]
fn ops_3_a_passphrase_comes_through_a_file_descriptor() {
    let place = Place::new();
    let (secret, file, _) = sealed(&place);
    private(&place, "through", RIGHT);
    let (port, through) = (free_port(), "/dev/fd/7");
    let config = format!("root_key: {{file: {}, passphrase_file: {through}}}", file.display());
    let inner = serve(&place, &config, port);
    let mut shell = place.keyward(&[]);
    let program = inner.get_program().to_owned();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "cat through | { exec 7<&0 </dev/null; exec \"$@\"; }", "sh"]).arg(program);
    command.args(inner.get_args()).current_dir(place.folder.path());
    for (name, value) in shell.envs([("KEYWARD_METRICS__LISTEN", "")]).get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let server = Process::spawn(&place, command, port);
    server.caller(&secret).get("/v1/me").expect(200);
}

#[test]
fn ops_3_a_passphrase_is_typed_at_the_start_and_not_shown() {
    let place = Place::new();
    let (_, file, _) = sealed(&place);
    let config = private(&place, "typed.yml", &format!("root_key: {{file: {}}}", file.display()));
    let args = ["pepper", "status", "--config", config.to_str().expect("UTF-8")];
    let question = "the passphrase of the root key (not shown): ";
    let (code, shown) = typing::run(&place, &args, &[(question, RIGHT)]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("current") && !shown.contains(RIGHT), "{shown}");
    let before = snapshot(&place);
    let (code, shown) = typing::run(&place, &args, &[(question, WRONG)]);
    assert_eq!(code, 14, "{shown}");
    assert!(shown.contains("not its passphrase") && !shown.contains(WRONG), "{shown}");
    assert_eq!(snapshot(&place), before);
}

#[test]
fn ops_3_a_new_passphrase_is_long_and_typed_alike_twice() {
    let place = Place::new();
    place.bootstrap();
    let before = snapshot(&place);
    let to = place.folder.path().join("out");
    let args = ["root-key", "export", "--as", "passphrase", "--to", to.to_str().expect("UTF-8")];
    let (first, second) = ("a new passphrase for the root key (not shown): ", "the same again (not shown): ");
    let (code, shown) = typing::run(&place, &args, &[(first, RIGHT), (second, WRONG)]);
    assert_eq!(code, 2, "{shown}");
    let (code, shown) = typing::run(&place, &args, &[(first, "fourteen chars"), (second, "fourteen chars")]);
    assert_eq!(code, 2, "{shown}");
    assert!(shown.contains("15 characters"), "{shown}");
    assert!(!to.exists() && snapshot(&place) == before, "nothing was written");
    let (code, shown) = typing::run(&place, &args, &[(first, RIGHT), (second, RIGHT)]);
    assert_eq!(code, 0, "{shown}");
    assert!(to.exists() && !shown.contains(RIGHT), "{shown}");
}

#[test]
fn ops_3_the_passphrase_changes_and_the_root_key_stays() {
    let place = Place::new();
    let (secret, file, digits) = sealed(&place);
    let old = config(&place, &file, RIGHT);
    let new = private(&place, "new-passphrase", "another long passphrase");
    let to = place.folder.path().join("root.sealed.2");
    let (to_text, new_text) = (to.to_str().expect("UTF-8"), new.to_str().expect("UTF-8"));
    let args = ["export", "--as", "passphrase", "--to", to_text, "--passphrase-file", new_text];
    let done = root_key(&place, &old, &args);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(root_key(&place, &old, &args).code, 2, "nothing is overwritten");
    serves(&place, &secret, &config(&place, &to, "another long passphrase"), &[]);
    stays_closed(&place, &config(&place, &to, RIGHT), &[], 14, &["not its passphrase"]);
    // And back into the clear: it is the same key still, and each step has its event.
    let plain = place.folder.path().join("plain");
    let args = ["export", "--as", "plain", "--to", plain.to_str().expect("UTF-8")];
    assert_eq!(root_key(&place, &config(&place, &to, "another long passphrase"), &args).code, 0);
    assert_eq!(fs::read_to_string(&plain).expect("a key").trim(), digits);
    let server = Process::start(&place, &format!("root_key: {{file: {}}}", plain.display()), &[]);
    let events = server.caller(&secret).get("/v1/audit-events?action=root_key.export").ok();
    let labels: Vec<_> =
        events["data"].as_array().expect("a list").iter().map(|e| text(&e["target"]["label"])).collect();
    assert_eq!(labels, ["plain", "passphrase", "passphrase"], "{events}");
}

#[test]
fn ops_3_the_root_key_of_nothing_is_not_exported() {
    let place = Place::new();
    let to = place.folder.path().join("out");
    let args = ["export", "--as", "plain", "--to", to.to_str().expect("UTF-8")];
    let refused = root_key(&place, "", &args);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(refused.err.contains("not set up") && !to.exists(), "{}", refused.err);
    let new = root_key_new(&place, &args);
    assert_eq!(new.code, 0, "{}", new.err);
    assert_eq!(fs::read_to_string(&to).expect("a key").trim().len(), 64);
}

fn root_key_new(place: &Place, args: &[&str]) -> crate::cli::Run {
    place.keyward(&[&["root-key"], args, &["--new"]].concat()).output().expect("the binary runs").into()
}
