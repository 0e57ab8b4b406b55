//! How the console is shown: theme, zone of times, keys that do something by themselves. A user chooses it for
//! every browser; a cookie keeps it for pages before the login, and for who has chosen nothing.

use axum::response::Response;
use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use jiff::tz::{self, TimeZone};
use serde::Deserialize;

use super::form::Form;
use super::gate::Visit;
use super::preferences::PREFERENCES;
use super::{Shown, go};
use crate::config::ServerSettings;
use crate::http::cookie;
use crate::store::users::{self, UserRow};
use crate::users::look;

const THEME: &str = "keyward-theme";
const ZONE: &str = "keyward-zone";
const SINGLE_KEYS: &str = "keyward-keys";
/// Where people live; other names of the database are older ones for the same zones.
const AREAS: [&str; 10] = [
    "Africa/",
    "America/",
    "Antarctica/",
    "Arctic/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
];

/// What a browser or its user has chosen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    /// `light` or `dark`; nothing where the system decides.
    pub(crate) theme: Option<&'static str>,
    /// The zone that times are told in, beside UTC.
    pub(crate) zone: TimeZone,
    /// Keys that do something by themselves, without Ctrl.
    pub(crate) single_keys: bool,
}

/// What the cookies of a request choose; what cannot be read was not chosen.
pub(super) fn of(headers: &HeaderMap) -> Look {
    let zone = cookie::look(headers, ZONE).and_then(zone);
    Look {
        theme: cookie::look(headers, THEME).and_then(theme),
        zone: zone.unwrap_or(TimeZone::UTC),
        single_keys: cookie::look(headers, SINGLE_KEYS) != Some("off"),
    }
}

impl Look {
    /// What the user has chosen goes before what the browser has.
    pub(super) fn by_user(self, user: &UserRow) -> Self {
        Self {
            theme: user.theme.as_deref().map_or(self.theme, theme),
            zone: user.zone.as_deref().and_then(zone).unwrap_or(self.zone),
            single_keys: user.single_keys.unwrap_or(self.single_keys),
        }
    }

    /// Cookies that hold it.
    fn put(&self, response: &mut Response, server: &ServerSettings) {
        for (name, value) in [
            (THEME, self.theme.unwrap_or("system")),
            (ZONE, self.zone.iana_name().unwrap_or("UTC")),
            (SINGLE_KEYS, if self.single_keys { "on" } else { "off" }),
        ] {
            let cookie = cookie::set_look(server, name, value);
            let cookie = HeaderValue::from_str(&cookie).expect("names of zones are ASCII");
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// Lets a browser show the pages before the login too as the user who looks has chosen it.
pub(super) fn follow(response: &mut Response, look: &Look, kept: &Look, server: &ServerSettings) {
    if look != kept {
        look.put(response, server);
    }
}

fn theme(word: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|theme| *theme == word)
}

fn zone(name: &str) -> Option<TimeZone> {
    let is_name =
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-+".contains(&byte));
    if is_name { TimeZone::get(name).ok() } else { None }
}

/// Every zone that may be chosen beside UTC.
pub(super) fn zones() -> Vec<String> {
    let names = tz::db().available().map(|name| name.to_string());
    let mut zones: Vec<String> =
        names.filter(|name| AREAS.iter().any(|area| name.starts_with(area))).collect();
    zones.sort_unstable();
    zones
}

/// The choice.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LookForm {
    theme: Option<String>,
    zone: Option<String>,
    single_keys: Option<String>,
}

pub(crate) async fn save(visit: Visit, Form(form): Form<LookForm>) -> Shown {
    let chosen = Look {
        theme: form.theme.as_deref().and_then(theme),
        zone: form.zone.as_deref().and_then(zone).unwrap_or(TimeZone::UTC),
        single_keys: form.single_keys.is_some(),
    };
    let kept = users::Look {
        theme: chosen.theme.unwrap_or("system"),
        zone: chosen.zone.iana_name().unwrap_or("UTC"),
        single_keys: chosen.single_keys,
    };
    look::keep(&visit.app, &visit.actor, &kept).await?;
    let mut response = go(PREFERENCES, "look")?;
    chosen.put(&mut response, &visit.app.settings.server);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn look(cookies: &'static str) -> Look {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static(cookies));
        of(&headers)
    }

    #[test]
    fn a_browser_chooses_and_what_cannot_be_read_was_not_chosen() {
        let chosen = look("keyward-theme=dark; keyward-zone=Europe/Berlin; keyward-keys=off");
        assert_eq!((chosen.theme, chosen.zone.iana_name()), (Some("dark"), Some("Europe/Berlin")));
        assert!(!chosen.single_keys);
        for cookies in [
            "a=b",
            "keyward-theme=pink; keyward-zone=Mars/Base; keyward-keys=x",
            "keyward-zone=../../etc/passwd",
            "keyward-zone=\"><script>",
        ] {
            let plain = look(cookies);
            assert_eq!(plain.theme, None, "{cookies}");
            assert!(plain.zone == TimeZone::UTC && plain.single_keys, "{cookies}");
        }
    }

    #[test]
    fn every_zone_that_is_offered_can_be_chosen() {
        let zones = zones();
        assert!(zones.len() > 100 && zones.iter().any(|name| name == "Europe/Berlin"), "{zones:?}");
        assert!(zones.iter().all(|name| zone(name).is_some()), "{zones:?}");
    }
}
