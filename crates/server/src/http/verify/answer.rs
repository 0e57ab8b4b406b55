//! The answers of `/v1/verify`, written by hand: this is the hottest JSON there is. The shapes say
//! what they are, and a test holds both together.

use keyward_core::decide::{Decision, Step};
use keyward_core::id::{KeyId, SessionId, TenantId, UserId};
use keyward_core::key::KeyClass;
use keyward_core::token::AccessKey;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use smallvec::SmallVec;
use utoipa::ToSchema;

use crate::clock::Moment;
use crate::http::limits::{self, CreditOut, LimitOut};
use crate::verify::facts::TenantRecord;
use crate::verify::tokens::{FoundToken, Origin, Subject};
use crate::verify::{Found, Verified};

/// The answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerifyOut<'a> {
    pub(crate) valid: bool,
    /// `ok`, or the reason.
    pub(crate) code: &'static str,
    /// The key, or that which the session came from; `null` for a session that a password began.
    pub(crate) key: Option<KeyRef<'a>>,
    /// Only there when the credential is the token of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<SessionRef>,
    pub(crate) principal: Option<PrincipalRef<'a>>,
    pub(crate) tenant: Option<TenantRef<'a>>,
    /// Present when an access token was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<TokenRef<'a>>,
    /// What the key may do; empty when it is not valid.
    #[schema(value_type = Vec<String>)]
    pub(crate) rights: &'a RawValue,
    #[schema(value_type = Option<String>)]
    pub(crate) expires_at: Option<Moment>,
    #[schema(value_type = Vec<LimitOut>)]
    pub(crate) limits: limits::After<'a>,
    /// Credits of the key and of its owner, only there when they are counted.
    #[serde(skip_serializing_if = "SmallVec::is_empty")]
    #[schema(value_type = Option<Vec<CreditOut>>)]
    pub(crate) credits: limits::CreditsLeft,
    /// When to ask again: only there when limits or credits are used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_seconds: Option<u64>,
    /// How long this answer may be kept.
    pub(crate) cache_ttl_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) explain: Option<Vec<Step>>,
}

/// The key behind the credential.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyRef<'a> {
    #[schema(value_type = String)]
    pub(crate) id: KeyId,
    #[schema(value_type = String)]
    pub(crate) access_key: AccessKey,
    #[schema(value_type = String)]
    pub(crate) class: KeyClass,
    pub(crate) label: &'a str,
}

/// The session behind the credential.
#[derive(Serialize, ToSchema)]
#[schema(as = VerifiedSession)]
pub(crate) struct SessionRef {
    #[schema(value_type = String)]
    pub(crate) id: SessionId,
    /// `password` or `key`.
    pub(crate) method: &'static str,
}

/// Who the credential speaks for.
#[derive(Serialize, ToSchema)]
pub(crate) struct PrincipalRef<'a> {
    /// `user` or `workspace`.
    pub(crate) kind: &'static str,
    #[schema(value_type = String)]
    pub(crate) id: PrincipalId,
    pub(crate) username: Option<&'a str>,
}

/// A user, or a key that speaks for the workspace.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum PrincipalId {
    User(UserId),
    Key(KeyId),
}

impl PrincipalId {
    /// Writes the text into a buffer on the stack and hands it on.
    pub(crate) fn with_text<T>(self, hand_on: impl FnOnce(&str) -> T) -> T {
        match self {
            Self::User(id) => id.with_text(hand_on),
            Self::Key(id) => id.with_text(hand_on),
        }
    }
}

/// The tenant of the key.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantRef<'a> {
    #[schema(value_type = String)]
    pub(crate) id: TenantId,
    pub(crate) slug: &'a str,
    pub(crate) number: i64,
}

/// The access token itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenRef<'a> {
    pub(crate) id: &'a str,
    /// What asked for it: `trusted_…`, or the `kwa_…` of a key.
    pub(crate) client_id: &'a str,
    /// Who really acts, if that is not the principal.
    pub(crate) actor: Option<&'a str>,
    /// Who may accept it.
    pub(crate) audience: &'a [String],
    /// What its issuer was asked to pass on.
    #[schema(value_type = Object)]
    pub(crate) claims: &'a Map<String, Value>,
}

/// The shape of an answer.
pub(crate) fn shape(verified: &Verified, explain: Option<Vec<Step>>) -> VerifyOut<'_> {
    let (code, expires_at, cache_ttl_seconds) = match verified.decision {
        Decision::Allow { expires_at, cache_seconds, .. } => ("ok", expires_at, cache_seconds),
        Decision::Deny { code, .. } => (code.public(), None, 0),
    };
    let valid = code == "ok";
    if let Some(token) = &verified.token {
        return of_token(token, verified, (code, expires_at, cache_ttl_seconds), explain);
    }
    let found = verified.found.as_ref();
    VerifyOut {
        valid,
        code,
        key: found.and_then(key_ref),
        session: found
            .and_then(|found| found.session.as_ref())
            .map(|session| SessionRef { id: session.id, method: session.method.as_str() }),
        principal: found.and_then(principal),
        tenant: found.map(|found| tenant_ref(&found.tenant)),
        token: None,
        rights: found.filter(|_| valid).map_or(nothing(), |found| &*found.effective.json),
        expires_at: expires_at.map(Moment),
        limits: found.map(|found| limits::after(found, &verified.decision)).unwrap_or_default(),
        credits: found.map(limits::credits).unwrap_or_default(),
        retry_after_seconds: retry_after(&verified.decision),
        cache_ttl_seconds,
        explain,
    }
}

fn of_token<'a>(
    found: &'a FoundToken,
    verified: &'a Verified,
    (code, expires_at, cache_ttl_seconds): (&'static str, Option<i64>, u32),
    explain: Option<Vec<Step>>,
) -> VerifyOut<'a> {
    let behind = match &found.origin {
        Origin::Key(key) => Some(key),
        Origin::Trusted { .. } => None,
    };
    let claims = &found.checked.claims;
    VerifyOut {
        valid: code == "ok",
        code,
        key: behind.and_then(key_ref),
        session: None,
        principal: Some(token_principal(found)),
        tenant: Some(tenant_ref(&found.tenant)),
        token: Some(TokenRef {
            id: &claims.jti,
            client_id: &claims.client_id,
            actor: claims.act.as_ref().map(|act| act.sub.as_str()),
            audience: &claims.aud.0,
            claims: &claims.ext,
        }),
        rights: if code == "ok" { &found.effective.json } else { nothing() },
        expires_at: expires_at.map(Moment),
        limits: behind.map(|key| limits::after(key, &verified.decision)).unwrap_or_default(),
        credits: behind.map(limits::credits).unwrap_or_default(),
        retry_after_seconds: retry_after(&verified.decision),
        cache_ttl_seconds,
        explain,
    }
}

fn retry_after(decision: &Decision) -> Option<u64> {
    match decision {
        Decision::Deny { retry_after_seconds: seconds @ 1.., .. } => Some(*seconds),
        _ => None,
    }
}

fn key_ref(found: &Found) -> Option<KeyRef<'_>> {
    let (access_key, key) = found.key.as_ref()?;
    Some(KeyRef { id: key.id, access_key: *access_key, class: key.terms.class, label: &key.label })
}

fn tenant_ref(tenant: &TenantRecord) -> TenantRef<'_> {
    TenantRef { id: tenant.id, slug: &tenant.slug, number: tenant.number }
}

/// Whom a token speaks for.
pub(crate) fn token_principal(found: &FoundToken) -> PrincipalRef<'_> {
    match found.checked.subject {
        Subject::User(id) => PrincipalRef {
            kind: "user",
            id: PrincipalId::User(id),
            username: found.owner.as_ref().map(|owner| &*owner.username),
        },
        Subject::Key(id) => PrincipalRef { kind: "workspace", id: PrincipalId::Key(id), username: None },
    }
}

/// An empty JSON array.
fn nothing() -> &'static RawValue {
    serde_json::from_str("[]").expect("a constant is JSON")
}

/// User or workspace.
pub(crate) fn principal(found: &Found) -> Option<PrincipalRef<'_>> {
    if let Some(owner) = &found.owner {
        let id = PrincipalId::User(owner.id);
        return Some(PrincipalRef { kind: "user", id, username: Some(&owner.username) });
    }
    let id = PrincipalId::Key(found.key()?.id);
    Some(PrincipalRef { kind: "workspace", id, username: None })
}

impl VerifyOut<'_> {
    /// Writes the JSON that serde would write.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put(out, if self.valid { r#"{"valid":true,"code":""# } else { r#"{"valid":false,"code":""# });
        put(out, self.code);
        match &self.key {
            None => put(out, r#"","key":null"#),
            Some(key) => key.write(out),
        }
        if let Some(session) = &self.session {
            session.write(out);
        }
        match &self.principal {
            None => put(out, r#","principal":null"#),
            Some(principal) => principal.write(out),
        }
        match &self.tenant {
            None => put(out, r#","tenant":null"#),
            Some(tenant) => tenant.write(out),
        }
        if let Some(token) = &self.token {
            put(out, r#","token":"#);
            serde_json::to_writer(&mut *out, token).expect("writing into memory never fails");
        }
        put(out, r#","rights":"#);
        put(out, self.rights.get());
        match self.expires_at {
            None => put(out, r#","expires_at":null"#),
            Some(at) => {
                put(out, r#","expires_at":""#);
                at.with_text(|text| put(out, text));
                put(out, "\"");
            }
        }
        self.write_limits(out);
        if !self.credits.is_empty() {
            put(out, r#","credits":"#);
            serde_json::to_writer(&mut *out, &self.credits).expect("writing into memory never fails");
        }
        if let Some(seconds) = self.retry_after_seconds {
            put(out, r#","retry_after_seconds":"#);
            number(out, seconds);
        }
        put(out, r#","cache_ttl_seconds":"#);
        number(out, self.cache_ttl_seconds);
        if let Some(steps) = &self.explain {
            put(out, r#","explain":"#);
            serde_json::to_writer(&mut *out, steps).expect("writing into memory never fails");
        }
        put(out, "}");
    }

    fn write_limits(&self, out: &mut Vec<u8>) {
        put(out, r#","limits":["#);
        for (place, limit) in self.limits.iter().enumerate() {
            put(out, if place == 0 { r#"{"name":"# } else { r#",{"name":"# });
            string(out, limit.name);
            put(out, r#","limit":"#);
            number(out, limit.limit);
            put(out, r#","remaining":"#);
            number(out, limit.remaining);
            put(out, r#","reset_seconds":"#);
            number(out, limit.reset_seconds);
            put(out, "}");
        }
        put(out, "]");
    }
}

impl KeyRef<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, r#"","key":{"id":""#);
        self.id.with_text(|id| put(out, id));
        put(out, r#"","access_key":"kwa_"#);
        put(out, self.access_key.digits());
        put(out, r#"","class":""#);
        put(out, self.class.as_str());
        put(out, r#"","label":"#);
        string(out, self.label);
        put(out, "}");
    }
}

impl SessionRef {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, r#","session":{"id":""#);
        self.id.with_text(|id| put(out, id));
        put(out, r#"","method":""#);
        put(out, self.method);
        put(out, r#""}"#);
    }
}

impl PrincipalRef<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, r#","principal":{"kind":""#);
        put(out, self.kind);
        put(out, r#"","id":""#);
        self.id.with_text(|id| put(out, id));
        match self.username {
            None => put(out, r#"","username":null}"#),
            Some(username) => {
                put(out, r#"","username":"#);
                string(out, username);
                put(out, "}");
            }
        }
    }
}

impl TenantRef<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, r#","tenant":{"id":""#);
        self.id.with_text(|id| put(out, id));
        put(out, r#"","slug":"#);
        string(out, self.slug);
        put(out, r#","number":"#);
        number(out, self.number);
        put(out, "}");
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    put(out, itoa::Buffer::new().format(value));
}

/// A JSON string; most names need no escapes.
fn string(out: &mut Vec<u8>, text: &str) {
    let escaped = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, |so_far, byte| so_far | escaped(byte)) {
        serde_json::to_writer(out, text).expect("writing into memory never fails");
        return;
    }
    put(out, "\"");
    put(out, text);
    put(out, "\"");
}

#[cfg(test)]
mod tests {
    use keyward_core::decide::Code;
    use proptest::prelude::*;

    use super::*;

    fn same(out: &VerifyOut<'_>) {
        let mut written = Vec::new();
        out.write(&mut written);
        let serde = serde_json::to_string(out).expect("a shape is JSON");
        assert_eq!(String::from_utf8_lossy(&written), serde);
    }

    #[test]
    fn a_refusal_is_written_as_its_shape_says() {
        for explain in [None, Some(vec![]), Some(vec![Step { check: Code::Revoked, passed: false }])] {
            same(&VerifyOut {
                valid: false,
                code: "invalid_key",
                key: None,
                session: None,
                principal: None,
                tenant: None,
                token: None,
                rights: nothing(),
                expires_at: None,
                limits: limits::After::new(),
                credits: limits::CreditsLeft::new(),
                retry_after_seconds: Some(7),
                cache_ttl_seconds: 0,
                explain,
            });
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_written_as_its_shape_says(
            name in any::<String>(), label in ".{0,12}", id: u128, at in 0_i64..4_102_444_800_000, count in 0_usize..3,
            is_user: bool, explained: bool, number: i64,
        ) {
            let (audience, claims) = (vec![label.clone()], Map::from_iter([(name.clone(), Value::from(number))]));
            let refills_at = explained.then_some(Moment(at));
            let credit = || CreditOut { of: "owner", granted: number, remaining: at, refills_at };
            let limit = || LimitOut { name: &name, limit: 7, remaining: id as u32, reset_seconds: id as u64 };
            let user = PrincipalRef { kind: "user", id: PrincipalId::User(UserId::from_u128(id)), username: Some(&name) };
            let key = PrincipalRef { kind: "workspace", id: PrincipalId::Key(KeyId::from_u128(id)), username: None };
            same(&VerifyOut {
                valid: true,
                code: "ok",
                key: Some(KeyRef {
                    id: KeyId::from_u128(id),
                    access_key: AccessKey::from_digits("0123456789abcDEF").expect("16 digits"),
                    class: KeyClass::Ingest,
                    label: &label,
                }),
                session: is_user.then(|| SessionRef { id: SessionId::from_u128(id), method: "password" }),
                principal: Some(if is_user { user } else { key }),
                tenant: Some(TenantRef { id: TenantId::from_u128(id), slug: &label, number }),
                token: explained.then(|| TokenRef {
                    id: &name,
                    client_id: &label,
                    actor: is_user.then_some(&name),
                    audience: &audience,
                    claims: &claims,
                }),
                rights: serde_json::from_str(r#"["a:b"]"#).expect("JSON"),
                expires_at: Some(Moment(at)),
                limits: (0..count).map(|_| limit()).collect(),
                credits: (0..count).map(|_| credit()).collect(),
                retry_after_seconds: None,
                cache_ttl_seconds: id as u32,
                explain: None,
            });
        }
    }
}
