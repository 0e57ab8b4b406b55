//! The rules of a policy by name: what they are called, how they are filled in, what their values mean.

use keyward_core::key::KeyClass;
use keyward_core::policy::Policy;
use serde_json::{Value, json};

use super::form::Faults;
use super::frame::Frame;
use super::keys::class_name;
use crate::error::{Error, Result};

/// How a rule is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number; its default if left empty.
    Number,
    /// The same, or no bound.
    Bound,
    Text,
    YesNo,
    /// One of several words.
    Choice(&'static [&'static str]),
    /// Numbers between commas.
    Numbers,
    /// Rate limits, one a line.
    Limits,
}

/// The rules of each class of keys.
const OF_CLASS: [(&str, Kind); 10] = [
    ("default_ttl_days", Kind::Number),
    ("max_ttl_days", Kind::Bound),
    ("never_expire", Kind::YesNo),
    ("max_age_days", Kind::Bound),
    ("idle_days", Kind::Bound),
    ("required_cidrs", Kind::YesNo),
    ("max_keys", Kind::Bound),
    ("label_pattern", Kind::Text),
    ("who_may_create", Kind::Choice(&["everybody", "admins_only"])),
    ("approval", Kind::YesNo),
];

/// The rules for people and what is theirs.
const OF_PEOPLE: [(&str, Kind); 10] = [
    ("owner_login_window_minutes", Kind::Number),
    ("max_keys_per_user", Kind::Number),
    ("owner_limits", Kind::Limits),
    ("login.passwords", Kind::YesNo),
    ("login.require_second_factor", Kind::Choice(&["nobody", "administrators", "everybody"])),
    ("login.idle_minutes", Kind::Number),
    ("login.max_minutes", Kind::Number),
    ("login.admin_idle_minutes", Kind::Number),
    ("login.admin_max_minutes", Kind::Number),
    ("token_max_ttl_seconds", Kind::Number),
];

/// What the server does by itself.
const OF_THE_SERVER: [(&str, Kind); 5] = [
    ("notices.days_before_expiry", Kind::Numbers),
    ("notices.after_expiry", Kind::YesNo),
    ("rotation.ingest.every_days", Kind::Bound),
    ("rotation.ingest.grace_days", Kind::Bound),
    ("leaks.on_report", Kind::Choice(&["revoke", "deactivate", "notify"])),
];

/// One field of the form of a policy.
pub(super) struct Field {
    /// The path of its rule, as in `member.max_ttl_days`.
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) help: Option<&'static str>,
    pub(super) value: String,
    /// Value, words, and whether it is the one; for choices.
    pub(super) options: Vec<(String, &'static str, bool)>,
    pub(super) fault: Option<String>,
}

impl Field {
    /// Whether the keyboard of a telephone needs digits only.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Bound)
    }

    /// Whether it holds several lines.
    pub(super) fn has_lines(&self) -> bool {
        self.kind == Kind::Limits
    }
}

/// Fields that belong together.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) fields: Vec<Field>,
}

/// The rules of one class, or of all, each with how it is typed.
type Paths = (Option<KeyClass>, Vec<(String, Kind)>);

/// Path and kind of every rule that pages edit, in sections of one title each.
fn sections() -> Vec<Paths> {
    let of_class = |class: KeyClass| {
        let word = class.as_str();
        let switch = (format!("switches.{word}_keys"), Kind::YesNo);
        let rules = OF_CLASS.into_iter().map(|(name, kind)| (format!("{word}.{name}"), kind));
        (Some(class), std::iter::once(switch).chain(rules).collect())
    };
    let of_all = OF_PEOPLE.into_iter().chain(OF_THE_SERVER);
    let of_all = of_all.map(|(name, kind)| (name.to_owned(), kind)).collect();
    KeyClass::ALL.map(of_class).into_iter().chain([(None, of_all)]).collect()
}

/// The form of a policy, with what was sent in place of what stands.
pub(super) fn form(frame: &Frame, value: &dyn Fn(&str) -> String, faults: &Faults) -> Vec<Section> {
    let field = |(path, kind): (String, Kind)| {
        let value = value(&path);
        Field {
            kind,
            name: name(frame, &path),
            help: help(frame, &path),
            options: options(frame, &path, kind, &value),
            fault: faults.at(&pointer(&path)).map(Into::into),
            value,
            path,
        }
    };
    let section = |(class, rules): (Option<KeyClass>, Vec<(String, Kind)>)| Section {
        title: class
            .map_or_else(|| frame.t("People, logins and the server"), |class| class_name(frame, class)),
        fields: rules.into_iter().map(&field).collect(),
    };
    sections().into_iter().map(section).collect()
}

fn options(frame: &Frame, path: &str, kind: Kind, value: &str) -> Vec<(String, &'static str, bool)> {
    let words: &[&str] = match kind {
        Kind::YesNo => &["true", "false"],
        Kind::Choice(words) => words,
        _ => &[],
    };
    words.iter().map(|word| ((*word).to_owned(), choice(frame, path, word), value == *word)).collect()
}

/// Where a fault of a field points to.
fn pointer(path: &str) -> String {
    // The two numbers of a schedule are one rule.
    let path = if path.starts_with("rotation.ingest") { "rotation.ingest" } else { path };
    path.replace('.', "/")
}

/// The text of a rule in the field of its form.
pub(super) fn text(document: &Value, path: &str) -> String {
    match document.pointer(&format!("/{}", path.replace('.', "/"))) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if path == "owner_limits" => {
            items.iter().map(limit_text).collect::<Vec<_>>().join("\n")
        }
        Some(Value::Array(items)) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

/// The rules that were sent, as a merge patch (RFC 7396); what cannot be read is left to the operation,
/// which names the rule.
pub(super) fn patch(sent: &dyn Fn(&str) -> Option<String>) -> Value {
    let mut patch = json!({});
    for (path, kind) in sections().into_iter().flat_map(|(_, rules)| rules) {
        if path.starts_with("rotation.ingest") {
            continue;
        }
        *place(&mut patch, &path) = typed(kind, sent(&path));
    }
    let number = |name: &str| typed(Kind::Bound, sent(&format!("rotation.ingest.{name}")));
    let (every, grace) = (number("every_days"), number("grace_days"));
    *place(&mut patch, "rotation.ingest") = match every.is_null() {
        true => json!("never"),
        false => json!({ "every_days": every, "grace_days": if grace.is_null() { json!(0) } else { grace } }),
    };
    patch
}

fn place<'d>(document: &'d mut Value, path: &str) -> &'d mut Value {
    path.split('.').fold(document, |place, name| &mut place[name])
}

fn typed(kind: Kind, text: Option<String>) -> Value {
    let number = |text: &str| text.trim().parse::<i64>().map_or_else(|_| json!(text), Value::from);
    match (kind, text) {
        (Kind::Numbers, text) => {
            super::form::lines(text.as_deref()).iter().map(|part| number(part)).collect()
        }
        (Kind::Limits, text) => super::form::lines(text.as_deref()).iter().map(|line| limit(line)).collect(),
        (_, None) => Value::Null,
        (Kind::Number | Kind::Bound, Some(text)) => number(&text),
        (Kind::YesNo, Some(text)) => json!(text == "true"),
        (Kind::Text | Kind::Choice(_), Some(text)) => json!(text),
    }
}

/// A limit as the form has it: `name requests/seconds`, and `burst` with a number where there is one.
fn limit_text(limit: &Value) -> String {
    let name = limit["name"].as_str().unwrap_or_default();
    let burst = limit.get("burst").map(|burst| format!(" burst {burst}")).unwrap_or_default();
    format!("{name} {}/{}{burst}", limit["requests"], limit["per_seconds"])
}

/// That line read; one that is written otherwise is left to the operation, which refuses it.
fn limit(line: &str) -> Value {
    read_limit(line).unwrap_or_else(|| json!(line))
}

fn read_limit(line: &str) -> Option<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |text: &str| text.parse::<u64>().ok();
    let (requests, seconds) = words.get(1)?.split_once('/')?;
    let mut limit =
        json!({ "name": words[0], "requests": number(requests)?, "per_seconds": number(seconds)? });
    match words[2..] {
        [] => {}
        ["burst", burst] => limit["burst"] = json!(number(burst)?),
        _ => return None,
    }
    Some(limit)
}

/// A whole number of a form.
pub(super) fn number(pointer: &str, text: Option<&str>) -> Result<Option<i64>> {
    let bad = |_| Error::invalid(pointer, "bad_value", "expected a whole number");
    text.map(|text| text.trim().parse().map_err(bad)).transpose()
}

/// What a rule is called; the class of keys in front where it is about one.
pub(super) fn full_name(frame: &Frame, path: &str) -> String {
    let class = path.split('.').next().and_then(KeyClass::parse);
    match class {
        Some(class) => format!("{}: {}", class_name(frame, class), name(frame, path)),
        None => name(frame, path).to_owned(),
    }
}

fn name(frame: &Frame, path: &str) -> &'static str {
    let english = match path.split_once('.').filter(|(class, _)| KeyClass::parse(class).is_some()) {
        Some((_, rule)) => class_rule(rule),
        None => match path {
            "switches.member_keys" => "Member keys work",
            "switches.workspace_keys" => "Workspace keys work",
            "switches.ingest_keys" => "Ingest keys work",
            "owner_login_window_minutes" => "Minutes since the last login of the owner of a member key",
            "max_keys_per_user" => "Keys that one person may own",
            "owner_limits" => "Limits of all keys of one person together",
            "login.passwords" => "Passwords open the console",
            "login.require_second_factor" => "Who needs a second factor",
            "login.idle_minutes" => "Minutes without use after which a session ends",
            "login.max_minutes" => "Minutes after which every session ends",
            "login.admin_idle_minutes" => "Minutes without use, for administrators",
            "login.admin_max_minutes" => "Minutes after which it ends, for administrators",
            "token_max_ttl_seconds" => "Longest life of an access token, in seconds",
            "notices.days_before_expiry" => "Days before the end of a key on which people are told",
            "notices.after_expiry" => "People are told when a key is over",
            "rotation.ingest" => "Rotation of ingest keys",
            "rotation.ingest.every_days" => "Days after which an ingest key rotates by itself",
            "rotation.ingest.grace_days" => "Days for which its old secret still works",
            "leaks.on_report" => "What happens to a key that is reported as leaked",
            _ => "Another rule",
        },
    };
    frame.t(english)
}

fn class_rule(rule: &str) -> &'static str {
    match rule {
        "default_ttl_days" => "Life in days, if none is asked for",
        "max_ttl_days" => "Longest life in days",
        "never_expire" => "Keys without an end are allowed",
        "max_age_days" => "Oldest secret in days",
        "idle_days" => "Days without use after which a key stops",
        "required_cidrs" => "Every new key needs a network",
        "max_keys" => "Keys of this class at most",
        "label_pattern" => "How names must look",
        "who_may_create" => "Who may create them",
        "approval" => "Somebody else must approve them",
        _ => "Another rule",
    }
}

fn help(frame: &Frame, path: &str) -> Option<&'static str> {
    let rule = path.rsplit('.').next().unwrap_or(path);
    Some(match rule {
        "max_ttl_days" | "max_age_days" | "idle_days" | "max_keys" => frame.t("Empty: no limit."),
        "label_pattern" => frame.t("As in prod-*: * is any text, ? is one character. Empty: any name."),
        "owner_login_window_minutes" => {
            frame.t("20160 is 14 days. -1 switches the rule off; with 0 no member key works.")
        }
        "days_before_expiry" => {
            frame.t("Out of 30, 14, 7, 2 and 1, with commas between. Empty: nobody is told.")
        }
        "every_days" => frame.t("Empty: they do not rotate by themselves."),
        "owner_limits" => {
            frame.t("One a line, as in minute 600/60: a name, and 600 requests in 60 seconds. With burst 50 behind it, 50 of them may come at once. Empty: no limit.")
        }
        _ => return None,
    })
}

/// A value of a choice in words.
fn choice(frame: &Frame, path: &str, word: &str) -> &'static str {
    match (path.rsplit('.').next().unwrap_or(path), word) {
        (_, "true") => frame.t("Yes"),
        (_, "false") => frame.t("No"),
        ("who_may_create", "everybody") => frame.t("Everybody whose rights allow it"),
        (_, "admins_only") => frame.t("Only administrators"),
        (_, "nobody") => frame.t("Nobody"),
        (_, "administrators") => frame.t("Administrators"),
        (_, "everybody") => frame.t("Everybody"),
        (_, "revoke") => frame.t("It is revoked for good"),
        (_, "deactivate") => frame.t("It is switched off until somebody has looked"),
        (_, "notify") => frame.t("People are told, and it works on"),
        _ => frame.t("Another value"),
    }
}

/// A value of a rule in words.
pub(super) fn value_words(frame: &Frame, path: &str, value: &Value) -> String {
    match value {
        Value::Null => frame.t("no limit").to_owned(),
        Value::Bool(_) => choice(frame, path, &value.to_string()).to_owned(),
        Value::String(text) if text == "never" => frame.t("not by themselves").to_owned(),
        Value::String(text) if path.ends_with("label_pattern") => text.clone(),
        Value::String(text) => choice(frame, path, text).to_owned(),
        Value::Array(items) if items.is_empty() => frame.t("none").to_owned(),
        Value::Array(items) if path == "owner_limits" => {
            items.iter().map(limit_text).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A policy as a document, in which every rule stands.
pub(super) fn document(policy: &Policy) -> Result<Value> {
    serde_json::to_value(policy).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_form_shows_is_a_patch_that_changes_nothing() {
        let document = document(&Policy::default()).expect("plain data");
        let sent = |path: &str| Some(text(&document, path)).filter(|text| !text.is_empty());
        let mut patched = document.clone();
        crate::policies::merge(&mut patched, patch(&sent));
        let read: Policy = serde_json::from_value(patched).expect("a policy");
        assert_eq!(read, Policy::default());
    }

    #[test]
    fn limits_are_read_as_they_are_written() {
        for line in ["minute 600/60", "day 10000/86400 burst 50"] {
            assert_eq!(limit_text(&limit(line)), line);
        }
        for line in ["minute", "minute 600", "minute x/60", "minute 600/60 burst", "minute 600/60 burst x"] {
            assert_eq!(limit(line), json!(line), "it is left to the operation");
        }
    }

    #[test]
    fn x_5_every_rule_has_a_name() {
        let frame = Frame::sample();
        let faults = Faults::default();
        let document = document(&Policy::default()).expect("plain data");
        let sections = form(&frame, &|path| text(&document, path), &faults);
        for field in sections.iter().flat_map(|section| &section.fields) {
            assert_ne!(field.name, "Another rule", "{}", field.path);
            assert!(field.options.iter().all(|(_, words, _)| *words != "Another value"), "{}", field.path);
        }
        assert_eq!(value_words(&frame, "member.max_ttl_days", &Value::Null), "no limit");
        assert_eq!(full_name(&frame, "member.max_ttl_days"), "Member key: Longest life in days");
    }
}
