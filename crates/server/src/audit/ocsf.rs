//! Events in the words of the Open Cybersecurity Schema Framework (OCSF 1.3.0), for those who gather the logs
//! of many products. `docs/reference/ocsf.md` lists what becomes what.

use serde_json::{Map, Value, json};

use super::{Outcome, Recorded};
use crate::clock::parse_rfc3339;

const VERSION: &str = "1.3.0";

/// A class of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    AccountChange,
    Authentication,
    EntityManagement,
    UserAccess,
    GroupManagement,
    ApiActivity,
}

impl Class {
    fn uid(self) -> u32 {
        match self {
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::UserAccess => 3005,
            Self::GroupManagement => 3006,
            Self::ApiActivity => 6003,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::EntityManagement => "Entity Management",
            Self::UserAccess => "User Access Management",
            Self::GroupManagement => "Group Management",
            Self::ApiActivity => "API Activity",
        }
    }

    fn category(self) -> &'static str {
        if self == Self::ApiActivity { "Application Activity" } else { "Identity & Access Management" }
    }
}

/// What an event becomes: its class, and the activity in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activity<'a> {
    class: Class,
    id: u32,
    name: &'a str,
}

/// The activity that the schema has no number for; its name is our own word.
const OTHER: u32 = 99;

/// Actions that are no plain change of an object.
const ACTIVITIES: &[(&str, Class, u32, &str)] = &[
    ("user.create", Class::AccountChange, 1, "Create"),
    ("user.resume", Class::AccountChange, 2, "Enable"),
    ("user.set_password", Class::AccountChange, 3, "Password Change"),
    ("user.change_password", Class::AccountChange, 3, "Password Change"),
    ("user.password_link", Class::AccountChange, 4, "Password Reset"),
    ("user.suspend", Class::AccountChange, 5, "Disable"),
    ("user.delete", Class::AccountChange, 6, "Delete"),
    ("auth.locked", Class::AccountChange, 9, "Lock"),
    ("factor.add", Class::AccountChange, 10, "MFA Factor Enable"),
    ("factor.remove", Class::AccountChange, 11, "MFA Factor Disable"),
    ("user.reset_factors", Class::AccountChange, 11, "MFA Factor Disable"),
    ("session.start", Class::Authentication, 1, "Logon"),
    ("session.end", Class::Authentication, 2, "Logoff"),
    ("auth.login", Class::Authentication, 1, "Logon"),
    ("auth.factor", Class::Authentication, 1, "Logon"),
    ("auth.failed", Class::Authentication, 1, "Logon"),
    ("auth.refused", Class::Authentication, 1, "Logon"),
    ("group.add_member", Class::GroupManagement, 3, "Add User"),
    ("group.remove_member", Class::GroupManagement, 4, "Remove User"),
    ("audit.read", Class::ApiActivity, 2, "Read"),
    ("audit.export", Class::ApiActivity, 2, "Read"),
    ("export.read", Class::ApiActivity, 2, "Read"),
    ("report.read", Class::ApiActivity, 2, "Read"),
    ("trusted.copy", Class::EntityManagement, 2, "Read"),
    ("key.handover_opened", Class::EntityManagement, 2, "Read"),
    ("root_key.export", Class::EntityManagement, 2, "Read"),
    ("audit.close", Class::EntityManagement, 4, "Delete"),
    ("token.mint", Class::EntityManagement, 1, "Create"),
    ("import.keys", Class::EntityManagement, 1, "Create"),
    ("incident.declare", Class::EntityManagement, 1, "Create"),
    ("trusted.enable", Class::EntityManagement, 1, "Create"),
    ("trusted.disable", Class::EntityManagement, 4, "Delete"),
    ("job.drop", Class::EntityManagement, 4, "Delete"),
    ("signing_key.forget", Class::EntityManagement, 4, "Delete"),
    ("pepper.retire", Class::EntityManagement, 4, "Delete"),
];

/// What the first word of any other action says.
const VERBS: &[(&str, u32, &str)] = &[
    ("create", 1, "Create"),
    ("list", 2, "Read"),
    ("show", 2, "Read"),
    ("export", 2, "Read"),
    ("edit", 3, "Update"),
    ("apply", 3, "Update"),
    ("rollback", 3, "Update"),
    ("rotate", 3, "Update"),
    ("extend", 3, "Update"),
    ("delete", 4, "Delete"),
    ("remove", 4, "Delete"),
    ("revoke", 4, "Delete"),
];

/// What an action becomes, or an operation that was refused, which has no noun before a point.
pub(crate) fn activity(action: &str) -> Activity<'_> {
    if let Some((_, class, id, name)) = ACTIVITIES.iter().find(|(known, ..)| *known == action) {
        return Activity { class: *class, id: *id, name };
    }
    let (noun, verb) = action.split_once('.').unwrap_or(("", action));
    let class = match noun {
        "" => Class::ApiActivity,
        "user" | "factor" => Class::AccountChange,
        "session" => Class::Authentication,
        "auth" if !action.ends_with("_spike") => Class::Authentication,
        "auth" | "verify" => Class::ApiActivity,
        _ => Class::EntityManagement,
    };
    let crud = matches!(class, Class::EntityManagement | Class::ApiActivity);
    let first = verb.split('_').next().unwrap_or(verb);
    let known = VERBS.iter().find(|(known, ..)| crud && *known == first);
    known.map_or(Activity { class, id: OTHER, name: verb }, |(_, id, name)| Activity { class, id: *id, name })
}

impl Activity<'_> {
    /// The row of the page: class, number and name.
    #[cfg(test)]
    pub(crate) fn told(&self) -> String {
        format!("{} ({}) | {} ({})", self.class.name(), self.class.uid(), self.name, self.id)
    }
}

/// An event as OCSF writes it.
pub(crate) fn render(event: &Recorded) -> Value {
    let is_refused = event.outcome == Outcome::Refused;
    let mut activity = activity(&event.action);
    let access = access_change(event);
    if let Some((id, name, _)) = access {
        activity = Activity { class: Class::UserAccess, id, name };
    }
    let uid = activity.class.uid();
    let mut out = json!({
        "category_uid": uid / 1000,
        "category_name": activity.class.category(),
        "class_uid": uid,
        "class_name": activity.class.name(),
        "activity_id": activity.id,
        "activity_name": activity.name,
        "type_uid": uid * 100 + activity.id,
        "type_name": format!("{}: {}", activity.class.name(), activity.name),
        "time": parse_rfc3339(&event.at).unwrap_or_default(),
        "status_id": if is_refused { 2 } else { 1 },
        "status": if is_refused { "Failure" } else { "Success" },
        "message": format!("{} {} {}", event.action, event.target.kind, event.target.label).trim_end(),
        "metadata": metadata(event),
        "actor": { "user": actor(event) },
        "http_request": request(event),
        "unmapped": unmapped(event),
    });
    let fields = out.as_object_mut().expect("it was made as an object");
    let (severity_id, severity) = severity(event);
    fields.insert("severity_id".into(), severity_id.into());
    fields.insert("severity".into(), severity.into());
    if let Some(reason) = &event.reason {
        fields.insert("status_detail".into(), reason.as_str().into());
    }
    if let Some(endpoint) = endpoint(event, activity.class) {
        fields.insert("src_endpoint".into(), endpoint);
    }
    add_subject(fields, event, activity.class);
    if let Some((_, _, privileges)) = access {
        fields.insert("privileges".into(), privileges.into());
    }
    out
}

fn request(event: &Recorded) -> Value {
    match &event.agent {
        Some(agent) => json!({ "uid": event.request_id, "user_agent": agent }),
        None => json!({ "uid": event.request_id }),
    }
}

fn metadata(event: &Recorded) -> Value {
    json!({
        "version": VERSION,
        "product": { "name": "Keyward", "vendor_name": "Keyward", "version": env!("CARGO_PKG_VERSION") },
        "uid": event.id,
        "sequence": event.seq,
        "event_code": event.action,
        "log_name": "audit",
        "original_time": event.at,
        "correlation_uid": event.request_id,
        "tenant_uid": event.tenant_id,
    })
}

/// Attempts that were refused weigh more than what was done, alarms most.
pub(crate) fn severity(event: &Recorded) -> (u32, &'static str) {
    const ALARMS: [&str; 7] = [
        "key.canary_used",
        "key.leak_reported",
        "trusted.leak_reported",
        "session.leak_reported",
        "key.handover_reopened",
        "factor.clone_warning",
        "trusted.mint_spike",
    ];
    if ALARMS.contains(&event.action.as_str()) || event.action.ends_with("failures_spike") {
        return (4, "High");
    }
    if event.outcome == Outcome::Refused { (3, "Medium") } else { (1, "Informational") }
}

fn actor(event: &Recorded) -> Value {
    let (type_id, kind) = match event.actor.kind.as_str() {
        "user" => (1, "User"),
        "system" => (3, "System"),
        other => (OTHER, other),
    };
    let mut user =
        json!({ "uid": event.actor.id, "name": event.actor.label, "type_id": type_id, "type": kind });
    if let Some(key) = &event.key_id {
        user["credential_uid"] = key.as_str().into();
    }
    user
}

/// Where it came from; a class that asks for it gets the part of the server where it came from nowhere.
fn endpoint(event: &Recorded, class: Class) -> Option<Value> {
    match &event.address {
        Some(address) if address.parse::<std::net::IpAddr>().is_ok() => Some(json!({ "ip": address })),
        // It was erased.
        Some(address) => Some(json!({ "name": address })),
        None if class == Class::ApiActivity => Some(json!({ "svc_name": event.actor.id })),
        None => None,
    }
}

/// The fields that say what the event is about, by class.
fn add_subject(fields: &mut Map<String, Value>, event: &Recorded, class: Class) {
    match class {
        Class::AccountChange | Class::UserAccess => {
            fields.insert("user".into(), subject(event));
        }
        Class::Authentication => {
            fields.insert("user".into(), subject(event));
            fields.insert("service".into(), json!({ "name": "Keyward", "uid": event.tenant_id }));
        }
        Class::GroupManagement => {
            let group = json!({ "uid": event.target.id, "name": event.target.label });
            fields.insert("group".into(), group);
            let object = event.after.as_ref().or(event.before.as_ref());
            let member = object.and_then(|object| object["member_id"].as_str()).unwrap_or("unknown");
            fields.insert("user".into(), json!({ "uid": member }));
        }
        Class::EntityManagement => {
            fields.insert("entity".into(), entity(event, event.before.as_ref().or(event.after.as_ref())));
            if event.before.is_some() && event.after.is_some() {
                fields.insert("entity_result".into(), entity(event, event.after.as_ref()));
            }
            if let Some(reason) = &event.reason {
                fields.insert("comment".into(), reason.as_str().into());
            }
        }
        Class::ApiActivity => {
            let api = json!({
                "operation": event.action, "service": { "name": "Keyward" }, "request": { "uid": event.request_id },
            });
            fields.insert("api".into(), api);
            let resource =
                json!({ "type": event.target.kind, "uid": event.target.id, "name": event.target.label });
            fields.insert("resources".into(), json!([resource]));
        }
    }
}

/// The user it is about: the target where that is one, else whoever acted.
fn subject(event: &Recorded) -> Value {
    if event.target.kind == "user" {
        return json!({ "uid": event.target.id, "name": event.target.label, "type_id": 1, "type": "User" });
    }
    if event.target.kind == "source" {
        // Credentials that are nobody's.
        return json!({ "name": "unknown", "type_id": 0, "type": "Unknown" });
    }
    actor(event)
}

fn entity(event: &Recorded, data: Option<&Value>) -> Value {
    let mut entity = json!({ "type": event.target.kind, "uid": event.target.id, "name": event.target.label });
    if let Some(data) = data.filter(|data| data.is_object()) {
        entity["data"] = data.clone();
    }
    entity
}

/// Rights that an edit of a user gave, or took where it gave none.
fn access_change(event: &Recorded) -> Option<(u32, &'static str, Vec<String>)> {
    if event.action != "user.edit" || event.outcome == Outcome::Refused {
        return None;
    }
    let rights = |object: &Option<Value>| -> Vec<String> {
        let list = object.as_ref().and_then(|object| object["rights"].as_array()).into_iter().flatten();
        list.filter_map(|right| right.as_str().map(ToOwned::to_owned)).collect()
    };
    let (before, after) = (rights(&event.before), rights(&event.after));
    let beyond = |some: &[String], others: &[String]| -> Vec<String> {
        some.iter().filter(|right| !others.contains(right)).cloned().collect()
    };
    let (given, taken) = (beyond(&after, &before), beyond(&before, &after));
    if !given.is_empty() {
        return Some((1, "Assign Privileges", given));
    }
    (!taken.is_empty()).then_some((2, "Revoke Privileges", taken))
}

/// Everything that the schema has no place for.
fn unmapped(event: &Recorded) -> Value {
    json!({
        "target": event.target,
        "before": event.before,
        "after": event.after,
        "secret_generation": event.secret_generation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::catalogue::ACTIONS;

    /// An event of an action, with as little in it as events have.
    fn event(action: &str, refused: bool) -> Recorded {
        let kind = action.split_once('.').map_or("operation", |(noun, _)| noun);
        serde_json::from_value(json!({
            "id": "event_1", "seq": 7, "tenant_id": "tenant_1", "at": "2026-06-01T12:00:00.000Z",
            "actor": { "kind": "system", "id": "notices", "label": "notices" }, "key_id": null, "action": action,
            "target": { "kind": kind, "id": "x", "label": "" },
            "outcome": if refused { "refused" } else { "success" }, "reason": null, "before": null, "after": null,
            "request_id": "local-1", "address": null, "agent": null,
        }))
        .expect("an event")
    }

    /// Fields that a class requires (schema.ocsf.io, 1.3.0), each with its type.
    fn required(class: u64) -> &'static [(&'static str, &'static str)] {
        match class {
            3001 => &[("user", "object")],
            3002 => &[("user", "object"), ("service", "object")],
            3004 => &[("entity", "object")],
            3005 => &[("user", "object"), ("privileges", "list")],
            3006 => &[("group", "object"), ("user", "object")],
            6003 => &[("actor", "object"), ("api", "object"), ("src_endpoint", "object")],
            other => panic!("{other} is no class of ours"),
        }
    }

    /// Activities of a class beside 99.
    fn activities(class: u64) -> std::ops::RangeInclusive<u64> {
        match class {
            3001 => 1..=11,
            3005 => 1..=2,
            _ => 1..=4,
        }
    }

    fn is_of(value: &Value, kind: &str) -> bool {
        match kind {
            "object" => value.as_object().is_some_and(|fields| !fields.is_empty()),
            "list" => value.as_array().is_some_and(|items| !items.is_empty()),
            "text" => value.as_str().is_some_and(|text| !text.is_empty()),
            _ => value.is_u64(),
        }
    }

    #[track_caller]
    fn must_fit(out: &Value) {
        let base = [
            ("activity_id", "number"),
            ("category_uid", "number"),
            ("class_uid", "number"),
            ("severity_id", "number"),
            ("status_id", "number"),
            ("time", "number"),
            ("type_uid", "number"),
            ("activity_name", "text"),
            ("metadata", "object"),
        ];
        let class = out["class_uid"].as_u64().expect("a class");
        for (field, kind) in base.iter().chain(required(class)) {
            assert!(is_of(&out[*field], kind), "{field} is no {kind}: {out}");
        }
        let activity = out["activity_id"].as_u64().expect("a number");
        assert!(activity == 99 || activities(class).contains(&activity), "{out}");
        assert_eq!(out["type_uid"], class * 100 + activity);
        assert_eq!(out["category_uid"], class / 1000);
        for (place, kind) in [
            ("/metadata/version", "text"),
            ("/metadata/product/vendor_name", "text"),
            ("/metadata/product/name", "text"),
            ("/metadata/uid", "text"),
        ] {
            assert!(is_of(out.pointer(place).unwrap_or(&Value::Null), kind), "{place}: {out}");
        }
        let one_of = |place: &str, fields: &[&str]| {
            let object = out.pointer(place).unwrap_or(&Value::Null);
            object.is_null() || fields.iter().any(|field| is_of(&object[*field], "text"))
        };
        assert!(one_of("/user", &["uid", "name"]) && one_of("/actor/user", &["uid", "name"]), "{out}");
        assert!(one_of("/src_endpoint", &["ip", "name", "svc_name"]) && one_of("/entity", &["uid", "name"]));
        assert!(one_of("/api", &["operation"]) && one_of("/group", &["uid", "name"]), "{out}");
    }

    #[test]
    fn every_action_has_what_its_class_requires() {
        for action in ACTIONS {
            for refused in [false, true] {
                must_fit(&render(&event(action, refused)));
            }
        }
        for operation in ["create_key", "list_users", "edit_user", "delete_group", "verify_call"] {
            let out = render(&event(operation, true));
            must_fit(&out);
            assert_eq!((&out["class_uid"], &out["status_id"]), (&json!(6003), &json!(2)));
        }
    }

    #[test]
    fn an_edit_that_changes_rights_is_about_access() {
        let edit = |before: &[&str], after: &[&str]| {
            let mut event = event("user.edit", false);
            event.before = Some(json!({ "rights": before }));
            event.after = Some(json!({ "rights": after }));
            let out = render(&event);
            must_fit(&out);
            (out["type_uid"].clone(), out["privileges"].clone())
        };
        assert_eq!(edit(&["a:read"], &["a:read", "b:read"]), (json!(300_501), json!(["b:read"])));
        assert_eq!(edit(&["a:read", "b:read"], &["a:read"]), (json!(300_502), json!(["b:read"])));
        assert_eq!(edit(&["a:read"], &["a:read"]), (json!(300_199), Value::Null));
    }

    #[test]
    fn what_has_a_number_in_the_schema_gets_it() {
        let cases = [
            ("user.create", 300_101),
            ("auth.locked", 300_109),
            ("user.unlock", 300_199),
            ("session.start", 300_201),
            ("session.step_up", 300_299),
            ("auth.failures_spike", 600_399),
            ("key.create", 300_401),
            ("key.revoke", 300_404),
            ("key.canary_used", 300_499),
            ("group.add_member", 300_603),
            ("audit.export", 600_302),
        ];
        for (action, uid) in cases {
            assert_eq!(render(&event(action, false))["type_uid"], uid, "{action}");
        }
    }
}
