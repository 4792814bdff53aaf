//! What must hold, kept by somebody who saw everything and trusts nothing of what is under test.
//!
//! ```text
//! each change, as it is made ──► History: its dots, what it put, what it removed, what its maker had seen
//! each state, as it is seen  ──► compared with what the history says a state of that context is
//! each answer to a client    ──► compared with what the documented conflict rules make of that state
//! ```
//! The history knows nothing of journals, links or catch-ups: by whatever way a state came about, its context alone says what
//! must be in it. That is what makes one oracle enough for crashes, cuts, restores and returns alike.

mod history;
mod reading;
mod reference;

use serde::{Deserialize, Serialize};

use crate::Promise;

pub(crate) use history::{Deed, History, Increment, Reset, Scope, Spot, StateSeen};
pub(crate) use reading::{Reading, Shown, hundredths_of, read, score_text};
pub(crate) use reference::{expected_after, expected_elsewhere, expected_store};

/// The promises, by the number that the design gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rule {
    /// 2: equal contexts, equal states, at every moment.
    EqualContextsEqualStates,
    /// 3: what was removed does not come back.
    NoResurrection,
    /// 4: an acknowledged write is live, or superseded by one that observed it or beat it by the stated rule.
    NoLostUpdate,
    /// 5: one dot, one payload, in the whole world.
    DotsAreUnique,
    /// 6: contexts only grow and never claim what is not there; nothing is acknowledged before it is persisted.
    ContextsAreTrue,
    /// 7: nobody sees half of a transaction.
    TransactionsAreAtomic,
    /// 8: a token's bearer sees what the token stands for.
    SessionsSeeTheirWrites,
    /// 9: nothing outlives its deadline, nothing goes before it.
    DeadlinesHold,
    /// What clients read is what the documented rules make of the state.
    ConflictRulesHold,
    /// A command does what Redis says it does, where it is executed.
    CommandsDoWhatTheySay,
    /// 13: soon after the last fault, all regions agree.
    RegionsConverge,
    /// A region starts again from whatever a crash has left, and writes again once its disk does.
    RegionsRecover,
}

impl Promise for Rule {
    fn number(self) -> u8 {
        match self {
            Self::EqualContextsEqualStates => 2,
            Self::NoResurrection => 3,
            Self::NoLostUpdate => 4,
            Self::DotsAreUnique => 5,
            Self::ContextsAreTrue => 6,
            Self::TransactionsAreAtomic => 7,
            Self::SessionsSeeTheirWrites => 8,
            Self::DeadlinesHold => 9,
            Self::RegionsConverge => 13,
            Self::ConflictRulesHold | Self::CommandsDoWhatTheySay | Self::RegionsRecover => 0,
        }
    }
}

/// A broken promise of the state plane.
pub(crate) type Violation = crate::Violation<Rule>;
