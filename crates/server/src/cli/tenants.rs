//! `keyward tenants`

use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::client::Request;
use super::keys::reason;
use super::noun::{ListArgs, Noun, VersionArgs, put};
use super::{Exit, Global, Outcome, Session, prompt};

/// Tenants as the API lists them.
pub(crate) const TENANTS: Noun = Noun {
    one: "tenant",
    path: "/v1/tenants",
    columns: &["slug", "number", "name", "state", "created_at", "id"],
    filters: &["q"],
    name: Some("slug"),
};

/// Tenants: the boundaries between customers
#[derive(Args, Debug)]
pub(crate) struct TenantsArgs {
    #[command(subcommand)]
    command: TenantsCommand,
}

#[derive(Subcommand, Debug)]
enum TenantsCommand {
    /// Make a tenant (operators)
    Create(CreateArgs),
    /// List tenants (operators)
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one tenant; `current` is your own
    Show(TenantArgs),
    /// Change slug, name or features
    Edit(EditArgs),
    /// Stop a tenant and all its keys
    Suspend(SuspendArgs),
    /// Let a suspended tenant work again
    Resume(TenantArgs),
    /// Delete a tenant with all that belongs to it
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
struct TenantArgs {
    /// tenant_…, slug or `current`
    which: String,
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Short name for addresses
    slug: String,
    /// Name as people write it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    features: FeatureArgs,
}

#[derive(Args, Debug)]
struct EditArgs {
    /// tenant_…, slug or `current`
    which: String,
    /// New short name
    #[arg(long)]
    slug: Option<String>,
    /// Name as people write it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    features: FeatureArgs,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args, Debug)]
struct FeatureArgs {
    /// Switch a feature: workspace_keys=false (repeatable)
    #[arg(long = "feature", value_name = "NAME=BOOL", value_parser = parse_feature)]
    features: Vec<(String, bool)>,
}

#[derive(Args, Debug)]
struct SuspendArgs {
    /// tenant_…, slug or `current`
    which: String,
    /// Why, for the audit trail
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args, Debug)]
struct DeleteArgs {
    /// tenant_… or slug
    which: String,
    /// The tenant's slug once more
    #[arg(long, value_name = "SLUG")]
    confirm: Option<String>,
}

/// Runs `keyward tenants`.
pub(crate) async fn run(args: TenantsArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        TenantsCommand::Create(args) => {
            let mut body = args.features.body();
            put(&mut body, "slug", Some(args.slug));
            put(&mut body, "name", args.name);
            TENANTS.create(session, body).await
        }
        TenantsCommand::List(args) => TENANTS.list(session, &args).await,
        TenantsCommand::Show(args) => TENANTS.show(session, &id_of(session, &args.which).await?).await,
        TenantsCommand::Edit(args) => {
            let mut patch = args.features.body();
            put(&mut patch, "slug", args.slug);
            put(&mut patch, "name", args.name);
            TENANTS.edit(session, &id_of(session, &args.which).await?, patch, &args.version).await
        }
        TenantsCommand::Suspend(args) => {
            let id = id_of(session, &args.which).await?;
            prompt::confirm(session, &format!("Suspend tenant {} and all its keys?", args.which))?;
            TENANTS.act(session, &id, "suspend", reason(args.reason), "suspended").await
        }
        TenantsCommand::Resume(args) => {
            let id = id_of(session, &args.which).await?;
            TENANTS.act(session, &id, "resume", Map::new(), "resumed").await
        }
        TenantsCommand::Delete(args) => delete(session, &args).await,
    }
}

impl FeatureArgs {
    fn body(&self) -> Map<String, serde_json::Value> {
        let mut body = Map::new();
        let features: Map<_, _> = self.features.iter().map(|(name, on)| (name.clone(), json!(on))).collect();
        put(&mut body, "features", (!features.is_empty()).then_some(features));
        body
    }
}

fn parse_feature(text: &str) -> Result<(String, bool), String> {
    let wrong = || "expected name=true or name=false".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), value.parse().map_err(|_| wrong())?))
}

/// The id to work with, found out once: actions on `current` need no list of all tenants.
async fn id_of(session: &Session, which: &str) -> anyhow::Result<String> {
    if which != "current" || session.global.print_curl {
        return TENANTS.resolve(session, which).await;
    }
    let own = session.client.send(Request::get(TENANTS.at("current"))).await?;
    Ok(own["id"].as_str().unwrap_or("current").to_owned())
}

/// Takes the slug as the yes, as the API does.
async fn delete(session: &Session, args: &DeleteArgs) -> Outcome {
    let id = TENANTS.resolve(session, &args.which).await?;
    if session.global.dry_run {
        return TENANTS.delete(session, &id).await;
    }
    let slug = match &args.confirm {
        Some(slug) => slug.clone(),
        None => {
            let tenant = session.client.send(Request::get(TENANTS.at(&id))).await?;
            let slug = tenant["slug"].as_str().unwrap_or_default().to_owned();
            let question = format!("Delete tenant {slug} with all users, keys and settings?");
            prompt::confirm_phrase(session, &question, &slug, "--confirm")?;
            slug
        }
    };
    let request = Request::new(http::Method::DELETE, TENANTS.at(&id)).query("confirm", slug);
    session.client.send(request).await?;
    session.output.note(&format!("tenant {id} deleted"));
    Ok(Exit::Ok)
}
