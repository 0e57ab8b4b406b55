//! `keyward bootstrap`

use std::path::PathBuf;

use clap::Args;

use super::output::Output;
use super::{Exit, Global, Outcome, local};
use crate::app::App;
use crate::passwords;
use crate::setup::{self, Bootstrapped};

/// Make the first administrator and key in a data folder
#[derive(Args, Debug)]
pub(crate) struct BootstrapArgs {
    /// Folder of the database and the root key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Name of the administrator
    #[arg(long, value_name = "NAME")]
    pub(crate) username: String,
    /// Mail address of the administrator
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Make another operator key, or a link that sets a password, when nobody can get in any more
#[derive(Args, Debug)]
pub(crate) struct RecoverArgs {
    /// Instead of a key: a token by which this user of the primary tenant sets a password, once
    #[arg(long, value_name = "NAME")]
    pub(crate) password_reset: Option<String>,
    /// Folder of the database and the root key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Runs `keyward bootstrap`.
pub(crate) async fn run(args: BootstrapArgs, global: &Global) -> Outcome {
    let app = local::open(args.config.as_deref(), Some(&args.data_dir)).await?;
    let done = setup::bootstrap(&app, &args.username, args.email.as_deref(), "bootstrap").await;
    let done = done.map_err(local::failure)?;
    crate::serve::forget_token(&app.settings.data_dir);
    finish(&app, &done, global).await
}

/// Runs `keyward recover`.
pub(crate) async fn recover(args: RecoverArgs, global: &Global) -> Outcome {
    let app = local::open(args.config.as_deref(), Some(&args.data_dir)).await?;
    let Some(username) = &args.password_reset else {
        let done = setup::recover(&app).await.map_err(local::failure)?;
        return finish(&app, &done, global).await;
    };
    let link = passwords::links::recover(&app, username).await.map_err(local::failure)?;
    app.db.close().await;
    let output = Output::new(global);
    output.object(&["username", "token", "expires_at", "redeem_url"], &serde_json::to_value(&link)?)?;
    output.note("set the password: keyward password redeem, and give it the token");
    Ok(Exit::Ok)
}

async fn finish(app: &App, done: &Bootstrapped, global: &Global) -> Outcome {
    app.db.close().await;
    let value = serde_json::to_value(done)?;
    Output::new(global).object(&["tenant_id", "user_id", "access_key", "secret"], &value)?;
    Ok(Exit::Ok)
}
