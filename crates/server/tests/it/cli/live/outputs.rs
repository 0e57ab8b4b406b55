//! What stdout carries, in every format.

use serde_json::{Value, json};

use super::Shell;
use crate::support::text;

fn with_keys(count: usize) -> Shell {
    let shell = Shell::start();
    for number in 0..count {
        shell.json(&["keys", "create", "--class", "ingest", "--label", &format!("key, \"{number}\"")]);
    }
    shell
}

#[test]
fn json_jsonl_and_yaml_are_the_api_objects() {
    let shell = with_keys(3);
    let api = shell.root().get("/v1/keys?class=ingest&sort=label").ok();
    let list = ["keys", "list", "--where", "class=ingest", "--sort", "label"];
    assert_eq!(shell.json(&list), api);
    let with = |format: &str| shell.ok(&[&list[..], &["-o", format]].concat()).out;
    let lines: Vec<Value> =
        with("jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(json!(lines), api["data"]);
    let yaml = with("yaml");
    assert!(yaml.contains("status: active") && yaml.contains("next_cursor: null"), "{yaml}");
    let shown = shell.ok(&["keys", "show", &text(&lines[0]["id"]), "-o", "yaml"]).out;
    assert!(shown.contains(&format!("access_key: {}", text(&lines[0]["access_key"]))), "{shown}");
}

#[test]
fn tsv_is_for_pipes_and_csv_for_spreadsheets() {
    let shell = with_keys(2);
    let run = shell.ok(&["keys", "ls", "--where", "class=ingest", "--sort", "label"]);
    let lines: Vec<Vec<&str>> = run.out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 3, "{}", run.out);
    assert_eq!(&lines[0][..3], ["access_key", "label", "status"]);
    assert_eq!((lines[1][1], lines[1][2]), ("key, \"0\"", "active"));
    let bare = shell.ok(&[
        "keys",
        "ls",
        "--where",
        "class=ingest",
        "--fields",
        "label,class",
        "--no-headers",
        "--sort",
        "-label",
    ]);
    assert_eq!(bare.out, "key, \"1\"\tingest\nkey, \"0\"\tingest\n");
    let csv = shell.ok(&[
        "keys",
        "ls",
        "--where",
        "class=ingest",
        "--fields",
        "label,class",
        "--sort",
        "label",
        "-o",
        "csv",
    ]);
    assert_eq!(csv.out, "label,class\r\n\"key, \"\"0\"\"\",ingest\r\n\"key, \"\"1\"\"\",ingest\r\n");
    let table = shell.ok(&["keys", "ls", "--where", "class=ingest", "-o", "table"]);
    assert!(table.out.starts_with("ACCESS KEY"), "{}", table.out);
}

#[test]
fn long_lists_go_on_where_they_stopped() {
    let shell = with_keys(5);
    let first = shell.ok(&["keys", "ls", "--where", "class=ingest", "--limit", "2", "-o", "jsonl"]);
    assert_eq!(first.out.lines().count(), 2);
    let cursor = first.err.split("--cursor ").nth(1).expect("names the cursor").trim().to_owned();
    let rest = shell.ok(&["keys", "ls", "--where", "class=ingest", "--cursor", &cursor, "-o", "jsonl"]);
    assert_eq!(rest.out.lines().count(), 3);
    let all = shell.ok(&["keys", "ls", "--where", "class=ingest", "--all", "-o", "jsonl"]);
    assert_eq!(all.out, first.out + &rest.out);
    let paged = shell.ok(&["api", "GET", "/v1/keys?class=ingest&limit=2", "--paginate"]);
    let paged: Value = serde_json::from_str(&paged.out).expect("JSON");
    assert_eq!(paged["data"].as_array().map(Vec::len), Some(5), "{paged}");
}

#[test]
fn every_filter_of_the_command_line_is_one_of_the_server() {
    let shell = with_keys(1);
    let id = text(&shell.json(&["keys", "ls"])["data"][0]["id"]);
    let time = "2030-01-01T00:00:00Z";
    for (noun, filters) in [
        (
            "keys",
            vec![
                "status=active,expiring",
                "class=ingest",
                "owner_id=user_0",
                "q=x",
                "label=x",
                "created_by=root",
                &format!("created_before={time}"),
                &format!("created_after={time}"),
                &format!("expires_before={time}"),
                &format!("expires_after={time}"),
                &format!("last_used_before={time}"),
                "never_expires=true",
                "unused=true",
                "sort=-created_at",
            ],
        ),
        ("users", vec!["state=active", "q=x", "username=root", "group_id=group_0", "role_id=role_0"]),
        ("groups", vec!["q=x"]),
        ("roles", vec!["q=x"]),
        ("tenants", vec!["q=x"]),
        (
            "audit",
            vec![
                "actor_id=x",
                &format!("target_id={id}"),
                "action=key.create",
                "outcome=success",
                &format!("since={time}"),
                &format!("until={time}"),
            ],
        ),
    ] {
        for filter in filters {
            shell.ok(&[noun, "list", "--where", filter]);
        }
        let run = shell.ends(2, &[noun, "list", "--where", "nonsense=1"]);
        // What the help offers is what was tried above.
        assert!(run.err.contains("filters here: "), "{noun}: {}", run.err);
    }
    shell.ends(2, &["users", "list", "--sort", "username"]);
    let told = shell.ends(2, &["groups", "members", "Administrators", "--where", "q=x"]);
    assert!(told.err.contains("no filters"), "{}", told.err);
}
