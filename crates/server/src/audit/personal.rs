//! What events say of people, kept apart from the chain so that it can be erased (AUD-6; ADR 14).
//!
//! The text of an event, which its hash covers, holds a commitment where it would name somebody. The names
//! stand in a table of their own: their rows go when a person is erased, and the chain stays whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Outcome, Recorded};
use crate::error::{Error, Result};
use crate::random::{hex, to_hex};
use crate::store::audit::AuditRow;

/// What stands in an event where something was erased.
pub(crate) const ERASED: &str = "[erased]";

/// Fields of objects that say who somebody is, where they were, or what was thought of them.
const FIELDS: &[&str] = &[
    "username",
    "owner_username",
    "email",
    "display_name",
    "suspended_reason",
    "address",
    "agent",
    "last_used_address",
    "last_used_agent",
    "network",
];

/// Texts about one person that an event does without: part of what is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Withheld {
    /// `user_…`
    pub(crate) subject: String,
    /// Where they stand in the event (RFC 6901).
    pub(crate) at: Vec<String>,
    /// `SHA-256(nonce + "\n" + texts)`, the texts as a JSON list.
    pub(crate) commitment: String,
}

/// The texts themselves: never hashed, and gone when the person is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) subject: String,
    pub(crate) nonce: String,
    /// A JSON list.
    pub(crate) list: String,
}

impl Texts {
    fn commitment(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.nonce.as_bytes());
        hash.update(b"\n");
        hash.update(self.list.as_bytes());
        to_hex(&hash.finalize())
    }

    /// Those of an event, as the store joins them: a line for each person.
    fn of(row: &AuditRow) -> Vec<Self> {
        let read = |line: &str| {
            let mut words = line.splitn(3, ' ').map(ToOwned::to_owned);
            Some(Self { subject: words.next()?, nonce: words.next()?, list: words.next()? })
        };
        row.personal.as_deref().into_iter().flat_map(str::lines).filter_map(read).collect()
    }
}

/// Whether the event is about a key, and its objects do not tell whose.
pub(super) fn lacks_owner(event: &Recorded) -> bool {
    let told =
        |object: &Option<Value>| object.as_ref().is_some_and(|object| object.get("owner_id").is_some());
    event.target.kind == "key" && !told(&event.before) && !told(&event.after)
}

/// Takes what an event says of people out of it; `owner` is whose key it is about, where its objects do not
/// tell.
pub(super) fn withhold(event: &mut Recorded, owner: Option<&str>) -> Result<Vec<Texts>> {
    let people = People::of(event, owner);
    let mut found = Found::default();
    found.head(event, &people);
    // What else an object may say is not about whoever wrote it.
    let is_own = matches!(event.target.kind.as_str(), "session" | "factor");
    let default = people.target.as_deref().or(people.actor.as_deref().filter(|_| is_own));
    for (place, object) in [("/before", &mut event.before), ("/after", &mut event.after)] {
        if let Some(object) = object {
            found.walk(object, place, default, people.names(&event.target.kind));
        }
    }
    let mut kept = Vec::new();
    for (subject, (at, texts)) in found.0 {
        let list = serde_json::to_string(&texts).map_err(Error::internal)?;
        let texts = Texts { subject: subject.clone(), nonce: hex::<16>(), list };
        event.personal.push(Withheld { subject, at, commitment: texts.commitment() });
        kept.push(texts);
    }
    Ok(kept)
}

/// Whom an event is about.
struct People {
    actor: Option<String>,
    target: Option<String>,
}

impl People {
    fn of(event: &Recorded, owner: Option<&str>) -> Self {
        let user = |id: &str| id.starts_with("user_").then(|| id.to_owned());
        let owned = || {
            let objects = [&event.after, &event.before].into_iter().flatten();
            objects.filter_map(|object| object.get("owner_id")?.as_str()).find_map(user)
        };
        let target = match event.target.kind.as_str() {
            "user" => user(&event.target.id),
            "key" => owner.and_then(user).or_else(owned),
            _ => None,
        };
        let actor = (event.actor.kind == "user").then(|| user(&event.actor.id)).flatten();
        Self { actor, target }
    }

    /// How an object of this kind is called by its owner, where that may say who they are.
    fn names(&self, kind: &str) -> Option<&'static str> {
        match kind {
            "key" if self.target.is_some() => Some("label"),
            "factor" if self.actor.is_some() => Some("name"),
            _ => None,
        }
    }
}

/// Places and texts by subject.
#[derive(Default)]
struct Found(BTreeMap<String, (Vec<String>, Vec<String>)>);

impl Found {
    fn take(&mut self, subject: Option<&str>, place: &str, text: &mut String) {
        let Some(subject) = subject.filter(|_| !text.is_empty()) else { return };
        let (places, texts) = self.0.entry(subject.into()).or_default();
        places.push(place.into());
        texts.push(std::mem::take(text));
    }

    /// The fields that every event has.
    fn head(&mut self, event: &mut Recorded, people: &People) {
        let (actor, target) = (people.actor.as_deref(), people.target.as_deref());
        self.take(actor, "/actor/label", &mut event.actor.label);
        let labelled = match event.target.kind.as_str() {
            "session" | "factor" => actor,
            _ => target,
        };
        self.take(labelled, "/target/label", &mut event.target.label);
        // What the server itself notices comes from where the user was.
        let from = actor.or(target.filter(|_| event.actor.kind == "system"));
        for (place, text) in [("/address", &mut event.address), ("/agent", &mut event.agent)] {
            if let Some(text) = text {
                self.take(from, place, text);
            }
        }
        // What somebody wrote about a person; the reason of a refusal is a code.
        if let Some(reason) = &mut event.reason
            && event.outcome == Outcome::Success
            && event.target.kind == "user"
        {
            self.take(target, "/reason", reason);
        }
    }

    fn walk(&mut self, value: &mut Value, place: &str, subject: Option<&str>, name: Option<&str>) {
        match value {
            Value::Object(fields) => {
                let own = ["owner_id", "user_id", "id"].iter().find_map(|field| {
                    fields.get(*field)?.as_str().filter(|id| id.starts_with("user_")).map(ToOwned::to_owned)
                });
                let subject = own.as_deref().or(subject);
                for (field, value) in fields.iter_mut() {
                    let place = format!("{place}/{}", field.replace('~', "~0").replace('/', "~1"));
                    match value {
                        Value::String(text) if FIELDS.contains(&field.as_str()) || name == Some(field) => {
                            self.take(subject, &place, text);
                        }
                        other => self.walk(other, &place, subject, name),
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.walk(item, &format!("{place}/{at}"), subject, name);
                }
            }
            _ => {}
        }
    }
}

/// The event of a row with everything that is still known of people.
pub(crate) fn read(row: &AuditRow) -> Result<Recorded> {
    let mut event: Recorded = serde_json::from_str(&row.body).map_err(Error::internal)?;
    let kept = Texts::of(row);
    for withheld in std::mem::take(&mut event.personal) {
        let texts = kept.iter().find(|texts| texts.subject == withheld.subject);
        let list = texts.map(|texts| serde_json::from_str::<Vec<String>>(&texts.list));
        let list = list.transpose().map_err(Error::internal)?.unwrap_or_default();
        let mut list = list.into_iter();
        for place in &withheld.at {
            put(&mut event, place, list.next().unwrap_or_else(|| ERASED.into()));
        }
    }
    Ok(event)
}

/// The same where one event that cannot be read must not hide the others. Nothing makes such an event but
/// somebody who writes to the database: `keyward audit verify` names it.
pub(crate) fn readable(row: &AuditRow) -> Option<Recorded> {
    let read = read(row);
    read.inspect_err(|_| tracing::error!(tenant = row.tenant_id, seq = row.seq, "an event cannot be read"))
        .ok()
}

fn put(event: &mut Recorded, place: &str, text: String) {
    match place {
        "/actor/label" => event.actor.label = text,
        "/target/label" => event.target.label = text,
        "/reason" => event.reason = Some(text),
        "/address" => event.address = Some(text),
        "/agent" => event.agent = Some(text),
        _ => {
            let object = match place.split_at_checked("/after".len()) {
                Some(("/after", rest)) => event.after.as_mut().and_then(|object| object.pointer_mut(rest)),
                _ => {
                    let rest = place.strip_prefix("/before").unwrap_or_default();
                    event.before.as_mut().and_then(|object| object.pointer_mut(rest))
                }
            };
            if let Some(value) = object {
                *value = Value::String(text);
            }
        }
    }
}

/// The members of an exported line by which commitments can be checked.
pub(crate) fn exported(row: &AuditRow) -> String {
    let parts = Texts::of(row).into_iter().map(|texts| {
        format!(
            "{{\"subject\":\"{}\",\"nonce\":\"{}\",\"texts\":{}}}",
            texts.subject, texts.nonce, texts.list
        )
    });
    parts.collect::<Vec<_>>().join(",")
}

/// What of an event's commitments does not hold.
pub(crate) enum Fault {
    /// There are other texts than those that were committed to.
    Altered,
    /// There are none: right where these people were erased.
    Missing(Vec<String>),
}

/// Compares the texts of an event with its commitments.
pub(crate) fn check(event: &Recorded, row: &AuditRow) -> Option<Fault> {
    let mut kept = Texts::of(row);
    let mut missing = Vec::new();
    for withheld in &event.personal {
        match kept.iter().position(|texts| texts.subject == withheld.subject) {
            Some(at) if kept[at].commitment() == withheld.commitment => drop(kept.swap_remove(at)),
            Some(_) => return Some(Fault::Altered),
            None => missing.push(withheld.subject.clone()),
        }
    }
    if !kept.is_empty() {
        return Some(Fault::Altered);
    }
    (!missing.is_empty()).then_some(Fault::Missing(missing))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Recorded {
        serde_json::from_value(json!({
            "id": "event_1", "seq": 1, "tenant_id": "tenant_1", "at": "2026-06-01T12:00:00.000Z",
            "actor": { "kind": "user", "id": "user_a", "label": "olga" }, "key_id": null,
            "action": "user.edit", "target": { "kind": "user", "id": "user_b", "label": "bob" },
            "outcome": "success", "reason": "he asked", "before": { "id": "user_b", "email": "b@x" },
            "after": { "id": "user_b", "email": null, "keys": [{ "owner_id": "user_c", "owner_username": "c/d" }] },
            "request_id": "r", "address": "192.0.2.1", "agent": null,
        }))
        .expect("an event")
    }

    fn row(body: &Recorded, kept: &[Texts]) -> AuditRow {
        let lines = kept.iter().map(|texts| format!("{} {} {}", texts.subject, texts.nonce, texts.list));
        AuditRow {
            body: serde_json::to_string(body).expect("JSON"),
            personal: Some(lines.collect::<Vec<_>>().join("\n")),
            ..AuditRow::default()
        }
    }

    #[test]
    fn aud_6_what_is_withheld_comes_back_until_it_is_erased() {
        let whole = event();
        let mut chained = whole.clone();
        let kept = withhold(&mut chained, None).expect("texts");
        let subjects: Vec<_> = kept.iter().map(|texts| texts.subject.as_str()).collect();
        assert_eq!(subjects, ["user_a", "user_b", "user_c"]);
        let text = serde_json::to_string(&chained).expect("JSON");
        for name in ["olga", "bob", "b@x", "he asked", "c/d", "192.0.2.1"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
        let json = |event: &Recorded| serde_json::to_value(event).expect("JSON");
        assert_eq!(json(&read(&row(&chained, &kept)).expect("read")), json(&whole));
        assert!(check(&chained, &row(&chained, &kept)).is_none());

        let without_bob = [kept[0].clone(), kept[2].clone()];
        let erased = read(&row(&chained, &without_bob)).expect("read");
        assert_eq!((erased.target.label.as_str(), erased.reason.as_deref()), (ERASED, Some(ERASED)));
        assert_eq!(erased.before.expect("an object")["email"], ERASED);
        assert_eq!((erased.actor.label.as_str(), erased.address.as_deref()), ("olga", Some("192.0.2.1")));
        let Some(Fault::Missing(gone)) = check(&chained, &row(&chained, &without_bob)) else {
            panic!("bob is missing");
        };
        assert_eq!(gone, ["user_b"]);
    }

    #[test]
    fn aud_4_other_texts_than_those_committed_to_are_found() {
        let mut chained = event();
        let kept = withhold(&mut chained, None).expect("texts");
        let mut edited = kept.clone();
        edited[0].list = edited[0].list.replace("olga", "eve");
        let mut added = kept.clone();
        added.push(Texts { subject: "user_z".into(), nonce: "0".into(), list: "[]".into() });
        for texts in [edited, added] {
            assert!(matches!(check(&chained, &row(&chained, &texts)), Some(Fault::Altered)));
        }
    }

    #[test]
    fn aud_6_whose_a_text_is_follows_from_the_event() {
        let cases = [
            // What the server notices about a key comes from its owner, who named it.
            (("system", "exposure"), ("key", "key_1", "ada's key"), Some("user_o"), "user_o", 2),
            // Machines, and what belongs to a workspace, are nobody.
            (("system", "exposure"), ("key", "key_1", "gateway"), None, "", 0),
            (("workspace", "key_2"), ("group", "group_1", "Staff"), None, "", 0),
            (("system", "notices"), ("source", "192.0.2.1", ""), None, "", 0),
            // A factor and a session are called by whoever has them.
            (("user", "user_a"), ("factor", "factor_1", "my phone"), None, "user_a", 3),
        ];
        for (actor, target, owner, subject, places) in cases {
            let mut event = event();
            (event.actor.kind, event.actor.id) = (actor.0.into(), actor.1.into());
            (event.target.kind, event.target.id, event.target.label) =
                (target.0.into(), target.1.into(), target.2.into());
            (event.before, event.after) = (None, Some(json!({ "tokens": 1 })));
            let kept = withhold(&mut event, owner).expect("texts");
            let told: Vec<_> =
                event.personal.iter().map(|part| (part.subject.as_str(), part.at.len())).collect();
            let expected = if places == 0 { Vec::new() } else { vec![(subject, places)] };
            assert_eq!((told, kept.len()), (expected.clone(), expected.len()), "{actor:?} {target:?}");
        }
    }
}
