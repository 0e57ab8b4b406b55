//! Where the one copy of a new secret goes (BM7, BM11, VA4).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::{Exit, Failure, Format, Session, cell};

/// For commands whose answer holds a secret.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SecretArgs {
    /// Write the secret to this new file (mode 0600) instead of showing it
    #[arg(long, value_name = "FILE")]
    secret_out: Option<PathBuf>,
}

impl SecretArgs {
    /// Whether a file is named.
    pub(crate) fn names_a_file(&self) -> bool {
        self.secret_out.is_some()
    }
}

/// The place that was chosen before the request is sent, so that no secret is made that nobody
/// could receive.
pub(crate) enum Sink {
    /// A file of its own.
    File(Reserved),
    /// Inside the JSON or YAML on stdout.
    Document,
    /// Framed on a terminal.
    Terminal,
    /// No secret will come.
    Nowhere,
}

impl Sink {
    /// Decides, and refuses where the secret would end up in a pipe unasked.
    pub(crate) fn choose(args: &SecretArgs, session: &Session) -> anyhow::Result<Self> {
        if session.global.dry_run || session.global.print_curl {
            return Ok(Self::Nowhere);
        }
        if let Some(path) = &args.secret_out {
            return Ok(Self::File(Reserved::new(path)?));
        }
        match session.output.asked() {
            Some(Format::Json | Format::Jsonl | Format::Yaml) => Ok(Self::Document),
            _ if session.output.terminal().stderr => Ok(Self::Terminal),
            _ => Err(Failure::usage("a secret is not printed where no terminal is")
                .hint("add --secret-out FILE, or -o json")
                .into()),
        }
    }

    /// Hands the secret over and returns the object as stdout may show it.
    pub(crate) fn deliver(self, session: &Session, mut created: Value) -> anyhow::Result<Value> {
        if matches!(self, Self::Nowhere | Self::Document) && created["secret_state"] != "delivered" {
            return Ok(created);
        }
        let Some(secret) = created["secret"].as_str().map(|text| zeroize::Zeroizing::new(text.to_owned()))
        else {
            return Err(lost(&created).into());
        };
        match self {
            Self::File(reserved) => {
                let path = reserved.write(&secret)?;
                session.output.note(&format!("secret written to {} (mode 0600)", path.display()));
            }
            _ => eprint!("{}", framed(&secret, created["copy"].as_str().unwrap_or_default())),
        }
        created["secret"] = Value::Null;
        created["copy"] = Value::Null;
        Ok(created)
    }
}

impl Sink {
    /// The same for an answer that holds a `token`.
    pub(crate) fn deliver_token(self, session: &Session, mut made: Value) -> anyhow::Result<Value> {
        if matches!(self, Self::Nowhere | Self::Document) && made["secret_state"] != "delivered" {
            return Ok(made);
        }
        let Some(token) = made["token"].as_str().map(|text| zeroize::Zeroizing::new(text.to_owned())) else {
            return Err(Failure::new(Exit::Failure, "the token was made, but it did not arrive")
                .detail("the connection broke while the server answered, and it never shows a token twice")
                .hint("make another; the lost one is void then")
                .into());
        };
        match self {
            Self::File(reserved) => {
                let path = reserved.write(&token)?;
                session.output.note(&format!("token written to {} (mode 0600)", path.display()));
            }
            _ => eprint!("{}", framed_token(&token)),
        }
        made["token"] = Value::Null;
        Ok(made)
    }
}

impl Sink {
    /// The same for an answer whose `members` are secret; `text` is how a person or a file gets them.
    pub(crate) fn deliver_text(
        self,
        session: &Session,
        mut made: Value,
        members: &[&str],
        text: &str,
    ) -> anyhow::Result<Value> {
        match self {
            Self::Nowhere | Self::Document => return Ok(made),
            _ if text.is_empty() => {
                return Err(Failure::new(Exit::Failure, "it was made, but it did not arrive")
                    .detail("the connection broke while the server answered, and it never shows this twice")
                    .hint("make it again; what was lost is void then")
                    .into());
            }
            Self::File(reserved) => {
                let path = reserved.write(text)?;
                session.output.note(&format!("written to {} (mode 0600)", path.display()));
            }
            Self::Terminal => {
                let rule = "─".repeat(72);
                let lines: Vec<_> = text.lines().map(cell::clean).collect();
                eprint!("{rule}\nThis is shown once.\n\n{}\n{rule}\n", lines.join("\n"));
            }
        }
        for member in members {
            made[*member] = Value::Null;
        }
        Ok(made)
    }
}

fn framed_token(token: &str) -> String {
    let rule = "─".repeat(72);
    format!("{rule}\nThis token is shown once.\n\n{}\n{rule}\n", cell::clean(token))
}

/// The answer to the first try was lost on its way; the server keeps no second copy.
fn lost(created: &Value) -> Failure {
    let id = created["id"].as_str().unwrap_or("<key>");
    Failure::new(Exit::Failure, format!("{id} was made, but its secret did not arrive"))
        .detail("the connection broke while the server answered, and it never shows a secret twice")
        .hint(format!("keyward keys new-secret {id}"))
}

/// Rules above and below only: a line selected with the mouse is the secret and nothing else.
fn framed(secret: &str, copy: &str) -> String {
    let rule = "─".repeat(72);
    let (secret, copy) = (cell::clean(secret), cell::clean(copy));
    if copy.is_empty() {
        return format!(
            "{rule}\nKeep this on a server. It must never reach a browser.\n\n{secret}\n{rule}\n"
        );
    }
    format!(
        "{rule}\nThis secret is shown once. Store it now; nobody can show it again.\n\n\
         Secret:\n{secret}\n\nCopy all:\n{copy}\n{rule}\n"
    )
}

/// A file made in advance; removed again if nothing is written.
pub(crate) struct Reserved {
    path: PathBuf,
    file: File,
    written: bool,
}

impl Reserved {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| {
            Failure::usage(format!("--secret-out: cannot make {}", path.display()))
                .detail(error.to_string())
                .hint("name a file that does not exist yet; it is never overwritten")
        })?;
        Ok(Self { path: path.to_owned(), file, written: false })
    }

    fn write(mut self, secret: &str) -> anyhow::Result<PathBuf> {
        let line = zeroize::Zeroizing::new(format!("{secret}\n"));
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all());
        written.with_context(|| format!("cannot write {}; make a new secret", self.path.display()))?;
        self.written = true;
        Ok(self.path.clone())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_file_is_private_new_and_gone_if_nothing_came() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        drop(Reserved::new(&path).expect("reserved"));
        assert!(!path.exists());
        Reserved::new(&path).expect("reserved").write("kwm_x").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "kwm_x\n");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(Reserved::new(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "kwm_x\n");
    }

    #[test]
    fn secret_and_copy_line_stand_alone_between_rules() {
        let text = framed("kwm_abc", "key:kwa_1::kwm_abc,tenant id: tenant_1");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"kwm_abc") && lines.contains(&"key:kwa_1::kwm_abc,tenant id: tenant_1"));
        assert_eq!(lines.first(), lines.last());
        assert!(lines[1].contains("shown once"));
    }

    #[test]
    fn a_lost_secret_names_the_way_out() {
        let told = lost(&json!({"id": "key_1", "secret": null})).to_string();
        assert!(told.contains("keyward keys new-secret key_1"), "{told}");
    }
}
