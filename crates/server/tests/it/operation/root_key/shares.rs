//! A root key in shares (OPS-3).

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{private, root_key, serves, snapshot, stays_closed, take_away, typing};
use crate::cli::run_with_input;
use crate::support::{Place, text};

/// A place whose root key is in five shares, three of which are needed: the operator's secret and the
/// shares.
fn split(place: &Place) -> (String, Vec<String>) {
    let secret = text(&place.bootstrap()["secret"]);
    let shares = five(place, "");
    let (plain, _) = take_away(place);
    fs::remove_file(plain).expect("removed");
    (secret, shares)
}

fn five(place: &Place, config: &str) -> Vec<String> {
    let done = root_key(place, config, &["split", "--shares", "5", "--threshold", "3", "-o", "json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let rows: Value = serde_json::from_str(&done.out).expect("JSON");
    let rows = rows["data"].as_array().expect("a list").clone();
    assert_eq!(
        rows.iter().map(|row| row["number"].as_u64()).collect::<Vec<_>>(),
        (1..6).map(Some).collect::<Vec<_>>()
    );
    rows.iter().map(|row| text(&row["share"])).collect()
}

/// A configuration that names each of these shares in a file of its own.
fn config(place: &Place, shares: &[&String]) -> String {
    let write = |(at, share): (usize, &&String)| {
        private(place, &format!("share-file-{at}"), share).display().to_string()
    };
    let files: Vec<String> = shares.iter().enumerate().map(write).collect();
    format!("root_key: {{shares: [{}]}}", files.join(", "))
}

#[test]
fn ops_3_enough_shares_make_the_root_key_whichever_they_are() {
    let place = Place::new();
    let (secret, shares) = split(&place);
    for chosen in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
        let chosen = chosen.map(|at| &shares[at]);
        serves(&place, &secret, &config(&place, &chosen), &[]);
    }
    serves(&place, &secret, &config(&place, &shares.iter().collect::<Vec<_>>()), &[]);
    let one = private(&place, "all-in-one", &shares[1..4].join("\n\n"));
    serves(&place, &secret, &format!("root_key: {{shares: [{}]}}", one.display()), &[]);
    for share in &shares {
        assert!(!place.log().contains(share) && !place.dump().contains(share));
    }
}

#[test]
fn ops_3_too_few_doubled_mixed_and_damaged_shares_are_refused_precisely() {
    let place = Place::new();
    let (secret, shares) = split(&place);
    let other = five(&place, &config(&place, &[&shares[0], &shares[1], &shares[2]]));
    let [a, b, c, ..] = &shares[..] else { panic!("five shares") };
    let damaged = format!("{}{}", &c[..c.len() - 1], if c.ends_with('0') { "1" } else { "0" });
    let no_share = "correct horse".to_owned();
    for (given, why) in [
        (vec![a, b], vec!["3 shares of the root key are needed, 2 given"]),
        (vec![a, b, a], vec!["share 1 was given twice", "share-file-0", "share-file-2"]),
        (vec![a, b, &other[2]], vec!["different sets", "share-file-0", "share-file-2"]),
        (vec![a, b, &damaged], vec!["share-file-2", "damaged"]),
        (vec![a, b, &no_share], vec!["share-file-2", "this is no share"]),
    ] {
        stays_closed(&place, &config(&place, &given), &[], 14, &why);
    }
    let alone = private(&place, "alone", a);
    stays_closed(&place, &format!("root_key: {{file: {}}}", alone.display()), &[], 3, &["root_key.shares"]);
    serves(&place, &secret, &config(&place, &[a, b, c]), &[]);
    serves(&place, &secret, &config(&place, &[&other[0], &other[3], &other[4]]), &[]);
}

#[test]
fn ops_3_ops_4_shares_of_another_root_key_do_not_open_this_database() {
    let place = Place::new();
    let (secret, shares) = split(&place);
    let foreign = root_key_new(&place, &["split", "--shares", "3", "--threshold", "2", "-o", "json"]);
    let foreign: Value = serde_json::from_str(&foreign).expect("JSON");
    let foreign = [text(&foreign["data"][0]["share"]), text(&foreign["data"][1]["share"])];
    let config_of = config(&place, &[&foreign[0], &foreign[1]]);
    stays_closed(&place, &config_of, &[], 3, &["does not belong to this database"]);
    serves(&place, &secret, &config(&place, &[&shares[0], &shares[1], &shares[2]]), &[]);
}

fn root_key_new(place: &Place, args: &[&str]) -> String {
    let output =
        place.keyward(&[&["root-key"], args, &["--new"]].concat()).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn ops_3_a_first_start_takes_new_shares_from_a_folder() {
    let place = Place::new();
    let folder = place.folder.path().join("shares");
    root_key_new(
        &place,
        &["split", "--shares", "3", "--threshold", "2", "--to", folder.to_str().expect("UTF-8")],
    );
    let files: Vec<PathBuf> = (1..4).map(|number| folder.join(format!("share-{number}"))).collect();
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 3);
    let config = format!("root_key: {{shares: [{}, {}]}}", files[0].display(), files[2].display());
    let file = private(&place, "first.yml", &config);
    let args = ["bootstrap", "--username", "root", "-o", "json", "--config", file.to_str().expect("UTF-8")];
    let done = place.run(&args);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let made: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(!place.data().join("root.key").exists(), "no other root key was made");
    let others = format!("root_key: {{shares: [{}, {}]}}", files[1].display(), files[2].display());
    serves(&place, &text(&made["secret"]), &others, &[]);
}

#[test]
fn ops_3_shares_are_typed_or_piped_in() {
    let place = Place::new();
    let (_, shares) = split(&place);
    let file = private(&place, "ask.yml", "root_key: {shares: ['-']}");
    let data = place.data();
    let args = ["pepper", "status", "--config", file.to_str().expect("UTF-8")];
    let [question_1, question_2, question_3] =
        [1, 2, 3].map(|n| format!("share {n} of the root key (not shown): "));
    let mistyped = shares[3].replace('-', " ").replacen('0', "1", 1);
    let dialogue = [
        (question_1.as_str(), shares[4].as_str()),
        (&question_2, &mistyped),
        (&question_2, &shares[3]),
        (&question_3, &shares[0]),
    ];
    let (code, shown) = typing::run(&place, &args, &dialogue);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("the share is damaged") && !shown.contains(&shares[0]), "{shown}");
    let mut piped = place.keyward(&[&args[..], &["--data-dir", data.to_str().expect("UTF-8")]].concat());
    let run = run_with_input(&mut piped, &shares[1..4].join("\n"));
    assert_eq!(run.code, 0, "{}", run.err);
    let before = snapshot(&place);
    let run = run_with_input(&mut piped, &shares[1..3].join("\n"));
    assert_eq!(run.code, 14, "{}", run.err);
    assert!(run.err.contains("3 shares of the root key are needed, 2 given"), "{}", run.err);
    assert_eq!(snapshot(&place), before);
}

#[test]
fn ops_3_shares_are_shown_where_they_were_asked_for_only() {
    let place = Place::new();
    place.bootstrap();
    let before = snapshot(&place);
    let piped = root_key(&place, "", &["split", "--shares", "3", "--threshold", "2"]);
    assert_eq!((piped.code, piped.out.as_str()), (2, ""), "{}", piped.err);
    assert!(piped.err.contains("--to DIR"), "{}", piped.err);
    for (shares, threshold) in [("3", "4"), ("3", "1"), ("0", "0"), ("256", "2")] {
        let args = ["split", "--shares", shares, "--threshold", threshold, "-o", "json"];
        let run = root_key(&place, "", &args);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{threshold} of {shares}: {}", run.err);
    }
    assert_eq!(snapshot(&place), before);
    let (code, shown) = typing::run(&place, &["root-key", "split", "--shares", "3", "--threshold", "2"], &[]);
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches("kwshare1-").count(), 3, "{shown}");
}
