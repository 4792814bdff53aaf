//! The simulations as tests: seeds that must pass, seeds that must repeat themselves, and planted bugs that must be caught.

mod decision;
mod state;
mod traffic;
