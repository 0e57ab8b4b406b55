//! Keyward: issue, govern, verify and end access keys. One binary: server and command line.

mod administrators;
mod app;
mod attempts;
mod audit;
mod checkpoints;
mod cli;
mod clock;
mod config;
mod credits;
mod csv;
mod error;
mod exports;
mod factors;
mod failures;
mod groups;
mod grpc;
mod handovers;
mod hashers;
mod http;
mod identify;
mod imports;
mod incidents;
mod jobs;
mod keys;
mod leaks;
mod live_rights;
mod logging;
mod logins;
mod mail;
mod marks;
mod mints;
mod names;
mod notices;
mod notifications;
mod oauth;
mod outbound;
mod passwords;
mod peppers;
mod policies;
mod random;
mod refusals;
mod reports;
mod roles;
mod root_key;
mod seal;
mod serve;
mod sessions;
mod setup;
mod signing_keys;
mod store;
mod syslog;
mod tenants;
mod tokens;
mod trusted;
mod users;
mod verify;
mod webhooks;
mod wire;

/// Verifications allocate little and often, on several threads. Without huge pages: a few objects in each would
/// hold all of it, and they make no verification faster, not among a million keys.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cli::Global;

/// Issue, govern, verify and end access keys
#[derive(Parser)]
#[command(
    name = "keyward",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(cli::serve::ServeArgs),
    Quickstart(cli::serve::QuickstartArgs),
    Bootstrap(cli::bootstrap::BootstrapArgs),
    Recover(cli::bootstrap::RecoverArgs),
    Login(cli::login::LoginArgs),
    Logout(cli::login::LogoutArgs),
    Config(cli::config::ConfigArgs),
    Pepper(cli::pepper::PepperArgs),
    RootKey(cli::root_key::RootKeyArgs),
    #[command(visible_alias = "key")]
    Keys(cli::keys::KeysArgs),
    Users(cli::users::UsersArgs),
    Groups(cli::groups::GroupsArgs),
    Roles(cli::roles::RolesArgs),
    Tenants(cli::tenants::TenantsArgs),
    Policies(cli::policies::PoliciesArgs),
    Trusted(cli::trusted::TrustedArgs),
    Tokens(cli::tokens::TokensArgs),
    SigningKeys(cli::signing_keys::SigningKeysArgs),
    Verify(cli::verify::VerifyArgs),
    Identify(cli::identify::IdentifyArgs),
    Approvals(cli::approvals::ApprovalsArgs),
    Incident(cli::incident::IncidentArgs),
    Import(cli::import::ImportArgs),
    Export(cli::export::ExportArgs),
    Audit(cli::audit::AuditArgs),
    Whoami(cli::whoami::WhoamiArgs),
    Sessions(cli::sessions::SessionsArgs),
    Notifications(cli::notifications::NotificationsArgs),
    Password(cli::password::PasswordArgs),
    Factors(cli::factors::FactorsArgs),
    Handovers(cli::handovers::HandoversArgs),
    Webhooks(cli::webhooks::WebhooksArgs),
    Jobs(cli::jobs::JobsArgs),
    LogLevels(cli::log_levels::LogLevelsArgs),
    Doctor(cli::doctor::DoctorArgs),
    Bench(cli::bench::BenchArgs),
    Api(cli::api::ApiArgs),
    Openapi(cli::openapi::OpenapiArgs),
    Completion(cli::completion::CompletionArgs),
    Version(cli::version::VersionArgs),
    Help(cli::help::HelpArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { global, command } = cli::parse();
    let global = &global;
    cli::finish(match command {
        Command::Serve(args) => cli::serve::run(args, global).await,
        Command::Quickstart(args) => cli::serve::quickstart(args, global).await,
        Command::Bootstrap(args) => cli::bootstrap::run(args, global).await,
        Command::Recover(args) => cli::bootstrap::recover(args, global).await,
        Command::Login(args) => cli::login::run(args, global).await,
        Command::Logout(args) => cli::login::log_out(args, global).await,
        Command::Config(args) => cli::config::run(args, global).await,
        Command::Pepper(args) => cli::pepper::run(args, global).await,
        Command::RootKey(args) => cli::root_key::run(args, global).await,
        Command::Keys(args) => cli::keys::run(args, global).await,
        Command::Users(args) => cli::users::run(args, global).await,
        Command::Groups(args) => cli::groups::run(args, global).await,
        Command::Roles(args) => cli::roles::run(args, global).await,
        Command::Tenants(args) => cli::tenants::run(args, global).await,
        Command::Policies(args) => cli::policies::run(args, global).await,
        Command::Trusted(args) => cli::trusted::run(args, global).await,
        Command::Tokens(args) => cli::tokens::run(args, global).await,
        Command::SigningKeys(args) => cli::signing_keys::run(args, global).await,
        Command::Verify(args) => cli::verify::run(args, global).await,
        Command::Identify(args) => cli::identify::run(args, global).await,
        Command::Approvals(args) => cli::approvals::run(args, global).await,
        Command::Incident(args) => cli::incident::run(args, global).await,
        Command::Import(args) => cli::import::run(args, global).await,
        Command::Export(args) => cli::export::run(args, global).await,
        Command::Audit(args) => cli::audit::run(args, global).await,
        Command::Whoami(args) => cli::whoami::run(args, global).await,
        Command::Sessions(args) => cli::sessions::run(args, global).await,
        Command::Notifications(args) => cli::notifications::run(args, global).await,
        Command::Password(args) => cli::password::run(args, global).await,
        Command::Factors(args) => cli::factors::run(args, global).await,
        Command::Handovers(args) => cli::handovers::run(args, global).await,
        Command::Webhooks(args) => cli::webhooks::run(args, global).await,
        Command::Jobs(args) => cli::jobs::run(args, global).await,
        Command::LogLevels(args) => cli::log_levels::run(args, global).await,
        Command::Doctor(args) => cli::doctor::run(args, global).await,
        Command::Bench(args) => cli::bench::run(args, global).await,
        Command::Api(args) => cli::api::run(args, global).await,
        Command::Openapi(args) => cli::openapi::run(args, global).await,
        Command::Completion(args) => cli::completion::run(&args),
        Command::Version(args) => cli::version::run(args, global),
        Command::Help(args) => cli::help::run(&args),
    })
}
