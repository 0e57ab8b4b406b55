//! What clients send and get about found credentials.

use keyward_core::key::{KeyClass, Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finds::{Find, What};

/// A text in which credentials may stand. It is neither kept nor logged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentifyIn {
    /// The found string, or a whole file up to the limit of a body.
    pub(crate) text: String,
}

/// What stands in a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentifyOut {
    /// In the order of the text, each once, 100 at most.
    pub(crate) found: Vec<FoundOut>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// A credential in a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundOut {
    /// `member_key`, `workspace_key`, `ingest_key`, `trusted_secret`, `session`, `password_link`, `login_challenge`,
    /// `setup_token`, `access_key` (public, no secret), `access_token`, `other_key` (a prefix that is unknown here),
    /// `imported_key` (brought along from elsewhere) or `foreign`.
    pub(crate) kind: &'static str,
    /// What people call it.
    pub(crate) name: &'static str,
    /// The class of the key that the prefix claims.
    #[schema(value_type = Option<String>)]
    pub(crate) class: Option<KeyClass>,
    /// What it begins with and its last four characters: more of it is never told.
    pub(crate) hint: String,
    /// The line it stands in, from 1.
    pub(crate) line: usize,
    /// `right`, `wrong` (damaged or made up), or `null` where there is none.
    pub(crate) checksum: Option<&'static str>,
    /// The public half of the key; `null` unless the checksum is right.
    pub(crate) access_key: Option<String>,
    /// `live`, `retired` (by a rotation) or `not_its_secret`; `null` when the key is not known to you.
    pub(crate) secret: Option<&'static str>,
    /// The key, if it is one of your tenant that you may see.
    pub(crate) key: Option<FoundKey>,
    /// What to make of it, for people.
    pub(crate) advice: String,
    /// What can be done about it.
    pub(crate) links: Vec<Link>,
}

/// The key behind a find.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundKey {
    pub(crate) id: String,
    pub(crate) label: String,
    #[schema(value_type = String)]
    pub(crate) class: KeyClass,
    #[schema(value_type = String)]
    pub(crate) status: Status,
    pub(crate) owner_id: Option<String>,
    pub(crate) owner_username: Option<String>,
    pub(crate) created_at: String,
    pub(crate) expires_at: Option<String>,
    pub(crate) revoked_at: Option<String>,
    pub(crate) last_used_at: Option<String>,
    /// It is a trap: somebody has it who should not.
    pub(crate) canary: bool,
}

/// A request that can be sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Link {
    /// `show`, `usage`, `revoke`, `deactivate`, `rotate`.
    pub(crate) rel: &'static str,
    pub(crate) method: &'static str,
    pub(crate) href: String,
}

impl FoundOut {
    /// What can be told without asking anybody.
    pub(crate) fn offline(find: &Find<'_>) -> Self {
        let (kind, name) = match &find.what {
            What::Own { kind: Some(kind), .. } => (kind.name, kind.title),
            What::Own { kind: None, .. } => ("other_key", "Keyward key with a prefix that is unknown here"),
            What::AccessKey(_) => ("access_key", "Keyward access key"),
            What::Foreign(foreign) => ("foreign", foreign.name),
            What::Word => ("foreign", "credential"),
        };
        let (class, checksum, access_key) = match &find.what {
            What::Own { class, access_key, .. } => {
                (*class, Some(if access_key.is_some() { "right" } else { "wrong" }), *access_key)
            }
            What::AccessKey(access_key) => (None, None, Some(*access_key)),
            What::Foreign(_) | What::Word => (None, None, None),
        };
        let is_key = matches!(&find.what, What::AccessKey(_)) || kind.ends_with("_key");
        Self {
            kind,
            name,
            class,
            hint: find.hint(),
            line: find.line,
            checksum,
            access_key: access_key.filter(|_| is_key).map(|key| key.to_string()),
            secret: None,
            key: None,
            advice: match &find.what {
                What::Foreign(foreign) if foreign.is_jwt() => "its payload tells in iss whose it is".into(),
                _ => advice(kind, checksum).into(),
            },
            links: Vec::new(),
        }
    }
}

fn advice(kind: &str, checksum: Option<&str>) -> &'static str {
    match (kind, checksum) {
        (_, Some("wrong")) => {
            "written like a Keyward credential, but damaged or made up: the checksum is wrong"
        }
        ("foreign", _) => "not ours: end it where it was made",
        ("access_key", _) => "public, no secret: it opens nothing",
        ("session", _) => "end it: log out, or end the sessions of the user",
        ("password_link", _) => "start another reset of the password, which makes this link void",
        ("login_challenge", _) => "good for five minutes and only with a second factor",
        ("setup_token", _) => "good for an hour and until the instance is set up",
        ("trusted_secret", _) => "whoever has it acts for all users: rotate or disable it under /v1/trusted",
        _ => "the checksum holds; whether there is such a key, its own server knows",
    }
}
