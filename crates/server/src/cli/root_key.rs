//! `keyward root-key`: from one form of the root key to another.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::output::Output;
use super::{Exit, Failure, Format, Global, Outcome, local};
use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::root_key::shares::{self, Share};
use crate::root_key::{passphrase, sealed, write_new};
use crate::seal::RootKey;
use crate::store::tenants;

/// Keep the root key in another form: sealed, in shares, in clear
#[derive(Args, Debug)]
pub(crate) struct RootKeyArgs {
    #[command(subcommand)]
    pub(crate) command: RootKeyCommand,
}

/// The root key stays the same in each form, so nothing in the database changes.
#[derive(Subcommand, Debug)]
pub(crate) enum RootKeyCommand {
    /// Write the root key to a new file: in clear, or sealed under a passphrase or by a token
    Export(RootKeyExportArgs),
    /// Take the root key apart: any so many shares make it, fewer tell nothing
    Split(RootKeySplitArgs),
}

/// Which root key.
#[derive(Args, Debug)]
pub(crate) struct RootKeyPlaceArgs {
    /// Make a new root key, for an installation that does not exist yet
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) new: bool,
    /// Folder of the database and the root key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// What the file shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// The key itself
    Plain,
    /// The key sealed under a passphrase, which each start will need
    Passphrase,
    /// The key sealed by the token of root_key.pkcs11, which each start will need
    Pkcs11,
}

/// In which form and where to.
#[derive(Args, Debug)]
pub(crate) struct RootKeyExportArgs {
    /// What the file shall hold
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(crate) form: Form,
    /// The new file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// File with the new passphrase, instead of a question
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: RootKeyPlaceArgs,
}

/// Into how many shares.
#[derive(Args, Debug)]
pub(crate) struct RootKeySplitArgs {
    /// How many shares to make
    #[arg(long, value_name = "N")]
    pub(crate) shares: u8,
    /// How many of them shall be needed
    #[arg(long, value_name = "K")]
    pub(crate) threshold: u8,
    /// Write each share to a file in this new folder instead of showing it
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: RootKeyPlaceArgs,
}

/// Runs `keyward root-key`.
pub(crate) async fn run(args: RootKeyArgs, global: &Global) -> Outcome {
    match args.command {
        RootKeyCommand::Export(args) => export(args, global).await,
        RootKeyCommand::Split(args) => split(args, global).await,
    }
}

async fn export(args: RootKeyExportArgs, global: &Global) -> Outcome {
    refuse_existing(&args.to)?;
    let form = args.form.to_possible_value().expect("no form is hidden");
    args.place
        .with_key("root_key.export", form.get_name(), |root| {
            let line = args.line(root)?;
            write_new(&args.to, &line)
        })
        .await?;
    let (file, place) = (args.to.display(), "name it in root_key.file, or make it the systemd credential");
    Output::new(global).note(&format!("the root key is in {file}; {place}, start, and destroy the old one"));
    Ok(Exit::Ok)
}

impl RootKeyExportArgs {
    fn line(&self, root: &RootKey) -> Result<zeroize::Zeroizing<String>> {
        Ok(match self.form {
            Form::Plain => root.to_hex(),
            Form::Passphrase => {
                let passphrase = passphrase::chosen(self.passphrase_file.as_ref())?;
                sealed::under_passphrase(root, &passphrase)?.into()
            }
            Form::Pkcs11 => {
                let loaded = self.place.settings()?;
                sealed::by_token(root, &loaded.root_key.pkcs11)?.into()
            }
        })
    }
}

async fn split(args: RootKeySplitArgs, global: &Global) -> Outcome {
    let output = Output::new(global);
    let asked = matches!(output.asked(), Some(Format::Json | Format::Jsonl | Format::Yaml));
    match &args.to {
        Some(folder) => refuse_existing(folder)?,
        None if !asked && !output.terminal().stderr => {
            return Err(Failure::usage("shares are not printed where no terminal is")
                .hint("add --to DIR, or -o json")
                .into());
        }
        None => {}
    }
    let detail = format!("{} of {} shares", args.threshold, args.shares);
    let made = args
        .place
        .with_key("root_key.split", &detail, |root| {
            let made = shares::split(root, args.shares, args.threshold)?;
            if let Some(folder) = &args.to {
                write_all(&made, folder)?;
            }
            Ok(made)
        })
        .await?;
    match &args.to {
        Some(folder) => output.note(&format!("each share is in a file of its own in {}", folder.display())),
        None if asked => {
            let row = |share: &Share| json!({ "number": share.number(), "share": *share.text() });
            output.rows(&["number", "share"]).all(made.iter().map(row).collect())?;
        }
        None => show(&made),
    }
    output.note(&format!(
        "any {} of these {} make the root key; give each to another person, name those that a start \
         shall use in root_key.shares, start, and destroy the old root key",
        args.threshold, args.shares
    ));
    Ok(Exit::Ok)
}

fn show(shares: &[Share]) {
    for share in shares {
        eprintln!("Share {}, shown once:\n{}\n", share.number(), *share.text());
    }
}

fn write_all(shares: &[Share], folder: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|why| Error::Startup(format!("{}: {why}", folder.display())))?;
    shares
        .iter()
        .try_for_each(|share| write_new(&folder.join(format!("share-{}", share.number())), &share.text()))
}

fn refuse_existing(path: &Path) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let title = format!("--to: {} exists already; nothing is overwritten", path.display());
    Err(Failure::usage(title).into())
}

impl RootKeyPlaceArgs {
    /// Does something with the root key, and leaves an event in the audit log.
    async fn with_key<T>(
        &self,
        action: &'static str,
        detail: &str,
        work: impl FnOnce(&RootKey) -> Result<T>,
    ) -> anyhow::Result<T> {
        if self.new {
            return work(&RootKey::generate()).map_err(local::failure);
        }
        let app = local::open(self.config.as_deref(), self.data_dir.as_deref()).await?;
        // A mistyped folder must not end in the key of an installation that nobody has.
        let actor = actor(&app).await.map_err(local::failure)?;
        let done = work(&app.root_key).map_err(local::failure)?;
        note(&app, &actor, action, detail).await.map_err(local::failure)?;
        app.db.close().await;
        Ok(done)
    }

    fn settings(&self) -> Result<crate::config::Settings> {
        let sources = local::sources(self.config.as_deref(), self.data_dir.as_deref());
        let loaded = crate::config::load(&sources);
        loaded.map(|loaded| loaded.settings).map_err(|why| Error::Startup(why.to_string()))
    }
}

/// The operating system's user, in the primary tenant's audit log.
async fn actor(app: &App) -> Result<Actor> {
    let primary = tenants::find_primary(&mut app.read().await?).await?.ok_or(Error::NotSetUp)?;
    Ok(Actor::local(&primary.id, "root-key"))
}

async fn note(app: &App, actor: &Actor, action: &'static str, detail: &str) -> Result<()> {
    let event = Event::new(action, "root_key", "root_key", detail);
    app.write(actor, async |_| Ok(Audited::new((), event))).await
}
