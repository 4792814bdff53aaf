//! The laws of replicated state, checked from outside: what any caller may rely on.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod catching_up;
mod codec;
mod commands;
mod conflicts;
mod counters;
mod explaining;
mod hash_words;
mod holding;
mod housekeeping;
mod interleavings;
mod laws;
mod marks;
mod memory;
mod numbers;
mod pieces;
mod snapshots;
mod support;
mod zset_words;
