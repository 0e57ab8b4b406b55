//! The protocols of other products, as their manuals have them.

mod valsight;
//! The protocols of other products, as their clients speak them.
mod mode;
mod bmc_helix;
//! The protocols of other products.
mod seeq;
