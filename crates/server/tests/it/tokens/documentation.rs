//! The page about trusted authentication does what it says.

use std::fs;

use serde_json::Value;

use super::NAMED;
use crate::support::{Server, repository, text};

const PAGE: &str = "docs/how-to/embed/trusted-authentication.md";
/// Stands between the outputs of two blocks.
const CUT: &str = "-- next block --";

#[test]
fn ts_1_ts_8_the_blocks_of_the_page_work_from_top_to_bottom() {
    let server = Server::with_config(NAMED);
    let role = server.root().role("reader", &["me:read", "models/**:read", "reports:read"]);
    server.root().user("ada", &[&role]);
    assert_eq!(follow(&server, PAGE), (6, 1));
    assert_eq!(server.root().get("/v1/trusted").ok()["data"][0]["state"], "disabled");
}

/// Runs every block of a page, compares what it shows; how many of both there are.
pub(crate) fn follow(server: &Server, page: &str) -> (usize, usize) {
    let page = fs::read_to_string(repository().join(page)).expect("the page");
    let blocks: Vec<(&str, &str)> =
        page.split("\n```").skip(1).step_by(2).filter_map(|text| text.split_once('\n')).collect();
    let scripts: Vec<&str> = blocks.iter().filter(|(kind, _)| *kind == "sh").map(|(_, text)| *text).collect();
    let script = scripts.join(&format!("\necho '{CUT}'\n")).replace("https://keys.example.org", &server.url);
    let told = run(server, &script);
    let outputs: Vec<&str> = told.split(&format!("{CUT}\n")).collect();
    let mut compared = 0;
    let mut at = 0;
    for (kind, text) in blocks {
        match kind {
            "sh" => at += 1,
            "json" => {
                let shown: Value = serde_json::from_str(text).expect("JSON on the page");
                let seen: Value = serde_json::from_str(outputs[at - 1]).expect("a JSON answer");
                assert!(within(&shown, &seen), "{shown}\n{seen}");
                compared += 1;
            }
            other => panic!("a block of {other}"),
        }
    }
    assert_eq!(outputs.len(), scripts.len());
    (scripts.len(), compared)
}

/// What the blocks print, run by one shell.
fn run(server: &Server, script: &str) -> String {
    let keyward = server.place.keyward(&[]);
    let folder = std::path::Path::new(keyward.get_program()).parent().expect("a folder").display();
    let path = std::env::var("PATH").expect("a path");
    let mut bash = std::process::Command::new("bash");
    bash.args(["-euc", script]).current_dir(keyward.get_current_dir().expect("a folder"));
    bash.env("PATH", format!("{folder}:{path}"));
    bash.env("KEYWARD_URL", &server.url).env("KEYWARD_TOKEN", server.operator());
    bash.env("ACCESS_KEY", text(&server.root["access_key"]));
    let output = bash.output().expect("bash runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Whether everything that the page shows is so; `…` stands for what differs each time.
fn within(shown: &Value, seen: &Value) -> bool {
    match (shown, seen) {
        (Value::Object(shown), _) => shown.iter().all(|(name, value)| within(value, &seen[name])),
        (Value::String(shown), Value::String(seen)) => match shown.strip_suffix('…') {
            Some(start) => seen.starts_with(start),
            None => shown == seen,
        },
        _ => shown == seen,
    }
}
