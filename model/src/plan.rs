//! The Plan: World + verdicts + overrides, numbered, complete in itself. Followers only ever move forward.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Gate, Override, OverrideAction, RegionName, SharedWorld, Subject, Vote};

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
    /// How much of its normal share it is sent on its way back, per mille; 1000 once it is all there.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub ramp_permille: u32,
    /// When it was brought to that share, Unix milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ramp_at_ms: u64,
    /// Flap penalty at `penalty_at_ms`; it halves over time (see `decision::damping`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub penalty: u64,
    /// When the penalty was last reckoned, Unix milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub penalty_at_ms: u64,
    /// The part that it keeps of its users although it is Down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// A part of its users that a subject keeps although it is Down, since the others could not carry them: to send them there as well
/// would take the others down too, and serve nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Which part of its normal share, per mille.
    pub permille: u32,
    /// What its region was asked for when it fell, reckoned to a whole share, requests per second.
    pub asked_rps: u32,
    /// When it was last cut, Unix milliseconds.
    pub at_ms: u64,
}

/// All of a share, per mille.
const WHOLE: u32 = 1000;

fn whole() -> u32 {
    WHOLE
}
fn is_whole(permille: &u32) -> bool {
    *permille == WHOLE
}
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl SubjectState {
    /// A verdict without a history.
    pub fn new(verdict: Verdict, since_ms: u64, version: u64) -> Self {
        Self {
            verdict,
            since_ms,
            version,
            ramp_permille: WHOLE,
            ramp_at_ms: 0,
            penalty: 0,
            penalty_at_ms: 0,
            kept: None,
        }
    }
}

/// Where the writes of a pool's state are at home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The one region that may write.
    pub region: RegionName,
    /// Version of the Plan that made it so: the fencing token. The data layer takes writes only under the greatest it knows.
    pub epoch: u64,
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
    /// What the gateways carried then, requests per second by region, as far as they told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub demand_rps: BTreeMap<RegionName, u32>,
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
    /// How much of its normal share it is to be sent, per mille: 0 if it does not serve.
    pub share_permille: u32,
    /// Whose word that is.
    pub why: Why,
}

impl Serving {
    /// Whether it is sent all of its normal share: neither drained in steps nor on the way back.
    pub fn is_whole(&self) -> bool {
        self.serves && self.share_permille == WHOLE
    }

    /// Whether users that are sent there are served, as far as the Plan knows: named, and not only for want of room elsewhere.
    pub fn is_alive(&self) -> bool {
        self.serves && self.why != Why::Capacity
    }
}

/// Whose word decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The quorum's verdict.
    Verdict,
    /// A human's override.
    Override,
    /// The quorum's verdict is Down, and the others cannot carry all of its users ([`Kept`]).
    Capacity,
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
    pub world: SharedWorld,
    /// Verdict by subject. Every subject of the World has one.
    pub verdicts: BTreeMap<Subject, SubjectState>,
    /// Overrides in force. Expiry is a replicated command, so an override listed here is in force, whatever a clock says.
    pub overrides: Vec<Override>,
    /// The latest decisions, newest last, at most [`Plan::DECISIONS_KEPT`].
    pub decisions: Vec<Decision>,
    /// Gates that are closed. As with overrides, one that is listed is closed, whatever a clock says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Homes by pool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub homes: BTreeMap<String, Home>,
    /// How many removals automation made in each minute (Unix time in minutes) of the last hour.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removals: BTreeMap<u64, u32>,
}

impl Plan {
    /// How many decisions a Plan carries along for `explain`.
    pub const DECISIONS_KEPT: usize = 32;

    /// A Plan of that World in which nothing has happened yet.
    pub fn new(id: PlanId, made_at_ms: u64, made_by: impl Into<String>, world: impl Into<SharedWorld>) -> Self {
        Self {
            id,
            made_at_ms,
            made_by: made_by.into(),
            world: world.into(),
            verdicts: BTreeMap::new(),
            overrides: Vec::new(),
            decisions: Vec::new(),
            gates: Vec::new(),
            homes: BTreeMap::new(),
            removals: BTreeMap::new(),
        }
    }

    /// The override in force on a subject.
    pub fn override_on(&self, subject: &Subject) -> Option<&Override> {
        self.overrides.iter().find(|o| o.subject == *subject)
    }

    /// Whether a region is to be named in answers: the override's word if there is one, else the verdict's.
    /// A region without a verdict serves, since nobody has said otherwise.
    pub fn serving(&self, region: &RegionName) -> Serving {
        self.serving_of(&Subject::Region(region.clone()))
    }

    /// The same for a region as a member of a pool: it serves if both the region and the member do, with the product of their
    /// shares. Whose word it is: the one that keeps it out; want of room, if that alone keeps one of the two in; an override if one of the two is
    /// overridden.
    /// In a pool without automation only overrides count.
    pub fn serving_in(&self, pool: &str, region: &RegionName) -> Serving {
        if self.world.pools.get(pool).is_some_and(|pool| !pool.automation) {
            return self.serving_by_hand(pool, region);
        }
        let whole = self.serving(region);
        let Ok(pool) = RegionName::new(pool) else { return whole };
        let member = Subject::Member { pool, region: region.clone() };
        if !self.verdicts.contains_key(&member) && self.override_on(&member).is_none() {
            return whole;
        }
        let member = self.serving_of(&member);
        let why = match (whole.serves, member.serves) {
            (false, true) => whole.why,
            (true, false) => member.why,
            (true, true) if whole.why == Why::Capacity || member.why == Why::Capacity => Why::Capacity,
            _ if whole.why == Why::Override => Why::Override,
            _ => member.why,
        };
        let share_permille = whole.share_permille * member.share_permille / WHOLE;
        Serving { serves: whole.serves && member.serves, share_permille, why }
    }

    /// By overrides alone: on the region, and on the member.
    fn serving_by_hand(&self, pool: &str, region: &RegionName) -> Serving {
        let member = RegionName::new(pool).ok().map(|pool| Subject::Member { pool, region: region.clone() });
        let words = [Some(Subject::Region(region.clone())), member];
        let words = words.iter().flatten().filter_map(|subject| self.override_on(subject));
        let by_verdict = Serving { serves: true, share_permille: WHOLE, why: Why::Verdict };
        words.fold(by_verdict, |so_far, word| {
            let share_permille = so_far.share_permille * word.share_permille / WHOLE;
            Serving { serves: share_permille > 0, share_permille, why: Why::Override }
        })
    }

    /// What the subject's own override says, or else its own verdict.
    fn serving_of(&self, subject: &Subject) -> Serving {
        if let Some(o) = self.override_on(subject) {
            let share_permille = if o.action == OverrideAction::Up { WHOLE } else { o.share_permille };
            return Serving { serves: share_permille > 0, share_permille, why: Why::Override };
        }
        let state = self.verdicts.get(subject);
        if let Some(kept) = state.filter(|state| state.verdict == Verdict::Down).and_then(|state| state.kept) {
            return Serving { serves: kept.permille > 0, share_permille: kept.permille, why: Why::Capacity };
        }
        let share_permille = state.map_or(WHOLE, |state| match state.verdict {
            Verdict::Up => state.ramp_permille,
            Verdict::Degraded => state.ramp_permille.min(self.world.automation.degraded_percent.saturating_mul(10)),
            Verdict::Down => 0,
        });
        Serving { serves: share_permille > 0, share_permille, why: Why::Verdict }
    }
}
