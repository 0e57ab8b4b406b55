//! What is asked of `/v1/verify` and its batch (`api.md` 11): read without copying, since it comes
//! often, and checked whole before anything is spent.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;
use keyward_core::decide;
use keyward_core::right::Right;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::http::caller::MAX_AGENT;
use crate::verify::Presented;
use crate::verify::usage::Sighting;

/// Rights asked for in one verification, at most.
const MAX_RIGHTS: usize = 32;
/// Verifications in one batch, at most.
const MAX_BATCH: usize = 100;

/// Text of a request body, borrowed from it unless it holds escapes.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// What to verify.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VerifyIn<'a> {
    /// The secret as it was presented.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub(crate) credential: Option<Text<'a>>,
    /// Or the pair: the public half …
    #[schema(value_type = Option<String>)]
    pub(crate) access_key: Option<Text<'a>>,
    /// … and the secret.
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<Text<'a>>,
    /// Rights that must all be held, as in `models/emea:read`.
    #[schema(value_type = Vec<String>)]
    pub(crate) rights: Vec<Text<'a>>,
    /// HTTP method of the request that the key came with.
    #[schema(value_type = Option<String>)]
    pub(crate) method: Option<Text<'a>>,
    /// Its path, without query.
    #[schema(value_type = Option<String>)]
    pub(crate) path: Option<Text<'a>>,
    /// The end client's address.
    #[schema(value_type = Option<String>)]
    pub(crate) client_ip: Option<IpAddr>,
    /// Who asks, as it stands in `aud`: an access token for others is refused.
    #[schema(value_type = Option<String>)]
    pub(crate) audience: Option<Text<'a>>,
    /// What the end client calls itself.
    #[schema(value_type = Option<String>)]
    pub(crate) user_agent: Option<Text<'a>>,
    /// Units to spend from limits and credits; 1 unless given.
    pub(crate) cost: Option<u32>,
    /// Tell every check with its outcome; needs the right `verify:explain`.
    pub(crate) explain: bool,
}

/// Many verifications.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchIn<'a> {
    /// 1 to 100.
    #[serde(borrow)]
    pub(crate) requests: Vec<VerifyIn<'a>>,
}

/// A question that was found to be in order.
pub(super) struct Question<'a> {
    input: &'a VerifyIn<'a>,
    pub(super) presented: Presented<'a>,
    rights: Vec<Right>,
    method: Option<Cow<'a, str>>,
}

impl<'a> Question<'a> {
    /// Checks what stands at `place`, a JSON pointer.
    ///
    /// # Errors
    /// `Error::Malformed` and `Error::Invalid` with the place of the first fault; forbidden when an
    /// explanation is asked for that the caller may not have.
    pub(super) fn check(input: &'a VerifyIn<'a>, place: &str, may_explain: bool) -> Result<Self> {
        let presented = match (&input.credential, &input.access_key, &input.secret) {
            (Some(credential), None, None) => Presented::Secret(credential),
            (None, Some(access_key), Some(secret)) => Presented::Pair(access_key, secret),
            _ => {
                return Err(Error::malformed(
                    &format!("{place}/credential"),
                    "required",
                    "give credential, or access_key and secret",
                ));
            }
        };
        if input.explain && !may_explain {
            return Err(Error::forbidden("insufficient_rights", "explain needs the right verify:explain"));
        }
        let rights = rights(&input.rights, place)?;
        Ok(Self { input, presented, rights, method: input.method.as_deref().map(upper_case) })
    }

    /// Checks a whole batch, so that nothing is spent on one that is refused.
    ///
    /// # Errors
    /// As for one; the place names the request.
    pub(super) fn check_all(input: &'a BatchIn<'a>, may_explain: bool) -> Result<Vec<Self>> {
        if input.requests.is_empty() || input.requests.len() > MAX_BATCH {
            return Err(Error::invalid("/requests", "bad_length", format!("send 1 to {MAX_BATCH} requests")));
        }
        let mut place = String::new();
        let check = |(number, request): (usize, &'a VerifyIn<'a>)| {
            use std::fmt::Write as _;
            place.clear();
            let _ = write!(place, "/requests/{number}");
            Self::check(request, &place, may_explain)
        };
        input.requests.iter().enumerate().map(check).collect()
    }

    /// As the decision takes it.
    pub(super) fn request(&self) -> decide::Request<'_> {
        decide::Request {
            rights: &self.rights,
            method: self.method.as_deref(),
            path: self.input.path.as_deref(),
            address: self.input.client_ip,
            audience: self.input.audience.as_deref(),
            cost: self.input.cost.unwrap_or(1),
        }
    }

    pub(super) fn sighting(&self) -> Sighting<'_> {
        let agent = self.input.user_agent.as_deref();
        let agent = agent.and_then(|agent| agent.get(..agent.len().min(MAX_AGENT)));
        // It is kept and shown: what stands behind a control character could forge a line.
        let agent = agent.and_then(|agent| agent.split(char::is_control).next());
        Sighting { address: self.input.client_ip, agent }
    }

    pub(super) fn wants_explanation(&self) -> bool {
        self.input.explain
    }
}

fn upper_case(method: &str) -> Cow<'_, str> {
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Cow::Owned(method.to_ascii_uppercase());
    }
    Cow::Borrowed(method)
}

fn rights(texts: &[Text<'_>], place: &str) -> Result<Vec<Right>> {
    if texts.len() > MAX_RIGHTS {
        let detail = format!("at most {MAX_RIGHTS} rights");
        return Err(Error::invalid(&format!("{place}/rights"), "too_many", detail));
    }
    let read = |(number, text): (usize, &Text<'_>)| {
        text.parse().map_err(|why: keyward_core::right::InvalidRight| {
            Error::invalid(&format!("{place}/rights/{number}"), "bad_right", why.to_string())
        })
    };
    texts.iter().enumerate().map(read).collect()
}

/// Fast where the body is as it should be; the strict reader finds the words for what is not.
pub(crate) fn read<'de, T: Deserialize<'de>>(headers: &HeaderMap, body: &'de [u8]) -> Result<T> {
    let json = headers.get(http::header::CONTENT_TYPE).is_none_or(|kind| {
        kind.as_bytes().get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/json"))
    });
    if !json {
        return Err(Error::Http {
            status: 415,
            code: "unsupported_media_type",
            detail: "send the body as Content-Type: application/json".into(),
        });
    }
    serde_json::from_slice(body).or_else(|_| crate::http::json::parse(body))
}
