//! What observers say.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{RegionName, Subject};

/// What one observer says of one subject. `Unknown` is not `Down`: it is the absence of an opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// It serves.
    Up,
    /// It serves, but badly.
    Degraded,
    /// It does not serve.
    Down,
    /// The observer cannot tell: it has not looked yet, or does not trust its own eyes.
    Unknown,
}

/// Everything one observer says, sent whole every period to every plane member: as many bytes on a bad day as on a good one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteVector {
    /// The region that looked.
    pub observer: RegionName,
    /// Start of the observing process, Unix milliseconds. A restart begins a new epoch; within an epoch `seq` only grows.
    pub epoch_ms: u64,
    /// Number of the vector within its epoch. Receivers drop anything not newer than what they hold.
    pub seq: u64,
    /// The votes. Every subject of the World has an entry.
    pub votes: BTreeMap<Subject, Vote>,
    /// When the first failed probe of the present bad streak was started, by subject, Unix milliseconds of the observer.
    /// Evidence for `explain` and for the drill's waterfall; the decision looks only at how long before [`Self::sent_ms`] it was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failing_since_ms: BTreeMap<Subject, u64>,
    /// Of the subjects that it calls Down, those that it has never seen stand: it began to look when they had fallen already, so
    /// that what it says is no event.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub never_up: BTreeSet<Subject>,
    /// When this was said, Unix milliseconds of the observer: what is old is so by the clock of who says it.
    #[serde(default)]
    pub sent_ms: u64,
    /// What each region's gateway says that it carries, requests per second, as this observer's probes heard it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub load_rps: BTreeMap<RegionName, u32>,
}

impl VoteVector {
    /// Votes without evidence, of an observer whose clock stands at the start of its epoch.
    pub fn new(observer: RegionName, epoch_ms: u64, seq: u64, votes: BTreeMap<Subject, Vote>) -> Self {
        Self {
            observer,
            epoch_ms,
            seq,
            votes,
            failing_since_ms: BTreeMap::new(),
            never_up: BTreeSet::new(),
            sent_ms: epoch_ms,
            load_rps: BTreeMap::new(),
        }
    }
}
