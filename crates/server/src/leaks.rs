//! Credentials that were found where they should not be (LEAK-3, LEAK-4). Whoever holds one that works
//! can end it, without being anybody here.

pub(crate) mod github;
mod mask;

use std::time::Duration;

use keyward_core::policy::OnReport;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use self::mask::Mask;
use crate::app::{Actor, App, Call, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::keys::bulk::{self, Ending};
use crate::names::check_label;
use crate::random::to_hex;
use crate::sessions;
use crate::store::{keys, leaks};
use crate::trusted;
use crate::verify::recognise::{FoundSecret, Recognised};
use crate::verify::sessions::SessionRecord;
use crate::verify::trusted::Backend;

/// Every report is answered after this, or after the work if that takes longer: what was reported
/// cannot be told by the time.
const PACE: Duration = Duration::from_millis(100);
/// Why a credential ended that was reported.
const REASON: &str = "leaked";
/// Places of one credential that are told, at most.
const MOST_PLACES: i64 = 20;
/// Bytes of the address of a place.
const MOST_URL: usize = 2000;

/// A credential that was found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportIn {
    /// The whole credential: of a key, a trusted secret or a session.
    pub(crate) token: String,
    /// Where it was found: http or https.
    pub(crate) url: Option<String>,
    /// Anything else that helps, up to 500 characters.
    pub(crate) note: Option<String>,
}

/// The same for every report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportOut {
    /// `accepted`, whatever was reported.
    pub(crate) status: &'static str,
}

/// A credential with the places where it was found.
pub(crate) struct Finding {
    what: Recognised,
    urls: Vec<String>,
    /// What whoever found it says beside.
    note: Option<String>,
}

/// Takes a report from anybody.
pub(crate) async fn report(app: &App, call: Call, input: ReportIn) -> Result<ReportOut> {
    if let Some(url) = &input.url {
        check_url("/url", url)?;
    }
    if let Some(note) = &input.note {
        check_label("/note", note, 500)?;
    }
    if let Some(seconds) = app.reports.spend(call.address, app.clock.now()) {
        return Err(Error::RateLimited(seconds));
    }
    let (done, ()) = tokio::join!(take(app, call, input), tokio::time::sleep(PACE));
    done.map(|()| ReportOut { status: "accepted" })
}

async fn take(app: &App, call: Call, input: ReportIn) -> Result<()> {
    let Some(what) = app.verifier.recognise(&input.token).await? else { return Ok(()) };
    let tenant = what.tenant();
    let mask = Mask { token: &input.token, prefixes: &app.verifier.prefixes };
    let urls = input.url.iter().map(|url| mask.url(url)).collect();
    let finding = Finding { what, urls, note: input.note.map(|note| mask.text(&note)) };
    end(app, &reporter(&tenant, "reporter", call), vec![finding]).await
}

/// Who reports: nobody that is known here.
fn reporter(tenant: &str, name: &str, call: Call) -> Actor {
    Actor { call, ..Actor::local(tenant, name) }
}

impl Recognised {
    /// The tenant that it belongs to.
    fn tenant(&self) -> String {
        match self {
            Self::Key(secret) => secret.tenant,
            Self::Trusted(backend) => backend.tenant.id,
            Self::Session(session) => session.tenant_id,
        }
        .to_string()
    }
}

/// Does with credentials of the actor's tenant what its policy says, all of it in one transaction.
async fn end(app: &App, actor: &Actor, findings: Vec<Finding>) -> Result<()> {
    app.write(actor, async |tx| {
        let mut audited = Audited::many((), Vec::new());
        for finding in &findings {
            audited = audited.and(end_one(app, tx, finding).await?);
        }
        Ok(audited)
    })
    .await
}

async fn end_one(app: &App, tx: &mut Tx<'_>, finding: &Finding) -> Result<Audited<()>> {
    let rule = match tx.directory().await {
        Ok(directory) => directory.tenant.policy.leaks.on_report,
        // The tenant was deleted meanwhile.
        Err(Error::NotFound) => return Ok(Audited::many((), Vec::new())),
        Err(error) => return Err(error),
    };
    match &finding.what {
        Recognised::Key(secret) => end_key(tx, finding, secret, rule).await,
        Recognised::Trusted(backend) => end_trusted(app, tx, finding, backend, rule).await,
        Recognised::Session(session) => end_session(tx, finding, session, rule).await,
    }
}

async fn end_key(
    tx: &mut Tx<'_>,
    finding: &Finding,
    secret: &FoundSecret,
    rule: OnReport,
) -> Result<Audited<()>> {
    let (tenant, id) = (tx.tenant().to_owned(), secret.key.to_string());
    let row = keys::find(tx.conn(), &tenant, &id).await?;
    let retired = secret.version.retires_at.is_some_and(|end| end <= tx.now);
    let Some(row) = row.filter(|row| row.switch != "revoked" && !retired) else {
        return Ok(Audited::many((), Vec::new()));
    };
    let ending = match rule {
        OnReport::Revoke => Some(Ending::Revoke),
        OnReport::Deactivate => Some(Ending::Deactivate).filter(|_| row.switch == "on"),
        OnReport::Notify => None,
    };
    let facts = json!({
        "access_key": format!("kwa_{}", row.access_key),
        "owner_id": row.owner_id,
        "generation": secret.version.generation,
    });
    let event = Event::new("key.leak_reported", "key", &row.id, &row.label);
    let event = told(tx, finding, event, facts, rule, ending.is_some()).await?;
    let ended = match ending {
        Some(ending) => bulk::end_rows(tx, vec![row], ending, Some(REASON)).await?.map(drop),
        // Once for each time that somebody else changed it.
        None if row.switch == "off" && (event.is_some() || row.updated_by != tx.actor.principal.id) => {
            bulk::keep_off(tx, vec![row]).await?
        }
        None => Audited::many((), Vec::new()),
    };
    Ok(match event {
        Some(event) => ended.also(event),
        None => ended,
    })
}

/// A trusted secret has no switch: what the policy would switch off ends.
async fn end_trusted(
    app: &App,
    tx: &mut Tx<'_>,
    finding: &Finding,
    backend: &Backend,
    rule: OnReport,
) -> Result<Audited<()>> {
    let retired = backend.record.retirement(backend.generation).flatten().is_some_and(|end| end <= tx.now);
    if backend.record.ended || retired {
        return Ok(Audited::many((), Vec::new()));
    }
    let id = backend.record.id.to_string();
    let ends = rule != OnReport::Notify;
    let facts = json!({ "owner_id": null, "generation": backend.generation });
    let event = Event::new("trusted.leak_reported", "trusted", &id, &backend.record.name);
    let Some(event) = told(tx, finding, event, facts, rule, ends).await? else {
        return Ok(Audited::many((), Vec::new()));
    };
    let ended = match ends {
        true => trusted::disable_within(app, tx, Some(&id)).await,
        false => return Ok(Audited::new((), event)),
    };
    match ended {
        // It was disabled meanwhile.
        Err(Error::Conflict { code: "not_enabled", .. }) => Ok(Audited::many((), Vec::new())),
        ended => Ok(ended?.map(drop).also(event)),
    }
}

async fn end_session(
    tx: &mut Tx<'_>,
    finding: &Finding,
    session: &SessionRecord,
    rule: OnReport,
) -> Result<Audited<()>> {
    if session.ended {
        return Ok(Audited::many((), Vec::new()));
    }
    let id = session.id.to_string();
    let owner = session.user_id.map(|user| user.to_string());
    let facts = json!({ "owner_id": owner });
    let event = Event::new("session.leak_reported", "session", &id, owner.as_deref().unwrap_or_default());
    let ends = rule != OnReport::Notify;
    let Some(event) = told(tx, finding, event, facts, rule, ends).await? else {
        return Ok(Audited::many((), Vec::new()));
    };
    if !ends {
        return Ok(Audited::new((), event));
    }
    match sessions::end_row(tx, &id, Some(REASON)).await {
        // It was ended meanwhile.
        Err(Error::NotFound) => Ok(Audited::many((), Vec::new())),
        ended => Ok(ended?.also(event)),
    }
}

/// The event of a finding; `None` when nothing ends by it and all its places were told before.
async fn told(
    tx: &mut Tx<'_>,
    finding: &Finding,
    event: Event,
    mut facts: serde_json::Value,
    rule: OnReport,
    ends: bool,
) -> Result<Option<Event>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut fresh = Vec::new();
    let nowhere = [String::new()];
    let places = if finding.urls.is_empty() { &nowhere[..] } else { &finding.urls[..] };
    for url in places {
        let hash = to_hex(&Sha256::digest(url.as_bytes()));
        if leaks::note(tx.conn(), &tenant, &event.target.id, &hash, now, MOST_PLACES).await? {
            fresh.push(url.as_str());
        }
    }
    if fresh.is_empty() && !ends {
        return Ok(None);
    }
    fresh.retain(|url| !url.is_empty());
    facts["on_report"] = json!(rule);
    facts["url"] = json!(fresh.first());
    facts["urls"] = json!(fresh);
    facts["note"] = json!(finding.note);
    Ok(Some(event.after(&facts).reason(Some(REASON))))
}

/// An address that may stand in a mail and a log: http or https, visible ASCII alone (DIR-7).
fn check_url(pointer: &str, url: &str) -> Result<()> {
    if is_url(url) {
        return Ok(());
    }
    let detail = format!("expected an http or https address of at most {MOST_URL} visible ASCII characters");
    Err(Error::invalid(pointer, "bad_url", detail))
}

fn is_url(url: &str) -> bool {
    let scheme = url.starts_with("https://") || url.starts_with("http://");
    scheme
        && url.len() <= MOST_URL
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"`\\".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dir_7_a_url_that_could_forge_a_line_is_refused() {
        for good in ["https://github.com/o/r/blob/1/f.txt#L3", "http://x.example/?a=b&c=%20"] {
            assert!(check_url("/url", good).is_ok(), "{good}");
        }
        let long = format!("https://x.example/{}", "a".repeat(MOST_URL));
        for bad in [
            "",
            "github.com/x",
            "javascript:alert(1)",
            "https://x/\r\nBcc: y",
            "https://x/\u{202e}",
            "https://x/ y",
            &long,
        ] {
            assert!(check_url("/url", bad).is_err(), "{bad}");
        }
    }
}
