//! The database goes away, and comes back (R4, VER-8).

use std::time::{Duration, Instant};

use serde_json::json;

use super::proxy::Proxy;
use crate::support::{Answer, Caller, Place, Server, client, engine, text};

const SERVE_FOR: &str = "
verify: { max_staleness: 500ms, on_database_loss: serve_for 2s }
database: { timeout: 1s }
";
const DENY: &str = "
verify: { max_staleness: 500ms, on_database_loss: deny }
database: { timeout: 1s }
";
/// What a request may take on a busy machine, added to the bounds of the configuration.
const SLACK: Duration = Duration::from_millis(150);

/// A server with a proxy before its database, a key that is cached and one that is not.
struct Outage {
    proxy: Proxy,
    server: Server,
    cached: String,
    cold: String,
}

impl Outage {
    /// `None`, visibly, on an engine without a connection that could be cut.
    fn prepare(config: &str) -> Option<Self> {
        if engine() != "postgres" {
            eprintln!("skipped: there is no connection to cut on {}", engine());
            return None;
        }
        let mut place = Place::new();
        let root = place.bootstrap();
        let url = place.database_url().expect("PostgreSQL has a URL");
        let (user, rest) = url.trim_start_matches("postgres://").split_once('@').expect("user@host");
        let (target, name) = rest.split_once('/').expect("host/name");
        let proxy = Proxy::start(target);
        place.through = Some(format!("postgres://{user}@127.0.0.1:{}/{name}", proxy.port));
        let server = Server::serve(place, root, config);
        let caller = server.root();
        let key = |label: &str| text(&caller.key(json!({ "class": "ingest", "label": label }))["secret"]);
        let (cached, cold) = (key("cached"), key("cold"));
        assert_eq!(caller.code(&cached), "ok");
        Some(Self { proxy, server, cached, cold })
    }

    /// Neither yes nor no, and when to come back.
    fn must_be_503(answer: &Answer) {
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert_eq!(answer.body["code"], "unavailable", "{}", answer.text);
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    }

    /// Verifies the cached key all the time; returns when it was first answered 503 and when last
    /// 200, and asserts that nothing else is answered.
    fn watch_cached(&self, since: Instant, until: Duration) -> (Duration, Duration) {
        let (mut first_no, mut last_yes) = (until, Duration::ZERO);
        while since.elapsed() < until {
            let asked = since.elapsed();
            let answer = verify(&self.server.root(), &self.cached);
            if answer.status == 200 {
                assert_eq!(answer.body["code"], "ok", "{}", answer.text);
                last_yes = asked;
            } else {
                Self::must_be_503(&answer);
                first_no = first_no.min(asked);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        (first_no, last_yes)
    }

    /// Everything that needs the database says so, and nothing of it happens.
    fn must_refuse_the_rest(&self) {
        let root = self.server.root();
        Self::must_be_503(&verify(&root, &self.cold));
        Self::must_be_503(&root.post("/v1/users", json!({ "username": "lost" })));
        let ready = root.get("/readyz").expect(503);
        assert_eq!(ready.body["reasons"], json!(["database_unreachable"]));
        assert_eq!(
            client().get(format!("{}/healthz", self.server.url)).send().expect("answers").status(),
            200
        );
    }

    /// Back to normal within 2 s, with nothing changed by what was refused.
    fn must_recover(&self) {
        self.proxy.restore();
        let restored = Instant::now();
        let root = self.server.root();
        let normal = || {
            root.get("/readyz").status == 200
                && [&self.cached, &self.cold].iter().all(|secret| verify(&root, secret).body["code"] == "ok")
                && root
                    .post("/v1/roles", json!({ "name": format!("r{:?}", restored.elapsed()), "rights": [] }))
                    .status
                    == 201
        };
        while !normal() {
            assert!(restored.elapsed() < Duration::from_secs(2), "not back to normal in 2 s");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(root.get("/v1/users?username=lost").ok()["data"], json!([]));
        for _ in 0..20 {
            assert_eq!(root.code(&self.cached), "ok");
            root.get("/v1/roles").expect(200);
        }
    }
}

fn verify(caller: &Caller, secret: &str) -> Answer {
    caller.post("/v1/verify", json!({ "credential": secret }))
}

#[test]
fn r4_ver_8_a_database_that_refuses_is_served_for_the_time_told_then_503() {
    let Some(outage) = Outage::prepare(SERVE_FOR) else { return };
    outage.proxy.cut();
    let cut = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    Outage::must_be_503(&verify(&outage.server.root(), &outage.cold));
    OutageBounds::serve_for().check(&outage, cut);
    outage.must_recover();
}

#[test]
fn r4_ver_8_a_database_that_hangs_is_served_for_the_time_told_then_503() {
    let Some(outage) = Outage::prepare(SERVE_FOR) else { return };
    outage.proxy.hang();
    let hung = Instant::now();
    OutageBounds::serve_for().check(&outage, hung);
    outage.must_recover();
}

#[test]
fn r4_ver_8_deny_stops_at_max_staleness() {
    let Some(outage) = Outage::prepare(DENY) else { return };
    outage.proxy.cut();
    OutageBounds { at_least: Duration::ZERO, at_most: Duration::from_millis(500) }
        .check(&outage, Instant::now());
    outage.must_recover();
}

/// When a cached key is surely accepted, and when surely not any more.
struct OutageBounds {
    at_least: Duration,
    at_most: Duration,
}

impl OutageBounds {
    fn serve_for() -> Self {
        Self { at_least: Duration::from_millis(2000), at_most: Duration::from_millis(2500) }
    }

    fn check(&self, outage: &Outage, since: Instant) {
        let (first_no, last_yes) = outage.watch_cached(since, self.at_most + Duration::from_secs(1));
        assert!(first_no >= self.at_least, "a cached key was given up after {first_no:?}");
        assert!(last_yes <= self.at_most + SLACK, "a cached key was accepted after {last_yes:?}");
        outage.must_refuse_the_rest();
    }
}

/// Makes the database read-only for new sessions, or lifts it, and ends those that are open.
fn make_read_only(server: &Server, on: bool) {
    let value = if on { "on" } else { "off" };
    let url = server.place.database_url().expect("PostgreSQL has a URL");
    let name = url.rsplit('/').next().expect("names a database");
    let commands = [
        "SET default_transaction_read_only = off".to_owned(),
        format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}"),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()"
            .to_owned(),
    ];
    let args = commands.iter().flat_map(|command| ["-c", command.as_str()]);
    let output = std::process::Command::new("psql").arg(&url).args(args).output().expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn r4_ver_8_a_read_only_database_stops_writes_and_nothing_else() {
    if engine() != "postgres" {
        eprintln!("skipped: another test holds the lock of {}", engine());
        return;
    }
    let server = Server::start();
    let root = server.root();
    let cold = text(&root.key(json!({ "class": "ingest", "label": "cold" }))["secret"]);
    make_read_only(&server, true);
    let since = Instant::now();
    while verify(&root, &cold).body["code"] != "ok" || root.get("/readyz").status != 200 {
        assert!(since.elapsed() < Duration::from_secs(2), "verification does not go on");
    }
    for _ in 0..20 {
        Outage::must_be_503(&root.post("/v1/users", json!({ "username": "lost" })));
        assert_eq!(root.code(&cold), "ok");
    }
    make_read_only(&server, false);
    let since = Instant::now();
    while root.post("/v1/users", json!({ "username": "found" })).status != 201 {
        assert!(since.elapsed() < Duration::from_secs(2), "writes do not resume");
    }
    assert_eq!(root.get("/v1/users?username=lost").ok()["data"], json!([]));
}
