//! The Plan: World + verdicts + overrides, numbered, complete in itself. Followers only ever move forward.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Override, OverrideAction, RegionName, Subject, Vote, World};

/// The number of a Plan. Ordered: a higher lineage beats any version of a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlanId {
    /// Chosen when a world is made; raised only by a restore from backup.
    pub lineage: u64,
    /// Index of the raft entry that made the Plan.
    pub version: u64,
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{}", self.lineage, self.version)
    }
}

/// What the quorum decided about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It serves.
    Up,
    /// It serves with less weight.
    Degraded,
    /// It is left out of answers.
    Down,
}

/// A verdict and its history in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectState {
    /// The verdict in force.
    pub verdict: Verdict,
    /// When it was decided, Unix milliseconds of the proposer.
    pub since_ms: u64,
    /// Which Plan version decided it.
    pub version: u64,
}

/// What was seen when a decision was proposed: the stored answer to "why?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Each other observer's vote on the subject at that moment, as it was counted: Unknown if it was silent or not believed.
    /// The guards count these again.
    pub votes: BTreeMap<RegionName, Vote>,
    /// How many votes were needed.
    pub needed: usize,
    /// How many observers were qualified.
    pub qualified: usize,
    /// Start of the earliest failed probe behind the Down votes, Unix milliseconds of the observers; none for a return.
    pub first_probe_ms: Option<u64>,
    /// When the quorum was first seen, Unix milliseconds of the proposer.
    pub quorum_at_ms: u64,
}

/// One change of one subject, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Which Plan version it made.
    pub version: u64,
    /// On what.
    pub subject: Subject,
    /// Before.
    pub from: Verdict,
    /// After.
    pub to: Verdict,
    /// When it was proposed, Unix milliseconds of the proposer.
    pub proposed_at_ms: u64,
    /// The region whose plane member proposed it.
    pub proposed_by: RegionName,
    /// What was seen.
    pub evidence: Evidence,
}

/// Whether a region is to be named in answers, and on whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Name it or leave it out.
    pub serves: bool,
    /// Whose word that is.
    pub why: Why,
}

/// Whose word decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The quorum's verdict.
    Verdict,
    /// A human's override.
    Override,
}

/// The whole of what a follower needs: it asks nobody anything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its number.
    pub id: PlanId,
    /// When the entry that made it was proposed, Unix milliseconds of the proposer.
    pub made_at_ms: u64,
    /// What made it, in words for `plan history`.
    pub made_by: String,
    /// The desired configuration.
    pub world: World,
    /// Verdict by subject. Every subject of the World has one.
    pub verdicts: BTreeMap<Subject, SubjectState>,
    /// Overrides in force. Expiry is a replicated command, so an override listed here is in force, whatever a clock says.
    pub overrides: Vec<Override>,
    /// The latest decisions, newest last, at most [`Plan::DECISIONS_KEPT`].
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// How many decisions a Plan carries along for `explain`.
    pub const DECISIONS_KEPT: usize = 32;

    /// The override in force on a subject.
    pub fn override_on(&self, subject: &Subject) -> Option<&Override> {
        self.overrides.iter().find(|o| o.subject == *subject)
    }

    /// Whether a region is to be named in answers: the override's word if there is one, else the verdict's.
    /// A region without a verdict serves, since nobody has said otherwise.
    pub fn serving(&self, region: &RegionName) -> Serving {
        let subject = Subject::Region(region.clone());
        if let Some(o) = self.override_on(&subject) {
            return Serving { serves: o.action == OverrideAction::Up, why: Why::Override };
        }
        let down = self.verdicts.get(&subject).is_some_and(|s| s.verdict == Verdict::Down);
        Serving { serves: !down, why: Why::Verdict }
    }
}
