//! Two processes on one database.

mod history;
mod limits;
mod pauses;
mod races;
mod revocation;
