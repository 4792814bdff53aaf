//! The simulation as a test: seeds that must pass, seeds that must repeat themselves, and planted bugs that must be caught.

mod plants;
mod seeds;
