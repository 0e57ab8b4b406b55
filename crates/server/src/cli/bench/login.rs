//! Logins by password: what a storm of them costs verifications and memory (STO-4), and whether their
//! times tell who is there (VER-1).

mod storm;
mod timing;

use std::net::Ipv4Addr;

use clap::Args;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::app::App;
use crate::cli::local;
use crate::cli::{Exit, Failure};
use crate::hashers::Hash;
use crate::names::Username;
use crate::passwords;
use crate::random;
use crate::setup::Bootstrapped;
use crate::store::users::{self, UserRow};
use zeroize::Zeroizing;

/// The password of every user here.
const PASSWORD: &str = "seven slow boats upriver";
/// Keys to be verified meanwhile.
const KEYS: u32 = 1_000;
/// Users inserted in one transaction.
const CHUNK: u32 = 1_000;

/// How much to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchLoginArgs {
    /// Logins that come at once; 0 = leave the storm out
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(..=250))]
    pub(crate) logins: u32,
    /// Failed logins of users, of unknown names and at unknown tenants, so many each in a run; 0 = none
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) samples: u32,
    /// Runs
    // Each sends every name a wrong password once: from five on a name would have to wait.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=4))]
    pub(crate) runs: u32,
    /// End with 1 if a figure is beyond its bound
    #[arg(long)]
    pub(crate) judge: bool,
}

/// Measures both; with `--judge` a figure beyond its bound is a failure.
pub(super) async fn run(args: &BenchLoginArgs) -> anyhow::Result<Value> {
    let stage = Stage::build(KEYS).await?;
    let app = stage.open().await?;
    insert_users(&app, &stage.root, args.logins.max(args.samples)).await?;
    let cap = app.hashers.memory_bytes();
    app.db.close().await;
    let mut report = json!({ "what": "login", "runs": args.runs });
    let mut beyond = Vec::new();
    if args.logins > 0 {
        let found = storm::measure(&stage, args, cap).await?;
        beyond.extend(found.beyond());
        found.write(&mut report);
    }
    if args.samples > 0 {
        let rounds = timing::measure(&stage, args).await?;
        beyond.extend(rounds.iter().filter_map(timing::Round::beyond));
        timing::write(args, &rounds, &mut report);
    }
    if args.judge && !beyond.is_empty() {
        let failure = Failure::new(Exit::Failure, "logins are beyond their bounds");
        return Err(beyond.into_iter().fold(failure, Failure::detail).into());
    }
    Ok(report)
}

/// Users with one and the same password, each sealed for its own row.
async fn insert_users(app: &App, root: &Bootstrapped, count: u32) -> anyhow::Result<()> {
    let password = Zeroizing::new(PASSWORD.to_owned());
    let place = app.hashers.place(None).map_err(local::failure)?;
    let hash = app.hashers.hash(&place, &password).await.map_err(local::failure)?;
    for first in (0..count).step_by(CHUNK as usize) {
        let mut tx = app.db.begin().await.map_err(local::failure)?;
        for number in first..count.min(first + CHUNK) {
            insert_user(app, tx.conn(), &root.tenant_id, number, &hash).await.map_err(local::failure)?;
        }
        tx.commit().await.map_err(local::failure)?;
    }
    Ok(())
}

async fn insert_user(
    app: &App,
    conn: &mut crate::store::Conn,
    tenant: &str,
    number: u32,
    hash: &Hash,
) -> crate::error::Result<()> {
    let now = app.clock.unix_ms();
    let id = random::new_id::<keyward_core::id::User>(now).to_string();
    let name = Username::parse(&known(number))?;
    users::insert(conn, &UserRow::new((tenant, id.clone()), name, "local", ("bench", now))).await?;
    passwords::store(app, conn, (tenant, &id), hash, now).await
}

/// The name of a user that there is.
fn known(number: u32) -> String {
    format!("person{number:06}")
}

/// As long, and nobody's.
fn unknown(number: u32) -> String {
    format!("nobody{number:06}")
}

/// A login at the primary tenant.
fn request(username: &str, password: &str, number: u32) -> Vec<u8> {
    request_at("primary", username, password, number)
}

/// A login from an address of its own, as behind a proxy: failures are counted by source too.
fn request_at(tenant: &str, username: &str, password: &str, number: u32) -> Vec<u8> {
    // 198.18.0.0/15 is there for measurements (RFC 2544).
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number % (1 << 17));
    let body = json!({ "tenant": tenant, "username": username, "password": password }).to_string();
    format!(
        "POST /v1/auth/login HTTP/1.1\r\nhost: bench\r\nx-forwarded-for: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
