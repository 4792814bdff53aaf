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
    /// Share of its normal traffic that a subject that is taken out is sent now, per mille: a staged drain lowers it step by step.
    /// One that is kept in (`Up`) is sent all of it, whatever stands here.
    #[serde(default)]
    pub share_permille: u32,
    /// What is left of a staged drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Stages>,
    /// The second identity that broke the glass: capacity, velocity and common mode were not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
}

/// The steps that a staged drain still has before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// The shares to come, per mille, falling; the last one is 0. At most [`Stages::MAX`].
    pub left_permille: Vec<u32>,
    /// How long each lasts, milliseconds, 1000 to 86 400 000.
    pub step_ms: u64,
    /// When the next one is due, Unix milliseconds.
    pub next_at_ms: u64,
}

impl Stages {
    /// The most steps of one drain.
    pub const MAX: usize = 16;
}

/// What a gate stands before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateScope {
    /// Everything.
    World,
    /// One pool.
    Pool(String),
}

/// A gate that was closed by hand (AWS ARC's gating rule): until it opens, nothing behind it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What it stands before.
    pub scope: GateScope,
    /// Whether people are held back too, or automation alone.
    pub binds_people: bool,
    /// Why; never empty.
    pub reason: String,
    /// Who; never empty.
    pub who: String,
    /// When it was closed, Unix milliseconds of the proposer.
    pub set_at_ms: u64,
    /// When it opens by itself, Unix milliseconds. At most [`Override::MAX_LIFE_MS`] after `set_at_ms`.
    pub expires_at_ms: u64,
}

impl Override {
    /// Human words expire after 72 hours at most; renew them if they still hold.
    pub const MAX_LIFE_MS: u64 = 72 * 3600 * 1000;

    /// A word that holds at once and in full, signed with why and who.
    pub fn new(
        subject: Subject,
        action: OverrideAction,
        (reason, who): (&str, &str),
        set_at_ms: u64,
        lasts_ms: u64,
    ) -> Self {
        Self {
            subject,
            action,
            reason: reason.trim().to_owned(),
            who: who.trim().to_owned(),
            set_at_ms,
            expires_at_ms: set_at_ms.saturating_add(lasts_ms),
            share_permille: if action == OverrideAction::Up { 1000 } else { 0 },
            stages: None,
            second: None,
        }
    }
}
