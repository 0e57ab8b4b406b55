//! The options of `keyward keys`.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::cli::credits::CreditArgs;
use crate::cli::expiry::{ExpiryArgs, parse_moment};
use crate::cli::noun::{ListArgs, VersionArgs, put, put_list};
use crate::cli::secret::SecretArgs;
use crate::cli::{Session, groups, roles, span};

#[derive(Args, Debug)]
pub(super) struct KeyArgs {
    /// key_… or kwa_…
    pub(super) key: String,
}

#[derive(Args, Debug)]
pub(super) struct SessionsArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    #[command(flatten)]
    pub(super) list: ListArgs,
}

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// In which form
    #[arg(long, value_parser = ["csv", "json"])]
    pub(super) format: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct ReasonArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    /// Why, for the audit trail
    #[arg(long)]
    pub(super) reason: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// What it is for; shown in lists
    #[arg(long)]
    pub(super) label: String,
    /// Class of the key
    #[arg(long, default_value = "member", value_parser = ["member", "workspace", "ingest"])]
    pub(super) class: String,
    /// User it belongs to (default: yourself)
    #[arg(long, value_name = "USER")]
    pub(super) owner: Option<String>,
    #[command(flatten)]
    pub(super) expiry: ExpiryArgs,
    /// Works from then on: RFC 3339 or YYYY-MM-DD
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(super) not_before: Option<Timestamp>,
    /// A trap: its use is refused, and told in the audit log
    #[arg(long)]
    pub(super) canary: bool,
    #[command(flatten)]
    pub(super) traits: TraitArgs,
    #[command(flatten)]
    pub(super) rotation: RotationArgs,
    #[command(flatten)]
    pub(super) handover: HandoverArgs,
    #[command(flatten)]
    pub(super) secret: SecretArgs,
}

/// How an ingest key rotates by itself.
#[derive(Args, Debug)]
pub(super) struct RotationArgs {
    /// Days between rotations of an ingest key (default: the policy's 30)
    #[arg(long, value_name = "DAYS", conflicts_with = "never_rotate")]
    rotate_every: Option<u32>,
    /// Days in which old and new secret both work (default: half of them)
    #[arg(long, value_name = "DAYS", requires = "rotate_every")]
    grace: Option<u32>,
    /// It never rotates by itself
    #[arg(long)]
    never_rotate: bool,
}

impl RotationArgs {
    /// Adds the member of the request body.
    pub(super) fn put(&self, body: &mut Map<String, Value>) {
        if self.never_rotate {
            body.insert("rotation".into(), json!("never"));
        } else if let Some(days) = self.rotate_every {
            let grace = self.grace.unwrap_or(days / 2);
            body.insert("rotation".into(), json!({ "every_days": days, "grace_days": grace }));
        }
    }
}

/// Whether somebody else shall see the secret, and nobody here.
#[derive(Args, Debug)]
pub(super) struct HandoverArgs {
    /// Show a link that opens the secret once, for so long, in place of the secret
    #[arg(long, value_name = "SPAN", num_args = 0..=1, default_missing_value = "24h", value_parser = span::parse)]
    pub(super) handover: Option<Duration>,
}

impl HandoverArgs {
    /// Adds the member of the request body.
    pub(super) fn put(&self, body: &mut Map<String, Value>) {
        put(body, "handover", self.handover.map(|ttl| json!({ "ttl_seconds": ttl.as_secs() })));
    }
}

#[derive(Args, Debug)]
pub(super) struct EditArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    /// What it is for; shown in lists
    #[arg(long)]
    pub(super) label: Option<String>,
    #[command(flatten)]
    pub(super) expiry: ExpiryArgs,
    #[command(flatten)]
    pub(super) traits: TraitArgs,
    #[command(flatten)]
    pub(super) rotation: RotationArgs,
    /// Take away: scopes, conditions, limits, credits, credit_refill, idle_seconds, group_ids, role_ids
    #[arg(long, value_name = "FIELD")]
    pub(super) clear: Vec<String>,
    #[command(flatten)]
    pub(super) version: VersionArgs,
}

/// What a key may do, and under which conditions.
#[derive(Args, Debug)]
pub(super) struct TraitArgs {
    /// Right that the key may use (repeatable); without one, all that its owner may
    #[arg(long = "scope", value_name = "RIGHT")]
    pub(super) scopes: Vec<String>,
    /// Group whose roles it gets (repeatable)
    #[arg(long = "group", value_name = "GROUP")]
    pub(super) groups: Vec<String>,
    /// Role it gets (repeatable)
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<String>,
    /// Network it works from: 10.0.0.0/8 (repeatable)
    #[arg(long = "cidr", value_name = "CIDR")]
    pub(super) cidrs: Vec<String>,
    /// HTTP method it works for (repeatable)
    #[arg(long = "method", value_name = "METHOD")]
    pub(super) methods: Vec<String>,
    /// Path it works for: /api/** (repeatable)
    #[arg(long = "path", value_name = "PATTERN")]
    pub(super) paths: Vec<String>,
    /// Resource it works for: models/emea/** (repeatable)
    #[arg(long = "resource", value_name = "PATTERN")]
    pub(super) resources: Vec<String>,
    /// Audience it works for (repeatable)
    #[arg(long = "audience", value_name = "NAME")]
    pub(super) audiences: Vec<String>,
    /// Rate limit as name=requests/span: api=100/60s (repeatable)
    #[arg(long = "rate", value_name = "NAME=N/SPAN", value_parser = parse_rate)]
    pub(super) rates: Vec<Value>,
    #[command(flatten)]
    credits: CreditArgs,
    /// Stops after this long without use
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub(super) idle: Option<Duration>,
}

#[derive(Args, Debug)]
pub(super) struct ExtendArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    #[command(flatten)]
    pub(super) expiry: ExpiryArgs,
}

#[derive(Args, Debug)]
pub(super) struct RotateArgs {
    #[command(subcommand)]
    pub(super) step: RotateStep,
}

#[derive(Subcommand, Debug)]
pub(super) enum RotateStep {
    /// Make a second secret; the first works on for the overlap
    Start(RotateStartArgs),
    /// Let the old secret end now
    Finish(KeyArgs),
    /// Drop the new secret; the old one stays
    Abort(KeyArgs),
}

#[derive(Args, Debug)]
pub(super) struct RotateStartArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    /// How long the old secret works on
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span::parse)]
    pub(super) overlap: Duration,
    #[command(flatten)]
    pub(super) handover: HandoverArgs,
    #[command(flatten)]
    pub(super) secret: SecretArgs,
}

#[derive(Args, Debug)]
pub(super) struct NewSecretArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    #[command(flatten)]
    pub(super) secret: SecretArgs,
}

#[derive(Args, Debug)]
pub(super) struct RevokeArgs {
    /// key_… or kwa_…
    #[arg(required_unless_present = "conditions")]
    pub(super) key: Option<String>,
    /// Every key that fits: 'owner_id=user_… status=active'; `all=true` for all
    #[arg(long = "where", value_name = "CONDITIONS", conflicts_with = "key", requires = "reason")]
    pub(super) conditions: Vec<String>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// The phrase that a bulk revocation asks for: "revoke 37"
    #[arg(long, value_name = "PHRASE", requires = "conditions")]
    pub(super) confirm: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct UsageArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    /// How many hours back
    #[arg(long, value_name = "N")]
    pub(super) hours: Option<u32>,
}

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// key_… or kwa_…
    pub(super) key: String,
    #[command(flatten)]
    pub(super) request: RequestArgs,
}

/// The request that a key is judged for.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    /// Right that the request needs (repeatable)
    #[arg(long = "need", value_name = "RIGHT")]
    needs: Vec<String>,
    /// HTTP method of the request
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Path of the request
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Address the request comes from
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::IpAddr>,
}

impl RequestArgs {
    /// Adds the members of the request body.
    pub(crate) fn put(&self, body: &mut Map<String, Value>) {
        put_list(body, "rights", &self.needs);
        put(body, "method", self.method.clone());
        put(body, "path", self.path.clone());
        put(body, "client_ip", self.ip.map(|address| address.to_string()));
    }
}

impl TraitArgs {
    /// Adds the members of the request body.
    pub(super) async fn put(self, session: &Session, body: &mut Map<String, Value>) -> anyhow::Result<()> {
        put_list(body, "scopes", &self.scopes);
        put_list(body, "group_ids", &groups::GROUPS.resolve_all(session, &self.groups).await?);
        put_list(body, "role_ids", &roles::ROLES.resolve_all(session, &self.roles).await?);
        let mut conditions = Map::new();
        put_list(&mut conditions, "cidrs", &self.cidrs);
        put_list(&mut conditions, "methods", &self.methods);
        put_list(&mut conditions, "paths", &self.paths);
        put_list(&mut conditions, "resources", &self.resources);
        put_list(&mut conditions, "audiences", &self.audiences);
        put(body, "conditions", (!conditions.is_empty()).then_some(conditions));
        put(body, "limits", (!self.rates.is_empty()).then_some(self.rates));
        self.credits.put(body);
        put(body, "idle_seconds", self.idle.map(|idle| idle.as_secs()));
        Ok(())
    }
}

/// Reads `api=100/60s`.
fn parse_rate(text: &str) -> Result<Value, String> {
    let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once('/')?)));
    let (name, (requests, per)) = parts.ok_or("expected name=requests/span, as in api=100/60s")?;
    let requests: u64 = requests.parse().map_err(|_| format!("`{requests}` is no number of requests"))?;
    Ok(json!({"name": name, "requests": requests, "per_seconds": span::parse(per)?.as_secs()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let expected = json!({"name": "api", "requests": 100, "per_seconds": 60});
        assert_eq!(parse_rate("api=100/1m"), Ok(expected));
        for wrong in ["api", "api=100", "api=x/1m", "api=100/1y"] {
            assert!(parse_rate(wrong).is_err(), "{wrong} was accepted");
        }
    }
}
