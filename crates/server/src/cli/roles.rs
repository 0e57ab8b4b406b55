//! `keyward roles`

use clap::{Args, Subcommand};
use serde_json::Map;

use super::noun::{ListArgs, Noun, VersionArgs, put, put_list};
use super::{Global, Outcome, Session};

/// Roles as the API lists them.
pub(crate) const ROLES: Noun = Noun {
    one: "role",
    path: "/v1/roles",
    columns: &["name", "rights", "description", "built_in", "id"],
    filters: &["q"],
    name: Some("name"),
};

/// Roles: named sets of rights
#[derive(Args, Debug)]
pub(crate) struct RolesArgs {
    #[command(subcommand)]
    command: RolesCommand,
}

#[derive(Subcommand, Debug)]
enum RolesCommand {
    /// Make a role
    Create(CreateArgs),
    /// List roles
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one role
    Show(RoleArgs),
    /// Change name, description or rights
    Edit(EditArgs),
    /// Delete a role
    #[command(visible_alias = "rm")]
    Delete(RoleArgs),
}

#[derive(Args, Debug)]
struct RoleArgs {
    /// role_… or name
    role: String,
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
    /// role_… or name
    role: String,
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
    /// Right as resource:action, such as models/emea/**:read (repeatable; replaces all)
    #[arg(long = "right", value_name = "RIGHT")]
    rights: Vec<String>,
}

/// Runs `keyward roles`.
pub(crate) async fn run(args: RolesArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        RolesCommand::Create(args) => {
            let mut body = args.traits.body();
            put(&mut body, "name", Some(args.name));
            ROLES.create(session, body).await
        }
        RolesCommand::List(args) => ROLES.list(session, &args).await,
        RolesCommand::Show(args) => ROLES.show(session, &args.role).await,
        RolesCommand::Edit(args) => {
            let mut patch = args.traits.body();
            put(&mut patch, "name", args.name);
            ROLES.edit(session, &args.role, patch, &args.version).await
        }
        RolesCommand::Delete(args) => ROLES.delete(session, &args.role).await,
    }
}

impl TraitArgs {
    fn body(self) -> Map<String, serde_json::Value> {
        let mut body = Map::new();
        put(&mut body, "description", self.description);
        put_list(&mut body, "rights", &self.rights);
        body
    }
}
