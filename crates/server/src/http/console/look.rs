//! How a browser shows the console: theme, zone of times, keys that do something by themselves. These
//! stand in cookies and not with the user: they belong to the device, which is dark, or has travelled.

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
use crate::error::{Error, Result};
use crate::http::cookie;

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

/// What a browser has chosen.
pub(super) struct Look {
    pub(super) theme: Option<&'static str>,
    pub(super) zone: TimeZone,
    pub(super) single_keys: bool,
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
    let chosen = form.zone.as_deref().and_then(zone);
    let name = chosen.as_ref().and_then(TimeZone::iana_name).unwrap_or("UTC");
    let server = &visit.app.settings.server;
    let mut response = go(PREFERENCES, "look")?;
    for (cookie, value) in [
        (THEME, form.theme.as_deref().and_then(theme).unwrap_or("system")),
        (ZONE, name),
        (SINGLE_KEYS, if form.single_keys.is_some() { "on" } else { "off" }),
    ] {
        put(&mut response, server, cookie, value)?;
    }
    Ok(response)
}

fn put(response: &mut Response, server: &ServerSettings, name: &str, value: &str) -> Result<()> {
    let cookie = HeaderValue::from_str(&cookie::set_look(server, name, value)).map_err(Error::internal)?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
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
