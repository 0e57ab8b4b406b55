//! The entity sets and their properties: one table each, which metadata, filters and answers follow.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::clock::{Moment, parse_rfc3339};

/// What a property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Truth,
    Time,
}

impl Kind {
    /// Its type in the metadata.
    pub(crate) fn edm(self) -> &'static str {
        match self {
            Self::Text => "Edm.String",
            Self::Number => "Edm.Int64",
            Self::Truth => "Edm.Boolean",
            Self::Time => "Edm.DateTimeOffset",
        }
    }
}

/// A property of an entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether it is never null.
    pub(crate) required: bool,
    /// Where it stands in what the API shows (RFC 6901).
    at: &'static str,
}

const fn column(name: &'static str, kind: Kind, at: &'static str) -> Column {
    Column { name, kind, required: false, at }
}

const fn text(name: &'static str, at: &'static str) -> Column {
    column(name, Kind::Text, at)
}

const fn number(name: &'static str, at: &'static str) -> Column {
    column(name, Kind::Number, at)
}

const fn truth(name: &'static str, at: &'static str) -> Column {
    column(name, Kind::Truth, at)
}

const fn time(name: &'static str, at: &'static str) -> Column {
    column(name, Kind::Time, at)
}

/// A column that is never null.
const fn always(column: Column) -> Column {
    Column { required: true, ..column }
}

/// The value of a property. The order is that of sorting: null before all else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Truth(bool),
    Number(i64),
    /// Unix milliseconds.
    Time(i64),
    Text(String),
}

impl Cell {
    /// What stands in a place of an object; a list of words becomes words between blanks.
    fn of(kind: Kind, value: Option<&Value>) -> Self {
        let Some(value) = value else { return Self::Null };
        let read = match kind {
            Kind::Text => words(value).map(Self::Text),
            Kind::Number => value.as_i64().map(Self::Number),
            Kind::Truth => value.as_bool().map(Self::Truth),
            Kind::Time => value.as_str().and_then(parse_rfc3339).map(Self::Time),
        };
        read.unwrap_or(Self::Null)
    }
}

fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => None,
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Time(at) => Moment(*at).serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// The values of an entity, in the order of its columns.
pub(crate) type Row = Vec<Cell>;

/// What rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Keys,
    Users,
    KeyUsage,
    AuditEvents,
}

/// An entity set.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// The name of its entity type.
    pub(crate) entity: &'static str,
    pub(crate) source: Source,
    /// One of these is needed to read it.
    pub(crate) rights: &'static [&'static str],
    /// The operation of the API that shows the same.
    pub(crate) operation: &'static str,
    /// Names of the columns that tell one entity from all others.
    pub(crate) keys: &'static [&'static str],
    /// The order in which rows come by themselves: columns, with whether they go down.
    pub(crate) order: &'static [(&'static str, bool)],
    pub(crate) columns: &'static [Column],
}

impl Set {
    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The names of all columns.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.name).collect()
    }

    /// The row of an object as the API shows it.
    pub(crate) fn row(&self, object: &Value) -> Row {
        self.columns.iter().map(|column| Cell::of(column.kind, object.pointer(column.at))).collect()
    }
}

/// Every set, in the order of the service document.
pub(crate) static ALL: [&Set; 4] = [&KEYS, &USERS, &KEY_USAGE, &AUDIT_EVENTS];

/// The set of a name.
pub(crate) fn find(name: &str) -> Option<&'static Set> {
    ALL.into_iter().find(|set| set.name == name)
}

static KEYS: Set = Set {
    name: "Keys",
    entity: "Key",
    source: Source::Keys,
    rights: &["keys:read", "me/keys:read"],
    operation: "list_keys",
    keys: &["Id"],
    order: &[("Id", false)],
    columns: &[
        always(text("Id", "/id")),
        always(text("AccessKey", "/access_key")),
        always(text("Label", "/label")),
        always(text("Class", "/class")),
        always(text("Status", "/status")),
        text("StatusCause", "/status_cause"),
        text("OwnerId", "/owner_id"),
        text("OwnerName", "/owner_username"),
        text("Scopes", "/scopes"),
        text("RoleIds", "/role_ids"),
        text("GroupIds", "/group_ids"),
        always(truth("HasAdminRights", "/has_admin_rights")),
        always(time("CreatedAt", "/created_at")),
        always(text("CreatedBy", "/created_by")),
        always(time("UpdatedAt", "/updated_at")),
        always(text("UpdatedBy", "/updated_by")),
        time("NotBefore", "/not_before"),
        time("ExpiresAt", "/expires_at"),
        always(truth("NeverExpires", "/never_expires")),
        time("LastUsedAt", "/last_used_at"),
        time("RevokedAt", "/revoked_at"),
        text("RevokedBy", "/revoked_by"),
        text("RevokedReason", "/revoked_reason"),
        time("ExposedAt", "/exposed_at"),
        number("IdleSeconds", "/idle_seconds"),
        number("CreditsGranted", "/credits/granted"),
        number("CreditsRemaining", "/credits/remaining"),
        always(truth("Canary", "/canary")),
        always(truth("AwaitsApproval", "/awaits_approval")),
        time("ApprovedAt", "/approved_at"),
        text("ApprovedBy", "/approved_by"),
        time("RotatesAt", "/rotation/next_at"),
        text("ImportedFrom", "/imported/source"),
        number("SecretGeneration", "/newest_secret/generation"),
        time("SecretCreatedAt", "/newest_secret/created_at"),
        always(number("Version", "/version")),
    ],
};

static USERS: Set = Set {
    name: "Users",
    entity: "User",
    source: Source::Users,
    rights: &["users:read"],
    operation: "list_users",
    keys: &["Id"],
    order: &[("Id", false)],
    columns: &[
        always(text("Id", "/id")),
        always(text("Username", "/username")),
        text("Email", "/email"),
        text("DisplayName", "/display_name"),
        always(text("State", "/state")),
        always(text("Origin", "/origin")),
        text("RoleIds", "/role_ids"),
        text("GroupIds", "/group_ids"),
        text("Rights", "/rights"),
        time("LastLoginAt", "/last_login_at"),
        number("OwnerLoginWindowMinutes", "/owner_login_window_minutes"),
        always(truth("TrustedTokens", "/trusted_tokens")),
        number("CreditsGranted", "/credits/granted"),
        number("CreditsRemaining", "/credits/remaining"),
        always(number("KeyCount", "/key_count")),
        always(time("CreatedAt", "/created_at")),
        always(text("CreatedBy", "/created_by")),
        always(time("UpdatedAt", "/updated_at")),
        time("SuspendedAt", "/suspended_at"),
        text("SuspendedReason", "/suspended_reason"),
        always(number("Version", "/version")),
    ],
};

static KEY_USAGE: Set = Set {
    name: "KeyUsage",
    entity: "KeyUsageHour",
    source: Source::KeyUsage,
    rights: &["keys:read", "me/keys:read"],
    operation: "show_key_usage",
    keys: &["KeyId", "Hour", "Outcome"],
    order: &[("KeyId", false), ("Hour", false), ("Outcome", false)],
    columns: &[
        always(text("KeyId", "/key_id")),
        always(time("Hour", "/hour")),
        always(text("Outcome", "/outcome")),
        always(number("Uses", "/count")),
    ],
};

static AUDIT_EVENTS: Set = Set {
    name: "AuditEvents",
    entity: "AuditEvent",
    source: Source::AuditEvents,
    rights: &["audit:read"],
    operation: "list_audit_events",
    keys: &["Id"],
    order: &[("Seq", true)],
    columns: &[
        always(text("Id", "/id")),
        always(number("Seq", "/seq")),
        always(time("At", "/at")),
        always(text("Action", "/action")),
        always(text("Outcome", "/outcome")),
        text("Reason", "/reason"),
        always(text("ActorKind", "/actor/kind")),
        always(text("ActorId", "/actor/id")),
        text("ActorLabel", "/actor/label"),
        text("KeyId", "/key_id"),
        number("SecretGeneration", "/secret_generation"),
        always(text("TargetKind", "/target/kind")),
        always(text("TargetId", "/target/id")),
        text("TargetLabel", "/target/label"),
        text("RequestId", "/request_id"),
        text("Address", "/address"),
        text("Agent", "/agent"),
    ],
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sq_9_names_are_told_once_and_keys_and_order_are_columns() {
        for set in ALL {
            let mut names = set.names();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), set.columns.len(), "{}", set.name);
            for name in set.keys.iter().chain(set.order.iter().map(|(name, _)| name)) {
                let at = set.column(name).expect("a column");
                assert!(set.columns[at].required, "{}", set.name);
            }
        }
    }

    #[test]
    fn sq_9_no_column_could_hold_a_secret() {
        for set in ALL {
            for column in set.columns {
                for part in ["hash", "hint", "pepper", "/secret", "token"] {
                    let harmless = matches!(column.at, "/secret_generation" | "/trusted_tokens");
                    assert!(harmless || !column.at.contains(part), "{}.{}", set.name, column.name);
                }
            }
        }
    }

    #[test]
    fn sq_9_cells_are_read_by_their_kind() {
        let object =
            json!({ "a": ["x", "y:z"], "b": 7, "c": "2027-01-31T12:00:00.000Z", "d": true, "e": null });
        let of = |kind, at: &str| Cell::of(kind, object.pointer(at));
        assert_eq!(of(Kind::Text, "/a"), Cell::Text("x y:z".into()));
        assert_eq!(of(Kind::Number, "/b"), Cell::Number(7));
        assert_eq!(of(Kind::Time, "/c"), Cell::Time(1_801_396_800_000));
        assert_eq!(of(Kind::Truth, "/d"), Cell::Truth(true));
        assert_eq!([of(Kind::Text, "/e"), of(Kind::Text, "/f/g")], [Cell::Null, Cell::Null]);
        assert_eq!(
            serde_json::to_string(&of(Kind::Time, "/c")).expect("text"),
            "\"2027-01-31T12:00:00.000Z\""
        );
    }
}
