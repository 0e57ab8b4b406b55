//! Object access: an id that is not the caller's own reads like one that never was (AZ-2, AZ-12).

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Operation, all, document, inside, operations, person, snapshot, tenant, told, worker};
use crate::logins::key_session;
use crate::support::{Answer, Caller, Server, text, wait_until};

/// What a limited administrator may do: every verb, but not everything.
const LIMITED: [&str; 10] = [
    "users:*",
    "groups:*",
    "roles:*",
    "keys:*",
    "keys/others:create",
    "audit:*",
    "policies:*",
    "tenants:*",
    "me:read",
    "me/keys:*",
];

/// The objects of one tenant, one of each kind.
struct Estate {
    admin: Caller,
    member: Caller,
    limited: Caller,
    tenant: String,
    /// Somebody else than the member.
    user: String,
    group: String,
    role: String,
    key: String,
    access_key: String,
    session: String,
    event: String,
    signing_key: String,
    trusted: String,
    job: String,
    handover: String,
    notice: String,
    incident: String,
    webhook: String,
    draft: String,
    own_group: String,
    own_user: String,
    gone: [(&'static str, String); 3],
}

impl Estate {
    fn new(server: &Server, slug: &str) -> Self {
        let (tenant, admin) = tenant(server, slug);
        let (own_user, _, member) = person(server, &admin, "mia", &["me:read", "me/keys:*"]);
        let limited = worker(server, &admin, "limited", &LIMITED);
        let (user, _, otto) = person(server, &admin, "otto", &["me:read", "me/keys:*"]);
        let session = key_session(&otto);
        let role = admin.role("reader", &["models/**:read"]);
        let new_group = |name: &str| text(&admin.post("/v1/groups", json!({ "name": name })).ok()["id"]);
        let (group, own_group) = (new_group("Readers"), new_group("Own"));
        let gone = [
            ("users", admin.user("gone", &[])),
            ("groups", new_group("Gone")),
            ("roles", admin.role("gone", &["x:read"])),
        ];
        for (kind, id) in &gone {
            admin.delete(&format!("/v1/{kind}/{id}")).expect(204);
        }
        let key = all(&admin, &format!("/v1/keys?owner_id={user}")).remove(0);
        let event = text(&all(&admin, "/v1/audit-events")[0]["id"]);
        let signing_key = text(&server.root().get("/v1/signing-keys").ok()["data"][0]["id"]);
        let features = json!({ "features": { "trusted_secrets": true } });
        server.root().patch(&format!("/v1/tenants/{tenant}"), features).expect(200);
        let trusted = text(&admin.post("/v1/trusted/enable", json!({})).ok()["id"]);
        admin.put(&format!("/v1/groups/{group}/members/{user}")).expect(204);
        server.place.sql(
            "INSERT INTO jobs (tenant_id, id, lane, kind, payload, attempts, due_at, failed_at, created_at)
             SELECT id, 'job_' || substr(id, 8), 'mail', 'mail', '{}', 1, 9000000000000, 1, 1 FROM tenants
             WHERE true ON CONFLICT DO NOTHING",
        );
        let waiting = json!({ "class": "ingest", "label": "waiting", "handover": {} });
        let handover = text(&admin.key(waiting)["handover"]["id"]);
        let admin_jobs = all(&admin, "/v1/jobs");
        let nothing =
            json!({ "filter": { "label": "none such" }, "action": "deactivate", "confirm": "deactivate 0" });
        let draft = text(&admin.post("/v1/policies/drafts", json!({ "patch": {} })).ok()["id"]);
        let incident = text(&admin.post("/v1/incidents", nothing).ok()["id"]);
        let hook = json!({ "url": "https://hooks.example.com/", "events": ["key.canary_used"] });
        let webhook = text(&admin.post("/v1/webhooks", hook).ok()["id"]);
        let (key, access_key) = (text(&key["id"]), text(&key["access_key"]));
        Self {
            admin,
            member,
            limited,
            tenant,
            user,
            group,
            role,
            key,
            access_key,
            session,
            event,
            signing_key,
            trusted,
            handover,
            job: text(&admin_jobs[0]["id"]),
            notice: first_notice(&otto),
            incident,
            webhook,
            draft,
            own_group,
            own_user,
            gone,
        }
    }

    /// The object that a path is about.
    fn object(&self, path: &str) -> &str {
        match path.split('/').nth(2).expect("a kind") {
            "users" => &self.user,
            "groups" => &self.group,
            "roles" => &self.role,
            "keys" => &self.key,
            "tenants" => &self.tenant,
            "audit-events" => &self.event,
            "signing-keys" => &self.signing_key,
            "trusted" => &self.trusted,
            "incidents" => &self.incident,
            "webhooks" => &self.webhook,
            // Each tenant counts its own versions: none has this one.
            "policies" if path.contains("/versions/") => "1000000000",
            "policies" => &self.draft,
            "auth" => &self.session,
            "jobs" => &self.job,
            "handovers" => &self.handover,
            "notifications" => &self.notice,
            other => panic!("{other}: a new kind of object needs a row here"),
        }
    }

    /// Ids that a caller of this tenant may not know of, the last being one that never was.
    fn strange(&self, other: &Estate, path: &str, is_member: bool) -> Vec<String> {
        let foreign = other.object(path);
        let mut ids = vec![foreign.to_owned()];
        let kind = path.split('/').nth(2).expect("a kind");
        // Who is gone can be erased: that is what this is for.
        let gone = self.gone.iter().filter(|gone| gone.0 == kind && !path.ends_with("/erase"));
        ids.extend(gone.map(|gone| gone.1.clone()));
        if kind == "keys" {
            ids.push(other.access_key.clone());
        }
        if is_member && kind != "tenants" {
            ids.push(self.object(path).to_owned());
        }
        ids.push(never(foreign));
        ids
    }
}

/// The first thing that a user is told.
fn first_notice(user: &Caller) -> String {
    wait_until(|| !all(user, "/v1/notifications").is_empty());
    text(&all(user, "/v1/notifications")[0]["id"])
}

/// An id of the same form that was never given.
fn never(id: &str) -> String {
    format!("{}0000zz", &id[..id.len() - 6])
}

/// The answer to an id, and that to one that never was, must be the same.
fn check(operation: &Operation, caller: &Caller, holds: bool, paths: &[String]) {
    let expected = told(&operation.send(caller, paths.last().expect("the id that never was")));
    assert_eq!(expected.0, if holds { 404 } else { 403 }, "{} {paths:?} {expected:?}", operation.id);
    for path in paths {
        assert_eq!(told(&operation.send(caller, path)), expected, "{} {path}", operation.id);
    }
}

/// What is done to a caller's request for each of some paths, the last of an id that never was.
type Check<'a> = &'a dyn Fn(&Operation, &Caller, bool, &[String]);

#[test]
fn az_2_az_12_ids_of_others_read_like_ids_that_never_were() {
    let server = Server::start();
    on_every_object(&server, &check);
}

/// The timing class, without a clock: what takes time is the database, and that is asked the same.
#[test]
fn az_2_ids_of_others_cost_the_same_statements_as_ids_that_never_were() {
    let quiet = "log: {filter: 'warn,sqlx::query=debug'}\nverify: {usage_flush: 1m}\naudit: {max_refusals_per_minute: 1}";
    let server = Server::with_config(quiet);
    let seen = std::cell::Cell::new(0);
    on_every_object(&server, &|operation, caller, _, paths| {
        let statements = |path: &str| statements(&server, || drop(operation.send(caller, path)));
        // What a first request looks up and remembers is not asked again.
        operation.send(caller, &paths[0]);
        for path in paths {
            let never = never_in(path, &paths[0], paths.last().expect("several"));
            // A job in the background may come between, but not each time.
            let pair = |pause| {
                std::thread::sleep(Duration::from_millis(pause));
                (statements(path), statements(&never))
            };
            let equal = [0, 0, 100, 400, 900].into_iter().map(pair).find(|(found, never)| found == never);
            assert!(
                equal.is_some(),
                "{} {path}: {:#?}",
                operation.id,
                (statements(path), statements(&never))
            );
            seen.set(seen.get() + equal.map_or(0, |(found, _)| found.len()));
        }
    });
    assert!(seen.get() > 100, "{} statements were seen", seen.get());
}

/// The path with an id of the same kind that never was, in the place where two others differ.
fn never_in(path: &str, one: &str, other: &str) -> String {
    let places = path.split('/').zip(one.split('/').zip(other.split('/')));
    let changed =
        |(own, (one, other)): (&str, (&str, &str))| if one == other { own.into() } else { never(own) };
    places.map(changed).collect::<Vec<_>>().join("/")
}

/// The statements that a request makes, as the log tells them.
fn statements(server: &Server, send: impl Fn()) -> Vec<String> {
    let mut log = std::fs::File::open(server.place.folder.path().join("log")).expect("a log");
    log.seek(SeekFrom::End(0)).expect("its end");
    send();
    let mut lines = String::new();
    log.read_to_string(&mut lines).expect("UTF-8");
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.map(|line| format!("{} {}", text(&line["summary"]), text(&line["db.statement"])));
    let told = told.map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "));
    // The look at the feed comes from the background, the end of a transaction may come after the answer.
    let is_own = |statement: &String| {
        let ends = ["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|word| statement.starts_with(word));
        !ends && !statement.contains("FROM change_clock")
    };
    told.filter(is_own).collect()
}

fn on_every_object(server: &Server, check: Check<'_>) {
    let estates = [Estate::new(server, "acme"), Estate::new(server, "globex")];
    let with_object: Vec<_> =
        operations(&document(server)).into_iter().filter(Operation::has_object).collect();
    assert!(with_object.len() >= 25, "{}", with_object.len());
    let before: Vec<_> = estates.iter().map(|estate| snapshot(&estate.admin)).collect();
    for (own, other) in [(&estates[0], &estates[1]), (&estates[1], &estates[0])] {
        for (caller, is_member) in [(&own.admin, false), (&own.member, true), (&own.limited, false)] {
            let rights = caller.get("/v1/me").ok()["rights"].clone();
            for operation in &with_object {
                try_ids(operation, own, other, (caller, is_member), &rights, check);
            }
        }
    }
    let after: Vec<_> = estates.iter().map(|estate| snapshot(&estate.admin)).collect();
    assert_eq!(before, after, "a refused request changed something");
}

fn try_ids(
    operation: &Operation,
    own: &Estate,
    other: &Estate,
    who: (&Caller, bool),
    rights: &Value,
    check: Check<'_>,
) {
    let (caller, is_member) = who;
    let holds = operation.rights.iter().any(|right| held(rights, right));
    // A key of the workspace is nobody who is told anything.
    let holds = holds && (is_member || !operation.path.starts_with("/v1/notifications"));
    let strange = own.strange(other, &operation.path, is_member);
    let paths: Vec<_> = strange.iter().map(|id| operation.at(id, &own.own_user)).collect();
    check(operation, caller, holds, &paths);
    if operation.path.contains("{member}") {
        let members = [other.user.clone(), other.key.clone(), own.gone[0].1.clone(), never(&other.user)];
        let paths: Vec<_> = members.iter().map(|member| operation.at(&own.own_group, member)).collect();
        check(operation, caller, holds, &paths);
    }
}

/// Whether rights such as `users:*` hold `users:read`; nothing more is needed here.
fn held(rights: &Value, right: &str) -> bool {
    let (resource, _) = right.split_once(':').expect("a right");
    rights.as_array().expect("rights").iter().any(|mine| {
        let mine = mine.as_str().expect("a right");
        mine == right || mine == format!("{resource}:*") || (mine == "**:*" && !right.starts_with("instance"))
    })
}

/// Method, path, a body around an id, and the id of another tenant's thing.
type Borrowed<'a> = (&'a str, &'a str, &'a dyn Fn(&str) -> Value, &'a str);

#[test]
fn az_2_az_12_ids_of_others_in_bodies_and_filters_read_like_ids_that_never_were() {
    let server = Server::start();
    let (own, other) = (Estate::new(&server, "acme"), Estate::new(&server, "globex"));
    let before = snapshot(&own.admin);
    let bodies: [Borrowed<'_>; 7] = [
        ("POST", "/v1/users", &|id| json!({ "username": "new", "role_ids": [id] }), &other.role),
        ("POST", "/v1/users", &|id| json!({ "username": "new", "group_ids": [id] }), &other.group),
        ("POST", "/v1/groups", &|id| json!({ "name": "New", "role_ids": [id] }), &other.role),
        ("POST", "/v1/keys", &|id| json!({ "class": "member", "label": "x", "owner_id": id }), &other.user),
        (
            "POST",
            "/v1/keys",
            &|id| json!({ "class": "workspace", "label": "x", "role_ids": [id] }),
            &other.role,
        ),
        (
            "POST",
            "/v1/keys",
            &|id| json!({ "class": "workspace", "label": "x", "group_ids": [id] }),
            &other.group,
        ),
        ("PATCH", &format!("/v1/users/{}", own.user), &|id| json!({ "role_ids": [id] }), &other.role),
    ];
    for caller in [&own.admin, &own.limited] {
        for (method, path, body, foreign) in &bodies {
            let send = |id: &str| {
                Answer::read(caller.request(method, path).json(&body(id)).send().expect("an answer"))
            };
            let (a, b) = (told(&send(foreign)), told(&send(&never(foreign))));
            assert!((400..500).contains(&a.0), "{path}: {a:?}");
            assert_eq!(a, b, "{path}");
        }
        let filters = [
            format!("/v1/keys?owner_id={}", other.user),
            format!("/v1/users?group_id={}", other.group),
            format!("/v1/users?role_id={}", other.role),
            format!("/v1/audit-events?target_id={}", other.user),
            format!("/v1/audit-events?actor_id={}", other.key),
        ];
        for path in filters {
            assert_eq!(caller.get(&path).ok(), json!({ "data": [], "next_cursor": null }), "{path}");
        }
        let filter = json!({ "filter": { "owner_id": other.user }, "preview": true });
        assert_eq!(caller.post("/v1/keys/revoke", filter).ok()["matched"], 0);
    }
    assert_eq!(snapshot(&own.admin), before);
}

#[test]
fn az_2_key_10_a_member_who_issues_for_another_learns_nothing() {
    let server = Server::start();
    let own = Estate::new(&server, "acme");
    let issue = |id: &str| {
        told(&own.member.post("/v1/keys", json!({ "class": "member", "label": "x", "owner_id": id })))
    };
    assert_eq!(issue(&own.user).0, 404);
    assert_eq!(issue(&own.user), issue(&never(&own.user)));
    assert_eq!(all(&own.admin, &format!("/v1/keys?owner_id={}", own.user)).len(), 1);
    own.member.post("/v1/keys", json!({ "class": "member", "label": "x" })).expect(201);
}

#[test]
fn az_12_a_credential_of_another_tenant_is_unknown_to_verify() {
    let server = Server::start();
    let (own, other) = (Estate::new(&server, "acme"), Estate::new(&server, "globex"));
    let mut unknown = other.member.secret.clone();
    unknown.replace_range(4..20, "0000000000000000");
    let told = |secret: &str| told(&own.admin.post("/v1/verify", json!({ "credential": secret })));
    assert_eq!(told(&other.member.secret), told(&unknown));
    assert_eq!(told(&other.member.secret).1["valid"], false);
    assert_eq!(own.admin.code(&own.member.secret), "ok");
    assert_eq!(server.root().code(&other.member.secret), "ok", "an operator verifies every tenant");
}

#[test]
fn az_3_the_tenant_header_is_not_trusted() {
    let server = Server::start();
    let (own, other) = (Estate::new(&server, "acme"), Estate::new(&server, "globex"));
    for caller in [&own.admin, &own.member, &own.limited] {
        let enter = |tenant: &str, path: &str| told(&inside(caller, tenant, "GET", path, &Value::Null));
        let nowhere = enter("no-such-tenant", "/v1/me");
        assert_eq!(nowhere.0, 404);
        for tenant in ["globex", &other.tenant, "primary", &server.tenant()] {
            assert_eq!(enter(tenant, "/v1/me"), nowhere, "{tenant}");
        }
        for tenant in ["acme", &own.tenant] {
            assert_eq!(enter(tenant, "/v1/me").1["tenant"]["slug"], "acme");
        }
        let body = json!({ "credential": other.member.secret });
        let refused = inside(caller, "globex", "POST", "/v1/verify", &body);
        assert!(matches!(refused.status, 403 | 404), "{}", refused.text);
    }
    let before = snapshot(&other.admin);
    inside(&own.admin, "globex", "POST", "/v1/users", &json!({ "username": "spy" }))
        .refused(404, "not_found");
    assert_eq!(snapshot(&other.admin), before);
}

#[test]
fn az_3_an_operator_may_enter_and_is_named_in_the_log_of_the_tenant() {
    let server = Server::start();
    let other = Estate::new(&server, "globex");
    let root = server.root();
    let visit = |path: &str| inside(&root, "globex", "GET", path, &Value::Null).ok();
    assert_eq!(visit("/v1/me")["tenant"]["id"], other.tenant);
    assert_eq!(visit(&format!("/v1/users/{}", other.user))["username"], "otto");
    root.get(&format!("/v1/users/{}", other.user)).refused(404, "not_found");
    let made = inside(&root, &other.tenant, "POST", "/v1/users", &json!({ "username": "guest" })).ok();
    assert_eq!(made["tenant_id"], other.tenant);
    let events = all(&other.admin, &format!("/v1/audit-events?target_id={}", text(&made["id"])));
    assert_eq!(events[0]["actor"]["id"], root.get("/v1/me").ok()["principal"]["id"]);
    // Who may not enter any more does not, however the rights were held before.
    let viewer = worker(&server, &root, "viewer", &["instance/tenants:read", "users:*"]);
    inside(&viewer, "globex", "GET", "/v1/users", &Value::Null).refused(404, "not_found");
}

#[test]
fn az_4_equal_names_in_two_tenants_never_meet() {
    let server = Server::start();
    let (own, other) = (Estate::new(&server, "acme"), Estate::new(&server, "globex"));
    let limit = json!([{ "name": "minute", "requests": 2, "per_seconds": 3600 }]);
    let secrets = [&own, &other].map(|estate| {
        let key = estate.admin.key(json!({ "class": "workspace", "label": "same", "limits": limit }));
        text(&key["secret"])
    });
    for _ in 0..2 {
        assert_eq!(own.admin.code(&secrets[0]), "ok");
    }
    assert_eq!(own.admin.code(&secrets[0]), "rate_limited");
    assert_eq!(other.admin.code(&secrets[1]), "ok", "the bucket of another tenant is full still");
    for (estate, stranger) in [(&own, &other), (&other, &own)] {
        let found = all(&estate.admin, "/v1/users?q=otto");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["id"], estate.user);
        assert_eq!(all(&estate.admin, "/v1/keys?label=same").len(), 1);
        let export = estate.admin.get("/v1/audit-events/export").expect(200);
        assert!(export.text.contains(&estate.user) && !export.text.contains(&stranger.user));
    }
}

#[test]
fn az_4_an_idempotency_key_is_the_tenants_own() {
    let server = Server::start();
    let (own, other) = (Estate::new(&server, "acme"), Estate::new(&server, "globex"));
    let root = server.root();
    let make = |tenant: &str| {
        let request = root.request("POST", "/v1/users").header("x-keyward-tenant", tenant);
        let request = request.header("idempotency-key", "same-key").json(&json!({ "username": "twin" }));
        Answer::read(request.send().expect("an answer")).expect(201)
    };
    let (first, second, again) = (make("acme"), make("globex"), make("acme"));
    assert_eq!(first.body["tenant_id"], own.tenant);
    assert_eq!(second.body["tenant_id"], other.tenant);
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(again.header("idempotency-replayed"), "true");
}
