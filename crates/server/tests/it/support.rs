//! A real server for each test: the binary itself, on a data folder of its own, on the engine that
//! `KEYWARD_TEST_ENGINE` names (`sqlite` unless told, `postgres` with `KEYWARD_TEST_POSTGRES` as
//! the URL of a server that may be given new databases).

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every code that a refusal may tell, each with its status.
const CATALOGUE: &str = include_str!("../../src/http/problems.rs");

/// The engine of this run.
pub(crate) fn engine() -> &'static str {
    match std::env::var("KEYWARD_TEST_ENGINE").as_deref() {
        Ok("postgres") => "postgres",
        Ok("sqlite") | Err(_) => "sqlite",
        Ok(other) => panic!("KEYWARD_TEST_ENGINE={other}: sqlite or postgres"),
    }
}

/// A folder and a database that live as long as the test.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    /// URL to give the server instead of the database's own: the way through a proxy.
    pub(crate) through: Option<String>,
    /// How far ahead the wall clock of the servers here is, as libfaketime reads it: `+3600s`.
    pub(crate) ahead: Option<String>,
    database: Option<Database>,
}

struct Database {
    server: String,
    name: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = (engine() == "postgres").then(Database::create);
        Self { folder, through: None, ahead: None, database }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// URL of the PostgreSQL database, if this run is on PostgreSQL.
    pub(crate) fn database_url(&self) -> Option<String> {
        self.database.as_ref().map(|database| format!("{}/{}", database.server, database.name))
    }

    /// The binary with an environment of its own.
    pub(crate) fn keyward(&self, args: &[&str]) -> Command {
        let mut command = crate::cli::keyward(args);
        command.current_dir(self.folder.path()).env("KEYWARD_METRICS__LISTEN", "");
        if let Some(url) = self.through.clone().or_else(|| self.database_url()) {
            command.env("KEYWARD_DATABASE__URL", url);
        }
        if let Some(ahead) = &self.ahead {
            self.set_clock(ahead);
            command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", self.clock());
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
        }
        command
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Sets the wall clock of servers that were started with one ahead.
    pub(crate) fn set_clock(&self, ahead: &str) {
        // In one step: a server reads it at any time.
        let next = self.folder.path().join("clock.next");
        fs::write(&next, ahead).and_then(|()| fs::rename(&next, self.clock())).expect("written");
    }

    /// Runs a local command on the data folder to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let data = self.data();
        let mut all = args.to_vec();
        all.extend(["--data-dir", data.to_str().expect("UTF-8")]);
        self.keyward(&all).output().expect("the binary runs")
    }

    /// Makes the first administrator; returns `{tenant_id, user_id, access_key, secret}`.
    pub(crate) fn bootstrap(&self) -> Value {
        let output = self.run(&["bootstrap", "--username", "root", "-o", "json"]);
        assert!(output.status.success(), "bootstrap: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("bootstrap prints JSON")
    }

    /// Runs one statement against the database, from outside of the server.
    pub(crate) fn sql(&self, statement: &'static str) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            use sqlx::Connection as _;
            match self.database_url() {
                Some(url) => {
                    let mut conn = sqlx::PgConnection::connect(&url).await.expect("connects");
                    sqlx::raw_sql(statement).execute(&mut conn).await.expect("runs").rows_affected()
                }
                None => {
                    let url = format!("sqlite:{}", self.data().join("keyward.db").display());
                    let mut conn = sqlx::SqliteConnection::connect(&url).await.expect("connects");
                    sqlx::raw_sql(statement).execute(&mut conn).await.expect("runs").rows_affected()
                }
            }
        })
    }

    /// Everything that the database holds, as text, for searches.
    pub(crate) fn dump(&self) -> String {
        match self.database_url() {
            Some(url) => {
                let output =
                    Command::new("pg_dump").args(["--inserts", &url]).output().expect("pg_dump runs");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let text = String::from_utf8_lossy(&output.stdout);
                // Two lines of pg_dump's own differ from dump to dump.
                let same =
                    |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
                text.split_inclusive('\n').filter(same).collect()
            }
            None => ["keyward.db", "keyward.db-wal"]
                .iter()
                .filter_map(|name| fs::read(self.data().join(name)).ok())
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .collect(),
        }
    }
}

/// The library that sets the wall clock of a process.
fn faketime() -> &'static str {
    const PLACES: [&str; 3] = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/faketime/libfaketime.so.1",
    ];
    PLACES
        .into_iter()
        .find(|file| Path::new(file).exists())
        .expect("libfaketime is installed (tools/install)")
}

impl Database {
    fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("KEYWARD_TEST_POSTGRES").expect("KEYWARD_TEST_POSTGRES names a server");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("keyward_test_{}_{number}", std::process::id());
        let database = Self { server, name };
        database.psql(&format!("CREATE DATABASE {}", database.name));
        database
    }

    fn psql(&self, statement: &str) {
        let url = format!("{}/postgres", self.server);
        let output = Command::new("psql").args([&url, "-qc", statement]).output().expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.psql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) url: String,
    /// What bootstrap printed.
    pub(crate) root: Value,
    child: Child,
    config: String,
}

impl Server {
    /// A fresh server with its first administrator.
    pub(crate) fn start() -> Self {
        Self::with_config("")
    }

    /// The same with a configuration file.
    pub(crate) fn with_config(config: &str) -> Self {
        let place = Place::new();
        let root = place.bootstrap();
        Self::serve(place, root, config)
    }

    /// Serves a place that was bootstrapped.
    pub(crate) fn serve(place: Place, root: Value, config: &str) -> Self {
        let port = free_port();
        let child = spawn(&place, port, config);
        let url = format!("http://127.0.0.1:{port}");
        let server = Self { place, url, root, child, config: config.into() };
        server.wait_until_ready();
        server
    }

    /// A second node on the same database and root key.
    pub(crate) fn second_node(&self) -> Node {
        let port = free_port();
        let child = spawn(&self.place, port, &self.config);
        let node = Node { url: format!("http://127.0.0.1:{port}"), child };
        wait_until(|| is_ready(&node.url));
        node
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(&self.url) {
            assert!(Instant::now() < deadline, "the server does not get ready:\n{}", self.place.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The operator's secret.
    pub(crate) fn operator(&self) -> String {
        text(&self.root["secret"])
    }

    /// The primary tenant's id.
    pub(crate) fn tenant(&self) -> String {
        text(&self.root["tenant_id"])
    }

    /// A caller with this secret.
    pub(crate) fn caller(&self, secret: &str) -> Caller {
        Caller { url: self.url.clone(), secret: secret.into() }
    }

    /// The operator as a caller.
    pub(crate) fn root(&self) -> Caller {
        self.caller(&self.operator())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and the same place served again on another port.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
        self.restart()
    }

    /// The same with another configuration.
    pub(crate) fn kill_and_restart_with(mut self, config: &str) -> Self {
        self.config = config.into();
        self.kill_and_restart()
    }

    /// SIGTERM; returns how long the server took and its exit code.
    pub(crate) fn terminate(&mut self) -> (Duration, Option<i32>) {
        let started = Instant::now();
        let status =
            Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill runs");
        assert!(status.success());
        let (_, code) = self.wait();
        (started.elapsed(), code)
    }

    /// Waits until the process has ended; returns for how long and its exit code.
    pub(crate) fn wait(&mut self) -> (Duration, Option<i32>) {
        let started = Instant::now();
        let status = self.child.wait().expect("ended");
        (started.elapsed(), status.code())
    }

    /// Serves again after the process has ended.
    pub(crate) fn restart(mut self) -> Self {
        let port = free_port();
        self.child = spawn(&self.place, port, &self.config);
        self.url = format!("http://127.0.0.1:{port}");
        self.wait_until_ready();
        self
    }

    /// Sends raw bytes and reads until the server closes or is silent for half a second.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("connects");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("sets");
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while let Ok(count) = stream.read(&mut part) {
            if count == 0 {
                break;
            }
            answer.extend_from_slice(&part[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.place.log();
            let tail: Vec<_> = log.lines().rev().take(20).collect();
            eprintln!("last lines of the server's log, newest first:\n{}", tail.join("\n"));
        }
    }
}

/// Another process on the same database.
pub(crate) struct Node {
    pub(crate) url: String,
    child: Child,
}

impl Node {
    pub(crate) fn caller(&self, secret: &str) -> Caller {
        Caller { url: self.url.clone(), secret: secret.into() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(place: &Place, port: u16, config: &str) -> Child {
    let file = place.folder.path().join("config.yml");
    fs::write(&file, config).expect("written");
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(place.folder.path().join("log"))
        .expect("a log");
    let data = place.data();
    let listen = format!("127.0.0.1:{port}");
    let mut args = vec!["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen", &listen];
    if !config.is_empty() {
        args.extend(["--config", file.to_str().expect("UTF-8")]);
    }
    let mut command = place.keyward(&args);
    if config.contains("metrics:") {
        command.env_remove("KEYWARD_METRICS__LISTEN");
    }
    command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary runs")
}

fn is_ready(url: &str) -> bool {
    client().get(format!("{url}/readyz")).send().is_ok_and(|answer| answer.status() == 200)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Tries until it is so.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not become so in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An HTTP client without keep-alive surprises between restarts.
pub(crate) fn client() -> Client {
    // Made once: reading the roots of trust takes longer than most requests here.
    static CLIENT: OnceLock<Client> = OnceLock::new();
    let make = || Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).build().expect("a client");
    CLIENT.get_or_init(make).clone()
}

/// Somebody with a secret.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) url: String,
    pub(crate) secret: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().expect("a body");
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if headers.get("content-type").is_some_and(|kind| kind == "application/problem+json") {
            let code = body["code"].as_str().unwrap_or_default();
            let catalogue: String = CATALOGUE.split_whitespace().collect();
            // `/authz` has four statuses alone, whatever the code.
            let gateway = headers.contains_key("x-auth-code") && [401, 403, 429, 503].contains(&status);
            let status = if gateway { String::new() } else { format!("{status},") };
            assert!(catalogue.contains(&format!("(\"{code}\",{status}")), "not in the catalogue: {text}");
        }
        Self { status, headers, body, text }
    }

    /// The same, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text);
        self.body
    }

    /// A refusal with this status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        self
    }

    /// A header as text, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Caller {
    /// A request with the secret as Bearer.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        client().request(method, format!("{}{path}", self.url)).bearer_auth(&self.secret)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::read(self.request("GET", path).send().expect("an answer"))
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Answer {
        Answer::read(self.request("POST", path).json(&body).send().expect("an answer"))
    }

    pub(crate) fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::read(self.request("PATCH", path).json(&body).send().expect("an answer"))
    }

    pub(crate) fn put(&self, path: &str) -> Answer {
        Answer::read(self.request("PUT", path).send().expect("an answer"))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        Answer::read(self.request("DELETE", path).send().expect("an answer"))
    }

    /// Makes a role; returns its id.
    pub(crate) fn role(&self, name: &str, rights: &[&str]) -> String {
        text(&self.post("/v1/roles", json!({ "name": name, "rights": rights })).ok()["id"])
    }

    /// Makes a user with these roles (and nothing else); returns the id.
    pub(crate) fn user(&self, username: &str, roles: &[&str]) -> String {
        text(&self.post("/v1/users", json!({ "username": username, "role_ids": roles })).ok()["id"])
    }

    /// Makes a key; returns the whole answer.
    pub(crate) fn key(&self, body: Value) -> Value {
        self.post("/v1/keys", body).ok()
    }

    /// Makes a user with the roles `member` and these rights, and a member key; returns user id and
    /// the key's answer.
    pub(crate) fn member(&self, username: &str, rights: &[&str]) -> (String, Value) {
        let mut all = vec!["me:read", "me/keys:*"];
        all.extend(rights);
        let role = self.role(&format!("role of {username}"), &all);
        let user = self.user(username, &[&role]);
        let key =
            self.key(json!({ "class": "member", "owner_id": user, "label": format!("{username}'s key") }));
        (user, key)
    }

    /// Verifies a secret with nothing asked of it.
    pub(crate) fn verify(&self, secret: &str) -> Value {
        self.post("/v1/verify", json!({ "credential": secret })).ok()
    }

    /// The code that verify tells.
    pub(crate) fn code(&self, secret: &str) -> String {
        text(&self.verify(secret)["code"])
    }
}

/// The text of a JSON string.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

/// The file of a crate's folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
