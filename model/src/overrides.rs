//! A human's word on a subject: it beats automation, names who and why, and expires.

use serde::{Deserialize, Serialize};

use crate::Subject;

/// What a human wants of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverrideAction {
    /// Take it out of answers, whatever the probes say (a drain).
    Down,
    /// Keep it in answers, whatever the probes say.
    Up,
}

/// An override in force. At most one per subject; a newer one replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// On what.
    pub subject: Subject,
    /// What is wanted.
    pub action: OverrideAction,
    /// Why; never empty.
    pub reason: String,
    /// Who; never empty.
    pub who: String,
    /// When it was set, Unix milliseconds of the proposer.
    pub set_at_ms: u64,
    /// When it ends, Unix milliseconds. At most [`Override::MAX_LIFE_MS`] after `set_at_ms`.
    pub expires_at_ms: u64,
}

impl Override {
    /// Human words expire after 72 hours at most; renew them if they still hold.
    pub const MAX_LIFE_MS: u64 = 72 * 3600 * 1000;
}
