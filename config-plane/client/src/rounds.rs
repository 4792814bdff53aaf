//! Whose turn it is among the endpoints, and what to say when none of them helped. Pure.

use std::time::Duration;

use model::RegionName;

use crate::{CallError, ClientError};

/// What an endpoint had to say last.
enum Heard {
    Nothing,
    NoAnswer(CallError),
    NotNow,
}

/// One request's way round the endpoints.
pub(crate) struct Rounds {
    at: usize,
    tries: usize,
    changes: bool,
    /// One entry an endpoint.
    heard: Vec<Heard>,
    /// The last "not now" of a member.
    not_now: Option<ClientError>,
    /// Why an attempt of this request may have been carried out. Later attempts cannot take that back.
    doubt: Option<String>,
}

impl Rounds {
    /// For a request to one of `endpoints`, beginning with number `at`.
    pub(crate) fn new(endpoints: usize, at: usize, changes: bool) -> Self {
        let heard = (0..endpoints).map(|_| Heard::Nothing).collect();
        Self { at, tries: 0, changes, heard, not_now: None, doubt: None }
    }

    /// The number of the endpoint to ask.
    pub(crate) fn turn(&self) -> usize {
        self.at
    }

    /// Whether the request may be sent once more with this much time left.
    ///
    /// While it is certain that a change was not made, it is sent again only if a whole attempt's time is left: cut short, the
    /// attempt would only turn that certainty into doubt. A lone endpoint gets half of the whole time for its attempt.
    pub(crate) fn may_ask(&self, remaining: Duration, attempt: Duration, overall: Duration) -> bool {
        let certain = self.changes && self.not_now.is_some() && self.doubt.is_none();
        !remaining.is_zero() && (!certain || remaining >= attempt.min(overall / 2))
    }

    /// The endpoint did not answer. Never names a leader.
    pub(crate) fn no_answer(&mut self, e: CallError) -> Option<RegionName> {
        if e.outcome_unknown() {
            self.doubt = Some(e.to_string());
        }
        self.hear(Heard::NoAnswer(e));
        None
    }

    /// The endpoint answered that it cannot help now; perhaps it says who can.
    pub(crate) fn not_now(&mut self, e: ClientError) -> Option<RegionName> {
        let leader = match &e {
            ClientError::NotLeader { leader, .. } => leader.clone(),
            _ => None,
        };
        if let ClientError::Timeout { message, .. } = &e {
            self.doubt = Some(message.clone());
        }
        self.hear(Heard::NotNow);
        self.not_now = Some(e);
        leader
    }

    fn hear(&mut self, what: Heard) {
        if let Some(heard) = self.heard.get_mut(self.at) {
            *heard = what;
        }
    }

    /// On to the leader where it is known, else to the next endpoint. True at the end of a round.
    pub(crate) fn next(&mut self, leader: Option<usize>) -> bool {
        self.tries += 1;
        let endpoints = self.heard.len().max(1);
        self.at = leader.filter(|&leader| leader != self.at).unwrap_or((self.at + 1) % endpoints);
        self.tries.is_multiple_of(endpoints)
    }

    /// After a round: no endpoint took the request at all, so that waiting is in vain.
    pub(crate) fn nobody_is_there(&self) -> bool {
        self.heard.iter().all(|heard| matches!(heard, Heard::NoAnswer(e) if !e.outcome_unknown()))
    }

    /// What to say at the end. That a change may have been made comes first: it must not be forgotten over anything later.
    pub(crate) fn give_up(mut self) -> ClientError {
        let not_now = self.not_now.take();
        match (not_now, self.doubt.take()) {
            (_, Some(message)) if self.changes => ClientError::Timeout { message, maybe_done: true },
            (Some(ClientError::NotLeader { leader, message }), _) if self.changes => {
                let message = self.unchanged(leader.as_ref(), &message);
                ClientError::NotLeader { leader, message }
            }
            (Some(e), _) => e,
            (None, Some(_)) => ClientError::Timeout { message: self.tried().join("; "), maybe_done: false },
            (None, None) if self.heard.is_empty() => {
                ClientError::Unreachable { tried: vec!["no endpoint is known".into()] }
            }
            (None, None) => ClientError::Unreachable { tried: self.tried() },
        }
    }

    /// Why a change was not made, and what to do about it.
    fn unchanged(&self, leader: Option<&RegionName>, said: &str) -> String {
        let silent = self.tried().len();
        let answer = self.heard.iter().filter(|heard| matches!(heard, Heard::NotNow)).count();
        match leader {
            Some(leader) => {
                format!("{leader} leads the plane, but did not take the change; nothing was changed; ask again")
            }
            None if silent > 0 => format!(
                "the plane has no quorum: {answer} of {} members can be reached; nothing was changed; \
                 bring regions back, `atoll status` shows which",
                answer + silent
            ),
            None => format!("{said}; nothing was changed; bring regions back, `atoll status` shows which"),
        }
    }

    /// Who did not answer, and why; each endpoint once.
    fn tried(&self) -> Vec<String> {
        let silent = self.heard.iter().filter_map(|heard| match heard {
            Heard::NoAnswer(e) => Some(e.to_string()),
            Heard::Nothing | Heard::NotNow => None,
        });
        silent.collect()
    }
}
