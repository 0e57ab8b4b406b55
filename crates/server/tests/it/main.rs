//! Black-box tests: one binary, paths mirror what they test.

mod cli;
mod keys;
mod me;
mod policies;
mod support;
mod verify;
