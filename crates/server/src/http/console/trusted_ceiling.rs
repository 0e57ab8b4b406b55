//! How far a trusted secret reaches: in words, and as a form (IMP-1).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::id::UserId;
use keyward_core::right::Right;
use serde::Deserialize;
use serde_json::{Value, json};

use super::choices::{self, Choice};
use super::form::{Faults, Form, lines};
use super::frame::Frame;
use super::gate::Visit;
use super::trusted::{SETTINGS, reveal};
use super::{Shown, go, rule};
use crate::error::{Error, Result};
use crate::http::idempotency::{self, Sent};
use crate::names::Username;
use crate::random;
use crate::store::page::Page;
use crate::store::users::UserFilter;
use crate::trusted::ceiling::{Ceiling, Exceeding};
use crate::trusted::wire::{EnableIn, TrustedPatch};
use crate::{groups, trusted, users};

/// One bound of a ceiling in words.
pub(super) struct Reach {
    pub(super) name: &'static str,
    pub(super) words: String,
}

/// A ceiling in words, with people and groups by name.
pub(super) async fn words(visit: &Visit, ceiling: &Ceiling) -> Result<Vec<Reach>> {
    let f = &visit.frame;
    let reach = |name, words: String| Reach { name, words };
    let any = |parts: Vec<String>, any: &'static str| match parts.is_empty() {
        true => any.to_owned(),
        false => parts.join(", "),
    };
    let rights = match &ceiling.rights {
        None => f.t("whatever the user may do").to_owned(),
        Some(rights) => any(rights.iter().map(Right::to_string).collect(), f.t("none")),
    };
    let beyond = match ceiling.exceeding {
        Exceeding::Refuse => f.t("gets no token"),
        Exceeding::Cut => f.t("gets a token for less"),
    };
    let yes = |yes: bool| if yes { f.t("Yes") } else { f.t("No") };
    let users = user_names(visit, &ceiling.user_ids).await;
    let groups = group_names(visit, &ceiling.group_ids).await;
    let unbound = users.is_empty() && groups.is_empty();
    let nobody = if unbound { f.t("everybody") } else { f.t("none") };
    Ok(vec![
        reach(f.t("Users"), any(users, nobody)),
        reach(f.t("Members of the groups"), any(groups, nobody)),
        reach(f.t("Administrators too"), yes(ceiling.admins).to_owned()),
        reach(f.t("Rights at most"), rights),
        reach(f.t("Who may do more"), beyond.to_owned()),
        reach(f.t("Longest life of a token"), f.n("1 second|{} seconds", ceiling.max_ttl_seconds)),
        reach(f.t("Networks"), any(ceiling.cidrs.iter().map(ToString::to_string).collect(), f.t("any"))),
        reach(f.t("Audiences"), any(ceiling.audiences.clone(), f.t("any"))),
        reach(f.t("Users are made when they are unknown"), yes(ceiling.create_users).to_owned()),
        reach(f.t("Tokens in a minute"), ceiling.per_minute.to_string()),
        reach(f.t("Tokens of one user in a minute"), ceiling.per_user_per_minute.to_string()),
    ])
}

/// Names of users; the id of those whom the visitor may not see.
async fn user_names(visit: &Visit, ids: &[String]) -> Vec<String> {
    let mut names = Vec::with_capacity(ids.len());
    for id in ids {
        let user = users::show(&visit.app, &visit.actor, id).await;
        names.push(user.map_or_else(|_| id.clone(), |user| user.username));
    }
    names
}

async fn group_names(visit: &Visit, ids: &[String]) -> Vec<String> {
    let mut names = Vec::with_capacity(ids.len());
    for id in ids {
        let group = match visit.actor.may("groups:read") {
            true => groups::show(&visit.app, &visit.actor, id).await.ok(),
            false => None,
        };
        names.push(group.map_or_else(|| id.clone(), |group| group.name));
    }
    names
}

/// What the form of a trusted secret holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TrustedForm {
    name: Option<String>,
    /// Names or ids.
    users: Option<String>,
    group_ids: Vec<String>,
    admins: Option<String>,
    rights: Option<String>,
    /// `refuse` or `cut`.
    exceeding: Option<String>,
    max_ttl_seconds: Option<String>,
    per_minute: Option<String>,
    per_user_per_minute: Option<String>,
    cidrs: Option<String>,
    audiences: Option<String>,
    create_users: Option<String>,
    version: Option<String>,
    once: Option<String>,
}

impl TrustedForm {
    async fn of(visit: &Visit, ceiling: &Ceiling) -> Self {
        let text = |lines: Vec<String>| Some(lines.join("\n"));
        let yes = |yes: bool| yes.then(|| "yes".to_owned());
        Self {
            users: text(user_names(visit, &ceiling.user_ids).await),
            group_ids: ceiling.group_ids.clone(),
            admins: yes(ceiling.admins),
            rights: ceiling.rights.as_ref().and_then(|all| text(all.iter().map(Right::to_string).collect())),
            exceeding: Some(if ceiling.exceeding == Exceeding::Cut { "cut" } else { "refuse" }.to_owned()),
            max_ttl_seconds: Some(ceiling.max_ttl_seconds.to_string()),
            per_minute: Some(ceiling.per_minute.to_string()),
            per_user_per_minute: Some(ceiling.per_user_per_minute.to_string()),
            cidrs: text(ceiling.cidrs.iter().map(ToString::to_string).collect()),
            audiences: text(ceiling.audiences.clone()),
            create_users: yes(ceiling.create_users),
            ..Self::default()
        }
    }

    /// A merge patch of the ceiling; what the form does not ask for stays.
    async fn ceiling(&self, visit: &Visit) -> Result<Value> {
        let rights = lines(self.rights.as_deref());
        let number =
            |name: &str, text: &Option<String>| rule::number(&format!("/ceiling/{name}"), text.as_deref());
        Ok(json!({
            "user_ids": user_ids(visit, &lines(self.users.as_deref())).await?,
            "group_ids": self.group_ids,
            "admins": self.admins.is_some(),
            "rights": (!rights.is_empty()).then_some(rights),
            "exceeding": self.exceeding.as_deref().unwrap_or("refuse"),
            "max_ttl_seconds": number("max_ttl_seconds", &self.max_ttl_seconds)?,
            "per_minute": number("per_minute", &self.per_minute)?,
            "per_user_per_minute": number("per_user_per_minute", &self.per_user_per_minute)?,
            "cidrs": lines(self.cidrs.as_deref()),
            "audiences": lines(self.audiences.as_deref()),
            "create_users": self.create_users.is_some(),
        }))
    }

    fn is_cut(&self) -> bool {
        self.exceeding.as_deref() == Some("cut")
    }
}

/// Ids of users who are told by name or id.
async fn user_ids(visit: &Visit, names: &[String]) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        ids.push(match name.parse::<UserId>() {
            Ok(_) => name.clone(),
            Err(_) => user_id(visit, name).await?,
        });
    }
    Ok(ids)
}

async fn user_id(visit: &Visit, name: &str) -> Result<String> {
    let unknown =
        || Error::invalid("/ceiling/user_ids", "not_found", visit.frame.f("There is no user {}.", name));
    if !visit.actor.may("users:read") {
        return Err(unknown());
    }
    let key = Username::parse_any(name).map_err(|_| unknown())?.key;
    let filter = UserFilter { username_key: Some(key), ..UserFilter::default() };
    let page = Page::read(Some(1), None, "of a form")?;
    let found = users::list(&visit.app, &visit.actor, &filter, &page).await?;
    found.data.into_iter().next().map(|user| user.id).ok_or_else(unknown)
}

#[derive(Template)]
#[template(path = "trusted_form.html")]
struct FormPage<'a> {
    f: &'a Frame,
    form: &'a TrustedForm,
    /// Where the form goes, and what it is about: none for a new secret.
    action: String,
    edited: Option<&'a str>,
    groups: Vec<Choice>,
    once: String,
    faults: &'a Faults,
}

async fn ask(visit: &Visit, form: &TrustedForm, edited: Option<(&str, &str)>, faults: &Faults) -> Shown {
    super::page(&FormPage {
        f: &visit.frame,
        form,
        action: edited
            .map_or_else(|| format!("{SETTINGS}/enable"), |(id, _)| format!("{SETTINGS}/{id}/edit")),
        edited: edited.map(|(_, name)| name),
        groups: choices::groups(visit, &form.group_ids).await?,
        once: random::hex::<16>(),
        faults,
    })
}

pub(crate) async fn ask_enable(visit: Visit) -> Shown {
    visit.must_be_fresh()?;
    let form = TrustedForm::of(&visit, &Ceiling::default()).await;
    ask(&visit, &form, None, &Faults::default()).await
}

pub(crate) async fn enable(mut visit: Visit, Form(form): Form<TrustedForm>) -> Shown {
    let mark = form.once.as_deref().unwrap_or_default();
    if let Sent::Before(location) = idempotency::send_once(&visit.app, &mut visit.actor, mark).await? {
        return go(&location, "trusted-delivered");
    }
    let made = match form.ceiling(&visit).await {
        Ok(ceiling) => {
            let input = EnableIn { name: form.name.clone(), ceiling: Some(ceiling) };
            trusted::enable(&visit.app, &visit.actor, input).await
        }
        Err(error) => Err(error),
    };
    let location = made.as_ref().ok().map(|made| format!("{SETTINGS}/{}", made.trusted.id));
    idempotency::settle(&visit.app, &visit.actor, location.as_deref()).await?;
    match made {
        Ok(made) => reveal(&visit, &made),
        Err(error) => {
            let page = ask(&visit, &form, None, &Faults::of(error)?).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let secret = trusted::show(&visit.app, &visit.actor, &id).await?;
    let form = TrustedForm {
        name: Some(secret.name.clone()),
        version: Some(secret.version.to_string()),
        ..TrustedForm::of(&visit, &secret.ceiling).await
    };
    ask(&visit, &form, Some((id.as_str(), secret.name.as_str())), &Faults::default()).await
}

pub(crate) async fn save(
    mut visit: Visit,
    Path(id): Path<String>,
    Form(mut form): Form<TrustedForm>,
) -> Shown {
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let secret = trusted::show(&visit.app, &visit.actor, &id).await?;
    if !visit.actor.may("groups:read") {
        // The form had no groups to choose from, and takes none away.
        form.group_ids.clone_from(&secret.ceiling.group_ids);
    }
    let edited = match form.ceiling(&visit).await {
        Ok(ceiling) => {
            let patch = TrustedPatch { name: form.name.clone(), ceiling: Some(ceiling) };
            trusted::edit(&visit.app, &visit.actor, &id, patch).await
        }
        Err(error) => Err(error),
    };
    match edited {
        Ok(_) => go(&format!("{SETTINGS}/{id}"), "edited"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, &form, Some((id.as_str(), secret.name.as_str())), &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
