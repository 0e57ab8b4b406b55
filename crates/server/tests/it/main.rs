//! Black-box tests: one binary, paths mirror what they test.

#![expect(
    clippy::disallowed_methods,
    reason = "tests watch the server from outside, by a clock of their own"
)]
#![expect(clippy::needless_pass_by_value, reason = "a test hands over its json! and forgets it")]

mod api;
mod audit;
mod authorization;
mod authz;
mod betters;
mod cli;
mod console;
mod dialects;
mod factors;
mod grants;
mod grants_at_random;
mod groups;
mod grpc;
mod http;
mod idor;
mod imports;
mod keys;
mod last_administrator;
mod leaks;
mod logins;
mod me;
mod nodes;
mod notifications;
mod nul;
mod oauth;
mod openapi;
mod operation;
mod policies;
mod process;
mod reliability;
mod roles;
mod socket;
mod storage;
mod support;
mod tenants;
mod tokens;
mod users;
mod verify;
mod webhooks;
