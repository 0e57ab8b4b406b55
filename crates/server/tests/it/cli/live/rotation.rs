//! `keyward keys rotate`, `keyward keys new-secret`

use super::{Shell, refused, valid};
use crate::support::text;

fn made(shell: &Shell) -> (String, String) {
    let made = shell.json(&["keys", "create", "--class", "ingest", "--label", "rotated"]);
    (text(&made["id"]), text(&made["secret"]))
}

#[test]
fn x3_key_9_start_and_finish() {
    let shell = Shell::start();
    let (id, old) = made(&shell);
    let rotated = shell.json(&["keys", "rotate", "start", &id, "--overlap", "1h"]);
    let new = text(&rotated["secret"]);
    assert_eq!((&rotated["id"], &rotated["status"]), (&id.clone().into(), &"rotating".into()));
    assert_eq!((shell.verify(&old), shell.verify(&new)), (valid(), valid()));
    let run = shell.ends(2, &["keys", "rotate", "finish", &id]);
    assert!(run.err.contains("add --yes"), "{}", run.err);
    assert_eq!(shell.verify(&old), valid(), "finished without a yes");
    shell.ok(&["keys", "rotate", "finish", &id, "--yes"]);
    assert_eq!((shell.verify(&old), shell.verify(&new)), (refused("retired_secret"), valid()));
    shell.ends(6, &["keys", "rotate", "finish", &id, "--yes"]);
}

#[test]
fn x3_abort_keeps_the_old_secret() {
    let shell = Shell::start();
    let (id, old) = made(&shell);
    shell.ends(6, &["keys", "rotate", "abort", &id, "--yes"]);
    let new = text(&shell.json(&["keys", "rotate", "start", &id])["secret"]);
    shell.ok(&["keys", "rotate", "abort", &id, "--yes"]);
    assert_eq!(shell.verify(&old), valid());
    assert_eq!(shell.verify(&new).0, 10);
}

#[test]
fn bm_10_a_new_secret_ends_the_old_ones() {
    let shell = Shell::start();
    let (id, old) = made(&shell);
    shell.ends(2, &["keys", "new-secret", &id, "-o", "json"]);
    assert_eq!(shell.verify(&old), valid(), "replaced without a yes");
    let new = text(&shell.json(&["keys", "new-secret", &id, "--yes"])["secret"]);
    assert_eq!((shell.verify(&old).0, shell.verify(&new)), (10, valid()));
    let file = shell.server.place.folder.path().join("new-secret");
    shell.ok(&["keys", "new-secret", &id, "--yes", "--secret-out", file.to_str().expect("UTF-8")]);
    let newest = std::fs::read_to_string(&file).expect("written");
    assert_eq!((shell.verify(&new).0, shell.verify(newest.trim())), (10, valid()));
}
