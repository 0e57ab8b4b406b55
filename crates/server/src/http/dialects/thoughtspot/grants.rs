//! Tokens as clients ask for them, with a secret key or a password (TS1, TS8), and what they are given.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::orgs::{self, Org, OrgName};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::http::dialects::door::JSESSIONID;
use crate::http::trusted;
use crate::logins::{self, LoginIn};
use crate::passwords::Password;
use crate::sessions::{self, SessionOpened};
use crate::store::tenants;
use crate::store::trusted as secrets;
use crate::store::users;
use crate::tokens::DEFAULT_TTL;
use crate::trusted::wire::{Provision, TokenIn};
use crate::verify::Presented;
use crate::wire::time;

/// What a token shall be good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Full,
    /// To read one object.
    Object,
    /// Full, with attributes.
    Custom,
}

/// A request for a token, in the fields of all its kinds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenRequest {
    pub(super) username: Option<String>,
    pub(super) secret_key: Option<Password>,
    pub(super) password: Option<Password>,
    pub(super) validity_time_in_sec: Option<i64>,
    pub(super) org_id: Option<i64>,
    pub(super) org_identifier: Option<OrgName>,
    pub(super) object_id: Option<String>,
    pub(super) auto_create: Option<bool>,
    pub(super) email: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) group_identifiers: Option<Vec<String>>,
    pub(super) groups: Option<Vec<GroupName>>,
    pub(super) persist_option: Option<String>,
    pub(super) filter_rules: Option<Value>,
    pub(super) parameter_values: Option<Value>,
    pub(super) variable_values: Option<Value>,
    pub(super) objects: Option<Value>,
    pub(super) user_parameters: Option<Value>,
}

/// A group of a custom token.
#[derive(Deserialize)]
pub(super) struct GroupName {
    pub(super) identifier: String,
}

/// A token that was given.
pub(super) struct Given {
    pub(super) token: Zeroizing<String>,
    pub(super) id: String,
    pub(super) user_id: String,
    pub(super) username: String,
    pub(super) org: Org,
    /// Unix milliseconds.
    pub(super) created_at: i64,
    pub(super) ends_at: i64,
    /// The object that it is bound to.
    pub(super) object: Option<String>,
}

/// How far a token reaches.
#[derive(Serialize)]
pub(super) struct Scope {
    pub(super) access_type: &'static str,
    pub(super) org_id: i64,
    pub(super) metadata_id: Option<String>,
}

impl Scope {
    pub(super) fn new(org_id: i64, object: Option<String>) -> Self {
        let access_type = if object.is_some() { "REPORT_BOOK_VIEW" } else { "FULL" };
        Self { access_type, org_id, metadata_id: object }
    }
}

/// Gives a token to who knows a secret key or the user's password; with both, the key counts.
///
/// # Errors
/// 400 without either, 401 for a wrong one.
pub(super) async fn give(
    app: &Arc<App>,
    (headers, call): (&HeaderMap, Call),
    mut ask: TokenRequest,
    access: Access,
) -> Result<Given> {
    let is_there = |secret: &Password| !secret.expose().is_empty();
    let (secret, password) = (ask.secret_key.take().filter(is_there), ask.password.take().filter(is_there));
    let username = text(&mut ask.username).ok_or_else(|| required("/username"))?;
    let object = match access {
        Access::Object => Some(text(&mut ask.object_id).ok_or_else(|| required("/object_id"))?),
        _ => None,
    };
    let org = ask.org_identifier.take().and_then(OrgName::some).or(ask.org_id.map(OrgName::Number));
    match (secret, password) {
        (Some(secret), _) => {
            let input = token_request(ask, (username, access), object.as_deref())?;
            by_secret(app, (headers, call), (&secret, org), input, object).await
        }
        (None, Some(password)) => {
            if object.is_some() || !attributes(&mut ask)?.is_empty() {
                let detail =
                    "what a token is bound to needs the secret_key: that of a password is the user's";
                return Err(Error::malformed("/secret_key", "required", detail));
            }
            let lasts = Some(validity(ask.validity_time_in_sec)?);
            let tenant = orgs::place(app, org.as_ref()).await?;
            let opened = log_in(app, call, LoginIn { tenant, username, password, cookie: false, lasts });
            of_session(app, opened.await?).await
        }
        (None, None) => Err(Error::malformed("", "required", "give the secret_key, or the password")),
    }
}

/// The request as the operation takes it: made from what the product calls just-in-time provisioning.
fn token_request(
    mut ask: TokenRequest,
    (username, access): (String, Access),
    object: Option<&str>,
) -> Result<TokenIn> {
    let mut claims = attributes(&mut ask)?;
    if let Some(object) = object {
        claims.insert("metadata_id".into(), object.into());
    }
    let named = |groups: Vec<GroupName>| groups.into_iter().map(|group| group.identifier).collect();
    let is_custom = access == Access::Custom;
    Ok(TokenIn {
        username: Some(username),
        ttl_seconds: Some(validity(ask.validity_time_in_sec)?),
        rights: object.map(|object| vec![format!("{object}:read")]),
        claims: (!claims.is_empty()).then_some(claims),
        auto_create: ask.auto_create.unwrap_or(is_custom),
        email: text(&mut ask.email),
        display_name: text(&mut ask.display_name),
        provision: Provision { groups: ask.group_identifiers.or(ask.groups.map(named)), update: !is_custom },
        ..TokenIn::default()
    })
}

/// What the token carries for the application that reads it; nothing of it outlives the token.
fn attributes(ask: &mut TokenRequest) -> Result<Map<String, Value>> {
    let given = [
        ("filter_rules", ask.filter_rules.take()),
        ("parameter_values", ask.parameter_values.take()),
        ("variable_values", ask.variable_values.take()),
        ("objects", ask.objects.take()),
        ("user_parameters", ask.user_parameters.take()),
    ];
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let carried = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let carried: Map<String, Value> = carried.filter(|(_, value)| !is_empty(value)).collect();
    if !carried.is_empty() && matches!(ask.persist_option.as_deref(), Some("APPEND" | "REPLACE")) {
        let detail = "attributes stand in the token alone: send persist_option NONE";
        return Err(Error::malformed("/persist_option", "not_supported", detail));
    }
    Ok(carried)
}

async fn by_secret(
    app: &Arc<App>,
    (headers, call): (&HeaderMap, Call),
    (secret, org): (&Password, Option<OrgName>),
    input: TokenIn,
    object: Option<String>,
) -> Result<Given> {
    let place = (secret.expose(), call.address);
    let headers = without_own_cookie(headers);
    let (backend, call) = match trusted::admit(app, &headers, place, || call.clone(), "mint_token").await {
        Err(Error::Unauthenticated("invalid_trusted_secret")) => {
            return Err(unknown_secret(app, org.as_ref()).await?);
        }
        admitted => admitted?,
    };
    let input = TokenIn { tenant: orgs::place(app, org.as_ref()).await?, ..input };
    let minted = trusted::give(app, &backend, &input, call).await.map_err(|error| match error {
        Error::NotFound => {
            let detail = "there is no such user, or no such Org that this secret reaches";
            Error::malformed("/username", "not_found", detail)
        }
        error => error,
    })?;
    let org = orgs::of(app, &minted.claims.tenant).await?;
    Ok(Given {
        id: minted.claims.jti.clone(),
        user_id: minted.claims.sub.clone(),
        username: minted.user.username.to_string(),
        created_at: minted.claims.iat * 1000,
        ends_at: minted.claims.exp * 1000,
        token: minted.token,
        org,
        object,
    })
}

/// A script that logged in before sends the cookie of its session with everything, which makes it no browser:
/// those are told by their other marks, and by any other cookie.
fn without_own_cookie(headers: &HeaderMap) -> Cow<'_, HeaderMap> {
    let is_own = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| name.trim() == JSESSIONID);
    let lines = headers.get_all(COOKIE);
    let all_own = lines.iter().all(|line| line.to_str().is_ok_and(|line| line.split(';').all(is_own)));
    if !all_own || !headers.contains_key(COOKIE) {
        return Cow::Borrowed(headers);
    }
    let mut rest = headers.clone();
    rest.remove(COOKIE);
    Cow::Owned(rest)
}

/// What a wrong secret is told: as by the product, whether there is any for its Org at all (TS3). One of the
/// primary tenant is for every Org; without it, an Org that has none and one that does not exist are told alike.
async fn unknown_secret(app: &App, org: Option<&OrgName>) -> Result<Error> {
    let named = match org {
        Some(name) => orgs::find(app, name).await?,
        None => None,
    };
    let mut conn = app.read().await?;
    let primary = tenants::find_primary(&mut conn).await?.map(|row| row.id).unwrap_or_default();
    let own = named.map_or_else(|| primary.clone(), |row| row.id);
    let mut live = 0;
    for tenant in [primary, own] {
        live += secrets::count_live(&mut conn, &tenant).await?;
    }
    if live > 0 {
        return Ok(Error::Unauthenticated("invalid_trusted_secret"));
    }
    let detail = "trusted authentication is not enabled for this Org: an administrator enables it";
    Ok(Error::forbidden("trusted_disabled", detail))
}

/// Opens a session whose token the client carries; one that lacks its second factor is none here.
pub(super) async fn log_in(app: &App, call: Call, input: LoginIn) -> Result<SessionOpened> {
    let opened = logins::log_in(app, call.clone(), &input).await?;
    if !opened.session.enrolment_only {
        return Ok(opened);
    }
    if let Some(token) = &opened.token {
        let why = ("login", "a second factor is missing");
        sessions::end_by_token(app, Presented::Secret(token), why, &call).await?;
    }
    Err(Error::Unauthenticated("second_factor_required"))
}

/// A session in the place of a token.
pub(super) async fn of_session(app: &App, opened: SessionOpened) -> Result<Given> {
    let missing = || Error::internal("a session without its token");
    let (user_id, username) = match (opened.user_id, opened.session.access_key) {
        (Some(user), _) => {
            let row = users::find(&mut app.read().await?, &opened.tenant_id, &user).await?;
            let name = row.ok_or(Error::NotFound)?.username;
            (user, name)
        }
        (None, key) => {
            let key = key.unwrap_or_default();
            (key.clone(), key)
        }
    };
    Ok(Given {
        token: Zeroizing::new(opened.token.ok_or_else(missing)?),
        id: opened.session.id,
        user_id,
        username,
        org: orgs::of(app, &opened.tenant_id).await?,
        created_at: time("", &opened.session.started_at)?,
        ends_at: time("", &opened.session.expires_at)?,
        object: None,
    })
}

fn validity(wish: Option<i64>) -> Result<i64> {
    match wish {
        Some(seconds) if seconds < 1 => {
            Err(Error::invalid("/validity_time_in_sec", "out_of_range", "must be 1 or more"))
        }
        wish => Ok(wish.unwrap_or(DEFAULT_TTL)),
    }
}

/// A field that is left empty counts as absent.
fn text(field: &mut Option<String>) -> Option<String> {
    field.take().filter(|text| !text.trim().is_empty())
}

fn required(pointer: &str) -> Error {
    Error::malformed(pointer, "required", "this field is required")
}
