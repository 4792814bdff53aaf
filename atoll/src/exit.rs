//! Exit codes that scripts can trust, chosen here and nowhere else.

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done,
    /// It was tried and failed, or the answer is no; a drill's FAIL.
    Failed,
    /// The command line or a file is wrong.
    Usage,
    /// `state verify`: whole, but for an end that the next start cuts off.
    Torn,
    /// `apply` and `plan rollback` with `--dry-run`: something would change.
    Pending,
    /// A drill's own code: 2 VACUOUS, 3 ABORTED, 4 HARNESS, 5 ROLLBACK-INCOMPLETE.
    Drill(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Torn | Exit::Pending => 3,
            Exit::Drill(code) => code,
        })
    }
}

/// A mistake of the caller's: a file or an argument that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

/// No member of the world answered.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// The code of an error, by what the caller can do about it.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    if error.is::<Misuse>() {
        Exit::Usage
    } else if error.is::<Unreachable>() {
        Exit::Drill(4)
    } else {
        Exit::Failed
    }
}
