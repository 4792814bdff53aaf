//! The supervisor with real processes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod lives;
mod orphans;
mod support;
