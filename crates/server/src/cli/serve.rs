//! `keyward serve` and `keyward quickstart`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Global, Outcome, local};
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::keys::create;
use crate::keys::wire::KeyCreated;
use crate::passwords::links::{self, LinkOut};
use crate::{serve, setup};

/// Run the server
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Start a server with a first tenant, administrator and key, to try it out
#[derive(Args, Debug)]
pub(crate) struct QuickstartArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Where the server finds its things, and where it listens.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Configuration file (default: conf/config.yml, if there is one)
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the database and the root key
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Allow plain HTTP on an address that other machines can reach
    #[arg(long)]
    pub(crate) insecure_listen: bool,
}

/// Runs `keyward serve`.
pub(crate) async fn run(args: ServeArgs, _global: &Global) -> Outcome {
    let app = local::open_server(&args.server).await?;
    let setup = serve::offer_setup(&app).await.map_err(local::failure)?;
    let running = serve::start(app).await.map_err(local::failure)?;
    tracing::info!(address = %running.address, engine = running.app.db.engine(), "keyward serves");
    if let Some(file) = setup {
        let file = file.display();
        tracing::warn!(%file, "no administrator yet: POST /v1/setup with the token in this file within an hour, \
                                or run keyward bootstrap");
    }
    running.until_stopped().await.map_err(local::failure)?;
    Ok(Exit::Ok)
}

/// Runs `keyward quickstart`.
pub(crate) async fn quickstart(args: QuickstartArgs, _global: &Global) -> Outcome {
    let app = local::open_server(&args.server).await?;
    // Listening comes first: keys that are made before a port turns out to be busy would never be shown.
    let running = serve::start(app).await.map_err(local::failure)?;
    let made = first_keys(&running.app).await.map_err(local::failure)?;
    let url = public_url(&running);
    println!("{}", text(&running.app.settings.data_dir.display().to_string(), &url, made.as_ref()));
    running.until_stopped().await.map_err(local::failure)?;
    Ok(Exit::Ok)
}

/// How users reach the server: as configured, else where it listens.
fn public_url(running: &serve::Running) -> String {
    let server = &running.app.settings.server;
    server.public_url.clone().unwrap_or_else(|| {
        let scheme = if server.tls.pair().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", running.address)
    })
}

/// What a first quickstart makes: the operator's key, a way to a password for the console, and a key to try
/// things with.
struct Made {
    operator: setup::Bootstrapped,
    link: LinkOut,
    demo: KeyCreated,
}

async fn first_keys(app: &App) -> Result<Option<Made>> {
    if app.is_set_up().await? {
        return Ok(None);
    }
    let operator = setup::bootstrap(app, "admin", None, "quickstart").await?;
    let actor = Actor::local(&operator.tenant_id, "quickstart");
    let input = serde_json::json!({
        "class": "member", "owner_id": operator.user_id, "label": "quickstart demo",
        "scopes": ["me:read", "reports/*:read"],
    });
    let input = serde_json::from_value(input).map_err(Error::internal)?;
    let demo = create::create(app, &actor, input).await?;
    let user = operator.user_id.as_deref().unwrap_or_default();
    let link = links::start_reset(app, &actor, user).await?;
    Ok(Some(Made { operator, link, demo }))
}

fn text(data_dir: &str, url: &str, made: Option<&Made>) -> String {
    let Some(made) = made else {
        return format!(
            "Keyward serves at {url}\nData: {data_dir} (database keyward.db, root key root.key)\n\
             The first keys were shown when they were made. Lost the last one? Stop the server and run\n  \
             keyward recover --data-dir {data_dir} -o json\nConsole: {url}/console   API: {url}/openapi.json"
        );
    };
    let (operator, demo) = (&made.operator, &made.demo);
    let secret = demo.secret.as_ref().map(keyward_core::secret::Secret::expose).unwrap_or_default();
    let bearer = format!("-H 'Authorization: Bearer {}'", operator.secret);
    format!(
        "Keyward serves at {url}
Data: {data_dir} (database keyward.db, root key root.key: back both up, apart from each other)

Made now, shown once:
  administrator   admin   {user}
  operator key    {access_key}
  its secret      {operator_secret}
  demo key        {demo_access_key}
  its secret      {secret}

The console, first to set a password (the link works once, for an hour):
  {url}/console/password#{link}
Issue a key:
  curl -s {url}/v1/keys {bearer} -H 'Content-Type: application/json' -d '{{\"class\":\"workspace\",\"label\":\"my first key\"}}'
Verify a key:
  curl -s {url}/v1/verify {bearer} -H 'Content-Type: application/json' -d '{{\"credential\":\"{secret}\",\"rights\":[\"reports/q3:read\"]}}'
Pass it through /authz, as a gateway does:
  curl -si {url}/authz -H 'Authorization: Bearer {secret}' -H 'X-Keyward-Right: reports/q3:read'
Revoke it:
  curl -s {url}/v1/keys/{demo_id}/revoke {bearer} -H 'Content-Type: application/json' -d '{{\"reason\":\"tried it out\"}}'

Console: {url}/console   API: {url}/openapi.json   Stop: Ctrl-C",
        link = made.link.token.as_deref().unwrap_or_default(),
        user = operator.user_id.as_deref().unwrap_or_default(),
        access_key = operator.access_key,
        operator_secret = operator.secret,
        demo_access_key = demo.key.access_key,
        demo_id = demo.key.id,
    )
}
