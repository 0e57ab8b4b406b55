//! The session that `keyward login` opened, kept for later commands: one for each server, in a file
//! that nobody but its owner can read, below `$XDG_STATE_HOME`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use reqwest::Url;
use serde::{Deserialize, Serialize};

/// What is kept of a session.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Kept {
    token: String,
}

type All = BTreeMap<String, Kept>;

/// The token for this server, if somebody logged in.
pub(crate) fn token(url: &Url) -> Option<String> {
    let path = path()?;
    // A file that others can read is not trusted to be ours.
    let private = fs::metadata(&path).is_ok_and(|file| file.permissions().mode().trailing_zeros() >= 6);
    let kept = read(&path).remove(url.as_str()).filter(|_| private)?;
    Some(kept.token).filter(|token| !token.is_empty())
}

/// Keeps a token for this server; returns where.
pub(crate) fn keep(url: &Url, token: &str) -> anyhow::Result<PathBuf> {
    let path = path().context("neither XDG_STATE_HOME nor HOME says where to keep the session")?;
    let mut all = read(&path);
    all.insert(url.as_str().to_owned(), Kept { token: token.to_owned() });
    write(&path, &all).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Forgets the token for this server.
pub(crate) fn forget(url: &Url) -> anyhow::Result<()> {
    let Some(path) = path() else { return Ok(()) };
    let mut all = read(&path);
    if all.remove(url.as_str()).is_some() {
        write(&path, &all).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("keyward/sessions.json"))
}

fn read(path: &Path) -> All {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Written beside and moved into place, so that no other command reads half of it.
fn write(path: &Path, all: &All) -> anyhow::Result<()> {
    let folder = path.parent().context("the path has a folder")?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(format!("sessions.json.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(all)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(())
}
