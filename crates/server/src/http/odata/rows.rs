//! Rows of a set, read part by part as the API lists the same things, with the rights that those lists ask for.

use serde::Serialize;
use serde_json::Value;

use super::filter::Filter;
use super::sets::{Row, Set, Source};
use crate::app::{Actor, App};
use crate::clock::{parse_rfc3339, rfc3339};
use crate::error::{Error, Result};
use crate::http::v1::audit::{self, ListQuery};
use crate::keys::usage;
use crate::keys::wire::KeyOut;
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::{Listed, Page};
use crate::store::usage::HourFilter;
use crate::store::users::UserFilter;
use crate::{keys, users};

/// Some rows, and where those behind them begin.
pub(crate) struct Part {
    pub(crate) rows: Vec<Row>,
    pub(crate) next: Option<String>,
}

/// Reads so many rows behind a cursor. The filter leaves rows out that cannot fit, where that spares reading
/// them; what comes must be asked whether it fits.
///
/// # Errors
/// 404 for whoever owns nothing, 400 for a cursor of another set, 503 when the database cannot be used.
pub(crate) async fn read(
    app: &App,
    actor: &Actor,
    (set, filter): (&Set, Option<&Filter>),
    cursor: Option<&str>,
    limit: i64,
) -> Result<Part> {
    let page = || Page::read(Some(limit), cursor, set.name);
    match set.source {
        Source::Keys => {
            let listed = keys::list(app, actor, of_keys(filter), &[], KeySort::Id, &page()?).await?;
            part(set, listed, key)
        }
        Source::Users => part(set, users::list(app, actor, &UserFilter::default(), &page()?).await?, object),
        Source::KeyUsage => part(set, usage::list(app, actor, of_hours(filter), &page()?).await?, object),
        Source::AuditEvents => {
            let query =
                ListQuery { limit: Some(limit), cursor: cursor.map(ToOwned::to_owned), ..of_events(filter) };
            part(set, audit::events(app, actor, &query).await?, object)
        }
    }
}

/// The one row that a key names.
///
/// # Errors
/// 404 when there is none that the actor may see.
pub(crate) async fn one(app: &App, actor: &Actor, set: &Set, filter: &Filter) -> Result<Row> {
    let id = filter.equals(set.keys[0]).ok_or(Error::NotFound)?;
    let row = match set.source {
        Source::Keys => set.row(&key(keys::show(app, actor, id).await?)?),
        Source::Users => set.row(&object(users::show(app, actor, id).await?)?),
        Source::AuditEvents => set.row(&object(audit::event(app, actor, id).await?)?),
        Source::KeyUsage => {
            let part = read(app, actor, (set, Some(filter)), None, crate::store::page::MAX_LIMIT).await?;
            let mut rows = part.rows.into_iter();
            return rows.find(|row| filter.matches(row)).ok_or(Error::NotFound);
        }
    };
    // A key answers to its access key too, which is not its id.
    if filter.matches(&row) { Ok(row) } else { Err(Error::NotFound) }
}

fn part<T>(set: &Set, listed: Listed<T>, render: fn(T) -> Result<Value>) -> Result<Part> {
    let rows = listed.data.into_iter().map(|item| Ok(set.row(&render(item)?))).collect::<Result<_>>()?;
    Ok(Part { rows, next: listed.next_cursor })
}

fn object<T: Serialize>(item: T) -> Result<Value> {
    serde_json::to_value(item).map_err(Error::internal)
}

/// A key, with the newest of its secrets in a place of its own.
fn key(key: KeyOut) -> Result<Value> {
    let newest = key.secrets.last().map(serde_json::to_value).transpose().map_err(Error::internal)?;
    let mut key = object(key)?;
    key["newest_secret"] = newest.unwrap_or_default();
    Ok(key)
}

fn text(filter: Option<&Filter>, column: &str) -> Option<String> {
    filter?.equals(column).map(ToOwned::to_owned)
}

fn of_keys(filter: Option<&Filter>) -> KeyFilter {
    let bound = |column: &str, by: fn(&Filter, &str) -> Option<i64>| by(filter?, column);
    KeyFilter {
        owner_id: text(filter, "OwnerId"),
        label: text(filter, "Label"),
        // These bounds are themselves out.
        created_after: bound("CreatedAt", Filter::at_least).map(|at| at.saturating_sub(1)),
        created_before: bound("CreatedAt", Filter::at_most).map(|at| at.saturating_add(1)),
        expires_after: bound("ExpiresAt", Filter::at_least).map(|at| at.saturating_sub(1)),
        expires_before: bound("ExpiresAt", Filter::at_most).map(|at| at.saturating_add(1)),
        ..KeyFilter::default()
    }
}

fn of_hours(filter: Option<&Filter>) -> HourFilter {
    HourFilter {
        owner_id: None,
        key_id: text(filter, "KeyId"),
        since: filter.and_then(|filter| filter.at_least("Hour")),
        until: filter.and_then(|filter| filter.at_most("Hour")),
    }
}

fn of_events(filter: Option<&Filter>) -> ListQuery {
    // Beyond the years that RFC 3339 knows there is nothing to spare.
    let at = |at: i64| Some(rfc3339(at)).filter(|text| parse_rfc3339(text).is_some());
    ListQuery {
        actor_id: text(filter, "ActorId"),
        target_id: text(filter, "TargetId"),
        action: text(filter, "Action"),
        outcome: text(filter, "Outcome"),
        since: filter.and_then(|filter| filter.at_least("At")).and_then(at),
        until: filter.and_then(|filter| filter.at_most("At")).and_then(|until| at(until.saturating_add(1))),
        ..ListQuery::default()
    }
}
