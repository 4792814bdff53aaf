//! The world of the state plane.

mod plants;
mod seeds;
