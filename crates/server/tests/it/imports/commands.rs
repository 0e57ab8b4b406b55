//! `keyward import`, `keyward export` and `keyward keys report`.

use std::fs;

use serde_json::{Value, json};

use super::{SHA256, TEXT};
use crate::api::all;
use crate::cli::Run;
use crate::support::{Server, text};

fn run(server: &Server, args: &[&str]) -> Run {
    let mut command = server.place.keyward(args);
    command.env("KEYWARD_URL", &server.url).env("KEYWARD_TOKEN", server.operator());
    command.output().expect("the binary runs").into()
}

fn told(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|why| panic!("{why}: {}{}", run.out, run.err))
}

/// Writes a file into the folder of the server, where its commands run.
fn write(server: &Server, name: &str, content: &str) {
    fs::write(server.place.folder.path().join(name), content).expect("written");
}

#[test]
fn x_11_a_csv_file_with_columns_of_its_own() {
    let server = Server::start();
    let root = server.root();
    let file =
        format!("digest,nr,who,until\n{SHA256},17,root,2099-01-01 00:00:00+00:00\nnonsense,18,root,\n");
    write(&server, "keys.csv", &file);
    root.patch("/v1/policies", json!({ "member": { "max_ttl_days": null } })).expect(200);
    let args = ["import", "keys", "keys.csv", "--source", "old", "--hash", "sha256", "-o", "json"];
    let map = [
        "--map",
        "hash=digest",
        "--map",
        "external_id=nr",
        "--map",
        "owner=who",
        "--map",
        "expires_at=until",
    ];
    let all_args: Vec<&str> = args.into_iter().chain(map).collect();
    let dry: Vec<&str> = all_args.iter().copied().chain(["--dry-run"]).collect();
    let tried = run(&server, &dry);
    assert_eq!((tried.code, &told(&tried)["imported"]), (1, &json!(1)), "{}", tried.err);
    assert_ne!(root.code(TEXT), "ok");
    let done = run(&server, &all_args);
    let report = told(&done);
    assert_eq!((done.code, &report["imported"], &report["failed"]), (1, &json!(1), &json!(1)));
    let error = &report["errors"][0];
    assert_eq!(
        (&error["line"], &error["external_id"], &error["code"]),
        (&json!(3), &json!("18"), &json!("bad_hash"))
    );
    let verified = root.verify(TEXT);
    assert_eq!((&verified["code"], &verified["key"]["label"]), (&json!("ok"), &json!("17")));
    let key = root.get(&format!("/v1/keys/{}", text(&verified["key"]["id"]))).ok();
    assert_eq!(key["expires_at"], "2099-01-01T00:00:00.000Z");
    let again: Vec<&str> = all_args.iter().copied().chain(["--resume"]).collect();
    assert_eq!(told(&run(&server, &again))["skipped"], 1);
}

#[test]
fn x_11_the_tables_of_other_systems_need_no_map() {
    let server = Server::start();
    let root = server.root();
    let rows = [
        json!({ "id": "k1", "key": "vQH--DnkeahZY79lkOs36ph9DIZ5M3qmjBt3BjtYIKI", "start": "ba_HnT", "name": "Build", "enabled": true }),
        json!({ "id": "k2", "key": "vQH--DnkeahZY79lkOs36ph9DIZ5M3qmjBt3BjtYIKJ", "start": "ba_xyz", "enabled": false }),
    ];
    write(&server, "better.jsonl", &rows.map(|row| row.to_string()).join("\n"));
    let args = [
        "import",
        "keys",
        "better.jsonl",
        "--source",
        "better",
        "--hash",
        "better_auth",
        "--set",
        "class=ingest",
    ];
    let done = run(&server, &args);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(done.err.contains("1 rows are revoked or disabled"), "{}", done.err);
    let verified = root.verify("ba_HnT5uEw2RkYq8ZsLcVx7PdGm");
    assert_eq!((&verified["code"], &verified["key"]["label"]), (&json!("ok"), &json!("Build")));
    let drf = "id,prefix,hashed_key,name,revoked,expiry_date\nx,Qw9Er8Ty,pbkdf2_sha256$260000$NaCl4Django$SPqCucifsnEp52bq+biewA6iYttPvyWBtHOoIaRWGEA=,Partner,f,\n";
    write(&server, "drf.csv", drf);
    let args =
        ["import", "keys", "drf.csv", "--source", "drf", "--hash", "drf_api_key", "--set", "class=ingest"];
    assert_eq!(run(&server, &args).code, 0);
    assert_eq!(root.code("Qw9Er8Ty.Ui7Op6As5Df4Gh3Jk2Lz1Xc0Vb9Nm8Qq"), "ok");
    write(
        &server,
        "hmac.jsonl",
        "{\"external_id\": \"h\", \"hash\": \"b70c90f9cbfe57aa562cf76adf95c8f9bf0f68f939a3e0822973228d6c19f552\", \"class\": \"ingest\"}",
    );
    write(&server, "hmac.key", "old gateway's key\n");
    let args = [
        "import",
        "keys",
        "hmac.jsonl",
        "--source",
        "gw",
        "--hash",
        "hmac_sha256",
        "--hmac-key-file",
        "hmac.key",
    ];
    assert_eq!(run(&server, &args).code, 0);
    assert_eq!(root.code("gw.Rt5Yu8Io2Pa6Sd9Fg3Hj"), "ok");
}

#[test]
fn x_11_sto_9_a_printed_request_holds_no_credential() {
    let server = Server::start();
    write(
        &server,
        "plain.jsonl",
        &json!({ "external_id": "a", "hash": "plain-Qz8Wx7Ec6Rv5Tb4Yn3" }).to_string(),
    );
    write(&server, "hmac.key", "old gateway's key\n");
    let args = [
        "import",
        "keys",
        "plain.jsonl",
        "--source",
        "old",
        "--hash",
        "hmac_sha256",
        "--hmac-key-file",
        "hmac.key",
    ];
    let printed = run(&server, &args.iter().copied().chain(["--print-curl"]).collect::<Vec<_>>());
    assert!(
        printed.code == 0 && printed.out.contains("$KEYWARD_CREDENTIAL"),
        "{}{}",
        printed.out,
        printed.err
    );
    assert!(!printed.out.contains("plain-Qz8") && !printed.out.contains("gateway's"), "{}", printed.out);
    assert!(all(&server.root(), "/v1/audit-events?action=import.keys").is_empty());
}

#[test]
fn x_11_many_rows_go_in_several_requests() {
    let server = Server::start();
    let rows: String = (0..2_500)
        .map(|number| {
            format!("{{\"external_id\": \"{number}\", \"hash\": \"{number:064x}\", \"class\": \"ingest\"}}\n")
        })
        .collect();
    write(&server, "many.jsonl", &rows);
    let args = ["import", "keys", "many.jsonl", "--source", "many", "--hash", "sha256", "-o", "json"];
    let report = told(&run(&server, &args));
    assert_eq!((&report["rows"], &report["imported"]), (&json!(2_500), &json!(2_500)));
    let report = run(&server, &["keys", "report"]);
    assert_eq!(report.out.matches("\r\n").count(), 2_502, "a first line and the operator's key");
    assert_eq!(all(&server.root(), "/v1/audit-events?action=import.keys").len(), 3);
}

#[test]
fn x_11_a_file_that_is_none_is_refused_with_its_line() {
    let server = Server::start();
    write(&server, "broken.jsonl", "{\"external_id\": \"a\"}\n{broken\n");
    let args = ["import", "keys", "broken.jsonl", "--source", "old", "--hash", "sha256"];
    let broken = run(&server, &args);
    assert_eq!(broken.code, 2);
    assert!(broken.err.contains("line 2"), "{}", broken.err);
    let wrong = ["--map", "hsh=digest"];
    let wrong = run(&server, &args.iter().copied().chain(wrong).collect::<Vec<_>>());
    assert!(wrong.code == 2 && wrong.err.contains("did you mean hash?"), "{}", wrong.err);
    assert_eq!(
        run(&server, &["import", "keys", "missing.csv", "--source", "old", "--hash", "sha256"]).code,
        1
    );
}

#[test]
fn x_11_users_come_with_roles_and_groups_by_name_and_out_of_an_export() {
    let server = Server::start();
    let root = server.root();
    root.role("reader", &["reports:read"]);
    root.post("/v1/groups", json!({ "name": "Team" })).expect(201);
    let file = "username,email,display_name,roles,groups\nmia,mia@example.com,Mia,reader,Team\nada,,,nobody has this,\nMIA,,,,\n";
    write(&server, "users.csv", file);
    let before = all(&root, "/v1/users").len();
    let dry = run(&server, &["import", "users", "users.csv", "--dry-run", "-o", "json"]);
    // Each alone is fine: that two are one and the same shows when the first is there.
    assert_eq!((&told(&dry)["imported"], all(&root, "/v1/users").len()), (&json!(2), before));
    let done = run(&server, &["import", "users", "users.csv", "-o", "json"]);
    let report = told(&done);
    assert_eq!((&report["imported"], &report["failed"]), (&json!(1), &json!(2)), "{}", done.err);
    let codes: Vec<String> =
        report["errors"].as_array().expect("a list").iter().map(|error| text(&error["code"])).collect();
    assert_eq!(codes, ["not_found", "already_exists"]);
    let mia = all(&root, "/v1/users?q=mia")[0].clone();
    assert_eq!((&mia["email"], &mia["display_name"]), (&json!("mia@example.com"), &json!("Mia")));
    assert!(mia["rights"].to_string().contains("reports:read") && !mia["group_ids"].to_string().eq("[]"));
    let exported = run(&server, &["export", "--what", "roles,users"]);
    assert_eq!(exported.code, 0);
    root.delete(&format!("/v1/users/{}", text(&mia["id"]))).expect(204);
    write(&server, "tenant.jsonl", &exported.out);
    let again = run(&server, &["import", "users", "tenant.jsonl", "--resume", "-o", "json"]);
    let report = told(&again);
    // The first administrator has a name that is reserved.
    assert_eq!((&report["imported"], &report["failed"]), (&json!(1), &json!(1)), "{}", again.err);
    assert_eq!(report["errors"][0]["external_id"], "root");
    assert_eq!(all(&root, "/v1/users?q=mia")[0]["role_ids"], mia["role_ids"]);
}

#[test]
fn x_11_the_report_comes_as_csv_and_as_json() {
    let server = Server::start();
    let csv = run(&server, &["keys", "report"]);
    assert!(csv.code == 0 && csv.out.starts_with("id,access_key,label,"), "{}{}", csv.out, csv.err);
    for args in [&["keys", "report", "--format", "json"][..], &["keys", "report", "-o", "json"]] {
        let rows = told(&run(&server, args));
        assert_eq!(rows.as_array().map(Vec::len), Some(1));
        assert_eq!(rows[0]["access_key"], server.root["access_key"]);
    }
    let lines = run(&server, &["keys", "report", "-o", "jsonl"]);
    assert_eq!(lines.out.lines().count(), 1);
}
