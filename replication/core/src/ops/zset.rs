//! The Z commands on single members: ZADD, ZINCRBY, ZREM, ZSCORE, ZRANK.

use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{Answer, Scene, distinct, zset_algebra, zset_range};
use crate::delta::{Part, Score, Value};
use crate::types::cell::{Cell, Reading, plan_count};
use crate::types::register::Register;
use crate::types::zset::Zset;
use crate::types::{Body, Kind, decimal};
use crate::{AddIf, OpError, Reply, ZsetOp};

pub(super) fn run(ask: &ZsetOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        ZsetOp::Add { pairs, condition, changed } => add(scene, pairs, *condition, *changed),
        ZsetOp::Incr { member, by, condition } => incr(scene, member, by.0, *condition),
        ZsetOp::Rem { members } => remove(scene, members),
        ZsetOp::RemRange { span } => zset_range::remove(scene, span),
        ZsetOp::Pop { max, count } => zset_range::pop(scene, *max, *count),
        ZsetOp::Card => card(scene),
        ZsetOp::Count { span } => zset_range::count(scene, span),
        ZsetOp::Score { member } => score(scene, member),
        ZsetOp::MScore { members } => scores(scene, members),
        ZsetOp::Rank { member, rev } => rank(scene, member, *rev),
        ZsetOp::Range { select } => zset_range::range(scene, select),
        ZsetOp::RangeStore { source, select } => zset_range::store(scene, source, select),
        ZsetOp::RandMember { count } => zset_range::random(scene, *count),
        ZsetOp::Rows => zset_algebra::rows(scene),
        ZsetOp::Combine { recipe } => zset_algebra::combine(scene, recipe),
        ZsetOp::InterCard { sources, limit } => zset_algebra::inter_card(scene, sources, *limit),
        ZsetOp::CombineStore { recipe } => zset_algebra::store(scene, recipe),
        ZsetOp::Scan { cursor, count } => zset_range::scan(scene, *cursor, *count),
    }
}

impl<'a> Scene<'a> {
    /// The sorted set to be read, if there is one.
    pub(super) fn zset(&self) -> Result<Option<&'a Zset>, OpError> {
        Ok(if self.has(Kind::Zset)? { self.body.zset() } else { None })
    }
}

/// The scores that a ZADD has given so far: a member that it names twice is looked at twice, and written once.
#[derive(Default)]
struct Given<'p> {
    pairs: SmallVec<[(&'p Bytes, f64); 1]>,
    /// Where in `pairs` a member is; kept only for commands with several pairs.
    places: HashMap<&'p Bytes, usize>,
}

impl<'p> Given<'p> {
    fn score(&self, member: &Bytes) -> Option<f64> {
        self.places.get(member).map(|&at| self.pairs[at].1)
    }

    fn give(&mut self, member: &'p Bytes, score: f64, several: bool) {
        match self.places.get(member) {
            Some(&at) => self.pairs[at].1 = score,
            None => {
                if several {
                    self.places.insert(member, self.pairs.len());
                }
                self.pairs.push((member, score));
            }
        }
    }
}

fn add(scene: &mut Scene<'_>, pairs: &[(Score, Bytes)], condition: AddIf, changed: bool) -> Answer {
    let zset = scene.zset()?;
    let (mut given, mut added, mut updated) = (Given::default(), 0, 0);
    for (score, member) in pairs {
        let current = given.score(member).or_else(|| zset?.score(member));
        if condition.allows(current, score.0) {
            added += i64::from(current.is_none());
            updated += i64::from(current.is_some_and(|current| current != score.0));
            given.give(member, score.0, pairs.len() > 1);
        }
    }
    if !given.pairs.is_empty() {
        let body = scene.open(Kind::Zset)?;
        for (member, score) in given.pairs {
            plan_score(scene, body, member, score);
        }
    }
    Ok(Reply::Int(if changed { added + updated } else { added }))
}

/// Also where the score is the same as before: a score that was given again beats a concurrent ZREM. No score is minus zero, since
/// Redis keeps those of small sorted sets as integers.
fn plan_score(scene: &mut Scene<'_>, body: &Body, member: &Bytes, score: f64) {
    let part = Part::Rated(member.clone());
    let value = Value::Score(Score(score + 0.0));
    match body.zset() {
        Some(zset) => {
            let clearing = scene.plan.observed_rated(zset, member);
            scene.plan.put(part, clearing.removes.into(), value);
            scene.plan.floors(clearing.floors);
        }
        None => scene.plan.put(part, SmallVec::new(), value),
    }
}

fn incr(scene: &mut Scene<'_>, member: &Bytes, by: f64, condition: AddIf) -> Answer {
    let current = scene.zset()?.and_then(|zset| zset.score(member));
    let after = current.map_or(by, |current| current + by);
    if after.is_nan() {
        return Err(OpError::NotANumber);
    }
    if !condition.allows(current, after) {
        return Ok(Reply::Nil);
    }
    let counted = match scene.body.zset().and_then(|zset| zset.cell(member)) {
        Some(cell) if current.is_some() => cell.difference(by, after, scene),
        _ => decimal::from_f64(by).map(|by| (by, by)),
    };
    let body = scene.open(Kind::Zset)?;
    let Some((by, sum)) = counted else {
        plan_score(scene, body, member, after);
        return Ok(Reply::Score(Score(after)));
    };
    let marked = body.zset().filter(|zset| zset.is_marked(member));
    if let Some(zset) = marked {
        // What a mark hides goes with it: the count starts at nothing.
        let clearing = scene.plan.observed_rated(zset, member);
        scene.plan.drop_part(Part::Rated(member.clone()), clearing, false);
    }
    let tally = body.zset().filter(|_| marked.is_none()).and_then(|zset| zset.cell(member)).and_then(Cell::tally);
    plan_count(tally, &mut scene.plan, Part::Rated(member.clone()), by);
    let shown = decimal::to_f64(sum);
    Ok(Reply::Score(Score(if shown == after { after } else { shown }))) // they differ in the sign of zero only, as in Redis
}

impl Cell<Score> {
    /// What an increment of `by` is to count, and what the member reads as then; `None` where it cannot be counted: no exact decimal,
    /// or too near to the ends of 128 bits.
    ///
    /// It counts as the difference it makes to a float, so that one region alone answers what Redis answers (0.1 and 0.2 make
    /// 0.30000000000000004); where that difference has more than 17 digits behind the point, as itself.
    fn difference(&self, by: f64, after: f64, scene: &Scene<'_>) -> Option<(i128, i128)> {
        const LARGEST_SUM: u128 = i128::MAX.unsigned_abs() / 16; // so that a dozen replicas' sums can be added up
        let before = match self.read(scene.plan.replicas)? {
            Reading::Text(score) => score.number()?,
            Reading::Number(number) => number,
        };
        let by = decimal::from_f64(by)?;
        let sum = decimal::from_f64(after).or_else(|| before.checked_add(by))?;
        let by = sum.checked_sub(before)?;
        let own = self.tally().map_or(0, |tally| tally.own_sum(scene.plan.replicas, scene.plan.me));
        let fits = sum.unsigned_abs() <= decimal::whole(i64::MAX).unsigned_abs()
            && own.checked_add(by)?.unsigned_abs() <= LARGEST_SUM;
        fits.then_some((by, sum))
    }
}

fn remove(scene: &mut Scene<'_>, members: &[Bytes]) -> Answer {
    let Some(zset) = scene.zset()? else { return Ok(Reply::Int(0)) };
    let mut doomed = distinct(members);
    doomed.retain(|member| zset.score(member).is_some());
    plan_removal(scene, &doomed)?;
    Ok(Reply::Int(doomed.len() as i64))
}

/// Plans the removal of members that are there.
pub(super) fn plan_removal(scene: &mut Scene<'_>, doomed: &[&Bytes]) -> Result<(), OpError> {
    if doomed.is_empty() {
        return Ok(());
    }
    let body = scene.open(Kind::Zset)?;
    let Some(zset) = body.zset() else { return Ok(()) };
    let remove_wins = scene.remove_wins();
    for member in doomed {
        let clearing = scene.plan.observed_rated(zset, member);
        scene.plan.drop_part(Part::Rated(Bytes::clone(member)), clearing, remove_wins);
    }
    if zset.len() == doomed.len() {
        scene.plan.clear_deadlines(body); // the key is gone, and its deadline with it
    }
    Ok(())
}

fn card(scene: &Scene<'_>) -> Answer {
    Ok(Reply::Int(scene.zset()?.map_or(0, Zset::len) as i64))
}

fn score(scene: &Scene<'_>, member: &[u8]) -> Answer {
    let score = scene.zset()?.and_then(|zset| zset.score(member));
    Ok(score.map_or(Reply::Nil, |score| Reply::Score(Score(score))))
}

fn scores(scene: &Scene<'_>, members: &[Bytes]) -> Answer {
    let zset = scene.zset()?;
    let score = |member: &Bytes| zset.and_then(|zset| zset.score(member));
    let scores = members.iter().map(|member| score(member).map_or(Reply::Nil, |score| Reply::Score(Score(score))));
    Ok(Reply::Array(scores.collect()))
}

fn rank(scene: &Scene<'_>, member: &[u8], rev: bool) -> Answer {
    let Some(zset) = scene.zset()? else { return Ok(Reply::Nil) };
    let (Some(rank), Some(score)) = (zset.rank_of(member), zset.score(member)) else { return Ok(Reply::Nil) };
    let rank = if rev { zset.len() - 1 - rank } else { rank };
    Ok(Reply::Array(vec![Reply::Int(rank as i64), Reply::Score(Score(score))]))
}

impl AddIf {
    /// Whether a member with that score, if it has one, may be given a new one.
    fn allows(self, current: Option<f64>, new: f64) -> bool {
        match current {
            None => !self.xx,
            Some(current) => !(self.nx || self.gt && new <= current || self.lt && new >= current),
        }
    }
}

impl Body {
    /// The sorted set that is held, whatever the type and deadline that show.
    pub(super) fn zset(&self) -> Option<&Zset> {
        match self {
            Self::Full(full) => full.zset.as_deref(),
            Self::Empty | Self::Lean(_) | Self::Counter(_) => None,
        }
    }
}
