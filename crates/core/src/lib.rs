//! The pure heart of Keyward: formats, rights, key states and the one decision function.
//!
//! Nothing here reads a clock, does I/O or awaits: time, randomness and facts are arguments, so
//! that every rule can be tested as a table or a property (`design.md` §1).

pub mod address;
pub mod attempts;
pub mod calendar;
pub mod credit;
pub mod decide;
pub mod id;
pub mod jwt;
pub mod key;
pub mod limit;
pub mod policy;
pub mod right;
pub mod rotation;
pub mod secret;
pub mod session;
pub mod token;
