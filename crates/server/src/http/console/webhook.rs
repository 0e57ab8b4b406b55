//! One webhook: how it is, what it was sent, and what can be done with it (OUT-1 to OUT-5).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::webhooks::{WEBHOOKS, WebhookLine, reveal};
use super::who;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::http::idempotency::{self, Sent};
use crate::http::json::Query;
use crate::random;
use crate::store::page::Page;
use crate::webhooks;
use crate::webhooks::wire::{DeliveryOut, WebhookRotateIn, WebhookSecretOut};

/// A message in the log.
struct DeliveryLine {
    delivery: DeliveryOut,
    state: &'static str,
    badge: &'static str,
    created: Moment,
    next: Option<Moment>,
}

impl DeliveryLine {
    fn new(delivery: DeliveryOut, frame: &Frame) -> Self {
        let (state, badge) = match delivery.state {
            "delivered" => ("active", frame.t("Delivered")),
            "waiting" => ("pending", frame.t("Waits")),
            _ => ("revoked", frame.t("Failed")),
        };
        Self {
            state,
            badge,
            created: frame.moment(&delivery.created_at),
            next: delivery.next_attempt_at.as_deref().map(|at| frame.moment(at)),
            delivery,
        }
    }

    /// What is tried by itself is not sent again by hand.
    fn is_over(&self) -> bool {
        self.delivery.state != "waiting"
    }
}

/// A secret that signs.
struct SignerLine {
    known: WebhookSecretOut,
    created: Moment,
    retires: Option<Moment>,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage<'a> {
    f: &'a Frame,
    line: WebhookLine,
    signers: Vec<SignerLine>,
    deliveries: Vec<DeliveryLine>,
    /// Value, name, and whether it is the one.
    states: Vec<(&'static str, &'static str, bool)>,
    is_filtered: bool,
    older: Option<String>,
}

/// Which deliveries are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogQuery {
    state: Option<String>,
    cursor: Option<String>,
}

impl LogQuery {
    /// The state, if there is such a one.
    fn state(&self) -> Result<Option<&str>> {
        match self.state.as_deref() {
            Some(state) if !["waiting", "delivered", "failed"].contains(&state) => {
                Err(Error::malformed("state", "bad_value", "expected waiting, delivered or failed"))
            }
            state => Ok(state),
        }
    }
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>, Query(query): Query<LogQuery>) -> Shown {
    let frame = &visit.frame;
    let mut webhook = webhooks::show(&visit.app, &visit.actor, &id).await?;
    who::put_names(&visit, vec![&mut webhook.created_by]).await;
    let state = query.state()?;
    let scope = format!("{id} {}", state.unwrap_or_default());
    let page = Page::read(Some(20), query.cursor.as_deref(), &scope)?;
    let found = webhooks::deliveries(&visit.app, &visit.actor, &id, state, &page).await?;
    let of_state = state.map(|state| format!("state={state}&")).unwrap_or_default();
    let signer = |known: &WebhookSecretOut| SignerLine {
        created: frame.moment(&known.created_at),
        retires: known.retires_at.as_deref().map(|at| frame.moment(at)),
        known: known.clone(),
    };
    let choice = |word: &'static str, name| (word, name, state == Some(word));
    super::page(&WebhookPage {
        f: frame,
        signers: webhook.secrets.iter().map(signer).collect(),
        line: WebhookLine::new(webhook, frame),
        states: vec![
            choice("waiting", frame.t("Waits")),
            choice("delivered", frame.t("Delivered")),
            choice("failed", frame.t("Failed")),
        ],
        is_filtered: state.is_some(),
        older: found.next_cursor.map(|cursor| format!("{WEBHOOKS}/{id}?{of_state}cursor={cursor}#log")),
        deliveries: found.data.into_iter().map(|one| DeliveryLine::new(one, frame)).collect(),
    })
}

pub(crate) async fn test(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    webhooks::test(&visit.app, &visit.actor, &id).await?;
    go(&format!("{WEBHOOKS}/{id}"), "webhook-tested")
}

pub(crate) async fn replay(
    visit: Visit,
    Path((id, delivery)): Path<(String, String)>,
    Form(_): Form<Nothing>,
) -> Shown {
    webhooks::replay(&visit.app, &visit.actor, &id, &delivery).await?;
    go(&format!("{WEBHOOKS}/{id}"), "webhook-replayed")
}

#[derive(Template)]
#[template(path = "webhook_rotate.html")]
struct RotatePage<'a> {
    f: &'a Frame,
    line: &'a WebhookLine,
    once: String,
    faults: &'a Faults,
}

/// For how long both secrets sign.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RotateForm {
    overlap_seconds: Option<i64>,
    once: Option<String>,
}

async fn line(visit: &Visit, id: &str) -> Result<WebhookLine> {
    let webhook = webhooks::show(&visit.app, &visit.actor, id).await?;
    Ok(WebhookLine::new(webhook, &visit.frame))
}

pub(crate) async fn ask_rotate(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    confirm_rotate(&visit, &id, &Faults::default()).await
}

async fn confirm_rotate(visit: &Visit, id: &str, faults: &Faults) -> Shown {
    let line = line(visit, id).await?;
    super::page(&RotatePage { f: &visit.frame, line: &line, once: random::hex::<16>(), faults })
}

pub(crate) async fn rotate(mut visit: Visit, Path(id): Path<String>, Form(form): Form<RotateForm>) -> Shown {
    let location = format!("{WEBHOOKS}/{id}");
    let mark = form.once.as_deref().unwrap_or_default();
    if let Sent::Before(location) = idempotency::send_once(&visit.app, &mut visit.actor, mark).await? {
        return go(&location, "webhook-delivered");
    }
    let wish = WebhookRotateIn { overlap_seconds: form.overlap_seconds.unwrap_or(86_400) };
    let made = webhooks::rotate_secret(&visit.app, &visit.actor, &id, &wish).await;
    idempotency::settle(&visit.app, &visit.actor, made.is_ok().then_some(&*location)).await?;
    match made {
        Ok(made) => reveal(&visit, &made),
        Err(error) => {
            let page = confirm_rotate(&visit, &id, &Faults::of(error)?).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "webhook_delete.html")]
struct DeletePage<'a> {
    f: &'a Frame,
    line: &'a WebhookLine,
    /// Messages that wait, as many as fit on one page.
    waiting: usize,
    is_cut: bool,
}

pub(crate) async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let line = line(&visit, &id).await?;
    let page = Page::read(Some(200), None, "of a page")?;
    let found = webhooks::deliveries(&visit.app, &visit.actor, &id, Some("waiting"), &page).await?;
    super::page(&DeletePage {
        f: &visit.frame,
        line: &line,
        waiting: found.data.len(),
        is_cut: found.next_cursor.is_some(),
    })
}

pub(crate) async fn delete(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    webhooks::delete(&visit.app, &visit.actor, &id).await?;
    go(WEBHOOKS, "webhook-deleted")
}
