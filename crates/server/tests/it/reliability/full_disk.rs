//! SQLite cannot be written: the disk is full, or somebody holds the lock (R4, R16, AUD-5).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::count;
use crate::support::{Answer, Place, Server, engine, text};

/// A small file system of its own below the data folder.
struct Disk(PathBuf);

impl Disk {
    /// `None`, visibly, where no file system may be mounted.
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("made");
        let done = mount(&["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"], folder);
        if !done {
            eprintln!("skipped: this user may not mount a file system");
        }
        done.then(|| Self(folder.to_owned()))
    }

    /// Takes every byte that is left.
    fn fill(&self) -> PathBuf {
        let file = self.0.join("ballast");
        let mut out = fs::File::create(&file).expect("made");
        let zeroes = [0; 4096];
        while std::io::Write::write_all(&mut out, &zeroes).is_ok() {}
        file
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l".as_ref(), self.0.as_os_str()]).status();
    }
}

fn mount(args: &[&str], folder: &Path) -> bool {
    let output = Command::new("mount").args(args).arg(folder).output();
    output.is_ok_and(|output| output.status.success())
}

fn on_sqlite() -> bool {
    if engine() != "sqlite" {
        eprintln!("skipped: {} keeps its files elsewhere", engine());
    }
    engine() == "sqlite"
}

/// A server with keys that are cached and one that is not.
struct Setting {
    server: Server,
    cached: String,
    cold: String,
}

impl Setting {
    fn new(place: Place, root: Value) -> Self {
        let server = Server::serve(place, root, "database: { timeout: 1s }\n");
        let key =
            |label: &str| text(&server.root().key(json!({ "class": "ingest", "label": label }))["secret"]);
        let (cached, cold) = (key("cached"), key("cold"));
        assert_eq!(server.root().code(&cached), "ok");
        Self { server, cached, cold }
    }

    /// Writes are refused whole, with the time to come back; verification goes on.
    fn must_be_read_only(&self) {
        let root = self.server.root();
        let keys = count(&self.server.place, "SELECT CAST(COUNT(*) AS BIGINT) FROM keys");
        let refused: [Answer; 2] = [
            root.post("/v1/keys", json!({ "class": "ingest", "label": "lost" })),
            root.post("/v1/users", json!({ "username": "lost" })),
        ];
        for answer in refused {
            let answer = answer.refused(503, "unavailable");
            assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
        }
        assert_eq!(root.code(&self.cached), "ok");
        assert_eq!(root.code(&self.cold), "ok");
        assert_eq!(count(&self.server.place, "SELECT CAST(COUNT(*) AS BIGINT) FROM keys"), keys);
        assert_eq!(root.get("/v1/users?username=lost").ok()["data"], json!([]));
    }

    /// Within 2 s everything works again, and nothing was harmed.
    fn must_resume(&self) {
        let (since, root) = (Instant::now(), self.server.root());
        while root.post("/v1/users", json!({ "username": "found" })).status != 201 {
            assert!(since.elapsed() < Duration::from_secs(2), "writes do not resume");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(root.code(&self.cached), "ok");
        assert_eq!(root.get("/v1/audit-events/verification").ok()["ok"], true);
        root.get("/readyz").expect(200);
    }
}

#[test]
fn r16_r4_aud_5_a_full_disk_stops_writes_and_nothing_else() {
    if !on_sqlite() {
        return;
    }
    let place = Place::new();
    let Some(disk) = Disk::mount(&place.data()) else { return };
    let root = place.bootstrap();
    let setting = Setting::new(place, root);
    let ballast = disk.fill();
    // What the log of the database had taken before may still be written; then it is full.
    let (root, mut written) = (setting.server.root(), 0);
    while root.post("/v1/roles", json!({ "name": format!("role {written}"), "rights": [] })).status == 201 {
        written += 1;
        assert!(written < 5000, "the disk is full and writes go on");
    }
    setting.must_be_read_only();
    fs::remove_file(ballast).expect("removed");
    setting.must_resume();
    let server = setting.server.kill_and_restart();
    let roles = count(&server.place, "SELECT CAST(COUNT(*) AS BIGINT) FROM roles WHERE name LIKE 'role %'");
    assert_eq!(roles, written);
    assert_eq!(server.root().code(&setting.cached), "ok");
    drop((server, disk));
}

#[test]
fn r4_ver_8_a_database_that_somebody_locks_stops_writes_and_nothing_else() {
    if !on_sqlite() {
        return;
    }
    let place = Place::new();
    let root = place.bootstrap();
    let setting = Setting::new(place, root);
    let lock = Locked::hold(&setting.server.place);
    setting.must_be_read_only();
    drop(lock);
    setting.must_resume();
}

/// The write lock of the database, held from outside.
struct Locked {
    release: std::sync::mpsc::Sender<()>,
    holder: Option<std::thread::JoinHandle<()>>,
}

impl Locked {
    fn hold(place: &Place) -> Self {
        let url = format!("sqlite:{}", place.data().join("keyward.db").display());
        let (release, released) = std::sync::mpsc::channel();
        let (locked, is_locked) = std::sync::mpsc::channel();
        let holder = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                use sqlx::Connection as _;
                let mut conn = sqlx::SqliteConnection::connect(&url).await.expect("connects");
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut conn).await.expect("locks");
                locked.send(()).expect("somebody waits");
                let _ = released.recv();
                sqlx::raw_sql("ROLLBACK").execute(&mut conn).await.expect("unlocks");
            });
        });
        is_locked.recv().expect("locks");
        Self { release, holder: Some(holder) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.release.send(());
        let _ = self.holder.take().expect("is held").join();
    }
}
