//! The catalogue of problem codes, and the page that each `type` leads to. Served offline.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};

use super::problem::Problem;
use crate::error::Error;

/// Code, status, title, explanation with what to do.
type Entry = (&'static str, u16, &'static str, &'static str);

/// Every code that the server tells.
#[rustfmt::skip]
pub(crate) const CATALOGUE: &[Entry] = &[
    ("malformed_request", 400, "The request cannot be understood", "The body or a parameter is not what this operation takes. Each entry of errors names the place by a JSON pointer or a parameter name."),
    ("ambiguous_request", 400, "The request can be read in two ways", "Framing, path or headers could mean different things to different servers. Send one Content-Length or one Transfer-Encoding, and a path without dot segments, empty segments, encoded slashes and semicolons."),
    ("multiple_credentials", 400, "More than one credential", "Send the key once: in Authorization or in X-API-Key."),
    ("credential_in_url", 400, "A key in the URL", "URLs end up in logs and histories. Send the key in the Authorization header. The key was marked as exposed: replace it."),
    ("no_credential", 401, "No credential", "Send a key: Authorization: Bearer <secret>, or Basic with access key and secret."),
    ("invalid_key", 401, "The credential is not valid", "There is no such key, or the secret is not its own. Check that the whole secret was copied."),
    ("invalid_login", 401, "Name and password do not fit", "There is no such user, the password is another one, or this user cannot log in with a password. Nobody is told which; administrators find it in the audit log."),
    ("login_locked", 401, "Locked after a hundred failures", "An administrator can unlock the name or start a reset of the password. Keys and running sessions of the user go on."),
    ("second_factor_required", 401, "A second factor is needed", "The password is right, and the user has a second factor. Send challenge and a code, a recovery code or what a passkey answers to passkey.options, to POST /v1/auth/login/factor within 5 minutes; a step-up takes the code itself."),
    ("invalid_challenge", 401, "The challenge does not work", "It lives 5 minutes and works once, and ends with the sessions of the user. Log in again."),
    ("invalid_code", 401, "The code is not valid", "It is another one, it was used before, or it is not of now: each works once, and within 30 seconds of its time. Is the clock of the device right? A recovery code works too."),
    ("invalid_passkey", 401, "The passkey is not accepted", "It is not known, of another site or user, was answered to another challenge or too late, or did not make sure who holds it. Ask for new options, and try again; administrators find the reason in the audit log."),
    ("factor_locked", 401, "Locked after a hundred wrong codes", "An administrator can unlock the user. The other kind of code (of an authenticator, or a recovery code), keys and running sessions go on."),
    ("invalid_link", 401, "The link does not work", "It lives one hour and works once, and a newer one makes it void. Ask an administrator for another."),
    ("invalid_setup_token", 401, "The setup token is not valid", "It lives one hour and works once. Restart the server for a new one; it stands in the file setup-token in the data directory."),
    ("invalid_signature", 401, "The signature does not fit", "An alert of GitHub's secret scanning names its key in Github-Public-Key-Identifier and carries the signature of its body in Github-Public-Key-Signature. Is that key in the file of leaks.github.keys_file?"),
    ("invalid_trusted_secret", 401, "The trusted secret is not valid", "There is no such secret: trusted authentication was never enabled here, or the whole secret was not copied. An administrator enables it and copies the secret."),
    ("trusted_disabled", 401, "Trusted authentication is off", "The secret was disabled and never comes back, or the operator has switched the feature off. Enable trusted authentication again for a new one."),
    ("wrong_audience", 401, "The token is for somebody else", "Its audience does not hold this server. Ask for a token without an audience, or for one that holds it."),
    ("no_user", 403, "Not a user", "Only users have this. Use a session or a member key."),
    ("browser_call", 403, "Not from a browser", "The request has marks of a browser (Origin, Sec-Fetch-*, Cookie). A trusted secret must never reach one: ask for tokens from your server. If the secret was in a page, rotate it."),
    ("subject_not_active", 403, "The user is suspended", "Tokens are made for active users of active tenants."),
    ("minting_forbidden", 403, "No tokens of this user", "An administrator has forbidden trusted secrets to ask for tokens of this user (trusted_tokens)."),
    ("above_ceiling", 403, "Above the ceiling of the secret", "User, rights, audience or group lie beyond what this trusted secret may give. Its ceiling can be seen and changed under /v1/trusted."),
    ("token_cannot_manage", 403, "A token manages nothing", "Access tokens are for your own API. Keys, users, roles and secrets are managed with a key or a login."),
    ("password_login_off", 403, "No login with a password here", "The operator has switched it off by login.passwords. Keys work as before."),
    ("not_a_session", 403, "Not a session", "This is about the session that asks. Log in, and send the token of the session."),
    ("cross_site", 403, "Asked by another site", "A session in a cookie changes something only for pages of this server: Sec-Fetch-Site must be same-origin, or Origin that of server.public_url."),
    ("not_interactive", 403, "Not for keys", "A key opens no interactive session: it gets no cookie, and its sessions change no password. Log in with user name and password."),
    ("second_factor_missing", 403, "The session lacks its second factor", "The tenant asks this user for a second factor (login.require_second_factor), and the session has none: it may add one under /v1/auth/factors, and nothing else until then. Who has one logs in again."),
    ("step_up_required", 403, "Prove it again", "The last proof of password, secret or second factor is older than 10 minutes, which is too old for this. POST /v1/auth/step-up, and send the new token."),
    ("own_owner", 403, "A key does not log in for its owner", "That an owner logs in is what the key depends on: its own key neither notes a login nor widens the window. Log in, or let somebody else do it."),
    ("own_credits", 403, "A key does not top itself up", "A key spends the credits of its owner and cannot grant them. Log in, or let somebody else do it."),
    ("wrong_class", 403, "This class of key cannot do this", "Ingest keys cannot call the management API. Use a member or workspace key."),
    ("revoked", 401, "Revoked", "A key is revoked for good: ask for a new one. A session was ended: log in again."),
    ("retired_secret", 401, "The secret is retired", "The key was rotated and the overlap is over. Use the newest secret."),
    ("tenant_suspended", 401, "The tenant is suspended", "The operator has suspended the tenant."),
    ("owner_deleted", 401, "The owner is gone", "The user who owned the key was deleted."),
    ("owner_suspended", 401, "The owner is suspended", "An administrator has suspended the owner of the key."),
    ("class_disabled", 401, "This class of key is switched off", "The operator or the tenant has switched off this class of keys, or the way in which the session began."),
    ("inactive", 401, "The key is inactive", "It was switched off. Activate it."),
    ("approval_pending", 401, "Nobody has approved the key yet", "Policy asks for an approval before the first use. Somebody else than its maker and owner who holds keys:approve approves it: keyward approvals list."),
    ("not_yet_valid", 401, "The key is not valid yet", "Its time begins later; see not_before."),
    ("expired", 401, "Expired", "Extend the key, or make a new one. A session ends for good: log in again."),
    ("too_old", 401, "The secret is too old", "Policy bounds the age of a secret. Rotate the key."),
    ("idle", 401, "Idle for too long", "Policy ends keys and sessions that nobody uses. Rotate the key to wake it up, or log in again."),
    ("owner_login_lapsed", 401, "The owner has not logged in lately", "The key works again as soon as its owner logs in."),
    ("owner_keys_disabled", 401, "The owner's keys are unusable", "The owner-login window of this user is 0."),
    ("address_denied", 403, "Not from this address", "The key is bound to networks that the client is not in."),
    ("insufficient_rights", 403, "A right is missing", "The key, its owner or its scopes lack a right that this needs."),
    ("condition_failed", 403, "A condition of the key is not met", "Method, path or resource is not one that the key is for."),
    ("rate_limited", 429, "Too many requests", "Wait for the seconds of Retry-After."),
    ("credits_exhausted", 429, "No credits left", "The key, or its owner, was granted a number of uses and they are spent. `Retry-After` tells when more come by themselves."),
    ("own_approval", 403, "Not one's own", "Nobody approves or rejects a key that they made, changed, rotated or own, themselves or by a key of the workspace that they made. Ask somebody else who holds keys:approve; its maker can revoke it."),
    ("approval_by_key", 403, "A person decides", "Keys of the workspace approve and reject nothing: behind them may be whoever made the key. Log in, or use a member key."),
    ("visitor", 403, "Not for visitors", "Who entered the tenant from another one cannot schedule anything here: apply it at once."),
    ("above_caller", 403, "Above your own rights", "Nobody edits, renews or deletes what may do more than they may."),
    ("rights_exceed_caller", 403, "More than you hold", "Nobody grants rights that they do not hold themselves."),
    ("scope_exceeds_owner", 403, "More than the owner holds", "The scopes of a member key must lie within its owner's rights."),
    ("not_found", 404, "Not found", "There is no such thing, or you may not know that there is."),
    ("method_not_allowed", 405, "Method not allowed", "The Allow header lists the methods of this path."),
    ("body_too_slow", 408, "The body came too slowly", "Send at least a kilobyte a second."),
    ("already_exists", 409, "Already taken", "Another object has this name."),
    ("confusable_name", 409, "Looks like another name", "The name cannot be told from that of another user."),
    ("nothing_waits", 409, "No secret waits", "No secret of this key waits to be handed over. Rotate it with a hand-over."),
    ("job_waiting", 409, "The job waits", "It was not given up and is tried again by itself."),
    ("webhook_disabled", 409, "The webhook is switched off", "Enable it, and replay the delivery then. A test is sent all the same."),
    ("key_revoked", 409, "The key is revoked", "A revoked key cannot be changed or brought back. Make a new one."),
    ("duplicate_credential", 409, "Another key has this credential", "A credential belongs to one key of the instance. The row was left out."),
    ("other_hmac_key", 409, "Another HMAC key", "All requests of one import carry the same hmac_key. Give the other rows a source of their own."),
    ("too_many_imports", 409, "Too many ways to look up", "Imports of one tenant may differ in 32 HMAC keys and lengths of prefixes."),
    ("not_local", 409, "Not a local user", "The user logs in elsewhere and has no password here."),
    ("already_revoked", 409, "Already revoked", "Nothing to do."),
    ("already_set_up", 409, "Already set up", "The instance has an administrator. If the last key is lost, run keyward recover on the server."),
    ("already_enabled", 409, "Enabled already", "A trusted secret of this name is enabled. Copy it, rotate it, or give another name."),
    ("not_deleted", 409, "Not deleted", "Only a user who was deleted can be erased."),
    ("not_enabled", 409, "Not enabled", "Trusted authentication is not enabled, or this secret was disabled. Enable it for a new one."),
    ("cannot_be_undone", 409, "Cannot be undone", "A revocation is for good. Make new keys and hand them over; an incident that deactivates can be undone."),
    ("no_change", 409, "Nothing to change", "It is in this state already."),
    ("not_rotating", 409, "Not rotating", "The key has one live secret only."),
    ("too_many_secrets", 409, "Too many live secrets", "Finish or abort the running rotation first, or disable a trusted secret that nobody uses."),
    ("not_confirmed", 409, "Not confirmed", "Look at the preview, then send the confirmation that it names."),
    ("not_assignable", 409, "Cannot be assigned", "Only users and workspace keys can be in groups."),
    ("stale_draft", 409, "The policy has changed since", "The draft was made from an earlier version of the policy. Rebase it, look at what it would do now, and apply it again."),
    ("too_many_drafts", 409, "Too many drafts", "100 drafts of a tenant may wait. Delete or apply some first."),
    ("built_in", 409, "Built in", "Built-in roles and groups cannot be changed."),
    ("last_administrator", 409, "The last administrator", "A tenant must keep somebody who may do everything: an active user, or a workspace key where there is no such user; and a policy must leave one of their keys working."),
    ("primary_tenant", 409, "The primary tenant", "It cannot be suspended or deleted."),
    ("too_many_factors", 409, "Too many second factors", "Five authenticators and five passkeys at most. Remove one first."),
    ("last_factor", 409, "The last second factor", "The tenant asks this user for a second factor (login.require_second_factor). Add another before you remove this one."),
    ("passkeys_not_set_up", 409, "No passkeys here", "A passkey is for a site: set server.public_url to https:// and the name by which browsers reach the server. Without it, passkeys work where the server listens on a loopback address, at http://localhost."),
    ("no_passkey", 409, "No passkey", "This user has none. Add one under /v1/auth/factors/passkey, or prove the password or a code."),
    ("no_factor", 409, "No second factor", "Recovery codes are for when a second factor is lost. Add one first."),
    ("own_tenant", 409, "Your own tenant", "Leave it before you delete it."),
    ("too_many_peppers", 409, "Too many peppers", "Retire the oldest first."),
    ("pepper_in_use", 409, "The pepper is in use", "Secrets are still hashed under it; force if they may fail."),
    ("current_pepper", 409, "The current pepper", "Rotate before you retire it."),
    ("rotation_pending", 409, "A rotation is under way", "The next signing key is published already and will sign by itself."),
    ("request_in_progress", 409, "Still running", "A request with this Idempotency-Key has not ended yet."),
    ("answer_lost", 409, "Done, the answer is lost", "The request with this Idempotency-Key was carried out, but the server stopped before it could keep the answer. Look for the object in the list."),
    ("stale_version", 412, "Changed since you read it", "Read it again and send the new ETag in If-Match."),
    ("body_too_large", 413, "The body is too large", "Bodies are limited by limits.max_body_bytes, alerts of leaks to 1 MiB, imports to 8 MiB."),
    ("uri_too_long", 414, "The URI is too long", "8192 bytes at most."),
    ("unsupported_media_type", 415, "Unsupported media type", "Send application/json."),
    ("invalid_value", 422, "A value is not acceptable", "Each entry of errors names the place by a JSON pointer."),
    ("policy_violation", 422, "Against the policy", "The member policy names the rule that stands against it."),
    ("quota_exceeded", 422, "Quota exceeded", "The member policy names the quota."),
    ("idempotency_key_reused", 422, "Idempotency-Key reused", "The same key came with another request before."),
    ("headers_too_large", 431, "The headers are too large", "16 KiB and 100 fields at most."),
    ("internal", 500, "Internal error", "Something went wrong on our side. Give the request id to the operator."),
    ("not_set_up", 503, "Not set up yet", "The instance has no administrator. Run keyward bootstrap, or POST /v1/setup with the setup token."),
    ("busy", 503, "Too many logins at once", "All threads that hash passwords are busy, and the queue before them is full. Try again after Retry-After."),
    ("unavailable", 503, "Not available now", "The database cannot be used. Try again after Retry-After."),
];

fn find(code: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.0 == code)
}

/// The title of a code.
pub(crate) fn title(code: &str, status: u16) -> &'static str {
    find(code).map_or_else(
        || http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error"),
        |entry| entry.2,
    )
}

/// The explanation of a code.
pub(crate) fn detail(code: &str) -> &'static str {
    find(code).map_or("", |entry| entry.3)
}

/// `GET /problems`: every code.
pub(crate) async fn index() -> Html<String> {
    let rows: String = CATALOGUE
        .iter()
        .map(|(code, status, title, _)| {
            format!("<li><a href=\"/problems/{code}\"><code>{code}</code></a> ({status}) {title}</li>\n")
        })
        .collect();
    Html(page("Problem codes", &format!("<ul>\n{rows}</ul>")))
}

/// `GET /problems/{code}`: what it means and what to do.
pub(crate) async fn show(Path(code): Path<String>) -> Response {
    match find(&code) {
        Some((code, status, title, detail)) => {
            let body = format!(
                "<p>Code <code>{code}</code>, HTTP status {status}.</p>\n<p>{detail}</p>\n<p><a href=\"/problems\">All codes</a></p>"
            );
            Html(page(title, &body)).into_response()
        }
        None => Problem(Error::NotFound).into_response(),
    }
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title} · Keyward</title></head>\n\
         <body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )
}
