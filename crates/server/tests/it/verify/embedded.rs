//! The verifier that applications embed (`crates/verify`), with a real node.

use std::process::Command;
use std::time::{Duration, Instant};

use keyward_verify::{Decision, Question, Unknown, Verifier};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{metered, metric};
use crate::api::{inside, tenant};
use crate::keys::path;
use crate::support::{Caller, Server, client, text, wait_until};

/// Longer than any test: what ends earlier was told.
const HOUR: Duration = Duration::from_secs(3600);
/// A revocation is known to others by then.
const BOUND: Duration = Duration::from_secs(1);

/// An application with a verifier in it.
struct Application {
    runtime: Runtime,
    verifier: Verifier,
}

impl Application {
    /// One that forgets for no other reason than that it was told to, or hears nothing for so long.
    fn start(server: &Server, token: &str, max_staleness: Duration) -> Self {
        settle(&server.root());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let builder = Verifier::builder(&server.url, token).max_age(HOUR).max_staleness(max_staleness);
        let verifier = runtime.block_on(async { builder.build() }).expect("a verifier");
        Self { runtime, verifier }
    }

    fn ask(&self, question: &Question<'_>) -> Result<Decision, Unknown> {
        self.runtime.block_on(self.verifier.verify(question)).map(|decision| Decision::clone(&decision))
    }

    /// The code of a decision, or `unknown`.
    fn code(&self, secret: &str) -> String {
        self.ask(&Question::secret(secret)).map_or("unknown".into(), |decision| decision.code)
    }

    fn remembers(&self, secret: &str) -> bool {
        self.verifier.try_cached(&Question::secret(secret)).is_some()
    }

    /// Asks until the answer is remembered, which begins with the first news.
    fn learn(&self, secret: &str) {
        wait_until(|| self.code(secret) == "ok" && self.remembers(secret));
    }

    /// Asks until the code is this one, which must be so within the bound.
    fn must_become(&self, secret: &str, code: &str) {
        let answered = Instant::now();
        while self.code(secret) != code {
            assert!(answered.elapsed() <= BOUND, "still {}, not {code}", self.code(secret));
        }
        assert!(!self.remembers(secret), "a refusal is not remembered");
    }
}

/// The secret of a key that may verify and nothing else.
fn verifying_key(root: &Caller) -> Value {
    let role = root.role("verifier", &["verify:call"]);
    root.key(json!({ "class": "workspace", "label": "embedded", "role_ids": [role] }))
}

#[test]
fn x7_x_8_a_remembered_decision_is_not_asked_for() {
    let (server, port) = metered("");
    let root = server.root();
    let (user, key) = root.member("ada", &["reports:read"]);
    let secret = text(&key["secret"]);
    let application = Application::start(&server, &text(&verifying_key(&root)["secret"]), HOUR);
    application.learn(&secret);
    let asked = || metric(port, "keyward_verify_total{outcome=\"ok\"}");
    let before = asked();
    for _ in 0..100 {
        let decision = application.ask(&Question::secret(&secret)).expect("a decision");
        assert!(
            decision.valid && decision.status() == 200 && decision.rights.contains(&"reports:read".into())
        );
        assert_eq!(decision.principal.map(|who| who.id).as_deref(), Some(user.as_str()));
        assert_eq!(decision.key.map(|key| key.id), Some(text(&key["id"])));
    }
    assert_eq!(asked(), before);
    let other = application.ask(&Question::secret(&secret).rights(&["reports:write"])).expect("a decision");
    assert_eq!((other.code.as_str(), other.status()), ("insufficient_rights", 403), "another question");
    let pair = Question::pair(key["access_key"].as_str().expect("an access key"), &secret);
    assert_eq!(application.ask(&pair).map(|decision| decision.code), Ok("ok".into()));
    assert_eq!(application.code("kwm_nothing"), "invalid_key");
}

#[test]
fn x7_r2_r3_what_ends_a_key_ends_what_is_remembered() {
    let server = Server::start();
    let root = server.root();
    let application = Application::start(&server, &text(&verifying_key(&root)["secret"]), HOUR);
    let member = |name: &str| {
        let (user, key) = root.member(name, &[]);
        application.learn(&text(&key["secret"]));
        (user, key)
    };
    let (_, revoked) = member("ada");
    let (suspended, key) = member("bob");
    let (_, other) = member("eve");
    // Making the others may have told of the first.
    application.learn(&text(&revoked["secret"]));
    root.post(&format!("{}/revoke", path(&revoked)), json!({ "reason": "test" })).ok();
    application.must_become(&text(&revoked["secret"]), "revoked");
    application.learn(&text(&key["secret"]));
    root.post(&format!("/v1/users/{suspended}/suspend"), json!({})).ok();
    application.must_become(&text(&key["secret"]), "owner_suspended");
    assert_eq!(application.code(&text(&other["secret"])), "ok");

    let (acme, admin) = tenant(&server, "acme");
    let root_application = Application::start(&server, &server.operator(), HOUR);
    root_application.learn(&admin.secret);
    root.post(&format!("/v1/tenants/{acme}/suspend"), json!({})).ok();
    root_application.must_become(&admin.secret, "tenant_suspended");
}

#[test]
fn r4_ver_8_without_a_node_decisions_are_believed_for_a_while_and_then_unknown() {
    let mut server = Server::start();
    let root = server.root();
    let (_, key) = root.member("ada", &[]);
    let secret = text(&key["secret"]);
    let token = text(&verifying_key(&root)["secret"]);
    let application = Application::start(&server, &token, Duration::from_secs(5));
    application.learn(&secret);
    assert!(
        Command::new("kill").args(["-KILL", &server.pid().to_string()]).status().expect("runs").success()
    );
    server.wait();
    assert_eq!(application.code(&secret), "ok");
    let fresh = application.ask(&Question::secret("kwm_never-asked-before"));
    assert!(matches!(fresh, Err(Unknown::Unreachable(_))), "{fresh:?}");
    wait_until(|| application.code(&secret) == "unknown");
    assert!(!application.remembers(&secret));
}

#[test]
fn x_6_each_use_of_a_limited_key_is_counted() {
    let server = Server::start();
    let root = server.root();
    let limits = json!([{ "name": "two", "requests": 2, "per_seconds": 3600 }]);
    let limited = root.key(json!({ "class": "workspace", "label": "limited", "limits": limits }));
    let free = root.key(json!({ "class": "workspace", "label": "free" }));
    let application = Application::start(&server, &text(&verifying_key(&root)["secret"]), HOUR);
    application.learn(&text(&free["secret"]));
    let secret = text(&limited["secret"]);
    let codes: Vec<String> = (0..3).map(|_| application.code(&secret)).collect();
    assert_eq!(codes, ["ok", "ok", "rate_limited"]);
    assert!(!application.remembers(&secret));
    let refused = application.ask(&Question::secret(&secret)).expect("a decision");
    assert!(refused.status() == 429 && refused.retry_after_seconds.is_some_and(|seconds| seconds > 0));
}

#[test]
fn az_1_a_verifier_needs_the_right_to_verify_for_as_long_as_it_lives() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("ada", &[]);
    let secret = text(&key["secret"]);
    // It has no right but those of every member.
    let powerless = server.caller(&secret);
    powerless.get("/v1/verify/changes").refused(403, "insufficient_rights");
    let stranger = client().get(format!("{}/v1/verify/changes", server.url)).send().expect("an answer");
    assert_eq!(stranger.status(), 401);
    let refused = |application: &Application, status: u16| {
        let answer = application.ask(&Question::secret(&secret));
        matches!(answer, Err(Unknown::Refused { status: told, .. }) if told == status)
    };
    assert!(refused(&Application::start(&server, &secret, HOUR), 403));

    let own = verifying_key(&root);
    let application = Application::start(&server, &text(&own["secret"]), HOUR);
    application.learn(&secret);
    root.post(&format!("{}/revoke", path(&own)), json!({ "reason": "test" })).ok();
    wait_until(|| !application.remembers(&secret));
    wait_until(|| refused(&application, 401));
}

/// Waits until the node has told what was changed before: nothing that is remembered ends because of it.
fn settle(root: &Caller) {
    let start = text(&root.get("/v1/verify/changes").ok()["next"]);
    told(root, &start, &text(&root.key(json!({ "class": "ingest", "label": "last" }))["access_key"]));
}

/// The ids that a reader is told from a position on, up to this one.
fn told(reader: &Caller, start: &str, last: &str) -> Vec<String> {
    let (mut told, mut after) = (Vec::new(), start.to_owned());
    wait_until(|| {
        let news = reader.get(&format!("/v1/verify/changes?after={after}")).ok();
        assert_eq!(news["start_over"], false, "{news}");
        after = text(&news["next"]);
        told.extend(news["changes"].as_array().expect("changes").iter().map(|change| text(&change["id"])));
        told.iter().any(|id| id == last)
    });
    told
}

#[test]
fn az_3_x7_changes_of_other_tenants_are_not_told() {
    let server = Server::start();
    let root = server.root();
    let (acme_id, acme) = tenant(&server, "acme");
    let (globex_id, globex) = tenant(&server, "globex");
    let begin = root.get("/v1/verify/changes").ok();
    assert_eq!((begin["start_over"].as_bool(), &begin["changes"]), (Some(true), &json!([])));
    let start = text(&begin["next"]);
    let make = |admin: &Caller| text(&admin.key(json!({ "class": "ingest", "label": "told" }))["access_key"]);
    // The other one first: when the last is told, it has been passed over.
    let (of_globex, of_acme) = (make(&globex), make(&acme));
    let by_acme = told(&acme, &start, &of_acme);
    assert!(!by_acme.contains(&of_globex) && !by_acme.contains(&globex_id), "{by_acme:?}");
    let by_root = told(&root, &start, &of_acme);
    assert!(by_root.contains(&of_globex), "an operator verifies for all: {by_root:?}");
    let entered =
        inside(&root, &acme_id, "GET", &format!("/v1/verify/changes?after={start}"), &json!({})).ok();
    assert!(!entered.to_string().contains(&of_globex), "unless it has entered one: {entered}");
    assert!(entered.to_string().contains(&of_acme), "{entered}");

    let (number, mark) = start.split_once('.').expect("a number and a mark");
    for never in [format!("{number}000000.{mark}"), format!("{number}.00000000")] {
        let far = acme.get(&format!("/v1/verify/changes?after={never}")).ok();
        assert_eq!(far["start_over"], true, "a place that never was");
    }
    for nonsense in ["soon", number] {
        acme.get(&format!("/v1/verify/changes?after={nonsense}")).expect(400);
    }
    acme.get("/v1/verify/changes?since=1").expect(400);
}
