//! The protocols of other products.

mod seeq;
