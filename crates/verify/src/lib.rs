#![doc = include_str!("../README.md")]

mod clock;
mod decision;
mod flights;
mod follower;
mod kept;
mod node;
mod question;
mod unknown;
mod verifier;

pub use decision::{Decision, Key, Principal, Session, Tenant, Token};
pub use question::Question;
pub use unknown::Unknown;
pub use verifier::{BuildError, Builder, Verifier};
