//! Every change leaves its event (AUD-1).

use serde_json::{Value, json};

use crate::api::person;
use crate::factors::passkeys::{Device, add, enter};
use crate::factors::{enrol, give};
use crate::logins::{PASSWORD, log_in, post, session, set_password};
use crate::oauth::Holder;
use crate::support::{Answer, Caller, Server, client, repository, text, wait_until};

/// What the event of an action holds besides its names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    After,
    Both,
    Before,
    Neither,
}

struct Scene {
    server: Server,
    root: Caller,
    root_key: Value,
    steps: std::cell::Cell<u32>,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let root = server.root();
        let root_key = root.get("/v1/me").ok();
        Self { server, root, root_key, steps: std::cell::Cell::default() }
    }

    /// Does something and checks the one event that it leaves.
    #[track_caller]
    fn step(&self, action: &str, holds: Holds, method: &str, path: &str, body: Value) -> Value {
        self.steps.set(self.steps.get() + 1);
        let request_id = format!("catalogue-{}", self.steps.get());
        let request = self.root.request(method, path).header("X-Request-Id", &request_id);
        let request = request.header("User-Agent", "catalogue/1").json(&body);
        let answer = Answer::read(request.send().expect("an answer")).ok();
        // What runs behind the answers may come between.
        let told = self.told().into_iter().filter(|event| event["request_id"] == request_id.as_str());
        let told: Vec<Value> = told.collect();
        assert_eq!(told.len(), 1, "{action}: one event");
        let event = told[0].clone();
        assert_eq!(event["action"], action);
        assert_eq!(event["outcome"], "success");
        assert_eq!(event["request_id"], request_id.as_str());
        assert_eq!(event["address"], "127.0.0.1");
        assert_eq!(event["agent"], "catalogue/1");
        assert_eq!(event["tenant_id"], self.server.tenant().as_str());
        assert_eq!(event["key_id"], self.root_key["key"]["id"]);
        assert_eq!(event["actor"]["kind"], "workspace");
        assert_eq!(event["actor"]["id"], self.root_key["key"]["id"]);
        let noun = action.split('.').next().expect("a noun");
        assert_eq!(event["target"]["kind"], if noun == "log_levels" { "instance" } else { noun });
        assert!(text(&event["at"]).ends_with('Z'));
        assert_eq!(
            !event["before"].is_null(),
            matches!(holds, Holds::Before | Holds::Both),
            "{action}: before"
        );
        assert_eq!(!event["after"].is_null(), matches!(holds, Holds::After | Holds::Both), "{action}: after");
        let shown = self.root.get(&format!("/v1/audit-events/{}", text(&event["id"]))).ok();
        assert_eq!(shown, event);
        answer
    }

    fn newest(&self) -> Value {
        self.told().remove(0)
    }

    /// The last events, the newest first. What comes of use comes at a time of its own, and is left out.
    fn told(&self) -> Vec<Value> {
        let events = self.root.get("/v1/audit-events?limit=30").ok();
        let events = events["data"].as_array().expect("events").iter();
        events.filter(|event| event["actor"]["id"] != "usage").cloned().collect()
    }
}

#[test]
fn aud_1_changes_of_keys() {
    keys(&Scene::new());
}

fn keys(scene: &Scene) {
    let body = json!({ "class": "workspace", "label": "export", "role_ids": [] });
    let key = scene.step("key.create", Holds::After, "POST", "/v1/keys", body);
    let path = format!("/v1/keys/{}", text(&key["id"]));
    let event = scene.newest();
    assert_eq!((&event["target"]["id"], &event["target"]["label"]), (&key["id"], &json!("export")));
    let at = |action: &str| format!("{path}/{action}");
    scene.step("key.edit", Holds::Both, "PATCH", &path, json!({ "label": "import" }));
    let event = scene.newest();
    assert_eq!((&event["before"]["label"], &event["after"]["label"]), (&json!("export"), &json!("import")));
    scene.step("key.deactivate", Holds::Both, "POST", &at("deactivate"), json!({ "reason": "holidays" }));
    let event = scene.newest();
    assert_eq!(
        (&event["before"]["status"], &event["after"]["status"]),
        (&json!("active"), &json!("inactive"))
    );
    assert_eq!(event["reason"], "holidays");
    scene.step("key.activate", Holds::Both, "POST", &at("activate"), json!({}));
    scene.step("key.end_sessions", Holds::After, "DELETE", &at("sessions"), json!({}));
    scene.step("key.extend", Holds::Both, "POST", &at("extend"), json!({ "ttl_seconds": 864_000 }));
    scene.step("key.rotate", Holds::Both, "POST", &at("rotate"), json!({}));
    scene.step("key.rotate_abort", Holds::Both, "POST", &at("rotate/abort"), json!({}));
    scene.step("key.rotate", Holds::Both, "POST", &at("rotate"), json!({}));
    scene.step("key.rotate_finish", Holds::Both, "POST", &at("rotate/finish"), json!({}));
    scene.step("key.new_secret", Holds::Both, "POST", &at("secret"), json!({}));
    scene.step("key.revoke", Holds::Both, "POST", &at("revoke"), json!({ "reason": "done" }));
    assert_eq!(scene.newest()["reason"], "done");
    let body = json!({ "class": "workspace", "label": "bulk", "role_ids": [] });
    scene.step("key.create", Holds::After, "POST", "/v1/keys", body);
    let bulk = json!({ "filter": { "label": "bulk" }, "reason": "incident", "confirm": "revoke 1" });
    scene.step("key.revoke", Holds::Both, "POST", "/v1/keys/revoke", bulk);
}

/// A secret that is handed over, once more than it may be, and one whose link stood in a URL.
fn handover(scene: &Scene) {
    let body = json!({ "class": "ingest", "label": "handed", "handover": {} });
    let made = scene.root.key(body);
    let path = format!("/v1/keys/{}/handover", text(&made["id"]));
    let link = scene.root.post(&path, json!({})).ok();
    let open = || post(&scene.server.url, "/v1/handovers/open", json!({ "token": link["token"] }));
    open().expect(200);
    open().expect(401);
    let other = scene.root.key(json!({ "class": "ingest", "label": "handed", "handover": {} }));
    let url = format!("{}/v1/me?token={}", scene.server.url, text(&other["handover"]["token"]));
    Answer::read(client().get(url).send().expect("an answer")).refused(400, "credential_in_url");
    wait_until(|| scene.newest()["action"] == "key.handover_voided");
}

#[test]
fn aud_1_changes_of_users_roles_and_groups() {
    directory(&Scene::new());
}

fn directory(scene: &Scene) {
    let role = json!({ "name": "analyst", "rights": ["reports:read"] });
    let role = scene.step("role.create", Holds::After, "POST", "/v1/roles", role);
    let role = format!("/v1/roles/{}", text(&role["id"]));
    scene.step("role.edit", Holds::Both, "PATCH", &role, json!({ "rights": ["reports:write"] }));
    assert_eq!(scene.newest()["before"]["rights"], json!(["reports:read"]));
    let user = scene.step("user.create", Holds::After, "POST", "/v1/users", json!({ "username": "ada" }));
    let id = text(&user["id"]);
    let user = format!("/v1/users/{id}");
    scene.step("user.edit", Holds::Both, "PATCH", &user, json!({ "display_name": "Ada" }));
    scene.step("user.record_login", Holds::Both, "POST", &format!("{user}/record-login"), json!({}));
    scene.step("user.suspend", Holds::Both, "POST", &format!("{user}/suspend"), json!({ "reason": "left" }));
    scene.step("user.resume", Holds::Both, "POST", &format!("{user}/resume"), json!({}));
    let group = scene.step("group.create", Holds::After, "POST", "/v1/groups", json!({ "name": "readers" }));
    let group = format!("/v1/groups/{}", text(&group["id"]));
    scene.step("group.edit", Holds::Both, "PATCH", &group, json!({ "description": "they read" }));
    scene.step("group.add_member", Holds::After, "PUT", &format!("{group}/members/{id}"), json!({}));
    assert!(scene.newest()["after"].to_string().contains(&id), "who was added stands in it");
    scene.step("group.remove_member", Holds::Before, "DELETE", &format!("{group}/members/{id}"), json!({}));
    scene.step("group.delete", Holds::Before, "DELETE", &group, json!({}));
    scene.step("user.delete", Holds::Before, "DELETE", &user, json!({}));
    scene.step("user.erase", Holds::After, "POST", &format!("{user}/erase"), json!({ "confirm": true }));
    scene.step("role.delete", Holds::Before, "DELETE", &role, json!({}));
}

#[test]
fn aud_1_changes_of_tenants_policy_and_operation() {
    operation(&Scene::new());
}

#[test]
fn aud_1_ts_5_changes_of_trusted_secrets_and_tokens() {
    trusted(&Scene::new());
}

fn trusted(scene: &Scene) {
    let post =
        |action: &str, holds: Holds, path: &str, body: Value| scene.step(action, holds, "POST", path, body);
    let made = post("trusted.enable", Holds::After, "/v1/trusted/enable", json!({}));
    let path = format!("/v1/trusted/{}", text(&made["id"]));
    post("trusted.copy", Holds::After, "/v1/trusted/copy", json!({}));
    let low = json!({ "ceiling": { "max_ttl_seconds": 600, "admins": true, "per_minute": 2 } });
    scene.step("trusted.edit", Holds::Both, "PATCH", &path, low);
    post("trusted.rotate", Holds::Both, &format!("{path}/rotate"), json!({}));
    post("trusted.rotate_finish", Holds::Both, &format!("{path}/rotate/finish"), json!({}));
    let secret = text(&scene.root.post("/v1/trusted/copy", json!({})).ok()["secret"]);
    let user = scene.root.user("bea", &[]);
    let backend = scene.server.caller(&secret);
    let token = backend.post("/v1/trusted/tokens", json!({ "username": "bea" })).ok()["token"].clone();
    backend.post("/v1/trusted/tokens", json!({ "username": "root" })).expect(200);
    backend.post("/v1/trusted/tokens", json!({ "username": "bea" })).refused(429, "rate_limited");
    post("token.revoke", Holds::After, "/v1/tokens/revoke", json!({ "token": token }));
    post("user.revoke_tokens", Holds::After, "/v1/tokens/revoke", json!({ "user_id": user }));
    let key = Holder::of(&scene.server, &scene.root.key(json!({ "class": "workspace", "label": "counted" })));
    key.token(&[("budget", "1")]);
    post("trusted.disable", Holds::Both, "/v1/trusted/disable", json!({ "confirm": true }));
    let export = scene.root.get("/v1/audit-events/export").expect(200).text;
    assert!(!export.contains(&secret), "the secret stands in no event");
}

fn operation(scene: &Scene) {
    let tenant = scene.step("tenant.create", Holds::After, "POST", "/v1/tenants", json!({ "slug": "acme" }));
    let tenant = format!("/v1/tenants/{}", text(&tenant["id"]));
    scene.step(
        "tenant.edit",
        Holds::Both,
        "PATCH",
        &tenant,
        json!({ "features": { "workspace_keys": false } }),
    );
    scene.step(
        "tenant.suspend",
        Holds::Both,
        "POST",
        &format!("{tenant}/suspend"),
        json!({ "reason": "unpaid" }),
    );
    scene.step("tenant.resume", Holds::Both, "POST", &format!("{tenant}/resume"), json!({}));
    scene.step("tenant.delete", Holds::Before, "DELETE", &format!("{tenant}?confirm=acme"), json!({}));
    let gone = scene.newest();
    assert_eq!((&gone["before"]["slug"], &gone["before"]["state"]), (&json!("acme"), &json!("active")));
    scene.step("policy.edit", Holds::Both, "PATCH", "/v1/policies", json!({ "max_keys_per_user": 5 }));
    policies(scene);
    let filter = json!({ "filter": "info,keyward::verify=debug" });
    scene.step("log_levels.edit", Holds::Both, "PUT", "/v1/log-levels", filter);
    let exported = scene.root.get("/v1/audit-events/export").expect(200);
    assert!(exported.text.contains("\"action\":\"audit.export\""), "an export shows itself");
    let rows = json!([{ "external_id": "a", "class": "ingest", "hash": "0".repeat(64) }]);
    let body = json!({ "source": "elsewhere", "format": "sha256", "rows": rows });
    scene.step("import.keys", Holds::After, "POST", "/v1/imports", body.clone());
    scene.step("import.try", Holds::After, "POST", "/v1/imports", body);
    let approval = |on: bool| json!({ "ingest": { "approval": on } });
    scene.root.patch("/v1/policies", approval(true)).expect(200);
    let rows = json!([{ "external_id": "b", "class": "ingest", "hash": "1".repeat(64) }]);
    let body = json!({ "source": "elsewhere", "format": "sha256", "rows": rows });
    scene.root.post("/v1/imports", body).expect(200);
    assert_eq!(scene.newest()["action"], "import.request_approval");
    scene.root.patch("/v1/policies", approval(false)).expect(200);
    scene.step("report.read", Holds::Neither, "GET", "/v1/reports/credentials", Value::Null);
    scene.step("export.read", Holds::After, "GET", "/v1/export", Value::Null);
    let local = |action: &str| {
        let event = scene.newest();
        assert_eq!((&event["action"], &event["actor"]["kind"]), (&json!(action), &json!("system")));
    };
    let next = scene.step("signing_key.rotate", Holds::After, "POST", "/v1/signing-keys/rotate", json!({}));
    let next = format!("/v1/signing-keys/{}", text(&next["id"]));
    scene.step("signing_key.remove", Holds::Before, "DELETE", &next, json!({}));
    assert!(scene.server.place.run(&["pepper", "rotate"]).status.success());
    local("pepper.rotate");
    // Works once the caller's own key has moved to the new pepper by being used.
    wait_until(|| {
        scene.root.get("/v1/me").expect(200);
        scene.server.place.run(&["pepper", "retire", "1"]).status.success()
    });
    local("pepper.retire");
    let plain = scene.server.place.folder.path().join("root-key");
    let to = plain.to_str().expect("UTF-8");
    assert!(scene.server.place.run(&["root-key", "export", "--as", "plain", "--to", to]).status.success());
    local("root_key.export");
    let split = ["root-key", "split", "--shares", "3", "--threshold", "2", "-o", "json"];
    assert!(scene.server.place.run(&split).status.success());
    local("root_key.split");
}

/// Versions, drafts and approvals of the policy that `operation` edited.
fn policies(scene: &Scene) {
    let step = |action: &str, holds, path: &str, body: Value| scene.step(action, holds, "POST", path, body);
    let later =
        json!({ "starts_at": (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string() });
    step("policy.rollback", Holds::Both, "/v1/policies/rollback", json!({ "version": 1, "note": "early" }));
    assert_eq!(scene.newest()["reason"], "early");
    let patch = json!({ "patch": { "ingest": { "approval": true } } });
    let draft = |holds| text(&step("policy.draft", holds, "/v1/policies/drafts", patch.clone())["id"]);
    let path = format!("/v1/policies/drafts/{}", draft(Holds::After));
    step("policy.schedule", Holds::After, &format!("{path}/apply"), later.clone());
    step("policy.draft_rebase", Holds::Both, &format!("{path}/rebase"), json!({}));
    scene.step("policy.draft_delete", Holds::Before, "DELETE", &path, json!({}));
    let (first, stale) = (draft(Holds::After), draft(Holds::After));
    let path = format!("/v1/policies/drafts/{stale}/apply");
    step("policy.schedule", Holds::After, &path, later);
    step("policy.apply", Holds::Both, &format!("/v1/policies/drafts/{first}/apply"), json!({}));
    scene.server.place.sql("UPDATE policy_drafts SET starts_at = 1 WHERE state = 'scheduled'");
    wait_until(|| scene.newest()["action"] == "policy.draft_fail");
    approvals(scene);
    scene.root.patch("/v1/policies", json!({ "ingest": null })).expect(200);
}

/// A person decides; no key of the workspace does.
fn approvals(scene: &Scene) {
    let (_, _, boss) = person(&scene.server, &scene.root, "boss", &["**:*"]);
    let decide = |label: &str, verb: &str, body: Value| {
        let key = scene.root.key(json!({ "class": "ingest", "label": label }));
        assert_eq!(scene.newest()["action"], "key.request_approval");
        let at = format!("/v1/keys/{}", text(&key["id"]));
        boss.post(&format!("{at}/{verb}"), body).expect(200);
        let event = scene.newest();
        assert_eq!((&event["action"], &event["outcome"]), (&json!(format!("key.{verb}")), &json!("success")));
        assert_eq!((&event["target"]["id"], &event["before"]["id"]), (&key["id"], &event["after"]["id"]));
        at
    };
    let good = decide("good", "approve", json!({}));
    // Nothing else keeps a pepper in use.
    scene.root.post(&format!("{good}/revoke"), json!({})).expect(200);
    decide("bad", "reject", json!({ "reason": "no" }));
    let own = boss.get("/v1/me").ok()["key"]["id"].clone();
    scene.root.post(&format!("/v1/keys/{}/revoke", text(&own)), json!({})).expect(200);
}

#[test]
fn aud_1_ops_1_the_first_events_are_those_of_the_bootstrap() {
    let scene = Scene::new();
    let events = scene.root.get("/v1/audit-events").ok();
    let actions: Vec<_> =
        events["data"].as_array().expect("a list").iter().map(|e| text(&e["action"])).collect();
    assert_eq!(actions, ["key.create", "user.create", "tenant.create"]);
    for event in events["data"].as_array().expect("a list") {
        assert_eq!((&event["actor"]["id"], &event["before"]), (&json!("bootstrap"), &Value::Null));
    }
    let after = |at: usize| &events["data"][at]["after"];
    assert_eq!(after(0)["access_key"], scene.root_key["key"]["access_key"]);
    assert_eq!((&after(1)["username"], &after(1)["state"]), (&json!("root"), &json!("active")));
    assert!(after(1)["rights"].as_array().expect("rights").contains(&json!("instance/**:*")));
    assert_eq!((&after(2)["slug"], &after(2)["number"]), (&json!("primary"), &json!(0)));
}

#[test]
fn aud_1_reads_tries_and_refusals_of_values_leave_no_change() {
    let scene = Scene::new();
    let before = scene.newest()["seq"].clone();
    scene.root.get("/v1/keys").expect(200);
    scene
        .root
        .post("/v1/keys?validate_only=true", json!({ "class": "workspace", "label": "tried" }))
        .expect(201);
    scene.root.post("/v1/keys", json!({ "class": "workspace", "label": "" })).expect(422);
    scene.root.post("/v1/keys/key_00000000000000000000000000/revoke", json!({})).expect(404);
    let bulk = json!({ "filter": { "all": true }, "reason": "x", "preview": true });
    scene.root.post("/v1/keys/revoke", bulk).expect(200);
    assert_eq!(scene.newest()["seq"], before);
}

#[test]
fn aud_1_az_3_each_tenant_has_its_own_log() {
    let scene = Scene::new();
    scene.root.post("/v1/tenants", json!({ "slug": "acme" })).expect(201);
    let before = scene.newest()["seq"].clone();
    let visit = |method: &str, path: &str, body: Value| {
        let request = scene.root.request(method, path).header("X-Keyward-Tenant", "acme").json(&body);
        Answer::read(request.send().expect("an answer"))
    };
    let key = visit("POST", "/v1/keys", json!({ "class": "workspace", "label": "gateway" })).expect(201).body;
    assert_eq!(scene.newest()["seq"], before, "not in the operator's");
    let own = scene.server.caller(&text(&key["secret"]));
    let events = own.get("/v1/audit-events").ok();
    assert_eq!(events["data"].as_array().expect("a list").len(), 1);
    let event = &events["data"][0];
    assert_eq!((&event["seq"], &event["action"]), (&json!(1), &json!("key.create")));
    assert_eq!(event["actor"]["id"], scene.root_key["key"]["id"], "who came in is named");
    let foreign = text(&scene.newest()["id"]);
    own.get(&format!("/v1/audit-events/{foreign}")).expect(404);
}

#[test]
fn aud_1_filters_find_events() {
    let scene = Scene::new();
    let (user, key) = scene.root.member("ada", &[]);
    let count = |query: &str| {
        let list = scene.root.get(&format!("/v1/audit-events?{query}")).ok();
        list["data"].as_array().expect("a list").len()
    };
    assert_eq!(count(&format!("target_id={user}")), 1);
    assert_eq!(count(&format!("target_id={}&action=key.create", text(&key["id"]))), 1);
    assert_eq!(count("actor_id=bootstrap"), 3);
    assert_eq!(count("outcome=refused"), 0);
    assert_eq!(count("until=2020-01-01T00:00:00Z"), 0);
    assert_eq!(count("since=2020-01-01T00:00:00Z&limit=2"), 2);
    scene.root.get("/v1/audit-events?actorid=x").expect(400);
    let page = scene.root.get("/v1/audit-events?limit=2").ok();
    let next =
        scene.root.get(&format!("/v1/audit-events?limit=200&cursor={}", text(&page["next_cursor"]))).ok();
    assert_eq!(next["data"][0]["seq"], page["data"][1]["seq"].as_i64().expect("a number") - 1);
    scene.server.caller(&text(&key["secret"])).get("/v1/audit-events").expect(403);
    wait_until(|| count("outcome=refused") == 1);
}

/// What `docs/reference/audit-schema.md` lists, each brought about.
#[test]
fn aud_1_every_action_of_the_page_is_brought_about() {
    let mut scene = Scene::new();
    keys(&scene);
    directory(&scene);
    operation(&scene);
    handover(&scene);
    trusted(&scene);
    by_use(&scene);
    people(&scene);
    // Two keys at least, unless there are already.
    scene.root.post("/v1/signing-keys/rotate", json!({}));
    with_factor(&scene);
    told(&scene);
    webhooks(&scene);
    leaks(&scene);
    scene.server.terminate();
    ending(&scene.server);
    // Whatever the older keys signed is over: they are forgotten at the start.
    scene.server.place.sql("UPDATE signing_keys SET signs_from = signs_from - 400000000");
    let server = scene.server.restart();
    let log = || server.root().get("/v1/audit-events/export").expect(200).text;
    wait_until(|| log().contains("\"key.expiring\"") && log().contains("\"key.expired\""));
    wait_until(|| log().contains("\"key.rotate_scheduled\""));
    wait_until(|| log().contains("\"key.first_used\"") && log().contains("\"key.new_network\""));
    let log = log() + &closed(server);
    let page =
        std::fs::read_to_string(repository().join("docs/reference/audit-schema.md")).expect("the page");
    let listed = listed(&page);
    assert!(listed.len() > 35, "{listed:?}");
    for action in listed {
        assert!(log.contains(&format!("\"action\":\"{action}\"")), "nothing brought {action} about");
    }
}

/// The log of days later, when what it began with is closed.
fn closed(mut server: Server) -> String {
    server.terminate();
    server.place.ahead = Some("+3d".into());
    let server = server.kill_and_restart_with("audit: { keep: 1d }\n");
    wait_until(|| {
        !server.root().get("/v1/audit-segments").ok()["data"].as_array().expect("a list").is_empty()
    });
    server.root().get("/v1/audit-events/export").expect(200).text
}

/// What people are told, and jobs that were given up.
fn told(scene: &Scene) {
    let (_, key) = scene.root.member("nina", &[]);
    let own = scene.server.caller(&text(&key["secret"]));
    own.patch("/v1/notification-preferences", json!({ "language": "de" })).expect(200);
    let given_up = |id: &'static str| {
        scene.server.place.sql(id);
        text(&scene.root.get("/v1/jobs?state=failed").ok()["data"][0]["id"])
    };
    let job = given_up(
        "INSERT INTO jobs (tenant_id, id, lane, kind, payload, attempts, due_at, failed_at, created_at)
         SELECT id, 'job_1', 'mail', 'mail', '{}', 1, 9000000000000, 1, 1 FROM tenants WHERE number = 0",
    );
    scene.step("job.replay", Holds::Neither, "POST", &format!("/v1/jobs/{job}/replay"), json!({}));
    scene.server.place.sql("UPDATE jobs SET failed_at = 1");
    scene.root.delete(&format!("/v1/jobs/{job}")).expect(204);
    assert_eq!(scene.newest()["action"], "job.drop");
}

/// Webhooks: what is done to them, and one that nobody answers at.
fn webhooks(scene: &Scene) {
    let body = json!({ "url": "https://hooks.example.com/secret", "events": ["key.create"] });
    let made = scene.step("webhook.create", Holds::After, "POST", "/v1/webhooks", body);
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    scene.step("webhook.edit", Holds::Both, "PATCH", &path, json!({ "description": "Chat" }));
    let rotate = format!("{path}/rotate-secret");
    scene.step("webhook.rotate_secret", Holds::Both, "POST", &rotate, json!({}));
    scene.step("webhook.test", Holds::Neither, "POST", &format!("{path}/test"), json!({}));
    let newest = || scene.root.get(&format!("{path}/deliveries")).ok()["data"][0].clone();
    wait_until(|| newest()["state"] == "failed");
    let replay = format!("{path}/deliveries/{}/replay", text(&newest()["id"]));
    scene.step("webhook.replay", Holds::After, "POST", &replay, json!({}));
    scene.root.key(json!({ "class": "ingest", "label": "unheard" }));
    let attempted = |times: i64| newest()["event"] == "key.create" && newest()["attempts"] == times;
    wait_until(|| attempted(1));
    let place = &scene.server.place;
    place.sql("UPDATE webhooks SET failing_since = failing_since - 1860000, probe_at = 0");
    place.sql("UPDATE jobs SET attempts = 3, due_at = 0 WHERE kind = 'webhook'");
    wait_until(|| attempted(4));
    assert_eq!(scene.newest()["action"], "webhook.failing");
    place.sql("UPDATE webhooks SET failing_since = failing_since - 259200000, probe_at = 0");
    place.sql("UPDATE jobs SET due_at = 0 WHERE kind = 'webhook'");
    wait_until(|| scene.newest()["action"] == "webhook.disabled");
    scene.step("webhook.delete", Holds::Before, "DELETE", &path, json!({}));
}

/// A key that is over, and one that soon will be.
fn ending(server: &Server) {
    server.place.sql(
        "UPDATE keys SET created_at = 0, expires_at = (SELECT MAX(at) FROM audit_events) + 3600000
         WHERE label = 'nina''s key'",
    );
    server.place.sql("UPDATE keys SET rotates_at = 1 WHERE label = 'handed'");
    server.place.sql(
        "UPDATE keys SET created_at = 0, expires_at = (SELECT MAX(at) FROM audit_events) - 3600000
         WHERE label = 'mia''s key'",
    );
}

/// Events that come of use, not of a change.
fn by_use(scene: &Scene) {
    let (server, root) = (&scene.server, &scene.root);
    let (_, key) = root.member("mia", &[]);
    let secret = text(&key["secret"]);
    let path = format!("/v1/keys/{}", text(&key["id"]));
    Answer::read(client().get(format!("{}/v1/me?key={secret}", server.url)).send().expect("an answer"))
        .refused(400, "credential_in_url");
    wait_until(|| !root.get(&path).ok()["exposed_at"].is_null());
    let rotated = root.post(&format!("{path}/rotate"), json!({})).ok();
    for client_ip in ["192.0.2.1", "198.51.100.1"] {
        let ask = json!({ "credential": rotated["secret"], "client_ip": client_ip });
        assert_eq!(root.post("/v1/verify", ask).ok()["code"], "ok");
    }
    root.post(&format!("{path}/deactivate"), json!({})).expect(200);
    server.caller(&secret).get("/v1/me").refused(401, "inactive");
    let made = root.post("/v1/trusted/enable", json!({ "name": "exposed" })).ok();
    root.get(&format!("/v1/me?key={}", text(&made["secret"]))).refused(400, "credential_in_url");
    server.caller("kwm_garbage").get("/v1/me").refused(401, "invalid_key");
    let one = |source: bool| {
        let source = source.then_some("192.0.2.1");
        let requests = vec![json!({ "credential": "kwm_garbage", "client_ip": source }); 100];
        root.post("/v1/verify/batch", json!({ "requests": requests })).ok()["results"][99]["code"].clone()
    };
    while one(true) == "invalid_key" {}
    while one(false) == "invalid_key" {}
}

/// Reports of leaks, and an incident.
fn leaks(scene: &Scene) {
    let (url, root) = (&scene.server.url, &scene.root);
    set_password(root, &root.user("leo", &[]), PASSWORD);
    let key = root.key(json!({ "class": "ingest", "label": "leaked" }));
    let trusted = root.post("/v1/trusted/enable", json!({ "name": "leaked" })).ok();
    let session = session(url, "leo");
    for token in [&key["secret"], &trusted["secret"], &json!(session.secret)] {
        let report = client().post(format!("{url}/report-leak")).json(&json!({ "token": token }));
        Answer::read(report.send().expect("an answer")).expect(202);
    }
    let trap = root.key(json!({ "class": "ingest", "label": "trap", "canary": true }));
    assert_eq!(root.code(&text(&trap["secret"])), "invalid_key");
    let key = root.key(json!({ "class": "ingest", "label": "off" }));
    let filter = json!({ "label": key["label"] });
    let body = json!({ "filter": filter, "action": "deactivate", "confirm": "deactivate 1" });
    let done = root.post("/v1/incidents", body).ok();
    root.post(&format!("/v1/incidents/{}/undo", text(&done["id"])), json!({})).expect(200);
}

/// Logins, sessions and passwords.
fn people(scene: &Scene) {
    let (url, root) = (&scene.server.url, &scene.root);
    let id = root.user("grace", &[]);
    let at = |action: &str| format!("/v1/users/{id}/{action}");
    set_password(root, &id, PASSWORD);
    log_in(url, json!({ "username": "grace", "password": "seven wet hats on a rope" })).expect(401);
    scene.step("user.unlock", Holds::Neither, "POST", &at("unlock"), json!({}));
    scene.step("user.password_link", Holds::After, "POST", &at("password-reset"), json!({}));
    assert!(!scene.newest().to_string().contains("kwl_"));
    let own = session(url, "grace");
    let own = own.post("/v1/auth/step-up", json!({ "password": PASSWORD })).ok();
    let own = scene.server.caller(&text(&own["token"]));
    let new = json!({ "old_password": PASSWORD, "new_password": "eleven cold spoons in a drawer" });
    let own = own.post("/v1/auth/password", new).ok();
    scene.server.caller(&text(&own["token"])).post("/v1/auth/logout", json!({})).expect(204);
    let event = scene.newest();
    assert_eq!((&event["action"], &event["actor"]["id"]), (&json!("session.end"), &json!(id)));
    let ended = scene.step("user.end_sessions", Holds::After, "DELETE", &at("sessions"), json!({}));
    assert_eq!(ended, Value::Null);
}

/// The same with a second factor. Refusals come when they come, so that no step counts events here.
fn with_factor(scene: &Scene) {
    let login = || {
        let password = "eleven cold spoons in a drawer";
        log_in(&scene.server.url, json!({ "username": "grace", "password": password }))
    };
    let enrolled = enrol(&scene.server.caller(&text(&login().ok()["token"])));
    let challenge = text(&login().refused(401, "second_factor_required").body["challenge"]);
    give(&scene.server.url, &challenge, "12345").refused(401, "invalid_code");
    let opened = give(&scene.server.url, &challenge, &enrolled.codes[0]).ok();
    let own = scene.server.caller(&text(&opened["token"]));
    own.post("/v1/auth/factors/recovery-codes", json!({})).expect(200);
    let at = format!("/v1/auth/factors/{}", enrolled.id);
    own.patch(&at, json!({ "name": "old phone" })).expect(200);
    own.delete(&at).expect(204);
    let mut added = add(&own, Device::new(&scene.server.url));
    enter(&scene.server.url, &mut added.device).ok();
    added.device.counter = 0;
    enter(&scene.server.url, &mut added.device).refused(401, "invalid_passkey");
    scene.root.delete(&format!("/v1/users/{}/factors", text(&opened["user_id"]))).expect(204);
    locked_and_exposed(scene, &text(&opened["user_id"]));
}

/// A password that was guessed at too often, and a link that was seen in a URL.
fn locked_and_exposed(scene: &Scene, user: &str) {
    let (url, root) = (&scene.server.url, &scene.root);
    let guess = || log_in(url, json!({ "username": "grace", "password": "seven wet hats on a rope" }));
    guess().expect(401);
    assert!(scene.server.place.sql("UPDATE login_attempts SET in_a_row = 99, last_at = 0") > 0);
    guess().expect(401);
    let link = root.post(&format!("/v1/users/{user}/password-reset"), json!({})).ok();
    root.get(&format!("/v1/me?token={}", text(&link["token"]))).refused(400, "credential_in_url");
    let void = "/v1/audit-events?action=user.void_password_link";
    wait_until(|| root.get(void).ok()["data"].as_array().is_some_and(|events| !events.is_empty()));
}

/// The actions in the first column of the table.
fn listed(page: &str) -> Vec<String> {
    let table = page.split("## Actions").nth(1).and_then(|rest| rest.split("## ").next()).expect("a table");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|line| line.split('|').nth(1).expect("a first column"));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(ToOwned::to_owned).collect()
}
