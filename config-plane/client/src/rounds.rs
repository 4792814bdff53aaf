//! Whose turn it is among the endpoints, and what to say when none of them helped. Pure.

use model::RegionName;

use crate::{CallError, ClientError};

/// One request's way round the endpoints.
pub(crate) struct Rounds {
    endpoints: usize,
    at: usize,
    tries: usize,
    changes: bool,
    /// Calls of the present round that got no answer, and those of the round before.
    unanswered: Vec<CallError>,
    before: Vec<CallError>,
    /// The last "not now" of a member.
    not_now: Option<ClientError>,
    /// Whether any attempt of this request may have been carried out. Later attempts cannot take that back.
    maybe_done: bool,
}

impl Rounds {
    /// For a request to one of `endpoints`, beginning with number `at`.
    pub(crate) fn new(endpoints: usize, at: usize, changes: bool) -> Self {
        Self { endpoints, at, tries: 0, changes, unanswered: vec![], before: vec![], not_now: None, maybe_done: false }
    }

    /// The number of the endpoint to ask.
    pub(crate) fn turn(&self) -> usize {
        self.at
    }

    /// The endpoint did not answer. Never names a leader.
    pub(crate) fn no_answer(&mut self, e: CallError) -> Option<RegionName> {
        self.maybe_done |= e.outcome_unknown();
        self.unanswered.push(e);
        None
    }

    /// The endpoint answered that it cannot help now; perhaps it says who can.
    pub(crate) fn not_now(&mut self, e: ClientError) -> Option<RegionName> {
        self.maybe_done |= matches!(e, ClientError::Timeout { .. });
        let leader = match &e {
            ClientError::NotLeader { leader, .. } => leader.clone(),
            _ => None,
        };
        self.not_now = Some(e);
        leader
    }

    /// On to the leader where it is known, else to the next endpoint. True at the end of a round.
    pub(crate) fn next(&mut self, leader: Option<usize>) -> bool {
        self.tries += 1;
        let next = (self.at + 1) % self.endpoints.max(1);
        self.at = leader.filter(|&leader| leader != self.at).unwrap_or(next);
        let over = self.tries.is_multiple_of(self.endpoints.max(1));
        if over {
            self.before = std::mem::take(&mut self.unanswered);
        }
        over
    }

    /// After a round: no endpoint took the request at all, so that waiting is in vain.
    pub(crate) fn nobody_is_there(&self) -> bool {
        self.before.len() >= self.endpoints && !self.before.iter().any(CallError::outcome_unknown)
    }

    /// What to say at the end. That a change may have been made comes first: it must not be forgotten over anything later.
    pub(crate) fn give_up(mut self) -> ClientError {
        self.before.append(&mut self.unanswered);
        let tried: Vec<String> = self.before.iter().map(ToString::to_string).collect();
        let maybe_done = self.changes && self.maybe_done;
        match self.not_now {
            Some(e) if !maybe_done => e,
            Some(e) => ClientError::Timeout { message: [tried, vec![e.to_string()]].concat().join("; "), maybe_done },
            None if self.endpoints == 0 => ClientError::Unreachable { tried: vec!["no endpoint is known".into()] },
            None if self.maybe_done => ClientError::Timeout { message: tried.join("; "), maybe_done },
            None => ClientError::Unreachable { tried },
        }
    }
}
