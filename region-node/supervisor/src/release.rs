//! What changes of a running app answer: steps on the way, and how it went.

use std::{sync::Arc, time::Duration};

/// Called for each step of a change. It must return quickly; it is called from a task of the app.
pub type Progress = Arc<dyn Fn(Step) + Send + Sync>;

/// One step of a reload, restart, roll-back or scaling. `to_string` tells it to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The worker's slot.
    pub slot: u16,
    /// The release of the worker that the step is about.
    pub release: u32,
    /// What happened to it.
    pub what: StepKind,
    /// How many workers the change has dealt with.
    pub done: u16,
    /// How many it has to deal with.
    pub of: u16,
}

/// What happened to a worker in a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// A new worker was started.
    Starting,
    /// The new worker is ready, and gets requests from now on.
    Ready,
    /// The old worker gets no new requests; those in flight finish.
    Draining,
    /// The old worker has ended.
    Ended,
    /// The new worker did not become ready, for this reason; the old one stays.
    Failed(String),
    /// Workers that were replaced already go back to the old release.
    RollingBack,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { slot, release, what, done, of } = self;
        write!(f, "[{done}/{of}] worker {slot} (release {release}) ")?;
        match what {
            StepKind::Starting => write!(f, "is starting"),
            StepKind::Ready => write!(f, "is ready"),
            StepKind::Draining => write!(f, "finishes its requests"),
            StepKind::Ended => write!(f, "has ended"),
            StepKind::Failed(why) => write!(f, "{why}"),
            StepKind::RollingBack => write!(f, "goes back to the release before"),
        }
    }
}

/// A change that went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The release that all workers run now.
    pub release: u32,
    /// How many workers there are now.
    pub instances: u16,
    /// How long it took.
    pub took: Duration,
}

/// A change that did not go through. What ran before runs on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ReloadFailed {
    /// What to do next depends on this.
    pub kind: FailKind,
    /// What happened, to what, and what to do.
    pub why: String,
    /// The last lines of output of the worker that did not become ready; empty in other cases.
    pub last_lines: Vec<String>,
}

/// Why a change did not go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailKind {
    /// Another change runs; try again later.
    Busy,
    /// The new spec cannot run at all; nothing was started.
    Refused,
    /// A new worker did not become ready. Workers that were replaced before it were put back.
    NotReady,
    /// The app was stopped meanwhile, or is stopped; start it first.
    Stopped,
    /// There is no release before this one.
    NoPrevious,
}

impl ReloadFailed {
    pub(crate) fn new(kind: FailKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), last_lines: Vec::new() }
    }
}
