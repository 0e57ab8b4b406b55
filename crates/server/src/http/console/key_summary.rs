//! What a new key would be, in sentences, while its form is filled in.

use askama::Template;

use super::Shown;
use super::form::{Form, lines};
use super::frame::Frame;
use super::gate::Visit;
use super::key_new::KeyForm;

/// Sentences about a key that is not made yet.
pub(super) struct Summary {
    pub(super) sentences: Vec<String>,
    /// What would be safer.
    pub(super) hints: Vec<&'static str>,
}

#[derive(Template)]
#[template(path = "key_summary.html")]
struct SummaryPart<'a> {
    summary: &'a Summary,
}

pub(crate) async fn show(visit: Visit, Form(form): Form<KeyForm>) -> Shown {
    let summary = of(&visit.frame, &form);
    super::page(&SummaryPart { summary: &summary })
}

/// The sentences for what stands in the form.
pub(super) fn of(frame: &Frame, form: &KeyForm) -> Summary {
    let scopes = lines(form.scopes.as_deref());
    let networks = lines(form.cidrs.as_deref());
    let mut sentences = vec![
        who(frame, form),
        match scopes.is_empty() {
            true => frame.t("It may do everything that they may.").to_owned(),
            false => frame.f("It may do this and nothing else: {}.", scopes.join(", ")),
        },
        match networks.is_empty() {
            true => frame.t("It works from everywhere.").to_owned(),
            false => frame.f("It works from {} alone.", networks.join(", ")),
        },
    ];
    sentences.extend(until(frame, form));
    Summary { sentences, hints: hints(frame, form, &scopes, &networks) }
}

fn who(frame: &Frame, form: &KeyForm) -> String {
    match form.class.as_deref() {
        Some("workspace") if form.role_ids.is_empty() && form.group_ids.is_empty() => {
            frame.t("The key acts for the tenant, as an administrator.").to_owned()
        }
        Some("workspace") => frame.t("The key acts for the tenant, with the roles chosen.").to_owned(),
        Some("ingest") => frame.t("The key sends data in for the tenant.").to_owned(),
        _ if form.owner_id.is_some() => frame.t("The key acts for the user named.").to_owned(),
        _ => frame.t("The key acts for you.").to_owned(),
    }
}

fn until(frame: &Frame, form: &KeyForm) -> Option<String> {
    match (form.validity.as_deref()?, form.expires_on.as_deref()) {
        ("never", _) => Some(frame.t("It never ends by itself.").to_owned()),
        ("date", Some(day)) => Some(frame.f("It works until the end of {} (UTC).", day)),
        ("date", None) => None,
        (days, _) => {
            let days: i64 = days.parse().ok()?;
            let end = frame.moment_at(frame.now.checked_add(days.checked_mul(86_400_000)?)?);
            Some(frame.f("It works until {}.", end.exact))
        }
    }
}

fn hints(frame: &Frame, form: &KeyForm, scopes: &[String], networks: &[String]) -> Vec<&'static str> {
    let mut hints = Vec::new();
    if form.validity.as_deref() == Some("never") {
        hints.push(frame.t("Safer: give it an end, and rotate it before."));
    }
    if scopes.is_empty() || scopes.iter().any(|right| right.contains('*')) {
        hints.push(frame.t("Safer: name the rights that it needs, without asterisks."));
    }
    if networks.is_empty() {
        hints.push(frame.t("Safer: name the networks that it is used from."));
    }
    hints
}
