//! Black-box tests: one binary, paths mirror what they test.

#![expect(clippy::disallowed_methods, reason = "tests look at the real clock, from outside of the server")]

mod api;
mod audit;
mod authorization;
mod authz;
mod betters;
mod cli;
mod grants;
mod grants_at_random;
mod groups;
mod http;
mod idor;
mod keys;
mod last_administrator;
mod me;
mod nodes;
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
mod users;
mod verify;
