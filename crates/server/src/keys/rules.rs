//! What the fields of a key may hold.

use keyward_core::address::{InvalidNetwork, Networks, parse_network};
use keyward_core::decide::is_ambiguous;
use keyward_core::key::{Conditions, KeyClass};
use keyward_core::limit::{MAX_LIMITS, RateLimit};
use keyward_core::policy::{ClassPolicy, Policy, Validity, ValidityProblem, WhoMayCreate};
use keyward_core::right::{Resource, Right, RightSet};
use serde_json::Value;

use crate::app::Tx;
use crate::clock::rfc3339;
use crate::error::{Error, Fault, Result};
use crate::verify::facts;
use crate::wire;

/// Rights in one list, and entries in one condition, at most.
const MAX_ENTRIES: usize = 100;

/// Reads a list of rights, naming each one that does not parse.
pub(crate) fn rights(pointer: &str, texts: &[String]) -> Result<RightSet> {
    if texts.len() > MAX_ENTRIES {
        return Err(Error::invalid(pointer, "too_many", format!("at most {MAX_ENTRIES} rights")));
    }
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for (place, text) in texts.iter().enumerate() {
        match text.parse::<Right>() {
            Ok(right) => good.push(right),
            Err(why) => faults.push(Fault::new(format!("{pointer}/{place}"), "bad_right", why.to_string())),
        }
    }
    if faults.is_empty() { Ok(good.into_iter().collect()) } else { Err(Error::Invalid(faults)) }
}

/// Reads the three ways to say how long a key lives; at most one may be used.
pub(crate) fn validity(
    expires_at: Option<&str>,
    ttl_seconds: Option<i64>,
    expires: Option<&str>,
) -> Result<Validity> {
    match (expires_at, ttl_seconds, expires) {
        (None, None, None) => Ok(Validity::Default),
        (Some(time), None, None) => Ok(Validity::Until(wire::time("/expires_at", time)?)),
        (None, Some(seconds), None) => Ok(Validity::Seconds(seconds)),
        (None, None, Some("never")) => Ok(Validity::Never),
        (None, None, Some(_)) => Err(Error::invalid("/expires", "bad_value", "the only word here is never")),
        _ => {
            Err(Error::invalid("/expires_at", "ambiguous", "give one of expires_at, ttl_seconds and expires"))
        }
    }
}

/// The end of a key under its policy (KEY-8, MO5, BM4).
pub(crate) fn resolve_end(
    class: KeyClass,
    rules: &ClassPolicy,
    wish: Validity,
    now: i64,
) -> Result<Option<i64>> {
    let end = rules.resolve(wish, now).map_err(|problem| match problem {
        ValidityProblem::Past => Error::invalid(place(wish), "in_the_past", "the end must lie in the future"),
        ValidityProblem::BeyondMaximum(latest) => Error::Policy {
            rule: match class {
                KeyClass::Member => "member.max_ttl_days",
                KeyClass::Workspace => "workspace.max_ttl_days",
                KeyClass::Ingest => "ingest.max_ttl_days",
            },
            detail: format!("policy allows an end up to {}", rfc3339(latest)),
        },
        ValidityProblem::NeverForbidden => Error::Policy {
            rule: match class {
                KeyClass::Member => "member.never_expire",
                KeyClass::Workspace => "workspace.never_expire",
                KeyClass::Ingest => "ingest.never_expire",
            },
            detail: "policy does not allow keys without end".into(),
        },
    })?;
    // The last millisecond of the year 9999: beyond it RFC 3339 has no spelling.
    if end.is_some_and(|end| end > 253_402_300_799_999) {
        return Err(Error::invalid(place(wish), "out_of_range", "the end lies beyond the year 9999"));
    }
    Ok(end)
}

fn place(wish: Validity) -> &'static str {
    match wish {
        Validity::Seconds(_) => "/ttl_seconds",
        Validity::Never => "/expires",
        Validity::Until(_) | Validity::Default => "/expires_at",
    }
}

/// Reads conditions, naming each entry that is not acceptable.
pub(crate) fn conditions(value: Value) -> Result<Option<Conditions>> {
    let Value::Object(fields) = value else {
        return Err(Error::invalid("/conditions", "bad_type", "expected an object"));
    };
    let mut conditions = Conditions::default();
    let mut faults = Vec::new();
    for (name, value) in fields {
        let pointer = format!("/conditions/{name}");
        let Some(entries) = strings(&value) else {
            faults.push(Fault::new(pointer, "bad_type", format!("expected at most {MAX_ENTRIES} strings")));
            continue;
        };
        match name.as_str() {
            "cidrs" => conditions.cidrs = networks(&pointer, &entries, &mut faults),
            "methods" => conditions.methods = each(&pointer, &entries, &mut faults, method),
            "paths" => conditions.paths = each(&pointer, &entries, &mut faults, path),
            "resources" => conditions.resources = each(&pointer, &entries, &mut faults, resource),
            _ => {
                let known = ["cidrs", "methods", "paths", "resources"];
                faults.push(Fault::new(
                    pointer,
                    "unknown_field",
                    crate::http::json::suggestion(&name, &known),
                ));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    Ok((!conditions.is_empty()).then_some(conditions))
}

fn strings(value: &Value) -> Option<Vec<&str>> {
    let entries = value.as_array().filter(|entries| entries.len() <= MAX_ENTRIES)?;
    entries.iter().map(Value::as_str).collect()
}

fn each<T>(
    pointer: &str,
    entries: &[&str],
    faults: &mut Vec<Fault>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut good = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        match read(entry) {
            Ok(value) => good.push(value),
            Err(why) => faults.push(Fault::new(format!("{pointer}/{place}"), "bad_value", why)),
        }
    }
    good
}

fn networks(pointer: &str, entries: &[&str], faults: &mut Vec<Fault>) -> Networks {
    each(pointer, entries, faults, |text| parse_network(text).map_err(|why: InvalidNetwork| why.to_string()))
        .into_iter()
        .collect()
}

fn method(text: &str) -> Result<String, String> {
    let good = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if good { Ok(text.into()) } else { Err("expected a method in upper case, as in GET".into()) }
}

fn path(text: &str) -> Result<String, String> {
    let plain = text.replace("**", "x").replace('*', "x");
    let rest_last = !text.trim_end_matches("/**").contains("**");
    if text.starts_with('/') && text.len() <= 500 && text.is_ascii() && rest_last && !is_ambiguous(&plain) {
        return Ok(text.into());
    }
    Err("expected a path such as /reports/* or /reports/**, ** only at the end, no .. // or % codes".into())
}

fn resource(text: &str) -> Result<Resource, String> {
    text.parse().map_err(|why: keyward_core::right::InvalidRight| why.to_string())
}

/// Checks named limits.
pub(crate) fn limits(limits: &[RateLimit]) -> Result<()> {
    if limits.len() > MAX_LIMITS {
        return Err(Error::invalid("/limits", "too_many", format!("at most {MAX_LIMITS} limits")));
    }
    let mut faults = Vec::new();
    for (place, limit) in limits.iter().enumerate() {
        let pointer = format!("/limits/{place}");
        if let Some(problem) = limit.problem() {
            faults.push(Fault::new(pointer, "bad_limit", problem));
        } else if limits[..place].iter().any(|other| other.name == limit.name) {
            faults.push(Fault::new(pointer, "duplicate", "another limit has this name"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// A count within bounds.
pub(crate) fn count(pointer: &str, value: Option<i64>, range: std::ops::RangeInclusive<i64>) -> Result<()> {
    match value {
        Some(value) if !range.contains(&value) => Err(Error::invalid(
            pointer,
            "out_of_range",
            format!("must be from {} to {}", range.start(), range.end()),
        )),
        _ => Ok(()),
    }
}

/// Refuses a class that operator or tenant has switched off (MO2, MO3).
pub(crate) fn class_is_on(tenant: &keyward_core::key::Tenant, class: KeyClass) -> Result<()> {
    let off = |rule| Err(Error::Policy { rule, detail: format!("{} keys are switched off", class.as_str()) });
    if !tenant.features.allows(class) {
        return off("features");
    }
    if !tenant.policy.switches.allows(class) {
        return off("switches");
    }
    Ok(())
}

/// One of three names of a rule, in the order of the classes.
pub(super) fn named(class: KeyClass, names: [&'static str; 3]) -> &'static str {
    names[class as usize]
}

/// Refuses a new key where policy leaves the class to administrators (X5).
pub(super) fn may_create(tx: &Tx<'_>, policy: &Policy, class: KeyClass) -> Result<()> {
    if policy.class(class).who_may_create == WhoMayCreate::Everybody || facts::administers(&tx.rights) {
        return Ok(());
    }
    let names = ["member.who_may_create", "workspace.who_may_create", "ingest.who_may_create"];
    let detail = format!("policy leaves the making of {} keys to administrators", class.as_str());
    Err(Error::Policy { rule: named(class, names), detail })
}

/// Refuses a new label that is not as policy wants it (X5).
pub(super) fn label_rule(tx: &Tx<'_>, policy: &Policy, class: KeyClass, label: &str) -> Result<()> {
    let rules = policy.class(class);
    if rules.allows_label(label) || tx.is_local() {
        return Ok(());
    }
    let names = ["member.label_pattern", "workspace.label_pattern", "ingest.label_pattern"];
    let pattern = rules.label_pattern.as_deref().unwrap_or_default();
    let detail = format!("labels of {} keys must look like {pattern}", class.as_str());
    Err(Error::Policy { rule: named(class, names), detail })
}

/// Refuses a new key without an address condition where policy wants one.
pub(crate) fn address_rule(policy: &Policy, class: KeyClass, conditions: Option<&Conditions>) -> Result<()> {
    if policy.class(class).required_cidrs && conditions.is_none_or(|c| c.cidrs.is_empty()) {
        return Err(Error::Policy {
            rule: "required_cidrs",
            detail: "policy asks every key of this class for networks in conditions.cidrs".into(),
        });
    }
    Ok(())
}
