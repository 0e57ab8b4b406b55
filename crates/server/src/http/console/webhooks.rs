//! Webhooks: the list of them, and making one (OUT-1 to OUT-5).

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form, lines};
use super::frame::Frame;
use super::gate::Visit;
use super::moment::Moment;
use super::{Shown, go};
use crate::http::idempotency::{self, Sent};
use crate::http::json::Query;
use crate::random;
use crate::store::page::Page;
use crate::webhooks;
use crate::webhooks::catalogue::ACTIONS;
use crate::webhooks::wire::{WebhookIn, WebhookMade, WebhookOut, WebhookPatch};

pub(super) const WEBHOOKS: &str = "/console/webhooks";

/// One webhook, and how it is.
pub(super) struct WebhookLine {
    pub(super) webhook: WebhookOut,
    pub(super) state: &'static str,
    pub(super) badge: &'static str,
    pub(super) failing: Option<Moment>,
    pub(super) created: Moment,
}

impl WebhookLine {
    pub(super) fn new(webhook: WebhookOut, frame: &Frame) -> Self {
        let (state, badge) = match (webhook.enabled, webhook.disabled_reason.as_deref()) {
            (true, _) if webhook.failing_since.is_some() => ("expiring", frame.t("Fails")),
            (true, _) => ("active", frame.t("Switched on")),
            (false, Some("gone")) => ("suspended", frame.t("Switched off: the address is gone")),
            (false, Some(_)) => ("suspended", frame.t("Switched off: it failed too long")),
            (false, None) => ("inactive", frame.t("Switched off")),
        };
        Self {
            state,
            badge,
            failing: webhook.failing_since.as_deref().map(|at| frame.moment(at)),
            created: frame.moment(&webhook.created_at),
            webhook,
        }
    }
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage<'a> {
    f: &'a Frame,
    lines: Vec<WebhookLine>,
}

pub(crate) async fn list(visit: Visit) -> Shown {
    // A tenant has fewer than fit on a page.
    let page = Page::read(Some(200), None, "webhooks")?;
    let found = webhooks::list(&visit.app, &visit.actor, &page).await?;
    let frame = &visit.frame;
    let lines = found.data.into_iter().map(|webhook| WebhookLine::new(webhook, frame)).collect();
    super::page(&WebhooksPage { f: frame, lines })
}

/// What the form of a webhook holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WebhookForm {
    url: Option<String>,
    description: Option<String>,
    /// Patterns that were ticked, …
    kinds: Vec<String>,
    /// … and those that were typed, one a line.
    events: Option<String>,
    enabled: Option<String>,
    version: Option<String>,
    once: Option<String>,
}

impl WebhookForm {
    fn of(webhook: &WebhookOut) -> Self {
        let known = patterns();
        let (kinds, others): (Vec<String>, Vec<String>) =
            webhook.events.iter().cloned().partition(|event| known.contains(event));
        Self {
            url: Some(webhook.url.clone()),
            description: Some(webhook.description.clone()),
            kinds,
            events: Some(others.join("\n")),
            enabled: webhook.enabled.then(|| "yes".into()),
            version: Some(webhook.version.to_string()),
            once: None,
        }
    }

    /// What is ticked and what is typed, each once.
    fn patterns(&self) -> Vec<String> {
        let typed = lines(self.events.as_deref());
        let all: BTreeSet<String> = self.kinds.iter().cloned().chain(typed).collect();
        all.into_iter().collect()
    }
}

/// What can be ticked: everything, or all events about one thing.
fn patterns() -> Vec<String> {
    let things: BTreeSet<&str> =
        ACTIONS.iter().filter_map(|action| action.split_once('.')).map(|(thing, _)| thing).collect();
    std::iter::once("*".to_owned()).chain(things.into_iter().map(|thing| format!("{thing}.*"))).collect()
}

#[derive(Template)]
#[template(path = "webhook_form.html")]
struct FormPage<'a> {
    f: &'a Frame,
    form: &'a WebhookForm,
    /// The webhook that is edited; none for a new one.
    edited: Option<&'a str>,
    /// Pattern, and whether it is ticked.
    kinds: Vec<(String, bool)>,
    once: String,
    faults: &'a Faults,
}

fn ask(visit: &Visit, form: &WebhookForm, edited: Option<&str>, faults: &Faults) -> Shown {
    let ticked = |pattern: String| (form.kinds.contains(&pattern), pattern);
    super::page(&FormPage {
        f: &visit.frame,
        form,
        edited,
        kinds: patterns().into_iter().map(ticked).map(|(ticked, pattern)| (pattern, ticked)).collect(),
        once: random::hex::<16>(),
        faults,
    })
}

/// The form, filled in from the query, so that a link can prepare it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewQuery {
    url: Option<String>,
}

pub(crate) async fn new(visit: Visit, Query(query): Query<NewQuery>) -> Shown {
    visit.must_be_fresh()?;
    let form = WebhookForm { url: query.url, enabled: Some("yes".into()), ..WebhookForm::default() };
    ask(&visit, &form, None, &Faults::default())
}

pub(crate) async fn create(mut visit: Visit, Form(form): Form<WebhookForm>) -> Shown {
    let mark = form.once.as_deref().unwrap_or_default();
    if let Sent::Before(location) = idempotency::send_once(&visit.app, &mut visit.actor, mark).await? {
        return go(&location, "webhook-delivered");
    }
    let input = WebhookIn {
        url: form.url.clone().unwrap_or_default(),
        events: form.patterns(),
        description: form.description.clone().unwrap_or_default(),
        enabled: form.enabled.is_some(),
    };
    let made = webhooks::create(&visit.app, &visit.actor, input).await;
    let location = made.as_ref().ok().map(|made| format!("{WEBHOOKS}/{}", made.webhook.id));
    idempotency::settle(&visit.app, &visit.actor, location.as_deref()).await?;
    match made {
        Ok(made) => reveal(&visit, &made),
        Err(error) => {
            let page = ask(&visit, &form, None, &Faults::of(error)?)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "webhook_secret.html")]
struct SecretPage<'a> {
    f: &'a Frame,
    webhook: &'a WebhookOut,
    text: &'a str,
    public_key: &'a str,
}

/// The one page with the secret: the answer to the form itself, which no address leads to.
pub(super) fn reveal(visit: &Visit, made: &WebhookMade) -> Shown {
    let Some(text) = &made.secret else { return go(WEBHOOKS, "") };
    super::page(&SecretPage {
        f: &visit.frame,
        webhook: &made.webhook,
        text: text.expose(),
        public_key: made.webhook.secrets.first().map_or("", |newest| &newest.public_key),
    })
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let webhook = webhooks::show(&visit.app, &visit.actor, &id).await?;
    ask(&visit, &WebhookForm::of(&webhook), Some(&id), &Faults::default())
}

pub(crate) async fn save(mut visit: Visit, Path(id): Path<String>, Form(form): Form<WebhookForm>) -> Shown {
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let webhook = webhooks::show(&visit.app, &visit.actor, &id).await?;
    let patch = WebhookPatch {
        // Another address is looked up and asks for a proof; the same one does not.
        url: Some(form.url.clone().unwrap_or_default()).filter(|url| *url != webhook.url),
        events: Some(form.patterns()),
        description: Some(form.description.clone()),
        enabled: Some(form.enabled.is_some()),
    };
    match webhooks::edit(&visit.app, &visit.actor, &id, patch).await {
        Ok(_) => go(&format!("{WEBHOOKS}/{id}"), "edited"),
        Err(error) => {
            let page = ask(&visit, &form, Some(&id), &Faults::of(error)?)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
