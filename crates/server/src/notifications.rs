//! What users are told: the list behind the bell, and their wishes (BM9).

pub(crate) mod kind;
pub(crate) mod words;

use keyward_core::id::{EventId, Id, Kind as IdKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::kind::{Channels, Kind};
use self::words::Language;
use crate::app::{Actor, App, Principal};
use crate::audit::{Audited, Event, Recorded, Target};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::store::notifications::{self, NotificationRow, WishRow};
use crate::store::page::{Listed, Page};
use crate::store::users;
use crate::wire::present;

/// Marker of ids of notifications.
#[derive(Clone, Copy)]
pub(crate) enum Notification {}

impl IdKind for Notification {
    const PREFIX: &'static str = "notice";
}

/// The id of what users are told of an event: in the order of events, and once for each user.
pub(crate) fn id_of(event: &str) -> Result<String> {
    let event: EventId = event.parse().map_err(Error::internal)?;
    Ok(Id::<Notification>::from_u128(event.as_u128()).to_string())
}

/// What happened, as it is kept with a notification and a mail: never a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct News {
    pub(crate) kind: Kind,
    pub(crate) event_id: String,
    pub(crate) action: String,
    pub(crate) at: String,
    pub(crate) actor: Principal,
    pub(crate) target: Target,
    pub(crate) address: Option<String>,
    /// What else the text needs: the end of a key, the days until then, the network.
    pub(crate) facts: Value,
}

/// Facts of events that stand in the text of news.
const FACTS: &[&str] = &[
    "expires_at",
    "days",
    "generation",
    "newest_generation",
    "attempts",
    "url",
    "network",
    "used_at",
    "tokens",
    "grace_ends_at",
    "cause",
    "detail",
];

impl News {
    /// The news in an event.
    pub(crate) fn of(kind: Kind, event: &Recorded) -> Self {
        let after = event.after.as_ref().and_then(Value::as_object);
        let facts = after.into_iter().flatten().filter(|(name, _)| FACTS.contains(&name.as_str()));
        Self {
            kind,
            event_id: event.id.clone(),
            action: event.action.clone(),
            at: event.at.clone(),
            actor: event.actor.clone(),
            target: event.target.clone(),
            address: event.address.clone(),
            facts: facts.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// Something a user is told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotificationOut {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// One line, in the language of the user.
    pub(crate) title: String,
    /// What it means and what to do.
    pub(crate) text: String,
    /// The event of the audit log that it comes from.
    pub(crate) event_id: String,
    /// The action of that event.
    pub(crate) action: String,
    /// What it is about: `{kind, id, label}`.
    #[schema(value_type = Object)]
    pub(crate) target: Target,
    pub(crate) created_at: String,
    /// `null` until it is read.
    pub(crate) read_at: Option<String>,
}

/// How many notifications are unread.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnreadOut {
    pub(crate) unread: i64,
}

/// How many were marked as read just now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MarkedOut {
    pub(crate) marked: u64,
}

/// How a user is told about one kind of thing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WishOut {
    pub(crate) kind: Kind,
    /// In the list of notifications.
    pub(crate) bell: bool,
    /// By mail, to the address on file.
    pub(crate) mail: bool,
    /// Cannot be switched off.
    pub(crate) owed: bool,
}

/// The wishes of a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreferencesOut {
    /// `en` or `de`.
    #[schema(value_type = String)]
    pub(crate) language: Language,
    pub(crate) kinds: Vec<WishOut>,
}

/// A wish about one kind; absent fields stay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WishIn {
    pub(crate) kind: Kind,
    pub(crate) bell: Option<bool>,
    pub(crate) mail: Option<bool>,
}

/// What a user wishes; absent fields stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PreferencesPatch {
    /// `en` or `de`; `null` is the usual one.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(crate) language: Option<Option<Language>>,
    /// Kinds that are not named stay.
    pub(crate) kinds: Vec<WishIn>,
}

/// Only people are told anything.
fn own(actor: &Actor) -> Result<&str> {
    let detail = "only users are told anything; use a session or a member key";
    actor.user_id().ok_or_else(|| Error::forbidden("no_user", detail))
}

/// What the actor was told, the newest first.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    unread: Option<bool>,
    kind: Option<Kind>,
    page: &Page,
) -> Result<Listed<NotificationOut>> {
    let (user, mut conn) = (own(actor)?, app.read().await?);
    let language = language(users::find(&mut conn, &actor.tenant_id, user).await?);
    let kind = kind.map(Kind::as_str);
    let rows = notifications::list(&mut conn, &actor.tenant_id, user, unread, kind, page).await?;
    let data = rows.data.into_iter().map(|row| render(row, language)).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: rows.next_cursor })
}

fn render(row: NotificationRow, language: Language) -> Result<NotificationOut> {
    let news: News = serde_json::from_str(&row.news).map_err(Error::internal)?;
    let words = words::of(&news, language);
    Ok(NotificationOut {
        id: row.id,
        kind: news.kind,
        title: words.title,
        text: words.text,
        event_id: row.event_id,
        action: news.action,
        target: news.target,
        created_at: rfc3339(row.created_at),
        read_at: row.read_at.map(rfc3339),
    })
}

/// The language of a user.
pub(crate) fn language(user: Option<users::UserRow>) -> Language {
    user.and_then(|user| user.language).and_then(|text| Language::parse(&text)).unwrap_or_default()
}

/// How many the actor has not read.
pub(crate) async fn unread(app: &App, actor: &Actor) -> Result<UnreadOut> {
    let mut conn = app.read().await?;
    Ok(UnreadOut { unread: notifications::unread(&mut conn, &actor.tenant_id, own(actor)?).await? })
}

/// Marks one as read, or all. That is nobody else's business: the audit log does not tell of it.
pub(crate) async fn mark_read(app: &App, actor: &Actor, id: Option<&str>) -> Result<MarkedOut> {
    let user = own(actor)?;
    app.write(actor, async |tx| {
        tx.must_hold("me:read")?;
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        if let Some(id) = id {
            notifications::find(tx.conn(), &tenant, user, id).await?.ok_or(Error::NotFound)?;
        }
        let marked = notifications::mark_read(tx.conn(), &tenant, user, id, now).await?;
        Ok(Audited::many(MarkedOut { marked }, Vec::new()))
    })
    .await
}

/// Where a user is told about a kind of thing.
pub(crate) fn channels(kind: Kind, wishes: &[WishRow]) -> Channels {
    let usual = kind.usual();
    match wishes.iter().find(|wish| wish.kind == kind.as_str()) {
        Some(wish) => Channels { bell: wish.bell || kind.is_owed(), mail: wish.mail || kind.is_owed() },
        None => usual,
    }
}

/// The wishes of the actor.
pub(crate) async fn preferences(app: &App, actor: &Actor) -> Result<PreferencesOut> {
    let (user, mut conn) = (own(actor)?, app.read().await?);
    let wishes = notifications::wishes(&mut conn, &actor.tenant_id, user).await?;
    Ok(shown(language(users::find(&mut conn, &actor.tenant_id, user).await?), &wishes))
}

fn shown(language: Language, wishes: &[WishRow]) -> PreferencesOut {
    let kinds = Kind::ALL.map(|kind| {
        let Channels { bell, mail } = channels(kind, wishes);
        WishOut { kind, bell, mail, owed: kind.is_owed() }
    });
    PreferencesOut { language, kinds: kinds.into() }
}

/// Changes the wishes of the actor.
pub(crate) async fn set_preferences(
    app: &App,
    actor: &Actor,
    patch: PreferencesPatch,
) -> Result<PreferencesOut> {
    let user = own(actor)?;
    app.write(actor, async |tx| {
        tx.must_hold("me/keys:edit")?;
        let tenant = tx.tenant().to_owned();
        let known = notifications::wishes(tx.conn(), &tenant, user).await?;
        for (place, wish) in patch.kinds.iter().enumerate() {
            let row = changed(place, wish, &known)?;
            notifications::wish(tx.conn(), &tenant, user, &row).await?;
        }
        if let Some(language) = patch.language {
            users::set_language(tx.conn(), &tenant, user, language.map(Language::as_str)).await?;
        }
        let wishes = notifications::wishes(tx.conn(), &tenant, user).await?;
        let now = shown(language(users::find(tx.conn(), &tenant, user).await?), &wishes);
        let event = Event::new("user.set_preferences", "user", user, &actor.principal.label).after(&now);
        Ok(Audited::new(now, event))
    })
    .await
}

fn changed(place: usize, wish: &WishIn, known: &[WishRow]) -> Result<WishRow> {
    let now = channels(wish.kind, known);
    let row = WishRow {
        kind: wish.kind.as_str().into(),
        bell: wish.bell.unwrap_or(now.bell),
        mail: wish.mail.unwrap_or(now.mail),
    };
    if wish.kind.is_owed() && !(row.bell && row.mail) {
        let detail = "what happens to one's own account is always told";
        return Err(Error::invalid(&format!("/kinds/{place}"), "not_allowed", detail));
    }
    Ok(row)
}
