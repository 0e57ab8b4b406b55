//! Where the root key comes from (OPS-3): a file, a systemd credential, a command, or, with a
//! warning, the environment. In the embedded default a file beside the database.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::seal::RootKey;

/// Finds and reads the root key. `may_make` allows a new file where none is named and none exists.
pub(crate) async fn read(settings: &Settings, may_make: bool) -> Result<RootKey> {
    if let Some(command) = &settings.root_key.command {
        return from_command(command).await;
    }
    if let Some(file) = settings.root_key.file.clone().or_else(systemd_credential) {
        return from_file(&file);
    }
    if let Ok(text) = std::env::var("KEYWARD_ROOT_KEY") {
        tracing::warn!(
            "the root key comes from the environment, where other processes may see it; use a file"
        );
        return parse(&Zeroizing::new(text), "KEYWARD_ROOT_KEY");
    }
    let file = settings.data_dir.join("root.key");
    if !file.exists() {
        if !may_make {
            return Err(Error::Startup(format!(
                "there is a database, but its root key {} is missing. Put it back, or name it in root_key.file; \
                 without it nothing that was sealed can be read.",
                file.display()
            )));
        }
        make(&file)?;
    }
    from_file(&file)
}

fn systemd_credential() -> Option<PathBuf> {
    let file = Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join("keyward-root-key");
    file.exists().then_some(file)
}

fn make(file: &Path) -> Result<()> {
    let fail = |why| Error::Startup(format!("{}: {why}", file.display()));
    let mut out =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(fail)?;
    out.write_all(RootKey::generate().as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(fail)?;
    out.sync_all().map_err(fail)
}

fn from_file(file: &Path) -> Result<RootKey> {
    let fail = |why: String| Error::Startup(format!("root key {}: {why}", file.display()));
    let data = std::fs::metadata(file).map_err(|why| fail(why.to_string()))?;
    if data.mode() & 0o077 != 0 {
        return Err(fail(format!(
            "others may read it (mode {:o}); run chmod 600 on it and ask yourself who has",
            data.mode() & 0o777
        )));
    }
    let own = rustix::process::geteuid().as_raw();
    if data.uid() != own && data.uid() != 0 {
        return Err(fail(format!("it belongs to user {}, not to the user who runs the server", data.uid())));
    }
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|why| fail(why.to_string()))?);
    parse(&text, &file.display().to_string())
}

async fn from_command(command: &str) -> Result<RootKey> {
    let fail = |why: String| Error::Startup(format!("root_key.command: {why}"));
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| fail("it is empty".into()))?;
    let output = tokio::process::Command::new(program)
        .args(words)
        .output()
        .await
        .map_err(|why| fail(why.to_string()))?;
    if !output.status.success() {
        return Err(fail(format!("it ended with {}", output.status)));
    }
    let text = Zeroizing::new(String::from_utf8(output.stdout).map_err(|why| fail(why.to_string()))?);
    parse(&text, "root_key.command")
}

fn parse(text: &str, source: &str) -> Result<RootKey> {
    RootKey::parse(text)
        .ok_or_else(|| Error::Startup(format!("{source}: a root key is 64 hexadecimal digits")))
}
