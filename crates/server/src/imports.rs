//! Keys of other systems, brought along by the hash of their credential (X11): whoever holds one goes on
//! using it, and nothing is issued anew.

pub(crate) mod file;
pub(crate) mod formats;
mod rows;
pub(crate) mod slow;
pub(crate) mod ways;
pub(crate) mod wire;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use self::rows::{Batch, Row};
use self::wire::{ImportIn, ImportOut, RowNote};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event, Outcome};
use crate::error::{Error, Result};
use crate::http::problem;
use crate::names::check_slug;
use crate::random::from_hex;
use crate::seal::{self, Place};
use crate::store::imports::{self, WayRow};

/// The pepper of an imported secret that was not used yet: none.
pub(crate) const UNPROVEN: u32 = 0;
/// Rows in one request, at most.
const MAX_ROWS: usize = 2_000;
/// Ways of one tenant, at most: a credential that nobody knows is looked up by each.
const MAX_WAYS: usize = 32;

/// Where the slow hash of a key is sealed.
pub(crate) fn place<'a>(tenant: &'a str, key: &'a str) -> Place<'a> {
    Place { scope: tenant, column: "imported_secrets.sealed", row: key }
}

/// Imports rows: each is taken or refused for itself, all that are taken are committed together.
pub(crate) async fn run(app: &App, actor: &Actor, input: ImportIn) -> Result<ImportOut> {
    check_slug(&input.source).map_err(|_| {
        Error::invalid("/source", "bad_value", "expected a name such as unkey or old-gateway")
    })?;
    if input.rows.is_empty() || input.rows.len() > MAX_ROWS {
        return Err(Error::invalid("/rows", "bad_length", format!("send 1 to {MAX_ROWS} rows")));
    }
    let done = app
        .write(actor, async |tx| {
            tx.must_hold("keys:import")?;
            tx.must_be_fresh()?;
            take(app, tx, &input).await
        })
        .await;
    match &done {
        Ok(out) if actor.validate_only => app.record_noticed(actor.clone(), vec![tried(&input, out)]).await?,
        Err(Error::RateLimited(_)) => {
            let event = tried(&input, &ImportOut::default());
            let event = Event { outcome: Outcome::Refused, ..event };
            app.record_noticed(actor.clone(), vec![event.reason(Some("rate_limited"))]).await?;
        }
        _ => {}
    }
    done
}

/// The event of an import that made no key: whoever tries credentials here is seen.
fn tried(input: &ImportIn, out: &ImportOut) -> Event {
    let told = json!({ "rows": input.rows.len(), "valid": out.imported, "failed": out.failed });
    Event::new("import.try", "import", &input.source, &input.source).after(&told)
}

async fn take(app: &App, tx: &mut Tx<'_>, input: &ImportIn) -> Result<Audited<ImportOut>> {
    let hmac_key = hmac_key(app, tx, input).await?;
    let mut batch = Batch::new(app, tx, input).await?;
    let mut out = ImportOut { source: input.source.clone(), rows: input.rows.len(), ..ImportOut::default() };
    for (number, row) in input.rows.iter().enumerate() {
        match batch.take(tx, row).await {
            Ok(Row::Imported { weak }) => {
                out.imported += 1;
                if weak {
                    let detail = "shorter than 20 characters: replace it soon";
                    out.warnings.push(note(number, &row.external_id, "weak_key", None, detail));
                }
            }
            Ok(Row::Known) if input.resume => out.skipped += 1,
            Ok(Row::Known) => {
                let detail = "a key of this external_id was imported before; resume skips it";
                out.errors.push(note(number, &row.external_id, "already_imported", None, detail));
            }
            Err(error) => out.errors.push(refusal(number, &row.external_id, error)?),
        }
    }
    out.failed = out.errors.len();
    let waiting = batch.waiting;
    let (keys, handles, ways) = batch.finish();
    if keys.is_empty() {
        let event = (out.failed > 0 && !tx.actor.validate_only).then(|| tried(input, &out));
        return Ok(Audited::many(out, event.into_iter().collect()));
    }
    let is_new = note_ways(app, tx, &input.source, &ways, hmac_key).await?;
    let ids: Vec<&str> = keys.iter().map(|(id, _)| id.as_str()).collect();
    let told =
        json!({ "source": input.source, "imported": out.imported, "failed": out.failed, "key_ids": ids });
    let event = Event::new("import.keys", "import", &input.source, &input.source).after(&told);
    let mut audited = Audited::new(out, event);
    audited.events.extend(request_approval(tx, &input.source, waiting).await?);
    let audited = keys.iter().fold(audited, |audited, (_, key)| audited.touches_key(tx.tenant(), key));
    let audited = handles.iter().fold(audited, |audited, at| audited.touches_imported(tx.tenant(), at));
    Ok(if is_new { audited.touches_import_ways() } else { audited })
}

/// Asks for the approval of keys that were imported. An import of many keys is many requests: it asks
/// once, for as long as some of them wait.
async fn request_approval(tx: &mut Tx<'_>, source: &str, waiting: usize) -> Result<Option<Event>> {
    let tenant = tx.tenant().to_owned();
    if waiting == 0 || imports::more_wait(tx.conn(), &tenant, source, waiting).await? {
        return Ok(None);
    }
    let facts = json!({ "source": source, "waiting": waiting });
    Ok(Some(Event::new("import.request_approval", "import", source, source).after(&facts)))
}

fn note(row: usize, external_id: &str, code: &str, pointer: Option<String>, detail: &str) -> RowNote {
    let (code, detail) = (code.to_owned(), detail.to_owned());
    RowNote { row, external_id: external_id.chars().take(200).collect(), code, pointer, detail }
}

/// What speaks against one row; what is about all of them ends the request.
fn refusal(row: usize, external_id: &str, error: Error) -> Result<RowNote> {
    match &error {
        Error::Malformed(faults) | Error::Invalid(faults) => {
            let Some(fault) = faults.first() else { return Err(error) };
            let pointer = match fault.pointer.as_str() {
                "/owner_id" => "/owner".to_owned(),
                other => other.replace("/role_ids", "/roles").replace("/group_ids", "/groups"),
            };
            Ok(note(row, external_id, fault.code, Some(pointer), &fault.detail))
        }
        Error::NotFound => {
            let detail = "there is no such user, or you may not import for it";
            Ok(note(row, external_id, "not_found", Some("/owner".into()), detail))
        }
        Error::Forbidden { .. } | Error::Conflict { .. } | Error::Policy { .. } => {
            Ok(note(row, external_id, problem::code(&error), None, &error.to_string()))
        }
        _ => Err(error),
    }
}

/// The HMAC key of the import, the same as before if it had one.
async fn hmac_key(app: &App, tx: &mut Tx<'_>, input: &ImportIn) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let wanted = input.format == formats::Format::HmacSha256;
    let Some(text) = input.hmac_key.as_deref().filter(|_| wanted) else {
        if wanted || input.hmac_key.is_some() {
            let detail = "hmac_sha256, and nothing else, needs the key that it was made with";
            return Err(Error::invalid("/hmac_key", "required", detail));
        }
        return Ok(None);
    };
    let key = match (text.strip_prefix("hex:"), text.strip_prefix("base64:")) {
        (Some(digits), _) => from_hex(digits),
        (_, Some(digits)) => STANDARD.decode(digits).ok(),
        _ => Some(text.as_bytes().to_vec()),
    };
    let key = key.filter(|key| (8..=256).contains(&key.len())).map(Zeroizing::new);
    let key = key.ok_or_else(|| Error::invalid("/hmac_key", "bad_value", "expected 8 to 256 bytes"))?;
    let tenant = tx.tenant().to_owned();
    let known = imports::ways(tx.conn(), &tenant).await?;
    let own = known.iter().find(|way| way.source == input.source && way.way == "hmac");
    if let Some(sealed) = own.and_then(|way| way.sealed.as_ref()) {
        let before =
            seal::open(&app.root_key, tx.conn(), ways::place(&tenant, &input.source), sealed).await?;
        if !bool::from(before.ct_eq(&key)) {
            return Err(Error::conflict("other_hmac_key", "this import began with another HMAC key"));
        }
    }
    Ok(Some(key))
}

/// Notes how the rows are looked up; true when one of the ways is new.
async fn note_ways(
    app: &App,
    tx: &mut Tx<'_>,
    source: &str,
    ways: &BTreeSet<String>,
    hmac_key: Option<Zeroizing<Vec<u8>>>,
) -> Result<bool> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let known = imports::ways(tx.conn(), &tenant).await?;
    let is_known = |way: &str| known.iter().any(|row| row.source == source && row.way == way);
    let mut added = 0;
    for way in ways.iter().filter(|way| !is_known(way)) {
        let sealed = match &hmac_key {
            Some(key) if way == "hmac" => {
                let place = self::ways::place(&tenant, source);
                Some(seal::seal(&app.root_key, tx.conn(), place, key, now).await?)
            }
            _ => None,
        };
        let row = WayRow { tenant_id: tenant.clone(), source: source.into(), way: way.clone(), sealed };
        added += usize::from(imports::add_way(tx.conn(), &row, now).await?);
    }
    // What differs: a hundred imports by SHA-256 are one way.
    let mut distinct: BTreeSet<&str> =
        known.iter().filter(|row| row.sealed.is_none()).map(|row| &*row.way).collect();
    distinct.extend(ways.iter().filter(|way| *way != "hmac").map(String::as_str));
    let hmacs = known.iter().filter(|row| row.sealed.is_some()).count()
        + usize::from(added > 0 && hmac_key.is_some());
    if distinct.len() + hmacs > MAX_WAYS {
        let detail = "imports of this tenant differ in too many HMAC keys and lengths of prefixes";
        return Err(Error::conflict("too_many_imports", detail));
    }
    Ok(added > 0)
}
