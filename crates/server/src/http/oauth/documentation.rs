//! What the API document says of `/oauth2/*`; all of it is answered before the router.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::openapi::{Operation, shape};
use crate::oauth::introspect::IntrospectionOut;

const TAG: &str = "oauth";

pub(crate) const TOKEN: &str = "/oauth2/token";
pub(crate) const INTROSPECT: &str = "/oauth2/introspect";
pub(crate) const REVOKE: &str = "/oauth2/revoke";

/// What is sent for a token.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "forms are read by name; this is their description")]
pub(crate) struct TokenForm {
    /// `client_credentials`, or that of token exchange.
    grant_type: String,
    /// Rights, separated by blanks; never more than there are.
    scope: Option<String>,
    /// Who shall accept the token; several times for several.
    audience: Option<String>,
    /// The same as a URI (RFC 8707).
    resource: Option<String>,
    /// Seconds; 300 unless given, and never more than policy and parent allow.
    expires_in: Option<i64>,
    /// The id of the key that may exchange the token once more.
    may_act: Option<String>,
    /// How often the token may be used.
    budget: Option<u32>,
    /// Exchange: an access token or the secret of a key.
    subject_token: Option<String>,
    /// Exchange: `urn:ietf:params:oauth:token-type:access_token`.
    subject_token_type: Option<String>,
    /// Unless it comes as Basic: the access key.
    client_id: Option<String>,
    /// And the secret.
    client_secret: Option<String>,
}

/// A token as OAuth tells it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the answer is written elsewhere; this is its description")]
pub(crate) struct TokenAnswer {
    access_token: String,
    /// After an exchange.
    issued_token_type: Option<String>,
    /// `Bearer`.
    token_type: String,
    expires_in: i64,
    scope: String,
}

/// What is sent to look at a token, or to end it.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "forms are read by name; this is their description")]
pub(crate) struct TokenRefForm {
    token: String,
    /// Introspection: who asks, as it stands in `aud`.
    audience: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

const ISSUE: Operation = Operation::act(
    "oauth_token",
    TAG,
    "Get an access token: client credentials, token exchange",
    (shape::<TokenForm>(), r#"{"grant_type": "client_credentials", "scope": "models/**:read"}"#),
    shape::<TokenAnswer>(),
);
const LOOK: Operation = Operation::act(
    "oauth_introspect",
    TAG,
    "What is this token or key worth now?",
    (shape::<TokenRefForm>(), r#"{"token": "not.a.token"}"#),
    shape::<IntrospectionOut>(),
);
const END: Operation = Operation {
    status: 200,
    body: Some((shape::<TokenRefForm>(), r#"{"token": "not.a.token"}"#)),
    ..Operation::plain("oauth_revoke", TAG, "End a token that this client asked for")
};

/// All of it.
pub(crate) const HOT: [(&str, Operation); 3] = [(TOKEN, ISSUE), (INTROSPECT, LOOK), (REVOKE, END)];
