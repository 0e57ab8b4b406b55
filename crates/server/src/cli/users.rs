//! `keyward users`

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, json};

use super::client::Request;
use super::credits::CreditArgs;
use super::expiry::parse_moment;
use super::keys::reason;
use super::noun::{ListArgs, Noun, VersionArgs, print_list, put, put_list, send_change, told};
use super::secret::{SecretArgs, Sink};
use super::{Exit, Global, Outcome, Session, factors, groups, prompt, roles, sessions};

/// Users as the API lists them.
pub(crate) const USERS: Noun = Noun {
    one: "user",
    path: "/v1/users",
    columns: &["username", "state", "email", "key_count", "last_login_at", "origin", "created_at", "id"],
    filters: &["state", "q", "username", "group_id", "role_id"],
    name: Some("username"),
};

/// Users: the people and services that own keys
#[derive(Args, Debug)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Subcommand, Debug)]
enum UsersCommand {
    /// Make a user
    Create(CreateArgs),
    /// List users
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one user with its rights
    Show(UserArgs),
    /// Change name, mail, groups, roles or login window
    Edit(EditArgs),
    /// Stop a user and with it all its keys
    Suspend(SuspendArgs),
    /// Let a suspended user work again
    Resume(UserArgs),
    /// Delete a user and end its keys
    #[command(visible_alias = "rm")]
    Delete(UserArgs),
    /// Erase who a deleted user was, also from the audit log; cannot be undone
    Erase(EraseArgs),
    /// End all keys of a user
    RevokeKeys(RevokeKeysArgs),
    /// Note that the user has logged in elsewhere
    RecordLogin(RecordLoginArgs),
    /// Make a token by which the user sets a password, once and within an hour
    PasswordReset(PasswordResetArgs),
    /// Forget the failed logins of a user
    Unlock(UserArgs),
    /// List the sessions of a user
    Sessions(UserSessionsArgs),
    /// End every session of a user
    EndSessions(UserArgs),
    /// List the second factors of a user
    Factors(UserArgs),
    /// Take every second factor of a user away, for who has lost them; every session ends
    ResetFactors(UserArgs),
}

#[derive(Args, Debug)]
struct UserArgs {
    /// user_… or user name
    user: String,
}

#[derive(Args, Debug)]
struct EraseArgs {
    /// user_…: a deleted user has no name any more
    user: String,
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Name, unique in the tenant
    username: String,
    #[command(flatten)]
    profile: ProfileArgs,
}

#[derive(Args, Debug)]
struct EditArgs {
    /// user_… or user name
    user: String,
    /// New user name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    #[command(flatten)]
    profile: ProfileArgs,
    /// Take away: credits, credit_refill, email, display_name
    #[arg(long, value_name = "FIELD")]
    clear: Vec<String>,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args, Debug)]
struct ProfileArgs {
    /// Mail address
    #[arg(long)]
    email: Option<String>,
    /// Name as people write it
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Role (repeatable; replaces all)
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Group (repeatable; replaces all)
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Keys work this long after a login; -1: the tenant's setting, 0: not at all
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    owner_login_window_minutes: Option<i64>,
    #[command(flatten)]
    credits: CreditArgs,
}

#[derive(Args, Debug)]
struct SuspendArgs {
    /// user_… or user name
    user: String,
    /// Why, for the audit trail
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args, Debug)]
struct RevokeKeysArgs {
    /// user_… or user name
    user: String,
    /// Why, for the audit trail
    #[arg(long)]
    reason: String,
}

#[derive(Args, Debug)]
struct RecordLoginArgs {
    /// user_… or user name
    user: String,
    /// When: RFC 3339 or YYYY-MM-DD (default: now)
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: Option<Timestamp>,
}

#[derive(Args, Debug)]
struct PasswordResetArgs {
    /// user_… or user name
    user: String,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
struct UserSessionsArgs {
    /// user_… or user name
    user: String,
    #[command(flatten)]
    list: ListArgs,
}

/// Runs `keyward users`.
pub(crate) async fn run(args: UsersArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        UsersCommand::Create(args) => {
            let mut body = args.profile.body(session).await?;
            put(&mut body, "username", Some(args.username));
            USERS.create(session, body).await
        }
        UsersCommand::List(args) => USERS.list(session, &args).await,
        UsersCommand::Show(args) => USERS.show(session, &args.user).await,
        UsersCommand::Edit(args) => {
            let mut patch = args.profile.body(session).await?;
            put(&mut patch, "username", args.username);
            for field in args.clear {
                patch.insert(field, serde_json::Value::Null);
            }
            USERS.edit(session, &args.user, patch, &args.version).await
        }
        UsersCommand::Suspend(args) => {
            prompt::confirm(session, &format!("Suspend {} and all its keys?", args.user))?;
            USERS.act(session, &args.user, "suspend", reason(args.reason), "suspended").await
        }
        UsersCommand::Resume(args) => USERS.act(session, &args.user, "resume", Map::new(), "resumed").await,
        UsersCommand::Delete(args) => USERS.delete(session, &args.user).await,
        UsersCommand::Erase(args) => erase(session, &args.user).await,
        UsersCommand::RevokeKeys(args) => revoke_keys(session, args).await,
        UsersCommand::RecordLogin(args) => {
            let mut body = Map::new();
            put(&mut body, "at", args.at.map(|moment| moment.to_string()));
            USERS.act(session, &args.user, "record-login", body, "login noted").await
        }
        UsersCommand::PasswordReset(args) => reset_password(session, &args).await,
        UsersCommand::Unlock(args) => USERS.act(session, &args.user, "unlock", Map::new(), "unlocked").await,
        UsersCommand::Sessions(args) => {
            let id = USERS.resolve(session, &args.user).await?;
            let request = args.list.request(&format!("{}/sessions", USERS.at(&id)), &[])?;
            print_list(session, request, sessions::COLUMNS, &args.list).await
        }
        UsersCommand::EndSessions(args) => end_sessions(session, &args.user).await,
        UsersCommand::Factors(args) => {
            let id = USERS.resolve(session, &args.user).await?;
            let listed = session.client.send(Request::get(format!("{}/factors", USERS.at(&id)))).await?;
            factors::print(session, listed)
        }
        UsersCommand::ResetFactors(args) => reset_factors(session, &args.user).await,
    }
}

impl ProfileArgs {
    async fn body(self, session: &Session) -> anyhow::Result<Map<String, serde_json::Value>> {
        let mut body = Map::new();
        put(&mut body, "email", self.email);
        put(&mut body, "display_name", self.display_name);
        put_list(&mut body, "role_ids", &roles::ROLES.resolve_all(session, &self.roles).await?);
        put_list(&mut body, "group_ids", &groups::GROUPS.resolve_all(session, &self.groups).await?);
        put(&mut body, "owner_login_window_minutes", self.owner_login_window_minutes);
        self.credits.put(&mut body);
        Ok(body)
    }
}

/// The token goes to the user by whatever way is safe; nobody chooses the password for them.
async fn reset_password(session: &Session, args: &PasswordResetArgs) -> Outcome {
    let sink = Sink::choose(&args.secret, session)?;
    let id = USERS.resolve(session, &args.user).await?;
    let request = Request::post(format!("{}/password-reset", USERS.at(&id)), json!({}));
    let link = send_change(session, request).await?;
    let shown = sink.deliver_token(session, link)?;
    session.output.summary(&["username", "kind", "expires_at", "redeem_url"], &shown)?;
    session.output.note(&told(
        session,
        "the user opens the address with # and the token behind it, or runs `keyward password redeem`",
    ));
    Ok(Exit::Ok)
}

async fn erase(session: &Session, user: &str) -> Outcome {
    prompt::confirm(session, &format!("Erase who {user} was, for good?"))?;
    let path = format!("{}/erase", USERS.at(user));
    send_change(session, Request::post(path, json!({ "confirm": true }))).await?;
    session.output.note(&told(session, &format!("nobody can tell any more who {user} was")));
    Ok(Exit::Ok)
}

async fn end_sessions(session: &Session, user: &str) -> Outcome {
    let id = USERS.resolve(session, user).await?;
    if session.global.dry_run {
        session.client.send(Request::get(USERS.at(&id))).await?;
        session.output.note(&format!("dry run: every session of {user} would end"));
        return Ok(Exit::Ok);
    }
    prompt::confirm(session, &format!("End every session of {user}?"))?;
    let path = format!("{}/sessions", USERS.at(&id));
    session.client.send(Request::new(http::Method::DELETE, path)).await?;
    session.output.note(&format!("every session of {user} ended"));
    Ok(Exit::Ok)
}

async fn reset_factors(session: &Session, user: &str) -> Outcome {
    let id = USERS.resolve(session, user).await?;
    if session.global.dry_run {
        session.client.send(Request::get(USERS.at(&id))).await?;
        session.output.note(&format!("dry run: every second factor of {user} would be taken away"));
        return Ok(Exit::Ok);
    }
    prompt::confirm(session, &format!("Take every second factor of {user} away?"))?;
    let path = format!("{}/factors", USERS.at(&id));
    session.client.send(Request::new(http::Method::DELETE, path)).await?;
    session.output.note(&format!("{user} has no second factor any more, and every session ended"));
    Ok(Exit::Ok)
}

/// Preview, a yes, then the deed (VA5).
async fn revoke_keys(session: &Session, args: RevokeKeysArgs) -> Outcome {
    let id = USERS.resolve(session, &args.user).await?;
    let path = format!("{}/revoke-keys", USERS.at(&id));
    if session.global.dry_run || (!session.global.yes && !session.global.print_curl) {
        let preview = json!({"reason": args.reason, "preview": true});
        let answer = session.client.send(Request::post(&path, preview)).await?;
        session.output.note(&format!("{} keys of {} would be revoked", answer["matched"], args.user));
        if session.global.dry_run {
            return Ok(Exit::Ok);
        }
        prompt::confirm(session, "Revoke them for good?")?;
    }
    let body = json!({"reason": args.reason, "confirm": true});
    let answer = session.client.send(Request::post(&path, body)).await?;
    session.output.summary(&["matched", "revoked"], &answer)?;
    session.output.note(&format!("{} keys revoked", answer["revoked"]));
    Ok(Exit::Ok)
}
