//! Webhooks: where a tenant has its events sent, signed, and tried for three days (OUT-1 to OUT-5).
//! The audit log is their source and the outbox their carrier (`jobs/`).

pub(crate) mod catalogue;
pub(crate) mod delivery;
mod message;
mod secrets;
pub(crate) mod wire;

use keyward_core::id::{EventId, Id, Kind};

use self::catalogue::TEST;
use self::delivery::Ticket;
use self::wire::{
    DeliveryOut, MAX_OVERLAP, WebhookIn, WebhookMade, WebhookOut, WebhookPatch, WebhookRotateIn,
    WebhookTestOut,
};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event, Recorded};
use crate::error::{Error, Result};
use crate::jobs::outbox::{Outgoing, webhook_lane};
use crate::names::check_label;
use crate::outbound::guard::Destination;
use crate::random;
use crate::store::Conn;
use crate::store::page::{Listed, Page};
use crate::store::webhooks::{self, DeliveryRow, WebhookRow};
use crate::store::{audit, jobs};

/// Webhooks of a tenant, at most.
const MOST: i64 = 20;
/// Messages that wait for one webhook, at most.
const MOST_WAITING: i64 = 20_000;

/// Marker of ids of webhooks.
#[derive(Clone, Copy)]
pub(crate) enum Webhook {}

impl Kind for Webhook {
    const PREFIX: &'static str = "webhook";
}

/// Marker of ids of deliveries.
#[derive(Clone, Copy)]
pub(crate) enum Delivery {}

impl Kind for Delivery {
    const PREFIX: &'static str = "delivery";
}

/// One webhook.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<WebhookOut> {
    let mut conn = app.read().await?;
    let row = webhooks::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    render(&mut conn, row, app.clock.unix_ms()).await
}

/// A page of webhooks.
pub(crate) async fn list(app: &App, actor: &Actor, page: &Page) -> Result<Listed<WebhookOut>> {
    let mut conn = app.read().await?;
    let rows = webhooks::list(&mut conn, &actor.tenant_id, page).await?;
    let mut data = Vec::with_capacity(rows.data.len());
    for row in rows.data {
        data.push(render(&mut conn, row, app.clock.unix_ms()).await?);
    }
    Ok(Listed { data, next_cursor: rows.next_cursor })
}

async fn render(conn: &mut Conn, row: WebhookRow, now: i64) -> Result<WebhookOut> {
    let secrets = webhooks::secrets(conn, &row.tenant_id, &row.id, now).await?;
    WebhookOut::of(row, secrets)
}

/// Makes a webhook.
pub(crate) async fn create(app: &App, actor: &Actor, input: WebhookIn) -> Result<WebhookMade> {
    catalogue::check(&input.events)?;
    check_description(&input.description)?;
    actor.must_be_fresh(app.clock.unix_ms())?;
    check_url(app, &actor.tenant_id, &input.url).await?;
    app.write(actor, async |tx| {
        tx.must_hold("webhooks:write")?;
        must_read_the_log(tx)?;
        tx.must_be_fresh()?;
        let tenant = tx.tenant().to_owned();
        if webhooks::count(tx.conn(), &tenant).await? >= MOST {
            let detail = format!("a tenant has at most {MOST} webhooks; delete one");
            return Err(Error::Policy { rule: "max_webhooks", detail });
        }
        let since = last_seq(tx.conn(), &tenant).await?;
        let row = new_row(tx, input, since)?;
        webhooks::insert(tx.conn(), &row).await?;
        let (id, now) = (row.id.clone(), tx.now);
        let secret = secrets::make(app, tx.conn(), &tenant, &id, 1, now).await?;
        let shown = render(tx.conn(), row, now).await?;
        let audited = shown.audited();
        let event = Event::new("webhook.create", "webhook", &id, &audited.url).after(&audited);
        Ok(Audited::new(WebhookMade::new(shown, secret, tx.actor.validate_only), event))
    })
    .await
}

/// What a webhook is told stands in the audit log: nobody has sent anywhere what they may not read.
fn must_read_the_log(tx: &Tx<'_>) -> Result<()> {
    let detail = "a webhook is told what the audit log tells, and you may not read that: it takes audit:read";
    tx.must_hold("audit:read").map_err(|_| Error::forbidden("rights_exceed_caller", detail))
}

/// The last event of a tenant: what comes after it, a webhook is told.
async fn last_seq(conn: &mut Conn, tenant: &str) -> Result<i64> {
    Ok(audit::head(conn, tenant).await?.map_or(0, |(seq, _)| seq))
}

fn new_row(tx: &Tx<'_>, input: WebhookIn, since_seq: i64) -> Result<WebhookRow> {
    let by = tx.actor.principal.id.clone();
    Ok(WebhookRow {
        tenant_id: tx.tenant().into(),
        id: random::new_id::<Webhook>(tx.now).to_string(),
        url: input.url,
        events: serde_json::to_string(&input.events).map_err(Error::internal)?,
        description: input.description,
        enabled: input.enabled,
        since_seq,
        disabled_reason: None,
        failing_since: None,
        failing_told_at: None,
        created_at: tx.now,
        created_by: by.clone(),
        updated_at: tx.now,
        updated_by: by,
        version: 1,
    })
}

fn check_description(text: &str) -> Result<()> {
    if text.is_empty() { Ok(()) } else { check_label("/description", text, 500) }
}

/// Refuses a URL that must not be called; it is looked at again at each delivery (OUT-2).
async fn check_url(app: &App, tenant: &str, url: &str) -> Result<()> {
    let refuse = |why: String| Error::invalid("/url", "bad_url", why);
    let place = Destination::parse(url).map_err(refuse)?;
    app.outbound.examine(tenant, &place).await.map_err(refuse)
}

/// Applies a merge patch.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: WebhookPatch) -> Result<WebhookOut> {
    if let Some(events) = &patch.events {
        catalogue::check(events)?;
    }
    if let Some(Some(text)) = &patch.description {
        check_description(text)?;
    }
    if let Some(url) = &patch.url {
        actor.must_be_fresh(app.clock.unix_ms())?;
        check_url(app, &actor.tenant_id, url).await?;
    }
    app.write(actor, async |tx| {
        let mut row = find_to_change(tx, id).await?;
        let now = tx.now;
        let before = render(tx.conn(), row.clone(), now).await?;
        if patch.url.is_some() {
            tx.must_be_fresh()?;
        }
        let is_enabled = patch.enabled == Some(true) && !row.enabled;
        // How it went elsewhere says nothing of another address.
        let begins_anew = is_enabled || patch.url.as_ref().is_some_and(|url| *url != row.url);
        if patch.url.is_some() || patch.events.is_some() || is_enabled {
            must_read_the_log(tx)?;
        }
        if is_enabled {
            row.since_seq = last_seq(tx.conn(), &row.tenant_id).await?;
        }
        apply(&mut row, patch)?;
        touch(&mut row, tx);
        webhooks::update(tx.conn(), &row).await?;
        if begins_anew {
            webhooks::note_success(tx.conn(), &row.tenant_id, id).await?;
            row.failing_since = None;
        }
        let after = render(tx.conn(), row, now).await?;
        let (old, new) = (before.audited(), after.audited());
        let event = Event::new("webhook.edit", "webhook", id, &new.url).before(&old).after(&new);
        Ok(Audited::new(after, event))
    })
    .await
}

fn apply(row: &mut WebhookRow, patch: WebhookPatch) -> Result<()> {
    if let Some(url) = patch.url {
        row.url = url;
    }
    if let Some(events) = patch.events {
        row.events = serde_json::to_string(&events).map_err(Error::internal)?;
    }
    if let Some(description) = patch.description {
        row.description = description.unwrap_or_default();
    }
    if let Some(enabled) = patch.enabled {
        row.enabled = enabled;
        row.disabled_reason = None;
    }
    Ok(())
}

async fn find_to_change(tx: &mut Tx<'_>, id: &str) -> Result<WebhookRow> {
    let tenant = tx.tenant().to_owned();
    let row = webhooks::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
    tx.must_hold("webhooks:write")?;
    tx.actor.check_version(row.version)?;
    Ok(row)
}

fn touch(row: &mut WebhookRow, tx: &Tx<'_>) {
    row.updated_at = tx.now;
    row.updated_by = tx.actor.principal.id.clone();
    row.version += 1;
}

/// Deletes a webhook with its log and all that waits for it.
pub(crate) async fn delete(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let row = find_to_change(tx, id).await?;
        let (tenant, now) = (row.tenant_id.clone(), tx.now);
        let before = render(tx.conn(), row, now).await?.audited();
        webhooks::delete(tx.conn(), &tenant, id).await?;
        Ok(Audited::new((), Event::new("webhook.delete", "webhook", id, &before.url).before(&before)))
    })
    .await
}

/// Makes another secret; that before signs too for the overlap.
pub(crate) async fn rotate_secret(
    app: &App,
    actor: &Actor,
    id: &str,
    input: &WebhookRotateIn,
) -> Result<WebhookMade> {
    crate::keys::rules::count("/overlap_seconds", Some(input.overlap_seconds), 0..=MAX_OVERLAP)?;
    app.write(actor, async |tx| {
        let mut row = find_to_change(tx, id).await?;
        tx.must_be_fresh()?;
        let (tenant, now) = (row.tenant_id.clone(), tx.now);
        let live = webhooks::secrets(tx.conn(), &tenant, id, now).await?;
        if live.len() > 1 && input.overlap_seconds > 0 {
            let detail =
                "two secrets sign already; wait for the end of the older one, or rotate without overlap";
            return Err(Error::conflict("too_many_secrets", detail));
        }
        let next = live.first().map_or(1, |newest| newest.generation + 1);
        let before = render(tx.conn(), row.clone(), now).await?.audited();
        webhooks::retire_secrets(tx.conn(), &tenant, id, now + input.overlap_seconds * 1000).await?;
        let secret = secrets::make(app, tx.conn(), &tenant, id, next, now).await?;
        touch(&mut row, tx);
        webhooks::update(tx.conn(), &row).await?;
        let shown = render(tx.conn(), row, now).await?;
        let after = shown.audited();
        let event =
            Event::new("webhook.rotate_secret", "webhook", id, &after.url).before(&before).after(&after);
        Ok(Audited::new(WebhookMade::new(shown, secret, tx.actor.validate_only), event))
    })
    .await
}

/// Sends a webhook an event of its own, also while it is switched off.
pub(crate) async fn test(app: &App, actor: &Actor, id: &str) -> Result<WebhookTestOut> {
    app.write(actor, async |tx| {
        let row = find_to_change(tx, id).await?;
        let request_id = tx.actor.call.request_id.clone();
        let sent = WebhookTestOut { webhook_id: row.id, event: TEST, request_id };
        Ok(Audited::new(sent, Event::new(TEST, "webhook", id, &wire::origin(&row.url))))
    })
    .await
}

/// The log of a webhook: all deliveries or those in one state, the newest event first.
pub(crate) async fn deliveries(
    app: &App,
    actor: &Actor,
    id: &str,
    state: Option<&str>,
    page: &Page,
) -> Result<Listed<DeliveryOut>> {
    let mut conn = app.read().await?;
    webhooks::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let rows = webhooks::list_deliveries(&mut conn, &actor.tenant_id, id, state, page).await?;
    let data = rows.data.into_iter().map(DeliveryOut::of).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: rows.next_cursor })
}

/// Sends a message once more, under its id, as if it were new.
pub(crate) async fn replay(app: &App, actor: &Actor, id: &str, delivery: &str) -> Result<DeliveryOut> {
    let replayed = app.write(actor, async |tx| {
        let webhook = find_to_change(tx, id).await?;
        let (tenant, now) = (webhook.tenant_id, tx.now);
        let find = webhooks::find_delivery(tx.conn(), &tenant, id, delivery);
        let row = find.await?.ok_or(Error::NotFound)?;
        if row.due_at.is_some() {
            return Err(Error::conflict(
                "job_waiting",
                "the delivery was not given up; it is tried by itself",
            ));
        }
        if !webhook.enabled && row.action != TEST {
            return Err(Error::conflict("webhook_disabled", "the webhook is switched off; enable it first"));
        }
        let job = outgoing(&row).queue(tx.conn(), &tenant, now).await?;
        webhooks::renew_delivery(tx.conn(), &row, &job).await?;
        // Whoever asks for it has reason to believe that it is taken.
        webhooks::probe_now(tx.conn(), &tenant, id, now).await?;
        let row = webhooks::find_delivery(tx.conn(), &tenant, id, delivery).await?.ok_or(Error::NotFound)?;
        let after = serde_json::json!({ "delivery_id": row.id, "event_id": row.event_id });
        let event = Event::new("webhook.replay", "webhook", id, &wire::origin(&webhook.url)).after(&after);
        Ok(Audited::new(DeliveryOut::of(row)?, event))
    });
    let replayed = replayed.await?;
    app.outbox.wake();
    Ok(replayed)
}

fn outgoing(row: &DeliveryRow) -> Outgoing {
    let ticket = Ticket { webhook_id: row.webhook_id.clone(), delivery_id: row.id.clone() };
    if row.action == TEST { Outgoing::Test(ticket) } else { Outgoing::Webhook(ticket) }
}

/// The webhooks of a tenant, for a batch of its events.
pub(crate) struct Subscribers(Vec<Subscriber>);

struct Subscriber {
    webhook: WebhookRow,
    patterns: Vec<String>,
    /// Messages that may still be queued for it.
    room: i64,
}

impl Subscribers {
    /// Reads them.
    pub(crate) async fn of(conn: &mut Conn, tenant: &str) -> Result<Self> {
        let rows = webhooks::list(conn, tenant, &Page::unlimited()).await?.data;
        let mut all = Vec::with_capacity(rows.len());
        for webhook in rows {
            let patterns = wire::patterns(&webhook)?;
            let room = MOST_WAITING - jobs::waiting(conn, tenant, &webhook_lane(tenant, &webhook.id)).await?;
            all.push(Subscriber { webhook, patterns, room });
        }
        Ok(Self(all))
    }

    /// Queues an event for each webhook that asked for it.
    pub(crate) async fn tell(&mut self, conn: &mut Conn, event: &Recorded, now: i64) -> Result<()> {
        for Subscriber { webhook, patterns, room } in &mut self.0 {
            if is_for(webhook, patterns, event) {
                queue(conn, webhook, event, now, *room > 0).await?;
                *room -= 1;
            }
        }
        Ok(())
    }
}

fn is_for(webhook: &WebhookRow, patterns: &[String], event: &Recorded) -> bool {
    if event.seq <= webhook.since_seq {
        return false;
    }
    if event.action == TEST {
        return event.target.id == webhook.id;
    }
    webhook.enabled && catalogue::wanted(patterns, &event.action)
}

/// Queues an event for a webhook; where there is no room, its log tells so, and it can be replayed.
async fn queue(
    conn: &mut Conn,
    webhook: &WebhookRow,
    event: &Recorded,
    now: i64,
    has_room: bool,
) -> Result<()> {
    let event_id: EventId = event.id.parse().map_err(Error::internal)?;
    let id = Id::<Delivery>::from_u128(event_id.as_u128()).to_string();
    let mut row = DeliveryRow {
        tenant_id: webhook.tenant_id.clone(),
        webhook_id: webhook.id.clone(),
        id,
        job_id: String::new(),
        event_id: event.id.clone(),
        action: event.action.clone(),
        body: message::body(event)?,
        attempts: 0,
        created_at: now,
        attempted_at: None,
        first_failed_at: None,
        delivered_at: None,
        status_code: None,
        response: None,
        error: None,
        duration_ms: None,
        due_at: None,
    };
    if has_room || event.action == TEST {
        row.job_id = outgoing(&row).queue(conn, &webhook.tenant_id, now).await?;
    } else {
        row.error = Some(format!("not sent: {MOST_WAITING} messages wait for this webhook already"));
    }
    webhooks::insert_delivery(conn, &row).await
}
