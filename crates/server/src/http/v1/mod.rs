//! Handlers of `/v1`, a file for each noun: extract, call one operation, render.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod exports;
pub(crate) mod factors;
pub(crate) mod groups;
pub(crate) mod handovers;
pub(crate) mod identify;
pub(crate) mod imports;
pub(crate) mod incidents;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod leaks;
pub(crate) mod log_levels;
pub(crate) mod me;
pub(crate) mod notifications;
pub(crate) mod policies;
pub(crate) mod reports;
pub(crate) mod roles;
pub(crate) mod setup;
pub(crate) mod signing_keys;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod trusted;
pub(crate) mod users;
pub(crate) mod verify;
