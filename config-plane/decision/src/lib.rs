//! Pure judgement: from probes to votes, from votes to proposals, from proposals to Plans.
//!
//! ```text
//!  probe results ─→ Observer ─→ VoteVector ─┐ (to every plane member, every period)
//!                                           ↓
//!                       Judge (VoteBook, quorum, holds) ─→ Command ─→ raft log
//!                                                                        ↓
//!                        Plan ←─ PlaneState::apply ←─ guards ←─ Request, in log order
//! ```
//!
//! No clock, no randomness, no socket, no task in here: time and request ids are arguments. So a decision can be run again
//! from its inputs, on the live state's copy (`what-if`), or a million times in a test.
//!
//! Where to read on: `judge.rs` and `timing.rs` for when something is decided, `guards.rs` for what never is, `damping.rs` for what
//! flaps, `guards/steps.rs` for what goes step by step, `state.rs` for how a Plan is made, `what_if.rs` for what would come of it.
//!
//! The split that matters: the [`Judge`] may be stale, wrong or absent, and nothing breaks, because the guards are asked
//! again inside [`PlaneState::apply`], on every member, at the one place where a Plan can change.

mod damping;
mod family;
mod guards;
mod judge;
mod now;
mod pace;
mod probe;
mod quorum;
mod recent;
mod refusal;
mod request;
mod serving;
mod state;
mod timing;
mod votes;
mod what_if;
mod worlds;

pub use damping::Penalty;
pub use family::Family;
pub use guards::{Capacity, Wish, capacity_left, check_decision, expirable, openable};
pub use judge::{Input, Judge, Standing};
pub use now::Now;
pub use probe::{Finding, Observer, ProbeMachine};
pub use quorum::Quorum;
pub use refusal::Refusal;
pub use request::{Change, Command, Demand, Outcome, Request, RequestId, Staging};
pub use serving::{emptied_pool, serving_members};
pub use state::{PlaneState, RefusedRequest};
pub use timing::{Term, Timing};
pub use votes::{Counting, Tally, VoteBook};
pub use what_if::{Cannot, Loss, Survey, WhatIf, survey, what_if};
pub use worlds::{WorldHead, Worlds};

#[cfg(test)]
mod testkit;
