//! `keyward policies`

mod drafts;
mod versions;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::client::Request;
use super::expiry::parse_moment;
use super::noun::{self, VersionArgs};
use super::{Exit, Failure, Global, Outcome, Session};

const PATH: &str = "/v1/policies";

/// What the tenant allows for each class of key
#[derive(Args, Debug)]
pub(crate) struct PoliciesArgs {
    #[command(subcommand)]
    command: PoliciesCommand,
}

#[derive(Subcommand, Debug)]
enum PoliciesCommand {
    /// Show the policy
    Show(ShowArgs),
    /// Change single settings
    Edit(EditArgs),
    /// Merge a YAML or JSON file into the policy, at once or at a moment
    Apply(ApplyArgs),
    /// Tell which keys a policy would stop, and why; nothing changes
    Simulate(drafts::SimulateArgs),
    /// List every policy that the tenant had, the newest first
    #[command(visible_aliases = ["list", "ls"])]
    Versions(versions::VersionsArgs),
    /// Put the policy of an earlier version in place again
    Rollback(versions::RollbackArgs),
    /// Policies that are thought of
    Drafts(drafts::DraftsArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {}

#[derive(Args, Debug)]
struct EditArgs {
    /// Setting and value: member.default_ttl_days=30 (repeatable; null takes it away)
    #[arg(long = "set", value_name = "PATH=VALUE", required = true)]
    sets: Vec<String>,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args, Debug)]
struct ApplyArgs {
    /// File, or - for stdin; a `version` inside must still be the present one
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Apply it then, RFC 3339 or YYYY-MM-DD: until then it is a draft
    #[arg(long, value_name = "TIME", value_parser = parse_moment, conflicts_with = "if_match")]
    starts_at: Option<Timestamp>,
    #[command(flatten)]
    version: VersionArgs,
}

/// Runs `keyward policies`.
pub(crate) async fn run(args: PoliciesArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        PoliciesCommand::Show(ShowArgs {}) => show(session).await,
        PoliciesCommand::Edit(args) => {
            let patch = patch_of(&args.sets)?;
            change(session, patch, args.version).await
        }
        PoliciesCommand::Apply(args) => apply(session, args).await,
        PoliciesCommand::Simulate(args) => drafts::simulate(session, &args).await,
        PoliciesCommand::Versions(args) => versions::versions(session, &args).await,
        PoliciesCommand::Rollback(args) => versions::roll_back(session, args).await,
        PoliciesCommand::Drafts(args) => drafts::run(args, session).await,
    }
}

async fn show(session: &Session) -> Outcome {
    let policy = session.client.send(Request::get(PATH)).await?;
    session.output.object(&[], &policy)?;
    Ok(Exit::Ok)
}

async fn apply(session: &Session, args: ApplyArgs) -> Outcome {
    let mut policy = read_document(&args.file)?;
    let stated = policy.as_object_mut().and_then(|members| members.remove("version"));
    let stated = stated.map(|version| super::cell::plain(&version));
    if let Some(at) = args.starts_at {
        return drafts::schedule(session, policy, at).await;
    }
    change(session, policy, VersionArgs { if_match: args.version.if_match.or(stated) }).await
}

async fn change(session: &Session, patch: Value, version: VersionArgs) -> Outcome {
    let request = Request::patch(PATH, patch).if_match(version.if_match.as_ref());
    let policy = noun::send_change(session, request).await?;
    if !policy.is_null() {
        session.output.object(&[], &policy)?;
    }
    session.output.note(&noun::told(session, "policy changed"));
    Ok(Exit::Ok)
}

/// Reads YAML, of which JSON is a part.
pub(crate) fn read_document(path: &std::path::Path) -> anyhow::Result<Value> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let document: Value = serde_saphyr::from_str(&text)
        .with_context(|| format!("{} is neither YAML nor JSON", path.display()))?;
    if !document.is_object() {
        return Err(Failure::usage(format!("{} holds no object", path.display())).into());
    }
    Ok(document)
}

/// Builds the merge patch of `--set a.b=1 --set a.c=null`.
pub(super) fn patch_of(sets: &[String]) -> Result<Value, Failure> {
    let mut patch = Map::new();
    for set in sets {
        let (path, text) = set
            .split_once('=')
            .filter(|(path, _)| path.split('.').all(|name| !name.is_empty()))
            .ok_or_else(|| {
                Failure::usage(format!("--set: `{set}` is not path=value"))
                    .hint("as in --set member.default_ttl_days=30")
            })?;
        let mut names: Vec<&str> = path.split('.').collect();
        let last = names.pop().unwrap_or_default();
        let mut place = &mut patch;
        for name in names {
            let next = place.entry(name).or_insert_with(|| Value::Object(Map::new()));
            place = next
                .as_object_mut()
                .ok_or_else(|| Failure::usage(format!("--set: `{path}` lies below a value set before")))?;
        }
        place.insert(last.to_owned(), value_of(text));
    }
    Ok(Value::Object(patch))
}

/// JSON where it is JSON (30, true, null, ["a"]), else the text itself.
pub(crate) fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(sets: &[&str]) -> Result<Value, Exit> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        patch_of(&sets).map_err(|failure| failure.exit())
    }

    #[test]
    fn settings_become_one_merge_patch() {
        let sets =
            ["member.default_ttl_days=30", "member.never_expire=false", "max_keys_per_user=3", "a.b.c=x y"];
        let expected = json!({
            "member": {"default_ttl_days": 30, "never_expire": false}, "max_keys_per_user": 3, "a": {"b": {"c": "x y"}},
        });
        assert_eq!(patch(&sets), Ok(expected));
        assert_eq!(patch(&["member.idle_days=null"]), Ok(json!({"member": {"idle_days": null}})));
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for wrong in [&["member"][..], &["=1"], &["a..b=1"], &["a=1", "a.b=2"]] {
            assert_eq!(patch(wrong), Err(Exit::Usage), "{wrong:?}");
        }
    }
}
