//! What may be asked of the plane, and what it answers. These types travel in the raft log: fields are added, never changed.

use std::{fmt, str::FromStr};

use model::{Evidence, OverrideAction, PlanId, RegionName, Subject, Verdict, World};
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// The name of one request, drawn at random by whoever makes it, so that a retry after an unknown outcome is recognised.
/// Written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// An id of 16 random bytes, which the caller draws.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for RequestId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a request id is 32 hexadecimal digits";
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong);
        }
        u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| wrong)
    }
}

impl TryFrom<String> for RequestId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

/// One entry of the plane's log: a command, and who proposed it when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Clock of the proposer, Unix milliseconds. The only time that `apply` ever sees.
    pub proposed_at_ms: u64,
    /// The region whose plane member proposed it.
    pub proposed_by: RegionName,
    /// What is wanted.
    pub command: Command,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Make the world: its first Plan. Refused ever after.
    Found {
        /// The desired configuration.
        world: World,
        /// A number drawn when the world is made; it tells this world's Plans from any other's.
        lineage: u64,
    },
    /// Automation's word: change verdicts, all of them or none.
    Decide {
        /// The Plan that was looked at.
        based_on: PlanId,
        /// What changes, at most one per subject.
        changes: Vec<Change>,
    },
    /// A human's word on a subject. A newer one replaces an older one.
    SetOverride {
        /// On what.
        subject: Subject,
        /// What is wanted.
        action: OverrideAction,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
        /// How long it holds from `proposed_at_ms`, milliseconds; at most [`model::Override::MAX_LIFE_MS`].
        lasts_ms: u64,
    },
    /// Take a human's word back: automation's present view holds again.
    ClearOverride {
        /// On what.
        subject: Subject,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
    },
    /// End the overrides that are due at this time. Expiry is a command, so that every member ends them at the same Plan.
    ExpireOverrides {
        /// The proposer's clock, Unix milliseconds.
        now_ms: u64,
    },
    /// Replace the desired configuration.
    SetWorld {
        /// The Plan that the change was made from: compare and set.
        based_on: PlanId,
        /// The new configuration, whole.
        world: World,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
    },
}

impl Command {
    /// The command in one word, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Found { .. } => "found",
            Self::Decide { .. } => "decide",
            Self::SetOverride { .. } => "set_override",
            Self::ClearOverride { .. } => "clear_override",
            Self::ExpireOverrides { .. } => "expire_overrides",
            Self::SetWorld { .. } => "set_world",
        }
    }
}

/// One verdict to change, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// On what.
    pub subject: Subject,
    /// The verdict that the proposer found in the Plan.
    pub from: Verdict,
    /// The verdict that it wants.
    pub to: Verdict,
    /// Why.
    pub evidence: Evidence,
}

/// What became of a request. The same request (by id) gets the same outcome, however often it is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It made this Plan.
    Applied(PlanId),
    /// It asked for what is already so; this Plan still stands.
    Unchanged(PlanId),
    /// A guard refused it; nothing changed.
    Refused(Refusal),
}

impl Outcome {
    /// The Plan in force after the request, unless it was refused.
    pub fn plan_id(&self) -> Option<PlanId> {
        match self {
            Self::Applied(id) | Self::Unchanged(id) => Some(*id),
            Self::Refused(_) => None,
        }
    }
}
