//! `keyward config`, `pepper`, `recover`, `bootstrap`: on the machine of the server.

use serde_json::Value;

use super::{Run, Shell, valid};
use crate::support::{text, wait_until};

fn on_place(shell: &Shell, args: &[&str]) -> Run {
    shell.server.place.run(args).into()
}

fn config(shell: &Shell, args: &[&str]) -> Run {
    shell.server.place.keyward(args).output().expect("the binary runs").into()
}

#[test]
fn config_is_shown_checked_and_explained() {
    let shell = Shell::start();
    let file = shell.server.place.folder.path().join("mine.yml");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, "verify: { max_staleness: 700ms }\n").expect("written");
    let shown = config(&shell, &["config", "show", "--config", path, "-o", "json"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    let row =
        shown["data"].as_array().expect("a list").iter().find(|row| row["setting"] == "verify.max_staleness");
    let row = row.expect("is a setting");
    assert_eq!(row["value"], "700ms");
    assert!(text(&row["origin"]).contains("mine.yml"), "{row}");
    assert_eq!(config(&shell, &["config", "check", "--config", path]).code, 0);
    let told = config(&shell, &["config", "explain", "verify.max_staleness", "--config", path]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("KEYWARD_VERIFY__MAX_STALENESS") && told.out.contains("700ms"), "{}", told.out);
    let told = config(&shell, &["config", "explain", "dialects"]);
    assert!(!told.out.contains("\\n"), "{}", told.out);
    assert_eq!(config(&shell, &["config", "explain", "verify.staleness"]).code, 5);
    let typed = config(&shell, &["config", "explain", "Verify.Max_Stalenes"]);
    assert_eq!(typed.code, 5, "{}", typed.err);
    assert!(typed.err.contains("hint: did you mean verify.max_staleness?"), "{}", typed.err);
    std::fs::write(&file, "verify: { max_stalenes: 700ms }\nserver: { lisen: 1 }\n").expect("written");
    let wrong = config(&shell, &["config", "check", "--config", path]);
    assert_eq!(wrong.code, 3);
    assert!(wrong.err.contains("max_staleness") && !wrong.err.contains("\\n"), "{}", wrong.err);
    assert!(wrong.err.lines().count() > 2, "a line for each error: {}", wrong.err);
}

#[test]
fn sto_3_peppers_rotate_and_retire_beside_a_running_server() {
    let shell = Shell::with_config("verify: { usage_flush: 1s }\n");
    let used = text(&shell.json(&["keys", "create", "--class", "ingest", "--label", "used"])["secret"]);
    let left = text(&shell.json(&["keys", "create", "--class", "ingest", "--label", "left"])["secret"]);
    let status = || -> Vec<Value> {
        let run = on_place(&shell, &["pepper", "status", "-o", "json"]);
        assert_eq!(run.code, 0, "{}", run.err);
        let told: Value = serde_json::from_str(&run.out).expect("JSON");
        told["data"].as_array().expect("a list").clone()
    };
    assert_eq!((status().len(), status()[0]["state"].clone()), (1, "current".into()));
    assert_eq!(on_place(&shell, &["pepper", "retire", "1"]).code, 6, "the current pepper was retired");
    assert_eq!(on_place(&shell, &["pepper", "rotate"]).code, 0);
    assert_eq!(status().iter().map(|row| text(&row["state"])).collect::<Vec<_>>(), ["current", "old"]);
    // The running server hears of it, and moves what is used: this key and the operator's.
    wait_until(|| shell.verify(&used) == valid() && status()[0]["secrets"].as_i64() >= Some(2));
    let refused = on_place(&shell, &["pepper", "retire", "1"]);
    assert_eq!(refused.code, 6);
    assert!(refused.err.contains("1 live secrets"), "{}", refused.err);
    assert_eq!(shell.verify(&left), valid(), "moves it too");
    wait_until(|| status()[1]["secrets"] == 0);
    assert_eq!(on_place(&shell, &["pepper", "retire", "1"]).code, 0);
    assert_eq!(on_place(&shell, &["pepper", "retire", "1"]).code, 5);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!((shell.verify(&used), shell.verify(&left)), (valid(), valid()));
}

#[test]
fn ops_1_ops_2_bootstrap_works_once_and_recover_makes_a_way_back() {
    let shell = Shell::start();
    let again = on_place(&shell, &["bootstrap", "--username", "intruder", "-o", "json"]);
    assert_eq!((again.code, again.out.as_str()), (6, ""), "{}", again.err);
    let run = on_place(&shell, &["recover", "-o", "json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let made: Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!((&made["tenant_id"], &made["user_id"]), (&shell.server.root["tenant_id"], &Value::Null));
    let caller = shell.server.caller(&text(&made["secret"]));
    caller.get("/v1/tenants").expect(200);
    let events = caller.get("/v1/audit-events?action=key.create").ok();
    assert_eq!(events["data"][0]["actor"]["id"], "recover", "{events}");
}
