//! The supervisor with real processes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod limits;
mod lives;
mod logs;
mod node;
mod orphans;
mod readiness;
mod releases;
mod support;
