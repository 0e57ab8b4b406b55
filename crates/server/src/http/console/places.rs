//! Where the things have their pages that events and notifications speak of.

use super::SECURITY;
use super::frame::Frame;
use crate::audit::Target;

/// The page of a thing, for those who may see it.
pub(super) fn of(frame: &Frame, target: &Target) -> Option<String> {
    let id = &target.id;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_self = frame.visitor.as_ref().is_some_and(|visitor| visitor.id == *id);
    let (right, page) = match target.kind.as_str() {
        "key" if frame.may("keys:read") => ("keys:read", format!("/console/keys/{id}")),
        "key" => ("me/keys:read", format!("/console/keys/{id}")),
        "user" if is_self && !frame.may("users:read") => return Some(SECURITY.to_owned()),
        "user" => ("users:read", format!("/console/users/{id}")),
        "group" => ("groups:read", format!("/console/groups/{id}")),
        "role" => ("roles:read", format!("/console/roles/{id}")),
        "webhook" => ("webhooks:read", format!("/console/webhooks/{id}")),
        "incident" => ("keys:read", format!("/console/incidents/{id}")),
        "policy" => return frame.may("policies:read").then(|| "/console/settings/policy".to_owned()),
        "trusted" => return frame.may("trusted:read").then(|| "/console/develop/security".to_owned()),
        _ => return None,
    };
    (is_id && frame.may(right)).then_some(page)
}

/// What kind of thing it is, in words.
pub(super) fn kind(frame: &Frame, target: &Target) -> String {
    let known = match target.kind.as_str() {
        "key" => frame.t("key"),
        "user" => frame.t("user"),
        "group" => frame.t("group"),
        "role" => frame.t("role"),
        "session" => frame.t("session"),
        "tenant" => frame.t("tenant"),
        "policy" => frame.t("policy"),
        "webhook" => frame.t("webhook"),
        "incident" => frame.t("incident"),
        "factor" => frame.t("second factor"),
        "operation" => frame.t("operation"),
        other => return other.to_owned(),
    };
    known.to_owned()
}
