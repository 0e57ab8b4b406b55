//! The protocols of other products, as their manuals have them.

mod bmc_helix;
mod mode;
mod seeq;
mod thoughtspot;
mod valsight;
