//! For how long keys work after a login of their owner.

use serde_json::{Value, json};

use super::{Script, log_in, pair, read, refused, request, send, server, sessions};
use crate::api::tenant;
use crate::logins::{PASSWORD, ask_for_no_factor, somebody};
use crate::support::{Answer, Caller, text};

const VALIDITY: &str = "Authentication/AccessKey/ValidityWithoutUserLogin";
const UNUSABLE: &str = "window of this user is 0";
const CREATION: &str = "Authentication/AccessKey/Creation/Enabled";

pub(super) fn update(admin: &Caller, user: &str, body: &Value) -> Answer {
    send(request(&admin.url, "POST", &format!("/api/users/{user}/update")).bearer_auth(&admin.secret), body)
}

fn options(admin: &Caller) -> Value {
    let path = "/api/system/configuration/options";
    read(request(&admin.url, "GET", path).bearer_auth(&admin.secret)).ok()["configurationOptions"].clone()
}

fn set(admin: &Caller, options: Value) -> Answer {
    let path = "/api/system/configuration/options";
    let body = json!({ "configurationOptions": options });
    send(request(&admin.url, "POST", path).bearer_auth(&admin.secret), &body)
}

#[test]
fn sq_4_an_administrator_overrides_the_validity_for_one_user() {
    let server = server();
    let root = server.root();
    let (user, key) = root.member("grace", &[]);
    let minutes = |count: i64| json!({ "AccessKeyValidityDuration": count });
    let told = update(&root, &user, &minutes(0)).ok();
    assert_eq!((&told["id"], &told["AccessKeyValidityDuration"]), (&json!(user), &json!(0)));
    refused(&log_in(&server.url, &pair(&key)), 401, UNUSABLE);
    // They can still be created.
    let create = request(&server.url, "POST", "/api/access-keys").bearer_auth(&root.secret);
    let created = send(create, &json!({ "label": "for later", "userId": user })).ok();
    assert_eq!(created["status"], "suspended");
    let later = json!({ "username": created["accessKey"], "password": created["password"] });
    refused(&log_in(&server.url, &later), 401, UNUSABLE);
    assert_eq!(update(&root, &user, &minutes(-1)).ok()["AccessKeyValidityDuration"], -1);
    assert_eq!(root.get(&format!("/v1/users/{user}")).ok()["owner_login_window_minutes"], Value::Null);
    log_in(&server.url, &pair(&key)).expect(200);
    log_in(&server.url, &later).expect(200);
    // Two hours ago: within the fourteen days of the system, and not within an hour.
    server.place.sql("UPDATE users SET created_at = created_at - 7200000 WHERE username = 'grace'");
    update(&root, &user, &minutes(60)).expect(200);
    refused(&log_in(&server.url, &pair(&key)), 401, "as soon as its owner logs in");
    update(&root, &user, &minutes(180)).expect(200);
    log_in(&server.url, &pair(&key)).expect(200);
    assert_eq!(root.get("/v1/audit-events?action=user.edit").ok()["data"].as_array().map(Vec::len), Some(4));
}

#[test]
fn sq_4_what_cannot_be_updated_changes_nothing() {
    let server = server();
    let root = server.root();
    let (user, _) = root.member("grace", &[]);
    let before = root.get(&format!("/v1/users/{user}")).ok();
    for (body, words) in [
        (json!({ "SessionDuration": 0 }), "SessionDuration: must be from 1 to 43200, or -1"),
        (json!({ "SessionDuration": -2 }), "SessionDuration"),
        (json!({ "SessionDuration": 43_201 }), "SessionDuration"),
        (json!({ "SessionDuration": "60" }), "SessionDuration"),
        (json!({ "AccessKeyValidityDuration": 60, "SessionDuration": 1.5 }), "SessionDuration"),
        (json!({ "AccessKeyValidityDuration": 60, "SessionDuration": 0 }), "SessionDuration"),
        (json!({}), "AccessKeyValidityDuration"),
        (json!({ "email": "grace@example.org" }), "AccessKeyValidityDuration"),
        (json!({ "AccessKeyValidityDuration": "60" }), "AccessKeyValidityDuration"),
        (json!({ "AccessKeyValidityDuration": -2 }), "validity of access keys"),
        (json!({ "AccessKeyValidityDuration": 5_256_001 }), "validity of access keys"),
    ] {
        refused(&update(&root, &user, &body), 400, words);
    }
    let minutes = json!({ "AccessKeyValidityDuration": 60 });
    refused(&update(&root, "user_00000000000000000000000000", &minutes), 404, "");
    let (_, acme) = tenant(&server, "acme");
    refused(&update(&acme, &user, &minutes), 404, "");
    let (_, plain) = root.member("heidi", &[]);
    refused(&update(&server.caller(&text(&plain["secret"])), &user, &minutes), 403, "users:write");
    assert_eq!(root.get(&format!("/v1/users/{user}")).ok(), before);
    // Neither a key nor a session that it opened spares its owner to log in.
    let (boss, key) = root.member("boss", &["**:*"]);
    let script = Script::log_in(&server, &pair(&key));
    refused(
        &script.post(&format!("/api/users/{boss}/update"), json!({ "AccessKeyValidityDuration": 5_256_000 })),
        403,
        "",
    );
    refused(&update(&server.caller(&text(&key["secret"])), &boss, &minutes), 403, "");
    script.post(&format!("/api/users/{user}/update"), minutes).expect(200);
}

#[test]
fn sq_4_the_system_has_options_that_are_the_policy_of_the_tenant() {
    let server = server();
    let (_, admin) = tenant(&server, "acme");
    let (_, key) = admin.member("grace", &[]);
    let policy = || {
        let policy = admin.get("/v1/policies").ok();
        (policy["owner_login_window_minutes"].clone(), policy["switches"]["member_keys"].clone())
    };
    let both = |window: &str, on: bool| json!([{ "path": VALIDITY, "value": window }, { "path": CREATION, "value": on }]);
    assert_eq!(options(&admin), both("14d", true), "the default of the manual");
    for (value, minutes, told) in [
        (json!("12h"), 720, "12h"),
        (json!("2 weeks"), 20_160, "14d"),
        (json!("45min"), 45, "45min"),
        (json!("-1"), -1, "-1"),
        (json!("0 days"), 0, "0"),
        (json!(null), 20_160, "14d"),
        (json!(0), 0, "0"),
    ] {
        let answer = set(&admin, json!([{ "path": VALIDITY, "value": value }])).ok();
        assert_eq!(answer["configurationOptions"], both(told, true), "{value}");
        assert_eq!(policy().0, minutes);
    }
    refused(&log_in(&server.url, &pair(&key)), 401, UNUSABLE);
    set(&admin, both("1d", false)).expect(200);
    assert_eq!(policy(), (json!(1440), json!(false)));
    refused(&log_in(&server.url, &pair(&key)), 401, "switched off this class");
    set(&admin, json!([{ "path": CREATION, "value": null }])).expect(200);
    assert_eq!(policy(), (json!(1440), json!(true)));
    log_in(&server.url, &pair(&key)).expect(200);
    let status =
        read(request(&server.url, "GET", "/api/system/server-status").bearer_auth(&admin.secret)).ok();
    assert_eq!(status["configurationOptions"], both("1d", true));
    let edits = admin.get("/v1/audit-events?action=policy.edit").ok();
    assert_eq!(edits["data"].as_array().map(Vec::len), Some(9));
    let home = server.root().get("/v1/policies").ok();
    assert_eq!(home["owner_login_window_minutes"], 20_160, "another tenant has its own");
}

#[test]
fn sq_4_an_option_that_is_refused_takes_the_others_with_it() {
    let server = server();
    let (_, admin) = tenant(&server, "acme");
    let version = || admin.get("/v1/policies").ok()["version"].clone();
    let before = version();
    let good = json!({ "path": VALIDITY, "value": "1d" });
    for (options, words) in [
        (json!([]), "name an option"),
        (json!([good, { "path": "Features/Elsewhere", "value": true }]), "no such option"),
        (json!([good, { "path": CREATION, "value": "false" }]), "true or false"),
        (json!([good, good]), "twice"),
        (json!([{ "path": CREATION, "value": false }, { "path": VALIDITY, "value": "a while" }]), "14d"),
        (json!([{ "path": VALIDITY, "value": 14 }]), "14d"),
        (json!([{ "path": VALIDITY, "value": "4000d" }]), "validity of access keys"),
        (json!([{ "path": VALIDITY }]), "value"),
        (json!({ "path": VALIDITY, "value": "1d" }), "configurationOptions"),
    ] {
        refused(&set(&admin, options), 400, words);
    }
    let (_, key) = admin.member("grace", &[]);
    let plain = server.caller(&text(&key["secret"]));
    refused(&set(&plain, json!([good])), 403, "policies:write");
    let list = request(&server.url, "GET", "/api/system/configuration/options");
    refused(&read(list.bearer_auth(&plain.secret)), 403, "policies:read");
    refused(
        &send(request(&server.url, "POST", "/api/system/configuration/options"), &json!({})),
        401,
        "not logged in",
    );
    assert_eq!(version(), before);
}

#[test]
fn sq_4_a_password_login_counts_and_one_with_a_key_does_not() {
    let server = server();
    let root = server.root();
    ask_for_no_factor(&root);
    let user = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let at = format!("/v1/users/{user}");
    let key = root.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
    let script = Script::log_in(&server, &pair(&key));
    assert_eq!(root.get(&at).ok()["last_login_at"], Value::Null);
    // Fifteen days later.
    server.place.sql("UPDATE users SET created_at = created_at - 1296000000 WHERE username = 'grace'");
    root.patch(&at, json!({ "display_name": "Grace" })).expect(200);
    let lapsed = "as soon as its owner logs in";
    refused(&script.get("/api/users/me"), 401, lapsed);
    let before = sessions(&server);
    refused(&log_in(&server.url, &pair(&key)), 401, lapsed);
    assert_eq!(sessions(&server), before);
    Script::log_in(&server, &json!({ "username": "grace", "password": PASSWORD }));
    assert!(root.get(&at).ok()["last_login_at"].is_string());
    script.get("/api/users/me").expect(200);
    log_in(&server.url, &pair(&key)).expect(200);
}

#[test]
fn sq_1_users_whose_login_is_elsewhere_use_their_keys_here() {
    let server = server();
    let root = server.root();
    let (user, key) = root.member("grace", &[]);
    let password = json!({ "username": "grace", "password": PASSWORD });
    refused(&log_in(&server.url, &password), 401, "not right");
    server.place.sql("UPDATE users SET created_at = created_at - 1296000000 WHERE username = 'grace'");
    root.patch(&format!("/v1/users/{user}"), json!({ "display_name": "Grace" })).expect(200);
    assert_eq!(log_in(&server.url, &pair(&key)).status, 401);
    // Whoever logs people in tells Keyward of it.
    root.post(&format!("/v1/users/{user}/record-login"), json!({})).expect(200);
    let script = Script::log_in(&server, &pair(&key));
    assert_eq!(script.get("/api/users/me").ok()["name"], "Grace");
}
