//! "What is this?": credentials in a text, with the keys behind them for those who may see these
//! (X10). The text is neither kept nor logged, and no more of a secret is told than its end.

pub(crate) mod finds;
mod foreign;
pub(crate) mod wire;

use keyward_core::token::AccessKey;

use self::finds::{Find, What};
use self::wire::{FoundKey, FoundOut, IdentifyIn, IdentifyOut, Link};
use crate::app::{Actor, App};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::imports::ways::is_credential;
use crate::keys;
use crate::keys::view::Viewer;
use crate::store::Conn;
use crate::store::keys::KeyRow;
use crate::verify::record;

/// Tells what stands in a text.
pub(crate) async fn identify(app: &App, actor: &Actor, input: &IdentifyIn) -> Result<IdentifyOut> {
    let (mut finds, more) = finds::find(&input.text, &app.verifier.prefixes);
    let whole = input.text.trim();
    if finds.is_empty() && is_credential(whole) {
        // What was brought along from elsewhere may be written in any way.
        finds.push(Find { text: whole, line: 1, what: What::Word });
    }
    let now = app.clock.unix_ms();
    let mut conn = app.read().await?;
    let mut viewer = Viewer::new(&mut conn, &actor.tenant_id, now).await?;
    let mut found = Vec::with_capacity(finds.len());
    for find in &finds {
        let mut told = FoundOut::offline(find);
        if let Some(row) = whose(app, &mut conn, actor, find, &told).await? {
            if matches!(find.what, What::Foreign(_) | What::Word) {
                (told.kind, told.name) = ("imported_key", "imported key");
            }
            let state = secret_state(app, actor, find, &row, now).await?;
            tell(&mut told, brief(&mut conn, &mut viewer, row).await?, state);
        } else if is_own_token(app, actor, find).await? {
            token(&mut told);
        } else if told.class.is_some() && told.access_key.is_some() {
            told.advice = "the checksum holds, and there is no such key that you may see".into();
        } else if find.what == What::Word {
            continue;
        }
        found.push(told);
    }
    Ok(IdentifyOut { found, more })
}

/// Whether it is an access token that this server made for somebody of the actor's tenant.
async fn is_own_token(app: &App, actor: &Actor, find: &Find<'_>) -> Result<bool> {
    if !matches!(&find.what, What::Foreign(foreign) if foreign.is_jwt()) {
        return Ok(false);
    }
    let checked = app.verifier.read_token(find.text).await?;
    Ok(checked.is_some_and(|checked| checked.tenant.to_string() == actor.tenant_id))
}

fn token(told: &mut FoundOut) {
    (told.kind, told.name) = ("access_token", "Keyward access token");
    told.advice = "an access token of this server: short-lived, and ended by its id at once".into();
    told.links = vec![Link { rel: "revoke", method: "POST", href: "/v1/tokens/revoke".into() }];
}

/// The key of a find, if the actor may see it: by its public half, or by its hash where it was imported.
async fn whose(
    app: &App,
    conn: &mut Conn,
    actor: &Actor,
    find: &Find<'_>,
    told: &FoundOut,
) -> Result<Option<KeyRow>> {
    if !matches!(find.what, What::Foreign(_) | What::Word) {
        return seen(conn, actor, told.access_key.as_deref().filter(|text| AccessKey::parse(text).is_some()))
            .await;
    }
    let secret = app.verifier.recognise_secret(find.text).await?;
    let own = secret.filter(|secret| secret.tenant.to_string() == actor.tenant_id);
    seen(conn, actor, own.map(|secret| secret.key.to_string()).as_deref()).await
}

/// The key that the actor may see.
async fn seen(conn: &mut Conn, actor: &Actor, id: Option<&str>) -> Result<Option<KeyRow>> {
    let Some(id) = id else { return Ok(None) };
    match keys::find(conn, actor, id).await {
        Ok(row) => Ok(Some(row)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the find is a secret of the key, and one that works. `None` for what is no secret at all.
async fn secret_state(
    app: &App,
    actor: &Actor,
    find: &Find<'_>,
    row: &KeyRow,
    now: i64,
) -> Result<Option<&'static str>> {
    if matches!(find.what, What::AccessKey(_)) {
        return Ok(None);
    }
    let secret = app.verifier.recognise_secret(find.text).await?;
    let own = secret.filter(|s| s.key.to_string() == row.id && s.tenant.to_string() == actor.tenant_id);
    Ok(Some(match own.map(|secret| secret.version.retires_at) {
        None => "not_its_secret",
        Some(Some(end)) if end <= now => "retired",
        Some(_) => "live",
    }))
}

async fn brief(conn: &mut Conn, viewer: &mut Viewer, row: KeyRow) -> Result<FoundKey> {
    let status = viewer.standing(conn, &row).await?.status;
    Ok(FoundKey {
        class: record::class(&row)?,
        status,
        created_at: rfc3339(row.created_at),
        expires_at: row.expires_at.map(rfc3339),
        revoked_at: row.revoked_at.map(rfc3339),
        last_used_at: row.last_used_at.map(rfc3339),
        canary: row.canary,
        id: row.id,
        label: row.label,
        owner_id: row.owner_id,
        owner_username: row.owner_username,
    })
}

/// Adds what is known about the key to what the text alone told.
fn tell(told: &mut FoundOut, key: FoundKey, state: Option<&'static str>) {
    let is_over = key.revoked_at.is_some();
    told.advice = match state {
        None => "public, no secret: it opens nothing; this is its key".into(),
        Some("not_its_secret") => {
            "the checksum holds and a key with this id exists, but this is no secret of it".into()
        }
        Some(_) if is_over => "a secret of this key, which is revoked: nothing is left to do".into(),
        Some("retired") => {
            "a secret that this key had before it was rotated: it opens nothing any more".into()
        }
        Some(_) => "a secret of this key: revoke or rotate it, then look at its usage".into(),
    };
    told.secret = state;
    let at = format!("/v1/keys/{}", key.id);
    let post = |rel: &'static str| Link { rel, method: "POST", href: format!("{at}/{rel}") };
    told.links = vec![
        Link { rel: "show", method: "GET", href: at.clone() },
        Link { rel: "usage", method: "GET", href: format!("{at}/usage") },
    ];
    if !is_over && state != Some("not_its_secret") {
        told.links.extend([post("revoke"), post("deactivate"), post("rotate")]);
    }
    told.key = Some(key);
}
