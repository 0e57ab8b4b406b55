//! The types of events: the actions of the audit log, and patterns of them.

use crate::error::{Error, Fault, Result};
use crate::http::json::near;

/// Every action that can be sent, in order. `docs/reference/audit-schema.md` tells when each happens.
pub(crate) const ACTIONS: [&str; 125] = [
    "audit.close",
    "audit.export",
    "audit.read",
    "auth.challenge",
    "auth.factor",
    "auth.failed",
    "auth.failures_spike",
    "auth.locked",
    "auth.login",
    "auth.refused",
    "export.read",
    "factor.add",
    "factor.clone_warning",
    "factor.edit",
    "factor.remove",
    "factor.start",
    "group.add_member",
    "group.create",
    "group.delete",
    "group.edit",
    "group.remove_member",
    "import.keys",
    "import.request_approval",
    "import.try",
    "incident.declare",
    "incident.undo",
    "job.drop",
    "job.replay",
    "key.activate",
    "key.approve",
    "key.canary_used",
    "key.create",
    "key.deactivate",
    "key.edit",
    "key.end_sessions",
    "key.expired",
    "key.expiring",
    "key.exposed",
    "key.extend",
    "key.first_used",
    "key.handover",
    "key.handover_opened",
    "key.handover_reopened",
    "key.handover_voided",
    "key.leak_reported",
    "key.new_network",
    "key.new_secret",
    "key.reject",
    "key.request_approval",
    "key.revoke",
    "key.rotate",
    "key.rotate_abort",
    "key.rotate_finish",
    "key.rotate_scheduled",
    "key.secret_used",
    "log_levels.edit",
    "pepper.retire",
    "pepper.rotate",
    "policy.apply",
    "policy.draft",
    "policy.draft_delete",
    "policy.draft_fail",
    "policy.draft_rebase",
    "policy.edit",
    "policy.rollback",
    "policy.schedule",
    "report.read",
    "role.create",
    "role.delete",
    "role.edit",
    "root_key.export",
    "root_key.split",
    "session.end",
    "session.leak_reported",
    "session.start",
    "session.step_up",
    "signing_key.forget",
    "signing_key.remove",
    "signing_key.rotate",
    "tenant.create",
    "tenant.delete",
    "tenant.edit",
    "tenant.resume",
    "tenant.suspend",
    "token.budget",
    "token.mint",
    "token.revoke",
    "trusted.copy",
    "trusted.disable",
    "trusted.edit",
    "trusted.enable",
    "trusted.exposed",
    "trusted.leak_reported",
    "trusted.mint_spike",
    "trusted.new_network",
    "trusted.new_privileged",
    "trusted.rotate",
    "trusted.rotate_finish",
    "user.change_password",
    "user.create",
    "user.delete",
    "user.edit",
    "user.end_sessions",
    "user.erase",
    "user.password_link",
    "user.record_login",
    "user.replace_recovery_codes",
    "user.reset_factors",
    "user.resume",
    "user.revoke_tokens",
    "user.set_password",
    "user.set_preferences",
    "user.suspend",
    "user.unlock",
    "user.use_recovery_code",
    "user.void_password_link",
    "verify.failures_spike",
    "webhook.create",
    "webhook.delete",
    "webhook.disabled",
    "webhook.edit",
    "webhook.failing",
    "webhook.replay",
    "webhook.rotate_secret",
    "webhook.test",
];
/// What [`super::test`] sends: to one webhook, whatever it asked for.
pub(crate) const TEST: &str = "webhook.test";
/// Patterns of one webhook.
const MOST: usize = 100;

/// Refuses patterns that no event would ever fit.
pub(crate) fn check(patterns: &[String]) -> Result<()> {
    if patterns.is_empty() || patterns.len() > MOST {
        let detail = format!("expected 1 to {MOST} patterns such as key.* or user.delete; * is every event");
        return Err(Error::invalid("/events", "bad_length", detail));
    }
    let faults: Vec<Fault> = patterns
        .iter()
        .enumerate()
        .filter(|(_, pattern)| !ACTIONS.iter().any(|action| fits(pattern, action)))
        .map(|(place, pattern)| Fault::new(format!("/events/{place}"), "unknown_event", suggestion(pattern)))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Whether a pattern is about an action: `*`, `noun.*`, or the action itself.
pub(crate) fn fits(pattern: &str, action: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(noun) => noun.ends_with('.') && action.starts_with(noun),
        None => pattern == action,
    }
}

/// Whether one of the patterns is about an action that can be sent.
pub(crate) fn wanted(patterns: &[String], action: &str) -> bool {
    ACTIONS.binary_search(&action).is_ok() && patterns.iter().any(|pattern| fits(pattern, action))
}

fn suggestion(pattern: &str) -> String {
    let nouns =
        ACTIONS.iter().filter_map(|action| action.split_once('.')).map(|(noun, _)| format!("{noun}.*"));
    let known: Vec<String> = ACTIONS.iter().map(ToString::to_string).chain(nouns).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    match near(pattern, &known) {
        Some(meant) => format!("there is no event {pattern}; did you mean {meant}?"),
        None => format!("there is no event {pattern}; docs/reference/webhooks.md lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_1_patterns_fit_actions() {
        assert!(ACTIONS.is_sorted());
        for (pattern, action, is) in [
            ("*", "key.create", true),
            ("key.*", "key.create", true),
            ("key.create", "key.create", true),
            ("key*", "key.create", false),
            ("k*", "key.create", false),
            ("key.", "key.create", false),
            ("key.c*", "key.create", false),
            ("user.*", "key.create", false),
            ("key.*", "create_key", false),
            (".*", "key.create", false),
        ] {
            assert_eq!(fits(pattern, action), is, "{pattern} {action}");
        }
        // Refused operations have names of their own, and are nobody's event.
        assert!(!wanted(&["*".into()], "create_key"));
    }

    #[test]
    fn an_unknown_pattern_is_told_what_was_probably_meant() {
        for (pattern, meant) in
            [("key.creat", "key.create"), ("keys.*", "key.*"), ("user.deleted", "user.delete")]
        {
            let Err(Error::Invalid(faults)) = check(&["key.*".into(), pattern.into()]) else {
                panic!("{pattern}")
            };
            assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, "/events/1"));
            assert!(faults[0].detail.ends_with(&format!("did you mean {meant}?")), "{}", faults[0].detail);
        }
        assert!(check(&[]).is_err() && check(&["".into()]).is_err());
        assert!(check(&["*".into(), "audit.read".into()]).is_ok());
    }
}
