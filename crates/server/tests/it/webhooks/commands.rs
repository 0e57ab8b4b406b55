//! `keyward webhooks`

use std::process::Output;

use serde_json::Value;

use super::scene;
use crate::support::{Server, text};

fn run(server: &Server, args: &[&str]) -> Output {
    let mut command = server.place.keyward(args);
    command.env("KEYWARD_URL", &server.url).env("KEYWARD_TOKEN", server.operator());
    command.output().expect("the binary runs")
}

fn json(server: &Server, args: &[&str]) -> Value {
    let done = run(server, &[args, &["-o", "json"]].concat());
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

#[test]
fn out_1_webhooks_on_the_command_line() {
    let (server, receiver) = scene();
    let (good, bad) = (receiver.url("/ok"), receiver.url("/fail"));
    // Without a place for the secret nothing is made.
    let piped = run(&server, &["webhooks", "add", &good, "--event", "key.*"]);
    assert_eq!(piped.status.code(), Some(2), "{piped:?}");
    let refused = run(&server, &["webhooks", "add", &good, "--event", "kee.*", "-o", "json"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean key.*?"), "{refused:?}");
    let file = server.place.folder.path().join("hook.secret");
    let out = file.to_str().expect("UTF-8");
    let add = ["webhooks", "add", &good, "--event", "key.*", "--description", "Chat", "--secret-out", out];
    let made = json(&server, &add);
    assert_eq!((&made["secret"], text(&made["description"]).as_str()), (&Value::Null, "Chat"));
    let first = std::fs::read_to_string(&file).expect("written");
    assert!(first.starts_with("whsec_"));
    let id = text(&made["id"]);
    assert_eq!(json(&server, &["webhooks", "ls"])["data"].as_array().map(Vec::len), Some(1));

    let row = json(&server, &["webhooks", "test", &id]);
    assert_eq!((text(&row["state"]).as_str(), text(&row["event"]).as_str()), ("delivered", "webhook.test"));
    assert!(receiver.at("/ok")[0].is_by(first.trim()));
    let replayed = json(&server, &["webhooks", "replay", &id, &text(&row["id"])]);
    assert_eq!(replayed["id"], row["id"]);
    receiver.wait_for("/ok", 2);
    let rotated = json(&server, &["webhooks", "rotate-secret", &id, "--overlap", "1h"]);
    assert!(text(&rotated["secret"]).starts_with("whsec_"));
    assert_eq!(rotated["secrets"].as_array().map(Vec::len), Some(2));

    let edited = json(&server, &["webhooks", "edit", &id, "--to", &bad, "--enabled", "false"]);
    assert_eq!((&edited["url"], &edited["enabled"]), (&bad.as_str().into(), &false.into()));
    assert_eq!(json(&server, &["webhooks", "show", &id]), edited);
    let failed = run(&server, &["webhooks", "test", &id]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("it answered 500"), "{failed:?}");
    let log = json(&server, &["webhooks", "deliveries", &id, "--where", "state=failed"]);
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(run(&server, &["webhooks", "rm", &id]).status.code(), Some(2), "not without a yes");
    assert!(run(&server, &["webhooks", "rm", &id, "--yes"]).status.success());
    assert_eq!(run(&server, &["webhooks", "show", &id]).status.code(), Some(5));
}
