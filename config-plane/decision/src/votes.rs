//! The newest vote vector of each observer, and what they add up to.
//!
//! Votes are soft state: each has a life, and what is not renewed is Unknown. An observer is left out of a count when it is
//! the subject itself, when it is silent, or when it is *contradicted*: it calls more than half of the others Down while most
//! of those it blames are vouched for by the rest. Left out means Unknown, never Down.

use std::collections::{BTreeMap, BTreeSet};

use model::{RegionName, Subject, Verdict, Vote, VoteVector};
use serde::Serialize;

use crate::{guards::agrees, quorum::Quorum};

/// The newest vector of each observer.
#[derive(Debug, Clone, Default)]
pub struct VoteBook {
    held: BTreeMap<RegionName, Held>,
}

#[derive(Debug, Clone)]
struct Held {
    vector: VoteVector,
    received_ms: u64,
}

/// The count of one subject's votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Each other observer's vote as counted: Unknown if it is silent or contradicted.
    pub votes: BTreeMap<RegionName, Vote>,
    /// How many have an opinion that counts.
    pub qualified: usize,
    /// How many must have one.
    pub sight: usize,
    /// How many say Up or Degraded.
    pub up: usize,
    /// How many say Down.
    pub down: usize,
    /// Start of the earliest failed probe behind the Down votes, Unix milliseconds of the observers.
    pub first_probe_ms: Option<u64>,
}

impl Tally {
    /// How many must agree to change the verdict.
    pub fn high(&self) -> usize {
        Quorum::high(self.qualified)
    }

    /// Whether too few observers have an opinion for any decision.
    pub fn is_blind(&self) -> bool {
        self.qualified < self.sight
    }

    /// The verdict that a quorum wants, if there is one.
    pub fn wants(&self) -> Option<Verdict> {
        if self.is_blind() {
            None
        } else if self.down >= self.high() {
            Some(Verdict::Down)
        } else if self.up >= self.high() {
            Some(Verdict::Up)
        } else {
            None
        }
    }

    /// Whether some, but not enough, call it Down.
    pub fn is_suspect(&self) -> bool {
        let low = Quorum::low(self.qualified).max(1);
        !self.is_blind() && (low..self.high()).contains(&self.down)
    }
}

impl VoteBook {
    /// Takes a vector that arrived at `now_ms` (monotonic). Returns whether it was news.
    ///
    /// A vector must be newer by `(epoch, seq)` than the one held; unless that one has outlived `life_ms`, since an observer
    /// whose clock was set back begins its next life with a smaller epoch.
    pub fn offer(&mut self, now_ms: u64, life_ms: u64, vector: VoteVector) -> bool {
        if let Some(held) = self.held.get(&vector.observer) {
            let newer = (vector.epoch_ms, vector.seq) > (held.vector.epoch_ms, held.vector.seq);
            if !newer && !held.is_silent(now_ms, life_ms) {
                return false;
            }
        }
        self.held.insert(vector.observer.clone(), Held { vector, received_ms: now_ms });
        true
    }

    /// Forgets everybody but these.
    pub fn retain(&mut self, observers: &BTreeSet<RegionName>) {
        self.held.retain(|observer, _| observers.contains(observer));
    }

    /// How long ago an observer was last heard, milliseconds.
    pub fn heard_ms_ago(&self, now_ms: u64, observer: &RegionName) -> Option<u64> {
        self.held.get(observer).map(|held| now_ms.saturating_sub(held.received_ms))
    }

    /// Counts the votes on a subject. `observers` are all regions of the World.
    pub fn tally(&self, now_ms: u64, life_ms: u64, observers: &BTreeSet<RegionName>, subject: &Subject) -> Tally {
        let fresh = self.fresh(now_ms, life_ms, observers);
        let mut votes = BTreeMap::new();
        let mut first_probe_ms = None;
        for observer in observers.iter().filter(|o| *o != subject.region()) {
            let vector = fresh.get(observer).filter(|vector| !is_contradicted(vector, &fresh));
            let vote = vector.map_or(Vote::Unknown, |vector| vote_on(vector, subject));
            if let (Vote::Down, Some(since)) = (vote, vector.and_then(|v| v.failing_since_ms.get(subject))) {
                first_probe_ms = Some(first_probe_ms.map_or(*since, |first: u64| first.min(*since)));
            }
            votes.insert(observer.clone(), vote);
        }
        Tally {
            qualified: votes.values().filter(|vote| **vote != Vote::Unknown).count(),
            sight: Quorum::of(observers.len()).sight,
            up: votes.values().filter(|vote| agrees(**vote, Verdict::Up)).count(),
            down: votes.values().filter(|vote| agrees(**vote, Verdict::Down)).count(),
            votes,
            first_probe_ms,
        }
    }

    fn fresh<'b>(&'b self, now_ms: u64, life_ms: u64, observers: &BTreeSet<RegionName>) -> Fresh<'b> {
        let of_world = self.held.iter().filter(|(observer, _)| observers.contains(*observer));
        of_world.filter(|(_, held)| !held.is_silent(now_ms, life_ms)).map(|(o, held)| (o, &held.vector)).collect()
    }
}

type Fresh<'b> = BTreeMap<&'b RegionName, &'b VoteVector>;

impl Held {
    fn is_silent(&self, now_ms: u64, life_ms: u64) -> bool {
        now_ms.saturating_sub(self.received_ms) > life_ms
    }
}

fn vote_on(vector: &VoteVector, subject: &Subject) -> Vote {
    vector.votes.get(subject).copied().unwrap_or(Vote::Unknown)
}

/// Whether an observer blames more than half of the others, and most of the blamed are vouched for by most of the rest.
///
/// Exactly half is not enough: of three regions, one dead one is half of what the other two see.
fn is_contradicted(vector: &VoteVector, fresh: &Fresh<'_>) -> bool {
    let others = vector.votes.iter().filter(|(subject, _)| *subject.region() != vector.observer);
    let (mut seen, mut blamed, mut vouched) = (0, 0, 0);
    for (subject, vote) in others {
        seen += 1;
        if *vote == Vote::Down {
            blamed += 1;
            vouched += usize::from(is_vouched_for(subject, vector, fresh));
        }
    }
    2 * blamed > seen && 2 * vouched > blamed
}

fn is_vouched_for(subject: &Subject, blamer: &VoteVector, fresh: &Fresh<'_>) -> bool {
    let rest = fresh.iter().filter(|(observer, _)| ***observer != blamer.observer && **observer != subject.region());
    let opinions: Vec<Vote> =
        rest.map(|(_, vector)| vote_on(vector, subject)).filter(|v| *v != Vote::Unknown).collect();
    let good = opinions.iter().filter(|vote| agrees(**vote, Verdict::Up)).count();
    2 * good > opinions.len()
}
