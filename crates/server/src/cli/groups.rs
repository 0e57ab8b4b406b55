//! `keyward groups`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Map;

use super::client::{Request, segment};
use super::noun::{self, ListArgs, Noun, VersionArgs, put, put_list};
use super::users::USERS;
use super::{Exit, Global, Outcome, Session, roles};

/// Groups as the API lists them.
pub(crate) const GROUPS: Noun = Noun {
    one: "group",
    path: "/v1/groups",
    columns: &["name", "member_count", "description", "built_in", "created_at", "id"],
    filters: &["q"],
    name: Some("name"),
};

/// Groups: users and keys that share roles
#[derive(Args, Debug)]
pub(crate) struct GroupsArgs {
    #[command(subcommand)]
    command: GroupsCommand,
}

#[derive(Subcommand, Debug)]
enum GroupsCommand {
    /// Make a group
    Create(CreateArgs),
    /// List groups
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one group
    Show(GroupArgs),
    /// Change name, description or roles
    Edit(EditArgs),
    /// Delete a group
    #[command(visible_alias = "rm")]
    Delete(GroupArgs),
    /// Put a user into a group
    AddMember(MemberArgs),
    /// Take a user out of a group
    RemoveMember(MemberArgs),
    /// List the users of a group
    Members(MembersArgs),
}

#[derive(Args, Debug)]
struct GroupArgs {
    /// group_… or name
    group: String,
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Name, unique in the tenant
    name: String,
    #[command(flatten)]
    traits: TraitArgs,
}

#[derive(Args, Debug)]
struct EditArgs {
    /// group_… or name
    group: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    traits: TraitArgs,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args, Debug)]
struct TraitArgs {
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Role that its members get (repeatable; replaces all)
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
}

#[derive(Args, Debug)]
struct MemberArgs {
    /// group_… or name
    group: String,
    /// user_… or user name
    user: String,
}

#[derive(Args, Debug)]
struct MembersArgs {
    /// group_… or name
    group: String,
    #[command(flatten)]
    list: ListArgs,
}

/// Runs `keyward groups`.
pub(crate) async fn run(args: GroupsArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        GroupsCommand::Create(args) => {
            let mut body = args.traits.body(session).await?;
            put(&mut body, "name", Some(args.name));
            GROUPS.create(session, body).await
        }
        GroupsCommand::List(args) => GROUPS.list(session, &args).await,
        GroupsCommand::Show(args) => GROUPS.show(session, &args.group).await,
        GroupsCommand::Edit(args) => {
            let mut patch = args.traits.body(session).await?;
            put(&mut patch, "name", args.name);
            GROUPS.edit(session, &args.group, patch, &args.version).await
        }
        GroupsCommand::Delete(args) => GROUPS.delete(session, &args.group).await,
        GroupsCommand::AddMember(args) => change_member(session, Method::PUT, &args, "added to").await,
        GroupsCommand::RemoveMember(args) => {
            change_member(session, Method::DELETE, &args, "removed from").await
        }
        GroupsCommand::Members(args) => members(session, &args).await,
    }
}

impl TraitArgs {
    async fn body(self, session: &Session) -> anyhow::Result<Map<String, serde_json::Value>> {
        let mut body = Map::new();
        put(&mut body, "description", self.description);
        put_list(&mut body, "role_ids", &roles::ROLES.resolve_all(session, &self.roles).await?);
        Ok(body)
    }
}

async fn change_member(session: &Session, method: Method, args: &MemberArgs, done: &str) -> Outcome {
    let group = GROUPS.resolve(session, &args.group).await?;
    let user = USERS.resolve(session, &args.user).await?;
    if session.global.dry_run {
        session.output.note(&format!("dry run: {} would be {done} {}", args.user, args.group));
        return Ok(Exit::Ok);
    }
    let path = format!("{}/members/{}", GROUPS.at(&group), segment(&user));
    session.client.send(Request::new(method, path)).await?;
    session.output.note(&format!("{} {done} {}", args.user, args.group));
    Ok(Exit::Ok)
}

async fn members(session: &Session, args: &MembersArgs) -> Outcome {
    let group = GROUPS.resolve(session, &args.group).await?;
    let path = format!("{}/members", GROUPS.at(&group));
    noun::print_list(session, args.list.request(&path, &[])?, USERS.columns, &args.list).await
}
