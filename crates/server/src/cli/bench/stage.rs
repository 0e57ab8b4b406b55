//! What a benchmark runs against: a server process on a folder of its own with many keys, and the
//! constant answer of the same HTTP library.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyward_core::key::KeyClass;
use keyward_core::token::{self, AccessKey};

use crate::app::App;
use crate::cli::local;
use crate::config::Sources;
use crate::logging::LogLevels;
use crate::random;
use crate::serve;
use crate::setup::{self, Bootstrapped};
use crate::store::keys::{self, KeyRow, SecretRow};

/// Keys inserted in one transaction.
const CHUNK: u32 = 5_000;
/// As long as an answer of `/v1/verify` usually is.
const CONSTANT: &str = r#"{"valid":true,"code":"ok","key":{"id":"key_00000000000000000000000000","access_key":"kwa_0000000000000000","class":"workspace","label":"bench"},"principal":{"kind":"workspace","id":"key_00000000000000000000000000","username":null},"tenant":{"id":"tenant_00000000000000000000000000","slug":"primary","number":0},"rights":["**:*"],"expires_at":"2027-02-20T05:51:35.226Z","limits":[{"name":"bench","limit":1000000,"remaining":999999,"reset_seconds":1}],"cache_ttl_seconds":0}"#;

/// A process that ends with its value.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with a database full of keys.
pub(super) struct Stage {
    folder: PathBuf,
    pub(super) root: Bootstrapped,
    /// The secrets of the keys.
    pub(super) secrets: Arc<Vec<String>>,
}

impl Stage {
    /// Makes the folder and the keys, each with a rate limit, so that limits are on.
    pub(super) async fn build(count: u32) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("keyward-bench-{}", random::hex::<6>()));
        let app = open(&folder).await?;
        let root = setup::bootstrap(&app, "bench", None, "bench").await.map_err(local::failure)?;
        let secrets = insert_keys(&app, &root, count).await?;
        app.db.close().await;
        Ok(Self { folder, root, secrets: Arc::new(secrets) })
    }

    /// Opens the folder in this process, as long as no server does.
    pub(super) async fn open(&self) -> anyhow::Result<Arc<App>> {
        open(&self.folder).await
    }

    /// Starts a server process on the folder, with one serving thread.
    pub(super) async fn serve(&self) -> anyhow::Result<(SocketAddr, Process)> {
        let (listen, process) = self.launch()?;
        wait_for(listen).await?;
        Ok((listen, process))
    }

    /// The same with as many threads as there are by default.
    pub(super) async fn serve_as_configured(&self) -> anyhow::Result<(SocketAddr, Process)> {
        let (listen, process) = self.launch_with("0")?;
        wait_for(listen).await?;
        Ok((listen, process))
    }

    /// Starts it without waiting.
    pub(super) fn launch(&self) -> anyhow::Result<(SocketAddr, Process)> {
        self.launch_with("1")
    }

    fn launch_with(&self, threads: &str) -> anyhow::Result<(SocketAddr, Process)> {
        let listen = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", &listen.to_string(), "--data-dir"]).arg(&self.folder);
        command
            .env("KEYWARD_SERVER__THREADS", threads)
            .env("KEYWARD_METRICS__LISTEN", "")
            .env("KEYWARD_LOG__FILTER", "warn");
        Ok((listen, spawn(command)?))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn open(folder: &Path) -> anyhow::Result<Arc<App>> {
    let sources = Sources { data_dir: Some(folder.into()), ..Sources::default() };
    serve::open(local::load(&sources)?, LogLevels::silent()).await.map_err(local::failure)
}

/// Starts the constant answer in a process of its own.
pub(super) async fn constant() -> anyhow::Result<(SocketAddr, Process)> {
    let listen = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "constant", "--listen", &listen.to_string()]);
    let process = spawn(command)?;
    wait_for(listen).await?;
    Ok((listen, process))
}

fn spawn(mut command: Command) -> anyhow::Result<Process> {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the server cannot be started")?;
    Ok(Process(child))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn wait_for(address: SocketAddr) -> anyhow::Result<()> {
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the server at {address} does not answer")
}

/// Serves the constant answer until killed: read the body, answer, nothing else.
pub(super) fn serve_constant(listen: SocketAddr) -> anyhow::Result<()> {
    let serve = move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind(listen).await?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(async move {
                    let service = service_fn(|request: http::Request<hyper::body::Incoming>| async {
                        request.into_body().collect().await.map(|_| answer())
                    });
                    let builder = crate::http::server::builder();
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        })
    };
    std::thread::spawn(serve).join().map_err(|_| anyhow::anyhow!("the constant answer panicked"))?
}

fn answer() -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::new(Bytes::from_static(CONSTANT.as_bytes())));
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

async fn insert_keys(app: &App, root: &Bootstrapped, count: u32) -> anyhow::Result<Vec<String>> {
    let mut secrets = Vec::with_capacity(count as usize);
    while (secrets.len() as u32) < count {
        let mut tx = app.db.begin().await.map_err(local::failure)?;
        for _ in 0..CHUNK.min(count - secrets.len() as u32) {
            let (row, secret, text) = key(app, root);
            keys::insert(tx.conn(), &row).await.map_err(local::failure)?;
            keys::insert_secret(tx.conn(), &row.tenant_id, &row.id, &secret, "bench")
                .await
                .map_err(local::failure)?;
            secrets.push(text);
        }
        tx.commit().await.map_err(local::failure)?;
    }
    Ok(secrets)
}

fn key(app: &App, root: &Bootstrapped) -> (KeyRow, SecretRow, String) {
    let now = app.clock.unix_ms();
    let access_key = AccessKey::generate(&mut random::fill);
    let secret =
        token::generate(app.verifier.prefixes.of(KeyClass::Workspace), access_key, &mut random::fill);
    let peppers = app.verifier.peppers.load();
    let pepper = &peppers[0];
    let version = SecretRow {
        generation: 1,
        pepper_id: i64::from(pepper.id()),
        hash: pepper.hash(secret.expose()).to_hex(),
        hint: secret.hint(),
        created_at: now,
        retires_at: None,
        seen_at: None,
    };
    let row = KeyRow {
        tenant_id: root.tenant_id.clone(),
        id: random::new_id::<keyward_core::id::Key>(now).to_string(),
        access_key: access_key.digits().into(),
        class: KeyClass::Workspace.as_str().into(),
        label: "bench".into(),
        switch: "on".into(),
        expires_at: Some(now + 90 * 86_400_000),
        limits: Some(r#"[{"name":"bench","requests":1000000,"per_seconds":1}]"#.into()),
        created_at: now,
        created_by: "bench".into(),
        updated_at: now,
        updated_by: "bench".into(),
        version: 1,
        ..KeyRow::default()
    };
    (row, version, secret.expose().to_owned())
}
