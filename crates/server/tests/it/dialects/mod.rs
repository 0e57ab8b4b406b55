//! The protocols of other products, as their manuals have them.

mod valsight;
