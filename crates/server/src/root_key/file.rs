//! Files that hold the root key or what opens it: nobody but their owner may read them.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Reads a file, if it is a private one.
pub(super) fn read(file: &Path) -> Result<Zeroizing<String>> {
    let fail = |why: String| Error::Startup(format!("{}: {why}", file.display()));
    let data = std::fs::metadata(file).map_err(|why| fail(why.to_string()))?;
    // systemd lets a service read its credentials by an access control list, whose mask shows as the
    // rights of the group.
    let allowed = if is_credential(file) { 0o740 } else { 0o700 };
    if data.mode() & 0o777 & !allowed != 0 {
        return Err(fail(format!(
            "others may read it (mode {:o}); run chmod 600 on it and ask yourself who has",
            data.mode() & 0o777
        )));
    }
    let own = rustix::process::geteuid().as_raw();
    if data.uid() != own && data.uid() != 0 {
        return Err(fail(format!("it belongs to user {}, not to the user who runs the server", data.uid())));
    }
    std::fs::read_to_string(file).map(Zeroizing::new).map_err(|why| fail(why.to_string()))
}

/// Writes a new file with one line, for the owner alone.
pub(crate) fn write_new(file: &Path, line: &str) -> Result<()> {
    let fail = |why| Error::Startup(format!("{}: {why}", file.display()));
    let mut out =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(fail)?;
    out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(fail)?;
    out.sync_all().map_err(fail)
}

/// A systemd credential of this name, if the service was given one.
pub(super) fn credential(name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    file.exists().then_some(file)
}

fn is_credential(file: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| file.parent() == Some(Path::new(&folder)))
}
