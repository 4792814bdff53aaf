//! The world of the decision.

mod plants;
mod seeds;
