//! What every page has around its content: words, who looks, where the page is.

use std::fmt::Display;
use std::sync::Arc;

use keyward_core::right::RightSet;

use super::assets;
use super::look::Look;
use super::moment::Moment;
use super::notices::NOTICES;
use super::words::Words;
use crate::clock::parse_rfc3339;

/// The frame of one page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) words: Words,
    /// Of the scripts that this answer may run.
    pub(crate) nonce: String,
    /// Path of the page.
    pub(crate) path: String,
    /// The same with its query, to come back to.
    pub(crate) address: String,
    /// What was just done, as a word of [`Frame::notice`].
    pub(crate) done: Option<String>,
    pub(crate) now: i64,
    /// How who looks has chosen to see it.
    pub(crate) look: Look,
    /// Browsers come over plain http, where they say less of themselves.
    pub(crate) plain: bool,
    /// Who looks; nobody on the page of the login.
    pub(crate) visitor: Option<Visitor>,
}

/// Who looks at a page.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) tenant_name: String,
    /// An operator in a tenant that is not its own.
    pub(crate) visiting: bool,
    pub(crate) rights: Arc<RightSet>,
    /// Notifications that were not read yet.
    pub(crate) unread: i64,
    /// What every form of this session carries (WEB-1).
    pub(crate) form_token: String,
    /// It may add a second factor, and nothing else.
    pub(crate) enrolment_only: bool,
    /// Seconds until the session ends without further use.
    pub(crate) idle_in: i64,
    /// Seconds until it ends for good.
    pub(crate) ends_in: i64,
}

impl Frame {
    /// The words for a text, in the language of who looks.
    pub(crate) fn t(&self, english: &'static str) -> &'static str {
        self.words.text(english)
    }

    /// The same with `{}` filled in.
    pub(crate) fn f(&self, english: &'static str, value: impl Display) -> String {
        self.words.fill(english, &[&value])
    }

    /// The same with two places.
    pub(crate) fn f2(&self, english: &'static str, one: impl Display, two: impl Display) -> String {
        self.words.fill(english, &[&one, &two])
    }

    /// `1 key|{} keys`: the half for a number.
    pub(crate) fn n(&self, english: &'static str, count: impl Display) -> String {
        self.words.count(english, count)
    }

    /// A moment, from RFC 3339.
    pub(crate) fn moment(&self, text: &str) -> Moment {
        self.moment_at(parse_rfc3339(text).unwrap_or_default())
    }

    /// The same, from Unix milliseconds.
    pub(crate) fn moment_at(&self, at_ms: i64) -> Moment {
        Moment::new(at_ms, self.now, self.words, &self.look.zone)
    }

    /// What a page tells others of where its links come from. Over plain http a browser names the origin
    /// of a form only to a page that does not hide it, and says nothing else that could take its place.
    pub(crate) fn referrer_policy(&self) -> &'static str {
        if self.plain { "same-origin" } else { "no-referrer" }
    }

    /// Whether who looks holds a right.
    pub(crate) fn may(&self, right: &str) -> bool {
        let holds = |visitor: &Visitor| right.parse().is_ok_and(|right| visitor.rights.covers(&right));
        self.visitor.as_ref().is_some_and(holds)
    }

    /// Whether an operator looks who has entered a tenant.
    pub(crate) fn visits(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.visiting)
    }

    /// The path of a file that the page needs.
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::path(name)
    }

    /// `page` for the link to this page or to one above it.
    pub(crate) fn current(&self, path: &str) -> &'static str {
        let below = self.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        match self.path == path {
            true => "page",
            false if below && path != "/console" => "true",
            false => "false",
        }
    }

    /// What forms carry.
    pub(crate) fn form_token(&self) -> &str {
        self.visitor.as_ref().map_or("", |visitor| &visitor.form_token)
    }

    /// The line about what was just done: never a text that a link could choose.
    pub(crate) fn notice(&self) -> Option<&'static str> {
        let done = self.done.as_deref()?;
        let (_, english) = NOTICES.iter().find(|(word, _)| *word == done)?;
        Some(self.t(english))
    }
}

#[cfg(test)]
impl Frame {
    /// A frame of nobody.
    pub(crate) fn sample() -> Self {
        Self {
            words: Words(super::words::Language::En),
            nonce: "nonce".into(),
            path: "/console/keys".into(),
            address: "/console/keys".into(),
            done: None,
            now: 0,
            look: Look { theme: None, zone: jiff::tz::TimeZone::UTC, single_keys: true },
            plain: false,
            visitor: None,
        }
    }
}
