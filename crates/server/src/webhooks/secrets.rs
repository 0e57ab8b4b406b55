//! What messages are signed with, by the rules of Standard Webhooks (OUT-1): HMAC-SHA-256 (`v1`) and
//! Ed25519 (`v1a`). Both stand sealed in the database (STO-6).

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use keyward_core::secret::Secret;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::app::App;
use crate::error::{Error, Result};
use crate::random;
use crate::seal::{self, Place};
use crate::store::Conn;
use crate::store::webhooks::{self, SecretRow};

const HMAC: &str = "webhook_secrets.hmac";
const ED25519: &str = "webhook_secrets.ed25519";

/// Makes the secrets of a generation, and returns the one that the receiver gets.
pub(super) async fn make(
    app: &App,
    conn: &mut Conn,
    tenant: &str,
    webhook: &str,
    generation: i64,
    now: i64,
) -> Result<Secret> {
    let (mut key, mut seed) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    random::fill(&mut *key);
    random::fill(&mut *seed);
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(Error::internal)?;
    let row_id = row_id(webhook, generation);
    let place = |column| Place { scope: tenant, column, row: &row_id };
    let row = SecretRow {
        tenant_id: tenant.into(),
        webhook_id: webhook.into(),
        generation,
        hmac: seal::seal(&app.root_key, conn, place(HMAC), &*key, now).await?,
        ed25519: seal::seal(&app.root_key, conn, place(ED25519), &*seed, now).await?,
        public_key: format!("whpk_{}", STANDARD.encode(pair.public_key())),
        created_at: now,
        retires_at: None,
    };
    webhooks::insert_secret(conn, &row).await?;
    Ok(Secret::new(format!("whsec_{}", STANDARD.encode(*key))))
}

fn row_id(webhook: &str, generation: i64) -> String {
    format!("{webhook}.{generation}")
}

/// The header `webhook-signature` of a message: one entry for each way and each secret that is in use.
pub(super) async fn sign(
    app: &App,
    conn: &mut Conn,
    secrets: &[SecretRow],
    message: &[u8],
) -> Result<String> {
    if secrets.is_empty() {
        return Err(Error::Damaged("a webhook has no secret that signs".into()));
    }
    let (mut macs, mut signatures) = (Vec::new(), Vec::new());
    for row in secrets {
        let row_id = row_id(&row.webhook_id, row.generation);
        let place = |column| Place { scope: &row.tenant_id, column, row: &row_id };
        let key = seal::open(&app.root_key, conn, place(HMAC), &row.hmac).await?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(Error::internal)?;
        mac.update(message);
        macs.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
        let seed = seal::open(&app.root_key, conn, place(ED25519), &row.ed25519).await?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(Error::internal)?;
        signatures.push(format!("v1a,{}", STANDARD.encode(pair.sign(message))));
    }
    macs.extend(signatures);
    Ok(macs.join(" "))
}
