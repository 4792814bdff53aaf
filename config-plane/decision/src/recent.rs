//! The last requests and their outcomes, so that a request repeated after a lost answer is answered, not applied again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Outcome, RequestId};

/// A bounded memory of outcomes, oldest first. Part of the replicated state: every member forgets the same one at the same entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Recent(VecDeque<(RequestId, Outcome)>);

impl Recent {
    /// How many outcomes are remembered. At one request a second that is a quarter of an hour, far beyond any retry's deadline.
    pub(crate) const KEPT: usize = 1024;

    /// What became of a request, if it was seen. A walk over 16-byte ids; the log carries a few entries a second at most.
    pub(crate) fn outcome_of(&self, id: RequestId) -> Option<&Outcome> {
        self.0.iter().rev().find(|(seen, _)| *seen == id).map(|(_, outcome)| outcome)
    }

    /// Remembers an outcome, forgetting the oldest if need be.
    pub(crate) fn remember(&mut self, id: RequestId, outcome: Outcome) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((id, outcome));
    }
}
