//! Where the root key comes from (OPS-3). One text holds it – in a file, a systemd credential, the
//! output of a command, the environment, or in the embedded default a file beside the database – in
//! clear or sealed ([`sealed`]); or it is put together from shares ([`shares`]). The key itself is the
//! same in each of these forms, so that going from one to another touches nothing in the database.

mod file;
pub(crate) mod passphrase;
mod pkcs11;
pub(crate) mod sealed;
pub(crate) mod shares;

use std::path::PathBuf;

use zeroize::Zeroizing;

pub(crate) use file::write_new;
use sealed::Sealed;

use crate::cli::prompt;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::seal::RootKey;

/// Finds and reads the root key. `may_make` allows a new file where none is named and none exists.
pub(crate) async fn read(settings: &Settings, may_make: bool) -> Result<RootKey> {
    if !settings.root_key.shares.is_empty() {
        return shares::gather(&settings.root_key.shares);
    }
    find(settings, may_make).await?.open(settings)
}

/// A text that holds the root key, and how to call the place where it was.
struct Found {
    text: Zeroizing<String>,
    place: String,
}

async fn find(settings: &Settings, may_make: bool) -> Result<Found> {
    if let Some(command) = &settings.root_key.command {
        let text = from_command(command).await?;
        return Ok(Found { text, place: "root_key.command".into() });
    }
    let named = settings.root_key.file.clone();
    if let Some(file) = named.or_else(|| std::env::var_os("KEYWARD_ROOT_KEY_FILE").map(PathBuf::from)) {
        return from_file(&file);
    }
    if let Some(credential) = file::credential("keyward-root-key") {
        return from_file(&credential);
    }
    if let Ok(text) = std::env::var("KEYWARD_ROOT_KEY") {
        tracing::warn!(
            "the root key comes from the environment, where other processes may see it; use a file"
        );
        return Ok(Found { text: Zeroizing::new(text), place: "KEYWARD_ROOT_KEY".into() });
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
        write_new(&file, &RootKey::generate().to_hex())?;
    }
    from_file(&file)
}

fn from_file(file: &std::path::Path) -> Result<Found> {
    Ok(Found { text: file::read(file)?, place: file.display().to_string() })
}

async fn from_command(command: &str) -> Result<Zeroizing<String>> {
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
    String::from_utf8(output.stdout).map(Zeroizing::new).map_err(|why| fail(why.to_string()))
}

impl Found {
    fn open(&self, settings: &Settings) -> Result<RootKey> {
        let (text, place) = (self.text.trim(), &self.place);
        if Sealed::is_form_of(text) {
            return Sealed::parse(text, place)?.open(&settings.root_key, place);
        }
        RootKey::parse(text).ok_or_else(|| {
            let hint = if shares::is_share(text) { "; this is a share: name it in root_key.shares" } else { "" };
            Error::Startup(format!(
                "{place}: a root key is 64 hexadecimal digits, or a line that keyward root-key export wrote{hint}"
            ))
        })
    }
}

/// A secret that opens the root key: from its file, else from a systemd credential, else typed.
fn ask(file: Option<&PathBuf>, credential: &str, setting: &str, what: &str) -> Result<Zeroizing<String>> {
    use std::io::IsTerminal as _;
    if let Some(file) = file.cloned().or_else(|| file::credential(credential)) {
        return Ok(first_line(&file::read(&file)?));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Startup(format!(
            "{what} is needed, and nobody can be asked here: name a file with it in {setting}, \
             or give the systemd credential {credential}"
        )));
    }
    typed(what)
}

/// A line that somebody types unseen, unless Ctrl-C ends the process.
fn typed(what: &str) -> Result<Zeroizing<String>> {
    let fail = |why: std::io::Error| Error::Startup(format!("{what}: {why}"));
    let watch = prompt::exit_when_interrupted().map_err(fail)?;
    let line = prompt::read_hidden(&format!("{what} (not shown): "));
    watch.abort();
    line.map(|line| first_line(&line)).map_err(fail)
}

fn first_line(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
}
