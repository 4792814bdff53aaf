//! What may be asked of the plane, and what it answers. These types travel in the raft log: fields are added, never changed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use model::{Evidence, GateScope, OverrideAction, PlanId, RegionName, SharedWorld, Subject, Verdict};
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
    /// The generation of guards that its proposer knows. An entry is judged by the newest one that the log has seen so far, so
    /// that a log from before a guard existed is replayed without it, to the same bytes. See [`Request::GENERATION`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
fn is_unsaid(ms: &u64) -> bool {
    *ms == 0
}

impl Request {
    /// The generation of guards that this program knows: 0 has the fence, the quorum and never-the-last by pool; 1 has all that
    /// `guards` describes, flap damping and ramps; 2 takes out as much as the others can carry where all of it is too much; 3
    /// does not let several regions at once hand the same room to what each of them kept.
    pub const GENERATION: u32 = 3;

    /// A request to be judged by all guards that this program knows.
    pub fn new(id: RequestId, proposed_at_ms: u64, proposed_by: RegionName, command: Command) -> Self {
        Self { id, proposed_at_ms, proposed_by, command, generation: Self::GENERATION }
    }
}

/// What gateways carry, requests per second by region, as far as it is known.
pub type Demand = BTreeMap<RegionName, u32>;

/// The shares that a staged drain passes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staging {
    /// Shares of the normal traffic, per mille: falling, the first one holds at once, the last one is 0. 1 to
    /// [`model::Stages::MAX`] of them.
    pub shares_permille: Vec<u32>,
    /// How long each lasts at least, milliseconds, 1000 to 86 400 000.
    pub step_ms: u64,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Make the world: its first Plan. Refused ever after.
    Found {
        /// The desired configuration.
        world: SharedWorld,
        /// A number drawn when the world is made; it tells this world's Plans from any other's.
        lineage: u64,
    },
    /// Automation's word: change verdicts, all of them or none.
    Decide {
        /// The Plan that was looked at.
        based_on: PlanId,
        /// What changes, at most one per subject.
        changes: Vec<Change>,
        /// What else a quorum calls Down without a change for it in here, with the time of that quorum (Unix milliseconds): the
        /// common-mode guard must see what falls together even if only a part of it is asked for.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        falling: BTreeMap<Subject, u64>,
        /// The judge's clock, Unix milliseconds; `proposed_at_ms` if it is 0. It does not follow a wall clock that steps.
        #[serde(default, skip_serializing_if = "is_unsaid")]
        now_ms: u64,
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
        /// Break-glass: a second person, other than `who`, who takes the responsibility with them. Capacity is not asked then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        second: Option<String>,
        /// A drain in steps; at once if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        staging: Option<Staging>,
        /// What the gateways carry, for the capacity guard; filled in by the plane member that takes the request.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        demand_rps: Demand,
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
    /// End the overrides, and open the gates, that are due at this time. Expiry is a command, so that every member ends them at the
    /// same Plan.
    ExpireOverrides {
        /// The proposer's clock, Unix milliseconds.
        now_ms: u64,
    },
    /// Replace the desired configuration.
    SetWorld {
        /// The Plan that the change was made from: compare and set.
        based_on: PlanId,
        /// The new configuration, whole.
        world: SharedWorld,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
    },
    /// Take each ramp and each staged drain that is due one step further. One that is halted stays where it is.
    Advance {
        /// The proposer's clock, Unix milliseconds.
        now_ms: u64,
        /// What the gateways carry, for the capacity guard of drains.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        demand_rps: Demand,
    },
    /// Close a gate: nothing behind it changes until it opens. A newer one before the same replaces an older one.
    SetGate {
        /// Before what.
        scope: GateScope,
        /// Whether people are held back too, or automation alone.
        binds_people: bool,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
        /// How long it stays closed from `proposed_at_ms`, milliseconds; at most [`model::Override::MAX_LIFE_MS`].
        lasts_ms: u64,
    },
    /// Open a gate.
    ClearGate {
        /// Before what.
        scope: GateScope,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
    },
    /// Forget how often a subject went Down: its flaps had a cause that is gone, or that was a drill.
    ClearDamping {
        /// On what.
        subject: Subject,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
    },
    /// Move the home of a pool's state. Its new fencing epoch is the log index of this entry.
    MoveHome {
        /// Which pool.
        pool: String,
        /// To which of its members.
        to: RegionName,
        /// The epoch that it was moved from: compare and set, so that a repeated or late request moves nothing back.
        epoch: u64,
        /// Why; 1 to 200 characters.
        reason: String,
        /// Who; 1 to 200 characters.
        who: String,
    },
}

impl Command {
    /// A human's word that holds at once and in full, of one person.
    pub fn set_override(subject: Subject, action: OverrideAction, (reason, who): (&str, &str), lasts_ms: u64) -> Self {
        Self::SetOverride {
            subject,
            action,
            reason: reason.to_owned(),
            who: who.to_owned(),
            lasts_ms,
            second: None,
            staging: None,
            demand_rps: Demand::new(),
        }
    }

    /// The command in one word, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Found { .. } => "found",
            Self::Decide { .. } => "decide",
            Self::SetOverride { .. } => "set_override",
            Self::ClearOverride { .. } => "clear_override",
            Self::ExpireOverrides { .. } => "expire_overrides",
            Self::SetWorld { .. } => "set_world",
            Self::Advance { .. } => "advance",
            Self::SetGate { .. } => "set_gate",
            Self::ClearGate { .. } => "clear_gate",
            Self::ClearDamping { .. } => "clear_damping",
            Self::MoveHome { .. } => "move_home",
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
