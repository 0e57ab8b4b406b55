//! What every page has around its content: words, who looks, where the page is.

use std::fmt::Display;
use std::sync::Arc;

use keyward_core::right::RightSet;

use super::assets;
use super::moment::Moment;
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
        Moment::new(parse_rfc3339(text).unwrap_or_default(), self.now, self.words)
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
        let english = match self.done.as_deref()? {
            "activated" => "The key works again.",
            "deactivated" => "The key is switched off. You can switch it on again at any time.",
            "revoked" => "The key is revoked for good.",
            "extended" => "The end of the key was moved.",
            "edited" => "Saved.",
            "finished" => "The older secrets are retired.",
            "aborted" => "The newest secret is dropped; the one before it goes on working.",
            "added" => "The second factor is added.",
            "removed" => "The second factor is removed.",
            "password" => "The password is set.",
            "read" => "Marked as read.",
            "preferences" => "Your preferences are saved.",
            "session-ended" => "The session has ended.",
            "others-ended" => "Every other session of yours has ended.",
            "sessions-ended" => "The sessions are ended.",
            "incident" => "Done. The keys are listed below.",
            "incident-undone" => "Undone. Keys that were changed since stay as they are.",
            "tenant-made" => "The tenant is made.",
            "tenant-suspended" => "The tenant is suspended. None of its keys and sessions works now.",
            "tenant-resumed" => "The tenant works again.",
            "tenant-deleted" => "The tenant is deleted for good.",
            "tenant-entered" => "You are in this tenant now.",
            "tenant-left" => "You are back in your own tenant.",
            "log-levels" => "The levels of the logs are set until the server restarts.",
            "delivered" => {
                "This secret was shown before and cannot be shown again. Rotate the key to get a new one."
            }
            "class-on" => "Keys of this class work again.",
            "class-off" => "Keys of this class are switched off.",
            "all-revoked" => "The keys are revoked for good.",
            "drafted" => "The draft is kept. Nothing has changed yet.",
            "applied" => "The rules are changed, for keys that there are already too.",
            "scheduled" => "The draft is applied when its time has come.",
            "rebased" => "The draft is renewed. Look at what it would do now.",
            "discarded" => "The draft is discarded.",
            "rolled-back" => "The rules of the earlier version stand again.",
            "trusted-off" => "The secret is disabled for good, and its tokens have ended.",
            "trusted-finished" => "The older secret is retired, and its tokens have ended.",
            "trusted-delivered" => "The secret was shown already. Copy it again if you need it.",
            "webhook-tested" => "A test is on its way. Load the page again to see the answer.",
            "webhook-replayed" => "The message is on its way again.",
            "webhook-deleted" => "The webhook is deleted.",
            "webhook-delivered" => {
                "This secret was shown before and cannot be shown again. Rotate it to get a new one."
            }
            "user-made" => "The user is added.",
            "user-suspended" => "The user is suspended.",
            "user-resumed" => "The user may act again.",
            "user-unlocked" => "Failed logins are forgotten.",
            "user-deleted" => "The user is deleted.",
            "factors-reset" => "The second factors are taken away.",
            "keys-revoked" => "The keys of the user are revoked for good.",
            "link-shown" => "This link was shown before and cannot be shown again. Make another one.",
            "group-made" => "The group is added.",
            "group-deleted" => "The group is deleted.",
            "member-added" => "The member is added.",
            "member-removed" => "The member is taken out.",
            "role-made" => "The role is added.",
            "role-deleted" => "The role is deleted.",
            "approved" => "The key is approved.",
            "rejected" => "The key is rejected. It will never work.",
            _ => return None,
        };
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
            visitor: None,
        }
    }
}
