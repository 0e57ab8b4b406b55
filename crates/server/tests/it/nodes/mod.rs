//! Two processes on one database.

mod limits;
mod pauses;
mod races;
mod revocation;
