//! Black-box tests: one binary, paths mirror what they test.

mod api;
mod authorization;
mod betters;
mod cli;
mod grants;
mod grants_at_random;
mod groups;
mod idor;
mod keys;
mod last_administrator;
mod me;
mod nodes;
mod openapi;
mod policies;
mod reliability;
mod roles;
mod support;
mod tenants;
mod users;
mod verify;
