//! The laws of replicated state, checked from outside: what any caller may rely on.

mod conflicts;
mod counters;
mod laws;
mod support;
