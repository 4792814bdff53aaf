//! The newest vote vector of each observer, and what they add up to.
//!
//! Votes are soft state: each has a life, and what is not renewed is Unknown. An observer is left out of a count when it is
//! the subject itself, when it is silent, or when it is *contradicted*: it calls more than half of the others Down while most
//! of those it blames are vouched for by the rest. Left out means Unknown, never Down.
//!
//! Contradiction is looked at by group: the regions are one, and the members of each pool are one, since each pool has a check of
//! its own and an observer may be unable to do that one alone (a certificate that it does not trust). Whoever is contradicted
//! about regions is not believed about members either: their gateways are the same.

use std::collections::{BTreeMap, BTreeSet};

use model::{Plan, RegionName, Subject, Verdict, Vote, VoteVector};
use serde::Serialize;

use crate::{Demand, quorum::Quorum};

/// The newest vector of each observer.
#[derive(Debug, Clone, Default)]
pub struct VoteBook {
    held: BTreeMap<RegionName, Held>,
    /// What each observer last heard each region's gateway say that it carries.
    loads: BTreeMap<RegionName, BTreeMap<RegionName, Load>>,
}

#[derive(Debug, Clone)]
struct Held {
    vector: VoteVector,
    received_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    rps: u32,
    received_ms: u64,
}

/// Readings of a region's load count together if they are at most this much older than the newest one, milliseconds.
const LOADS_TOGETHER_MS: u64 = 10_000;

/// The count of one subject's votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Each other observer's vote as counted: Unknown if it is silent or contradicted.
    pub votes: BTreeMap<RegionName, Vote>,
    /// How many have an opinion that counts.
    pub qualified: usize,
    /// How many must have one.
    pub sight: usize,
    /// How many say Up.
    pub up: usize,
    /// How many say Degraded.
    pub degraded: usize,
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

    /// Whether a quorum calls it Down.
    pub fn is_down(&self) -> bool {
        !self.is_blind() && self.down >= self.high()
    }

    /// The other verdict than the present one that a quorum wants, if there is one.
    ///
    /// On the way down Degraded takes the votes for worse along: two thirds agree that it is not well. On the way back it takes
    /// those for better along: two thirds agree that it serves.
    pub fn wants(&self, now: Verdict) -> Option<Verdict> {
        let agreed = |votes: usize| !self.is_blind() && votes >= self.high();
        let to = match now {
            _ if self.is_down() => Verdict::Down,
            _ if agreed(self.up) => Verdict::Up,
            Verdict::Down if agreed(self.up + self.degraded) => Verdict::Degraded,
            Verdict::Up | Verdict::Degraded if agreed(self.degraded + self.down) => Verdict::Degraded,
            _ => return None,
        };
        (to != now).then_some(to)
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
        for (region, rps) in &vector.load_rps {
            let heard = self.loads.entry(region.clone()).or_default();
            heard.insert(vector.observer.clone(), Load { rps: *rps, received_ms: now_ms });
        }
        self.held.insert(vector.observer.clone(), Held { vector, received_ms: now_ms });
        true
    }

    /// Forgets everybody but these.
    pub fn retain(&mut self, observers: &BTreeSet<RegionName>) {
        self.held.retain(|observer, _| observers.contains(observer));
        self.loads.retain(|region, _| observers.contains(region));
        for heard in self.loads.values_mut() {
            heard.retain(|observer, _| observers.contains(observer));
        }
    }

    /// How long ago an observer was last heard, milliseconds.
    pub fn heard_ms_ago(&self, now_ms: u64, observer: &RegionName) -> Option<u64> {
        self.held.get(observer).map(|held| now_ms.saturating_sub(held.received_ms))
    }

    /// What the gateways of the regions that the Plan sends users to were last heard to carry: of each the median of what its
    /// observers heard, the lower one of two.
    ///
    /// A region that has fallen silent but is still named in answers counts with what it carried before: that is what its users
    /// will ask of the others. One that is left out counts for nothing: its users are with the others already.
    pub fn demand(&self, plan: &Plan) -> Demand {
        let named = self.loads.iter().filter(|(region, _)| plan.serving(region).serves);
        named.filter_map(|(region, heard)| Some((region.clone(), median(heard)?))).collect()
    }

    /// Who counts at this time. `observers` are all regions of the World.
    pub fn counting(&self, now_ms: u64, life_ms: u64, observers: &BTreeSet<RegionName>) -> Counting<'_> {
        let of_world = self.held.iter().filter(|(observer, _)| observers.contains(*observer));
        let fresh: Fresh<'_> = of_world
            .filter(|(_, held)| !held.is_silent(now_ms, life_ms))
            .map(|(observer, held)| (observer, &held.vector))
            .collect();
        let contradicted = fresh.values().flat_map(|vector| contradicted_groups(vector, &fresh)).collect();
        Counting { observers: observers.clone(), fresh, contradicted }
    }
}

fn median(heard: &BTreeMap<RegionName, Load>) -> Option<u32> {
    let newest_ms = heard.values().map(|load| load.received_ms).max()?;
    let together = heard.values().filter(|load| newest_ms - load.received_ms <= LOADS_TOGETHER_MS);
    let mut readings: Vec<u32> = together.map(|load| load.rps).collect();
    readings.sort_unstable();
    readings.get((readings.len() - 1) / 2).copied()
}

type Fresh<'b> = BTreeMap<&'b RegionName, &'b VoteVector>;

/// The regions (none), or the members of one pool.
type Group<'b> = Option<&'b str>;

/// Who counts at one moment, found out once for all subjects.
#[derive(Debug)]
pub struct Counting<'b> {
    observers: BTreeSet<RegionName>,
    fresh: Fresh<'b>,
    contradicted: BTreeSet<(&'b RegionName, Group<'b>)>,
}

impl Counting<'_> {
    /// Counts the votes on a subject.
    pub fn tally(&self, subject: &Subject) -> Tally {
        let mut votes = BTreeMap::new();
        let mut first_probe_ms: Option<u64> = None;
        for observer in self.observers.iter().filter(|o| *o != subject.region()) {
            let vector = self.fresh.get(observer).filter(|_| self.is_believed(observer, subject));
            let vote = vector.map_or(Vote::Unknown, |vector| vote_on(vector, subject));
            if let (Vote::Down, Some(since)) = (vote, vector.and_then(|v| v.failing_since_ms.get(subject))) {
                first_probe_ms = Some(first_probe_ms.map_or(*since, |first| first.min(*since)));
            }
            votes.insert(observer.clone(), vote);
        }
        let count = |of: Vote| votes.values().filter(|vote| **vote == of).count();
        let (up, degraded, down) = (count(Vote::Up), count(Vote::Degraded), count(Vote::Down));
        Tally {
            qualified: up + degraded + down,
            sight: Quorum::of(self.observers.len()).sight,
            up,
            degraded,
            down,
            votes,
            first_probe_ms,
        }
    }

    /// For how long an observer had seen a subject fail when it last spoke, milliseconds by its own clock. 0 if it does not say.
    pub fn failing_for_ms(&self, observer: &RegionName, subject: &Subject) -> u64 {
        let said = self.fresh.get(observer);
        let since = said.and_then(|vector| Some(vector.sent_ms.saturating_sub(*vector.failing_since_ms.get(subject)?)));
        since.unwrap_or(0)
    }

    /// Whether an observer that calls a subject Down has seen it stand before.
    pub fn saw_it_fall(&self, observer: &RegionName, subject: &Subject) -> bool {
        self.fresh.get(observer).is_some_and(|vector| !vector.never_up.contains(subject))
    }

    fn is_believed(&self, observer: &RegionName, subject: &Subject) -> bool {
        let contradicted = |group: Group<'_>| self.contradicted.contains(&(observer, group));
        !contradicted(None) && (subject.pool().is_none() || !contradicted(subject.pool()))
    }
}

impl Held {
    fn is_silent(&self, now_ms: u64, life_ms: u64) -> bool {
        now_ms.saturating_sub(self.received_ms) > life_ms
    }
}

fn vote_on(vector: &VoteVector, subject: &Subject) -> Vote {
    vector.votes.get(subject).copied().unwrap_or(Vote::Unknown)
}

/// The groups in which an observer blames more than half of the others, and most of the blamed are vouched for by most of the rest.
///
/// Exactly half is not enough: of three regions, one dead one is half of what the other two see.
fn contradicted_groups<'b>(vector: &'b VoteVector, fresh: &Fresh<'b>) -> Vec<(&'b RegionName, Group<'b>)> {
    #[derive(Default)]
    struct Blame {
        seen: usize,
        blamed: usize,
        vouched: usize,
    }
    let mut groups: BTreeMap<Group<'b>, Blame> = BTreeMap::new();
    let others = vector.votes.iter().filter(|(subject, _)| *subject.region() != vector.observer);
    for (subject, vote) in others {
        let blame = groups.entry(subject.pool()).or_default();
        blame.seen += 1;
        if *vote == Vote::Down {
            blame.blamed += 1;
            blame.vouched += usize::from(is_vouched_for(subject, vector, fresh));
        }
    }
    let is_contradicted = |blame: &Blame| 2 * blame.blamed > blame.seen && 2 * blame.vouched > blame.blamed;
    groups.into_iter().filter(|(_, blame)| is_contradicted(blame)).map(|(group, _)| (&vector.observer, group)).collect()
}

fn is_vouched_for(subject: &Subject, blamer: &VoteVector, fresh: &Fresh<'_>) -> bool {
    let rest = fresh.iter().filter(|(observer, _)| ***observer != blamer.observer && **observer != subject.region());
    let opinions: Vec<Vote> =
        rest.map(|(_, vector)| vote_on(vector, subject)).filter(|v| *v != Vote::Unknown).collect();
    let good = opinions.iter().filter(|vote| matches!(vote, Vote::Up | Vote::Degraded)).count();
    2 * good > opinions.len()
}

#[cfg(test)]
mod tests;
