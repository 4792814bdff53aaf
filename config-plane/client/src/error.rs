//! Errors by what the caller does next: go elsewhere, correct the request, ask again, or give up.

use std::time::Duration;

use model::RegionName;

use crate::{
    Endpoint,
    problem::{Problem, ProblemKind},
};

/// One call to one endpoint got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request did not leave: whatever it asks for has not happened.
    #[error("cannot reach {endpoint}: {why}")]
    Unreachable {
        /// Who was called.
        endpoint: Endpoint,
        /// What went wrong.
        why: String,
    },
    /// No whole answer in time. The request may have been carried out.
    #[error("no answer from {endpoint} within {} ms", within.as_millis())]
    Timeout {
        /// Who was called.
        endpoint: Endpoint,
        /// The deadline.
        within: Duration,
    },
    /// The connection broke during the call. The request may have been carried out.
    #[error("the connection to {endpoint} broke: {why}")]
    Broken {
        /// Who was called.
        endpoint: Endpoint,
        /// What went wrong.
        why: String,
    },
    /// The answer is longer than the caller wants to hold.
    #[error("the answer of {endpoint} is longer than {most} bytes")]
    TooLarge {
        /// Who was called.
        endpoint: Endpoint,
        /// The limit, bytes.
        most: usize,
    },
}

impl CallError {
    /// Whether the request may have been carried out all the same.
    pub fn outcome_unknown(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

/// A request to the plane failed, after all endpoints that make sense were tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No endpoint could be reached. Nothing happened.
    #[error("no region can be reached: {}", tried.join("; "))]
    Unreachable {
        /// Each endpoint's reason.
        tried: Vec<String>,
    },
    /// A guard refused the change. Nothing happened.
    #[error("refused{}: {message}{}", in_brackets(rule.as_deref()), advice(hint.as_deref()))]
    Refused {
        /// Which guard.
        rule: Option<String>,
        /// Why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It is not (or no more) what the change was made from. Nothing happened; look again.
    #[error("{message}{}", advice(hint.as_deref()))]
    Changed {
        /// What the server said.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The plane has no leader that can take a change. Nothing happened.
    #[error("{message}")]
    NotLeader {
        /// Whom the last member asked believes to lead.
        leader: Option<RegionName>,
        /// What that member said; of a change, how things stand and what to do.
        message: String,
    },
    /// The credentials are missing, wrong, or not good for this.
    #[error("not allowed: {message}{}", advice(hint.as_deref()))]
    Unauthorized {
        /// What the server said.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// There is no such thing.
    #[error("{message}{}", advice(hint.as_deref()))]
    NotFound {
        /// What the server said.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The server cannot make sense of the request.
    #[error("{message}{}", advice(hint.as_deref()))]
    Invalid {
        /// What the server said.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// No answer in time. `maybe_done` says whether a change may have been made all the same.
    #[error("{message}{}", if *maybe_done { "; the change may have been made all the same: look with `atoll status`" } else { "" })]
    Timeout {
        /// Who did not answer.
        message: String,
        /// Whether a change may have been made all the same.
        maybe_done: bool,
    },
    /// The other side does not speak this API, or it has a fault.
    #[error("unexpected answer: {0}")]
    Protocol(String),
}

impl ClientError {
    /// Of a call that is not repeated and changes nothing that matters for long.
    pub(crate) fn from_call(e: &CallError) -> Self {
        match e {
            CallError::Unreachable { .. } => Self::Unreachable { tried: vec![e.to_string()] },
            CallError::TooLarge { .. } => Self::Protocol(e.to_string()),
            CallError::Timeout { .. } | CallError::Broken { .. } => {
                Self::Timeout { message: e.to_string(), maybe_done: false }
            }
        }
    }

    pub(crate) fn from_problem(problem: Problem) -> Self {
        let Problem { error, rule, message, hint, leader, referrers: _ } = problem;
        match error {
            ProblemKind::Refused => Self::Refused { rule, message, hint },
            ProblemKind::Changed => Self::Changed { message, hint },
            ProblemKind::NotLeader | ProblemKind::NoQuorum | ProblemKind::Busy => Self::NotLeader { leader, message },
            ProblemKind::Unauthorized | ProblemKind::Forbidden => Self::Unauthorized { message, hint },
            ProblemKind::NotFound => Self::NotFound { message, hint },
            ProblemKind::Invalid | ProblemKind::Unconditional | ProblemKind::TooLarge => {
                Self::Invalid { message, hint }
            }
            ProblemKind::Timeout => Self::Timeout { message, maybe_done: true },
            ProblemKind::Internal | ProblemKind::Unknown => Self::Protocol(message),
        }
    }
}

fn in_brackets(text: Option<&str>) -> String {
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

fn advice(hint: Option<&str>) -> String {
    hint.map(|hint| format!("\n  {hint}")).unwrap_or_default()
}
