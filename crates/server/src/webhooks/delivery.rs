//! One attempt at one message (OUT-1, OUT-3, OUT-4), and what follows when a webhook does not take them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{catalogue, secrets, wire};
use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::jobs::outbox::{self, Failure};
use crate::names::is_unprintable;
use crate::outbound::Reply;
use crate::outbound::guard::Destination;
use crate::store::Conn;
use crate::store::jobs::JobRow;
use crate::store::webhooks::{self, DeliveryRow, WebhookRow};

/// Bytes of an answer that are kept.
const KEPT: usize = 1 << 10;
/// Longest wait that an endpoint can ask for, in seconds.
const MAX_WAIT: i64 = 86_400;
/// Administrators are told of a webhook that took nothing for half an hour: with the fourth attempt, where
/// there is one message only. After three days it is switched off.
const TELL_AFTER_MS: i64 = 30 * 60_000;
const OFF_AFTER_MS: i64 = 3 * 86_400_000;
/// While a webhook takes nothing, the next message is sent when it has failed for twice as long, in these
/// bounds in seconds: one that is down costs little, and one that is back is found soon.
const REST: (i64, i64) = (5, 300);

/// What a job is to send.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) webhook_id: String,
    pub(crate) delivery_id: String,
}

/// How an attempt went, for the log of the webhook.
#[derive(Debug)]
pub(crate) struct Report {
    /// As it was before the attempt.
    webhook: WebhookRow,
    delivery: DeliveryRow,
    /// Its failure says something of the webhook: neither a test, nor kept back because that is off.
    counts: bool,
    /// The endpoint wants no more, ever (410).
    gone: bool,
    /// Seconds that the endpoint wants to be left alone.
    wait: Option<i64>,
}

/// What an attempt came to.
pub(crate) type Attempt = (Result<(), Failure>, Option<Report>);

/// Sends the message of a job.
pub(crate) async fn deliver(app: &App, job: &JobRow) -> Attempt {
    match prepare(app, job).await {
        Ok(Some(message)) => send(app, job, message).await,
        // The webhook was deleted, and what it was to be sent with it.
        Ok(None) => (Ok(()), None),
        Err(error) => (Err(Failure::Later(error.to_string())), None),
    }
}

/// A message that is ready to be sent.
struct Message {
    webhook: WebhookRow,
    delivery: DeliveryRow,
    /// Or why it cannot be signed.
    headers: Result<HeaderMap, String>,
}

async fn prepare(app: &App, job: &JobRow) -> Result<Option<Message>> {
    let ticket: Ticket = serde_json::from_str(&job.payload).map_err(Error::internal)?;
    let (tenant, id, mut conn) = (&job.tenant_id, &ticket.webhook_id, app.read().await?);
    let Some(webhook) = webhooks::find(&mut conn, tenant, id).await? else { return Ok(None) };
    let delivery = webhooks::find_delivery(&mut conn, tenant, id, &ticket.delivery_id).await?;
    let Some(delivery) = delivery else { return Ok(None) };
    let now = app.clock.unix_ms();
    let secrets = webhooks::secrets(&mut conn, tenant, id, now).await?;
    let signed = format!("{}.{}.{}", delivery.id, now / 1000, delivery.body);
    let headers = match secrets::sign(app, &mut conn, &secrets, signed.as_bytes()).await {
        Ok(signature) => Ok(headers(&delivery.id, now / 1000, &signature)?),
        // Somebody has to see to it: the log of the webhook tells, and after a while administrators hear of it.
        Err(Error::Damaged(why)) => {
            tracing::error!(tenant, webhook = id, why, "a message cannot be signed");
            Err(format!("nothing can be signed until the secret of this webhook is rotated: {why}"))
        }
        Err(error) => return Err(error),
    };
    Ok(Some(Message { webhook, delivery, headers }))
}

/// The headers of Standard Webhooks.
fn headers(id: &str, timestamp: i64, signature: &str) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in
        [("webhook-id", id), ("webhook-timestamp", &timestamp.to_string()), ("webhook-signature", signature)]
    {
        let value = HeaderValue::from_str(value).map_err(Error::internal)?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

async fn send(app: &App, job: &JobRow, message: Message) -> Attempt {
    let Message { webhook, mut delivery, headers } = message;
    let is_test = delivery.action == catalogue::TEST;
    let sent = webhook.enabled || is_test;
    let begun = (app.clock.unix_ms(), app.clock.monotonic_ms());
    let answer = if sent {
        let body = Bytes::from(std::mem::take(&mut delivery.body));
        match (headers, Destination::parse(&webhook.url)) {
            (Ok(headers), Ok(place)) => app.outbound.post(&job.tenant_id, &place, headers, body).await,
            (Err(why), _) | (_, Err(why)) => Err(why),
        }
    } else {
        Err("the webhook is switched off".into())
    };
    delivery.attempts = job.attempts;
    delivery.attempted_at = Some(begun.0);
    delivery.duration_ms = i64::try_from(app.clock.monotonic_ms().saturating_sub(begun.1)).ok();
    let (done, gone) = judge(app, &mut delivery, answer);
    let wait = if let Err(Failure::Wait(_, seconds)) = &done { Some(*seconds) } else { None };
    let done = match done {
        // Whoever tests looks at the answer, and tries again themselves.
        Err(Failure::Later(why) | Failure::Wait(why, _)) if is_test || !sent => Err(Failure::Never(why)),
        done => done,
    };
    (done, Some(Report { webhook, delivery, counts: sent && !is_test, gone, wait }))
}

/// Writes into the delivery what an answer means.
fn judge(
    app: &App,
    delivery: &mut DeliveryRow,
    answer: Result<Reply, String>,
) -> (Result<(), Failure>, bool) {
    (delivery.status_code, delivery.response, delivery.error) = (None, None, None);
    let (why, wait, gone) = match answer {
        Ok(reply) => {
            delivery.status_code = Some(reply.status.into());
            delivery.response = Some(shown(&reply.body));
            if (200..300).contains(&reply.status) {
                delivery.delivered_at = Some(app.clock.unix_ms());
                return (Ok(()), false);
            }
            let wait = wait(&reply.headers, app.clock.unix_ms());
            (refusal(reply.status), wait, reply.status == 410)
        }
        Err(why) => (why, None, false),
    };
    delivery.error = Some(why.clone());
    delivery.first_failed_at = delivery.first_failed_at.or(delivery.attempted_at);
    let failure = match wait {
        _ if gone => Failure::Never(why),
        Some(seconds) => Failure::Wait(why, seconds),
        None => Failure::Later(why),
    };
    (Err(failure), gone)
}

fn refusal(status: u16) -> String {
    match status {
        300..400 => format!("it answered {status}: redirects are not followed"),
        410 => "it answered 410: it wants no more events".into(),
        status => format!("it answered {status}, not 2xx"),
    }
}

/// The beginning of an answer as people may see it.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(KEPT)]);
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

/// Seconds that an endpoint wants to be left alone (RFC 9110 section 10.2.3).
fn wait(headers: &HeaderMap, now: i64) -> Option<i64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(at.as_secs()).ok()? - now / 1000
        }
    };
    (seconds > 0).then_some(seconds.min(MAX_WAIT))
}

/// Writes an attempt into the log, in the transaction that settles its job.
pub(crate) async fn note(conn: &mut Conn, report: &Report, now: i64) -> Result<()> {
    let row = &report.delivery;
    webhooks::note_attempt(conn, row).await?;
    if row.delivered_at.is_some() {
        return webhooks::note_success(conn, &row.tenant_id, &row.webhook_id).await;
    }
    if report.counts {
        let since = row.attempted_at.unwrap_or(row.created_at);
        let next = now + rest(report, now);
        webhooks::note_failure(conn, &row.tenant_id, &row.webhook_id, since, next).await?;
    }
    Ok(())
}

/// Milliseconds until a webhook that took nothing is sent something again.
fn rest(report: &Report, now: i64) -> i64 {
    let (least, most) = REST;
    let failed = failed_for(&report.webhook, now) / 1000;
    let rest = outbox::jitter(failed.clamp(least, most));
    report.wait.map_or(rest, |seconds| rest.max(outbox::jitter_up(seconds)))
}

/// For how many milliseconds a webhook has taken nothing.
fn failed_for(webhook: &WebhookRow, now: i64) -> i64 {
    webhook.failing_since.map_or(0, |since| now - since)
}

/// After an attempt that failed: tells administrators of a webhook that takes nothing, and switches off one
/// that wants no more or has taken nothing for as long as a message is tried (OUT-4).
pub(crate) async fn follow_up(app: &App, report: &Report, given_up: bool) -> Result<()> {
    let delivery = &report.delivery;
    if !report.counts || !(report.gone || given_up || is_news(&report.webhook, app.clock.unix_ms())) {
        return Ok(());
    }
    let actor = Actor::local(&delivery.tenant_id, "webhooks");
    let told = app.write(&actor, async |tx| {
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let row = webhooks::find(tx.conn(), &tenant, &delivery.webhook_id).await?;
        let Some(mut row) = row.filter(|row| row.enabled) else {
            return Ok(Audited::many((), Vec::new()));
        };
        let takes_nothing = has_failed_since(&row, delivery);
        let (action, reason) = match () {
            () if report.gone => ("webhook.disabled", "gone"),
            () if given_up && takes_nothing => ("webhook.disabled", "failing"),
            () if failed_for(&row, now) >= OFF_AFTER_MS => ("webhook.disabled", "failing"),
            () if is_news(&row, now) => ("webhook.failing", "failing"),
            () => return Ok(Audited::many((), Vec::new())),
        };
        if action == "webhook.disabled" {
            row.enabled = false;
            row.disabled_reason = Some(reason.into());
            row.version += 1;
        }
        webhooks::update(tx.conn(), &row).await?;
        webhooks::note_told(tx.conn(), &tenant, &row.id, now).await?;
        let after = json!({ "cause": delivery.error, "status_code": delivery.status_code });
        let event = Event::new(action, "webhook", &row.id, &wire::origin(&row.url));
        Ok(Audited::new((), event.reason(Some(reason)).after(&after)))
    });
    match told.await {
        // The tenant was deleted meanwhile.
        Err(Error::NotFound) => Ok(()),
        told => told,
    }
}

/// Whether a webhook has taken nothing for so long that administrators are to hear of it now.
fn is_news(webhook: &WebhookRow, now: i64) -> bool {
    let failed = failed_for(webhook, now);
    failed >= OFF_AFTER_MS || failed >= TELL_AFTER_MS && webhook.failing_told_at.is_none()
}

/// Whether a webhook has taken nothing since the first attempt at a message.
fn has_failed_since(webhook: &WebhookRow, delivery: &DeliveryRow) -> bool {
    webhook.failing_since.zip(delivery.first_failed_at).is_some_and(|(since, first)| since <= first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_4_retry_after_is_seconds_or_a_date_and_bounded() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a value"));
            wait(&headers, 1_800_000_000_000)
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Fri, 15 Jan 2027 08:01:00 GMT"), Some(60));
        assert_eq!(read("999999999"), Some(MAX_WAIT));
        for nothing in ["0", "-5", "soon", "", "Fri, 15 Jan 2027 07:59:00 GMT"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn out_3_an_answer_is_shown_in_part_and_without_tricks() {
        assert_eq!(shown(b"ok\r\n\x1b[31mred\x00"), "ok   [31mred ");
        assert_eq!(shown("a\u{202e}b\u{200b}".as_bytes()), "a b ");
        assert_eq!(shown(&[b'x'; 5_000]).len(), KEPT);
        // A character that the cut goes through is marked as broken.
        assert!(shown(&[&[b'x'; KEPT - 1][..], "ä".as_bytes()].concat()).ends_with('\u{fffd}'));
    }
}
