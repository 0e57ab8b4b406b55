//! A root key that is sealed by a token (OPS-3): SoftHSM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{private, serves, snapshot, stays_closed, take_away};
use crate::support::{Place, text};

const PIN: &str = "271828";
/// Where Debian puts it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A token of this place; returns the file that tells SoftHSM where it is.
fn token(place: &Place, label: &str) -> PathBuf {
    let folder = place.folder.path().join("tokens");
    fs::create_dir_all(&folder).expect("made");
    let conf = private(place, "softhsm2.conf", &format!("directories.tokendir = {}\n", folder.display()));
    let args = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "314159"];
    let output = Command::new("softhsm2-util").args(args).env("SOFTHSM2_CONF", &conf).output();
    let output = output.expect("softhsm2-util runs: package softhsm2");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    conf
}

fn config(place: &Place, sealed: Option<&Path>, token: &str, key: &str, pin: &str) -> String {
    let pin = private(place, "pin", pin);
    let file = sealed.map_or_else(String::new, |file| format!("file: {}, ", file.display()));
    let pin = pin.display();
    format!("root_key: {{{file}pkcs11: {{module: {MODULE}, token: {token}, key: {key}, pin_file: {pin}}}}}")
}

#[test]
fn ops_3_a_token_opens_the_root_key_with_a_key_that_never_leaves_it() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let conf = token(&place, "one");
    let environment = [("SOFTHSM2_CONF", conf.to_str().expect("UTF-8"))];
    let sealed = place.folder.path().join("root.sealed");
    let export = |config: &str, to: &Path| {
        let config = private(&place, "export.yml", config);
        let args = ["root-key", "export", "--as", "pkcs11", "--to", to.to_str().expect("UTF-8")];
        let (data, config) = (place.data(), config.to_str().expect("UTF-8").to_owned());
        let all = [&args[..], &["--config", &config, "--data-dir", data.to_str().expect("UTF-8")]].concat();
        place.keyward(&all).envs(environment).output().expect("the binary runs")
    };
    let done = export(&config(&place, None, "one", "keyward", PIN), &sealed);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (plain, digits) = take_away(&place);
    fs::remove_file(plain).expect("removed");
    let line = fs::read_to_string(&sealed).expect("a line");
    assert!(line.starts_with("keyward-sealed-1:pkcs11:") && !line.contains(&digits), "{line}");
    serves(&place, &secret, &config(&place, Some(&sealed), "one", "keyward", PIN), &environment);

    let closed =
        |config: &str, code: i32, why: &[&str]| stays_closed(&place, config, &environment, code, why);
    closed(&config(&place, Some(&sealed), "one", "keyward", "000000"), 14, &["refuses this PIN"]);
    closed(&config(&place, Some(&sealed), "two", "keyward", PIN), 3, &["no token is called \"two\""]);
    closed(&config(&place, Some(&sealed), "one", "other", PIN), 3, &["no secret key \"other\""]);
    let nowhere = config(&place, Some(&sealed), "one", "keyward", PIN).replace(MODULE, "/nowhere.so");
    closed(&nowhere, 3, &["nowhere.so"]);
    let unnamed = format!("root_key: {{file: {}}}", sealed.display());
    closed(&unnamed, 3, &["root_key.pkcs11.module"]);
    assert!(!place.log().contains(PIN) && !place.log().contains(&digits));

    let second = place.folder.path().join("root.sealed.2");
    assert!(export(&config(&place, Some(&sealed), "one", "keyward", PIN), &second).status.success());
    assert_ne!(fs::read_to_string(&second).expect("a line"), line, "a salt of its own");
    serves(&place, &secret, &config(&place, Some(&second), "one", "keyward", PIN), &environment);
}

#[test]
fn ops_3_another_token_of_the_same_name_does_not_open_it() {
    let place = Place::new();
    let conf = token(&place, "one");
    let sealed = place.folder.path().join("root.sealed");
    let new = |to: &Path| {
        let config = private(&place, "new.yml", &config(&place, None, "one", "keyward", PIN));
        let args = ["root-key", "export", "--as", "pkcs11", "--new", "--to", to.to_str().expect("UTF-8")];
        let all = [&args[..], &["--config", config.to_str().expect("UTF-8")]].concat();
        let output = place.keyward(&all).env("SOFTHSM2_CONF", &conf).output().expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    new(&sealed);
    let environment = [("SOFTHSM2_CONF", conf.to_str().expect("UTF-8"))];
    let right = private(&place, "first.yml", &config(&place, Some(&sealed), "one", "keyward", PIN));
    let data = place.data();
    let args = ["bootstrap", "--username", "root", "-o", "json", "--config", right.to_str().expect("UTF-8")];
    let all = [&args[..], &["--data-dir", data.to_str().expect("UTF-8")]].concat();
    let made = place.keyward(&all).envs(environment).output().expect("the binary runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let before = snapshot(&place);

    fs::rename(place.folder.path().join("tokens"), place.folder.path().join("tokens.kept")).expect("moved");
    token(&place, "one");
    new(&place.folder.path().join("elsewhere"));
    let config = config(&place, Some(&sealed), "one", "keyward", PIN);
    stays_closed(&place, &config, &environment, 14, &["stays closed", "another one"]);
    assert_eq!(snapshot(&place), before);
    fs::remove_dir_all(place.folder.path().join("tokens")).expect("removed");
    fs::rename(place.folder.path().join("tokens.kept"), place.folder.path().join("tokens")).expect("moved");
    serves(&place, &text(&made["secret"]), &config, &environment);
}
