//! Configuration options: the rules of the tenant's policy that the product has too (SQ4, MO2).

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::Method;
use http::header::HeaderMap;
use keyward_core::policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gate::Need;
use super::media::KINDS;
use super::{Told, duration, gate, tell};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::http::dialects::body::Whole;
use crate::http::problem;
use crate::policies;

const LIST: Need = Need { operation: "show_policy", rights: &["policies:read"] };
const SET: Need = Need { operation: "edit_policy", rights: &["policies:write"] };

/// A release of the product whose clients work with this, and who really answers.
const VERSION: &str = concat!("R66.0.0-keyward", env!("CARGO_PKG_VERSION"));
/// How long keys work after a login of their owner.
const VALIDITY: &str = "Authentication/AccessKey/ValidityWithoutUserLogin";
/// Whether there are keys of users at all.
const CREATION: &str = "Authentication/AccessKey/Creation/Enabled";

/// Options, as they are sent and told.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    configuration_options: Vec<OptionValue>,
}

/// One of them.
#[derive(Deserialize, Serialize)]
struct OptionValue {
    path: String,
    /// `null` brings the default back.
    value: Value,
}

impl Options {
    fn of(policy: &Policy) -> Self {
        let option = |path: &str, value: Value| OptionValue { path: path.into(), value };
        let validity = duration::spell(policy.owner_login_window_minutes);
        Self {
            configuration_options: vec![
                option(VALIDITY, validity.into()),
                option(CREATION, policy.switches.member_keys.into()),
            ],
        }
    }

    /// All of them as one change of the policy, so that none counts where another is refused.
    fn patch(&self) -> Result<Value> {
        let mut patch = json!({});
        for (at, option) in self.configuration_options.iter().enumerate() {
            let place = format!("/configurationOptions/{at}");
            let (name, value) = option.rule(&place)?;
            if patch.get(name).is_some() {
                return Err(Error::malformed(
                    &format!("{place}/path"),
                    "bad_value",
                    "this option stands twice",
                ));
            }
            patch[name] = value;
        }
        if self.configuration_options.is_empty() {
            return Err(Error::invalid("/configurationOptions", "required", "name an option"));
        }
        Ok(patch)
    }
}

impl OptionValue {
    /// The rule of the policy that it is, with the value for it.
    fn rule(&self, place: &str) -> Result<(&'static str, Value)> {
        let bad = |detail: &str| Error::malformed(&format!("{place}/value"), "bad_value", detail);
        match (self.path.as_str(), &self.value) {
            (VALIDITY, Value::Null) => Ok(("owner_login_window_minutes", Value::Null)),
            (VALIDITY, value) => {
                let minutes =
                    minutes(value).ok_or_else(|| bad("expected a duration such as 14d, 12h or 0"))?;
                Ok(("owner_login_window_minutes", minutes.into()))
            }
            (CREATION, Value::Null | Value::Bool(_)) => {
                Ok(("switches", json!({ "member_keys": self.value })))
            }
            (CREATION, _) => Err(bad("expected true or false")),
            _ => {
                let detail = format!("there is no such option; known are {VALIDITY} and {CREATION}");
                Err(Error::malformed(&format!("{place}/path"), "bad_value", detail))
            }
        }
    }
}

/// A number alone has no unit, but for those that need none.
fn minutes(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => duration::parse(text),
        number => number.as_i64().filter(|number| matches!(number, -1 | 0)),
    }
}

/// `GET api/system/server-status`: open. Rules are those of a tenant, so they are told to who may read them
/// there; whoever is refused, for whatever reason, is a stranger. Throttles and outages stay what they are.
pub(super) async fn server_status(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Told {
    let options = match gate::enter(&app, (&method, &headers), call).await {
        Ok(actor) if !actor.by_token && actor.may("policies:read") => {
            Options::of(&policies::show(&app, &actor).await?.policy)
        }
        Err(error) if !is_refusal(&error) => return Err(error.into()),
        _ => Options { configuration_options: Vec::new() },
    };
    tell(&json!({ "version": VERSION, "configurationOptions": options.configuration_options }))
}

fn is_refusal(error: &Error) -> bool {
    problem::status(error).is_client_error() && !matches!(error, Error::RateLimited(_))
}

/// `GET api/system/configuration/options`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Told {
    let actor = gate::enter_with(&app, (&method, &headers), call, &LIST).await?;
    tell(&Options::of(&policies::show(&app, &actor).await?.policy))
}

/// `POST api/system/configuration/options`.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Told {
    let actor = gate::enter_with(&app, (&method, &headers), call, &SET).await?;
    let patch = body.json::<Options>(&headers, &KINDS)?.patch()?;
    let edited = policies::edit(&app, &actor, patch).await;
    tell(&Options::of(&gate::noted(&app, &actor, SET.operation, edited)?.policy))
}
