//! What must hold, kept by somebody who knows the truth: who lived, which paths were open, whose word was whose.
//!
//! ```text
//! each fault, as it begins and ends ──► truth.rs   who had cause to call whom Down, when
//! each Plan, as it is made          ──► plans.rs   compared with the truth, with the Plan before, and with the rules
//! each holder of Plans              ──► its number only grows
//! ```
//! The rules are written a second time here: nothing of this calls the guards, the quorum or the judge.

mod falls;
mod plans;
mod truth;

use crate::Promise;

pub(crate) use falls::{Falls, Looked};
pub(crate) use plans::{Judged, Ledger, shown};
pub(crate) use truth::Truth;

/// The promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// What serves, and is reached by more observers than a quorum can do without, is not decided Down or Degraded.
    NoFalseFailover,
    /// The same, where one observer alone had cause to call it so.
    OneFalseViewChangesNothing,
    /// The same, where nobody had cause but observers were lost.
    LostObserversChangeNothing,
    /// Who is dead does not come back before it lives.
    NoFlaps,
    /// Who falls, and stays fallen, is out within the sum of the terms.
    FallsAreDecidedInTime,
    /// Each pool, and each address family of it, keeps somebody who serves.
    NeverTheLast,
    /// Automation takes no human's word away before its end, and none comes back.
    OverridesHold,
    /// Human words end within two seconds of their time, if somebody leads.
    OverridesEnd,
    /// Automation takes one region, or a third of a pool, out in five minutes.
    Velocity,
    /// Of what falls together, at most the first is taken out.
    CommonMode,
    /// No holder of Plans ever shows one that is older than what it showed.
    VersionsOnlyGrow,
    /// The same log makes the same Plans on every member, over restarts, snapshots and changes of the leader.
    SameLogSameState,
}

impl Promise for Rule {
    fn number(self) -> u8 {
        0
    }
}

/// A broken promise of the decision.
pub(crate) type Violation = crate::Violation<Rule>;
