//! The protocols of other products, as their clients speak them.

mod thoughtspot;
