//! Black-box tests: one binary, paths mirror what they test.

#![expect(clippy::disallowed_methods, reason = "a black-box test lives by the clock of the machine")]
#![expect(clippy::needless_pass_by_value, reason = "json! makes values; borrowing each is noise")]

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
