//! What comes back of a form that was sent when the last proof was too old (SES-6): the page that it stands on, and
//! what was typed.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, OnceLock};

use http::Method;

/// Fields that a page takes from its address, so that a form is found again as it was typed. Whatever is secret, or
/// confirms something, is none of them.
const KEPT: [&str; 21] = [
    "action",
    "all",
    "cidrs",
    "class",
    "created_after",
    "created_before",
    "credits",
    "expires_on",
    "group_ids",
    "idle_days",
    "label",
    "label_contains",
    "methods",
    "owner",
    "owner_id",
    "paths",
    "reason",
    "requests_per_minute",
    "role_ids",
    "scopes",
    "validity",
];
/// Where forms are sent to whose pages take them.
const FILLED: [&str; 2] = ["/console/incidents", "/console/keys"];
/// Bytes of an address that are kept of them, at most.
const MOST_KEPT: usize = 1_000;

/// What was typed into the form of a request, for the page to come back to.
#[derive(Clone, Default)]
pub(super) struct Typed(Arc<OnceLock<String>>);

impl Typed {
    /// Takes out of the body of a form what may stand in an address.
    pub(super) fn keep(&self, body: &[u8]) {
        let is_kept = |part: &&str| {
            part.split_once('=').is_some_and(|(name, value)| !value.is_empty() && KEPT.contains(&name))
        };
        let text = std::str::from_utf8(body).unwrap_or_default();
        let kept = text.split('&').filter(is_kept).collect::<Vec<_>>().join("&");
        if kept.len() <= MOST_KEPT {
            // Browsers leave it as it is, and addresses to go on to have none.
            self.0.get_or_init(|| kept.replace('*', "%2A"));
        }
    }

    /// The page of the form that was sent to a path, filled in again where the page can be.
    pub(super) fn page(&self, route: &str, path: &str) -> String {
        let form = form_of(route, path);
        match self.0.get().filter(|kept| !kept.is_empty() && FILLED.contains(&route)) {
            Some(kept) => format!("{form}?{kept}"),
            None => form,
        }
    }
}

/// The paths of the map that can be looked at.
static SHOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    super::pages().into_iter().filter(|page| page.method == Method::GET).map(|page| page.path).collect()
});

/// Where the form is that was sent to a path: on a page of its own below it, there, or on the nearest page above.
/// `route` is the path as the map has it.
fn form_of(route: &str, path: &str) -> String {
    if SHOWN.contains(format!("{route}/new").as_str()) {
        return format!("{path}/new");
    }
    let (mut route, mut path) = (route, path);
    while !SHOWN.contains(route) {
        let Some((above, beside)) = route.rsplit_once('/').zip(path.rsplit_once('/')) else {
            return "/console".into();
        };
        (route, path) = (above.0, beside.0);
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::console::form::is_own_path;

    #[test]
    fn ses_6_a_form_comes_back_as_it_was_typed_without_its_secrets() {
        let typed = Typed::default();
        typed.keep(
            b"label=by+hand%26&once=abc&password=x&role_ids=a&role_ids=b&scopes=me%3A*&paths=&form_token=y",
        );
        let page = typed.page("/console/keys", "/console/keys");
        assert_eq!(page, "/console/keys/new?label=by+hand%26&role_ids=a&role_ids=b&scopes=me%3A%2A");
        assert!(is_own_path(&page));
        // No page takes what nobody said it takes.
        assert_eq!(typed.page("/console/webhooks", "/console/webhooks"), "/console/webhooks/new");
        let long = Typed::default();
        long.keep(format!("label={}", "x".repeat(MOST_KEPT)).as_bytes());
        assert_eq!(long.page("/console/keys", "/console/keys"), "/console/keys/new");
    }

    #[test]
    fn ses_6_a_form_is_found_by_where_it_is_sent_to() {
        for (route, path, form) in [
            ("/console/keys", "/console/keys", "/console/keys/new"),
            ("/console/users/new", "/console/users/new", "/console/users/new"),
            ("/console/keys/{id}/edit", "/console/keys/key_1/edit", "/console/keys/key_1/edit"),
            (
                "/console/approvals/{id}/approve",
                "/console/approvals/key_1/approve",
                "/console/approvals/key_1",
            ),
            (
                "/console/me/security/{id}/remove",
                "/console/me/security/factor_1/remove",
                "/console/me/security",
            ),
            ("/console/import/check", "/console/import/check", "/console/import"),
            ("/nothing", "/nothing", "/console"),
        ] {
            assert_eq!(form_of(route, path), form, "{route}");
        }
    }
}
