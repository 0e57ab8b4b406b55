//! From the audit log to notifications, webhooks and jobs. The log is written in the transaction of the change, so
//! that nothing that happened is lost by a crash (R13); its cursor moves in the transaction that queues
//! what follows, so that of several nodes one does so.

use crate::app::App;
use crate::audit::{Recorded, personal};
use crate::error::{Error, Result};
use crate::jobs::outbox::Outgoing;
use crate::mail::Letter;
use crate::notifications::kind::{self, Audience, Kind};
use crate::notifications::{self, News};
use crate::store::notifications::NotificationRow;
use crate::store::{Conn, audit, groups, jobs, keys, notifications as store, users};
use crate::webhooks::Subscribers;

/// Events that are turned into news in one transaction.
const BATCH: i64 = 200;

/// Transactions of one tenant before others have their turn.
const TURN: usize = 5;

/// How far the news of a tenant have come.
pub(super) enum CaughtUp {
    /// Its cursor stands at the end of the log.
    Whole,
    /// There is more, and others wait.
    InPart,
}

/// Turns what happened in a tenant into news, up to the end of its log or of its turn.
pub(super) async fn catch_up(app: &App, tenant: &str) -> Result<CaughtUp> {
    for _ in 0..TURN {
        let mut conn = app.read().await?;
        let from = jobs::cursor(&mut conn, tenant).await?;
        let rows = audit::chain(&mut conn, tenant, from, BATCH).await?;
        drop(conn);
        let Some(last) = rows.last().map(|row| row.seq) else { return Ok(CaughtUp::Whole) };
        let mut tx = app.db.begin().await?;
        if !jobs::move_cursor(tx.conn(), tenant, from, last).await? {
            // Another node did this part, or the tenant is gone.
            return Ok(CaughtUp::Whole);
        }
        let mut webhooks = Subscribers::of(tx.conn(), tenant).await?;
        for row in rows {
            let event = match personal::read(&row) {
                Ok(event) => event,
                // It can never be read, and what comes after it can.
                Err(error) => {
                    tracing::error!(tenant, seq = row.seq, %error, "an event cannot be read; nobody is told of it");
                    continue;
                }
            };
            webhooks.tell(tx.conn(), &event, app.clock.unix_ms()).await?;
            if let Some((kind, audience)) = kind::of(&event) {
                tell(app, tx.conn(), kind, &audience, &event).await?;
            }
        }
        tx.commit().await?;
    }
    Ok(CaughtUp::InPart)
}

/// Tells everybody whom an event concerns.
async fn tell(app: &App, conn: &mut Conn, kind: Kind, audience: &Audience, event: &Recorded) -> Result<()> {
    let news = News::of(kind, event);
    for user in people(conn, &event.tenant_id, audience).await? {
        // Nobody needs to be told what they just did, unless somebody else did it in their name.
        if user != event.actor.id || kind.is_owed() {
            tell_one(app, conn, &user, &news, event).await?;
        }
    }
    Ok(())
}

async fn tell_one(app: &App, conn: &mut Conn, user: &str, news: &News, event: &Recorded) -> Result<()> {
    let tenant = &event.tenant_id;
    let Some(row) = users::find(conn, tenant, user).await? else { return Ok(()) };
    // Who is barred is told of the own account alone.
    if row.suspended_at.is_some() && !news.kind.is_owed() {
        return Ok(());
    }
    let channels = notifications::channels(news.kind, &store::wishes(conn, tenant, user).await?);
    let now = app.clock.unix_ms();
    if channels.bell {
        let row = NotificationRow {
            tenant_id: tenant.clone(),
            user_id: user.into(),
            id: notifications::id_of(&news.event_id)?,
            kind: news.kind.as_str().into(),
            event_id: news.event_id.clone(),
            news: serde_json::to_string(news).map_err(Error::internal)?,
            created_at: now,
            read_at: None,
        };
        store::insert(conn, &row).await?;
    }
    if channels.mail && app.mailer.is_some() {
        let addresses = addresses(row.email, event);
        if let (Some(pause), false) = (news.kind.mail_pause(), addresses.is_empty())
            && !store::may_mail(conn, tenant, user, news.kind.as_str(), (now, pause)).await?
        {
            return Ok(());
        }
        for to in addresses {
            let letter = Letter { user_id: user.into(), to, news: news.clone() };
            Outgoing::Mail(Box::new(letter)).queue(conn, tenant, now).await?;
        }
    }
    Ok(())
}

/// Where mail to a user goes: to the address on file when it is sent, and to the one before, if the event
/// is that it changed (AUT-7).
fn addresses(on_file: Option<String>, event: &Recorded) -> Vec<Option<String>> {
    let before = event.before.as_ref().and_then(|user| user.get("email")).and_then(|email| email.as_str());
    let before = before.filter(|_| kind::address_differs(event)).map(|email| Some(email.to_owned()));
    on_file.map(|_| None).into_iter().chain(before).collect()
}

/// The users of an audience, each once.
async fn people(conn: &mut Conn, tenant: &str, audience: &Audience) -> Result<Vec<String>> {
    let mut people = match audience {
        Audience::User(id) => vec![id.clone()],
        Audience::Administrators => administrators(conn, tenant).await?,
        Audience::KeyPeople(key) => key_people(conn, tenant, key).await?,
        Audience::KeyStewards(key) => {
            let mut people = key_people(conn, tenant, key).await?;
            people.extend(administrators(conn, tenant).await?);
            people
        }
    };
    people.retain(|id| id.starts_with("user_"));
    people.sort();
    people.dedup();
    Ok(people)
}

async fn administrators(conn: &mut Conn, tenant: &str) -> Result<Vec<String>> {
    let built_in = groups::all(conn, tenant).await?.into_iter().find(|group| group.built_in);
    match built_in {
        Some(group) => groups::members(conn, tenant, &group.id).await,
        None => Ok(Vec::new()),
    }
}

async fn key_people(conn: &mut Conn, tenant: &str, key: &str) -> Result<Vec<String>> {
    let Some(key) = keys::find(conn, tenant, key).await? else { return Ok(Vec::new()) };
    Ok(key.owner_id.into_iter().chain([key.created_by, key.updated_by]).collect())
}
