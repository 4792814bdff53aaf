//! The S commands.

use bytes::Bytes;
use smallvec::SmallVec;

use super::luck::{Luck, MAX_DRAWS};
use super::set_algebra::combine;
use super::sides::Side;
use super::{Answer, Scene, SizeLimit, at_most, distinct, page};
use crate::delta::{Part, Value};
use crate::plan::Clearing;
use crate::types::set::Members;
use crate::types::{Body, Kind};
use crate::{Combine, Dot, OpError, Reply, SetOp};

pub(super) fn run(ask: &SetOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        SetOp::Add { members } => add(scene, members),
        SetOp::Rem { members: doomed } => remove(scene, doomed),
        SetOp::Members => members(scene),
        SetOp::IsMember { member } => Ok(Reply::Int(i64::from(has(scene.set()?, member)))),
        SetOp::MIsMember { members } => {
            let set = scene.set()?;
            Ok(Reply::Array(members.iter().map(|member| Reply::Int(i64::from(has(set, member)))).collect()))
        }
        SetOp::Card => Ok(Reply::Int(scene.set()?.map_or(0, Members::len) as i64)),
        SetOp::Pop { count } => pop(scene, *count),
        SetOp::RandMember { count } => rand_member(scene, *count),
        SetOp::Move { to, member } => move_to(scene, to, member),
        SetOp::Combine { how, others } => {
            let sides = sides(scene, others)?;
            Ok(Reply::Set(combine(*how, &sides, usize::MAX)))
        }
        SetOp::InterCard { others, limit } => {
            Ok(Reply::Int(combine(Combine::Inter, &sides(scene, others)?, at_most(*limit)).len() as i64))
        }
        SetOp::Store { how, sources } => store(scene, *how, sources),
        SetOp::Scan { cursor, count } => scan(scene, *cursor, *count),
    }
}

fn add(scene: &mut Scene<'_>, members: &[Bytes]) -> Answer {
    let body = scene.open(Kind::Set)?;
    let mut created = 0;
    for member in distinct(members) {
        created += i64::from(!has(body.members(), member));
        plan_add(scene, body, member);
    }
    Ok(Reply::Int(created))
}

fn plan_add(scene: &mut Scene<'_>, body: &Body, member: &Bytes) {
    let observed = observed(scene, body, member);
    scene.plan.put(Part::Member(member.clone()), observed, Value::Member);
}

fn remove(scene: &mut Scene<'_>, members: &[Bytes]) -> Answer {
    let Some(set) = scene.set()? else { return Ok(Reply::Int(0)) };
    let mut doomed = distinct(members);
    doomed.retain(|member| set.has(member));
    if !doomed.is_empty() {
        plan_remove(scene, &doomed)?;
    }
    Ok(Reply::Int(doomed.len() as i64))
}

/// Plans the removal of members that clients see.
fn plan_remove(scene: &mut Scene<'_>, doomed: &[&Bytes]) -> Result<(), OpError> {
    let body = scene.open(Kind::Set)?;
    let remove_wins = scene.remove_wins();
    for member in doomed {
        let removes = observed(scene, body, member).into_vec();
        let clearing = Clearing { removes, floors: Vec::new() };
        scene.plan.drop_part(Part::Member(Bytes::clone(member)), clearing, remove_wins);
    }
    if body.members().is_some_and(|members| members.len() == doomed.len()) {
        scene.plan.clear_deadlines(body); // the key is gone, and its deadline with it
    }
    Ok(())
}

fn members(scene: &Scene<'_>) -> Answer {
    let members = scene.set()?.into_iter().flat_map(Members::iter);
    Ok(Reply::Set(members.map(Bytes::copy_from_slice).collect()))
}

fn pop(scene: &mut Scene<'_>, count: Option<u64>) -> Answer {
    let nothing = if count.is_some() { Reply::Set(Vec::new()) } else { Reply::Nil };
    let Some(set) = scene.set()? else { return Ok(nothing) };
    let wanted = usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX);
    let chosen = choose(set, wanted, scene.luck);
    if chosen.is_empty() {
        return Ok(nothing);
    }
    plan_remove(scene, &chosen.iter().collect::<Vec<_>>())?;
    Ok(match (count, chosen.first()) {
        (None, Some(only)) => Reply::Bulk(only.clone()),
        _ => Reply::Set(chosen),
    })
}

fn rand_member(scene: &Scene<'_>, count: Option<i64>) -> Answer {
    let set = scene.set()?;
    let Some(count) = count else {
        let chosen = set.map(|set| choose(set, 1, scene.luck)).unwrap_or_default();
        return Ok(chosen.into_iter().next().map_or(Reply::Nil, Reply::Bulk));
    };
    if count < 0 && count.unsigned_abs() > MAX_DRAWS {
        return Err(OpError::TooManyDraws(MAX_DRAWS));
    }
    let Some(set) = set else { return Ok(Reply::Array(Vec::new())) };
    let chosen = if count >= 0 {
        choose(set, usize::try_from(count).unwrap_or(usize::MAX), scene.luck)
    } else {
        let (mut luck, all) = (Luck::new(scene.luck), set.choice());
        (0..count.unsigned_abs()).map(|_| Bytes::copy_from_slice(all[luck.below(all.len())])).collect()
    };
    Ok(Reply::Array(chosen.into_iter().map(Reply::Bulk).collect()))
}

/// So many different members, or all if there are no more.
fn choose(set: &Members, count: usize, luck: u64) -> Vec<Bytes> {
    let chosen = Luck::new(luck).distinct(count, set.len());
    if chosen.first().is_none_or(|&place| set.at(place).is_some()) {
        return chosen.into_iter().filter_map(|place| set.at(place)).map(Bytes::copy_from_slice).collect();
    }
    let all = set.choice();
    chosen.into_iter().map(|at| Bytes::copy_from_slice(all[at])).collect()
}

fn move_to(scene: &mut Scene<'_>, to: &Bytes, member: &Bytes) -> Answer {
    if scene.view.present() == Kind::None {
        return Ok(Reply::Int(0));
    }
    let there = has(scene.set()?, member);
    let from = scene.plan.key.clone();
    scene.turn_to(to);
    scene.set()?;
    if !there || from == *to {
        return Ok(Reply::Int(i64::from(there)));
    }
    scene.turn_to(&from);
    plan_remove(scene, &[member])?;
    scene.turn_to(to);
    let body = scene.open(Kind::Set)?;
    plan_add(scene, body, member);
    Ok(Reply::Int(1))
}

/// The sets of the key in hand and of others, all of the right type.
fn sides<'a>(scene: &Scene<'a>, others: &[Bytes]) -> Result<Vec<Side<'a>>, OpError> {
    let mut sides = vec![Side::plain(scene.set()?)];
    for key in others {
        sides.push(Side::plain(scene.set_of(key)?));
    }
    Ok(sides)
}

fn store(scene: &mut Scene<'_>, how: Combine, sources: &[Bytes]) -> Answer {
    let sides: Result<Vec<Side<'_>>, OpError> = sources.iter().map(|key| scene.set_of(key).map(Side::plain)).collect();
    let result = combine(how, &sides?, usize::MAX);
    if result.is_empty() {
        if scene.view.present() != Kind::None {
            scene.drop_key();
        }
        return Ok(Reply::Int(0));
    }
    let mut size = SizeLimit::default();
    result.iter().try_for_each(|member| size.add(member.len()))?;
    scene.plan.clear_key(scene.body);
    let stored = result.len() as i64;
    for member in result {
        scene.plan.put(Part::Member(member), SmallVec::new(), Value::Member);
    }
    Ok(Reply::Int(stored))
}

fn scan(scene: &Scene<'_>, cursor: u64, count: usize) -> Answer {
    let Some(set) = scene.set()? else { return Ok(page(0, Vec::new())) };
    let (next, members) = set.page(cursor, count);
    Ok(page(next, members.map(|member| Reply::Bulk(Bytes::copy_from_slice(member))).collect()))
}

fn has(set: Option<&Members>, member: &[u8]) -> bool {
    set.is_some_and(|set| set.has(member))
}

fn observed(scene: &Scene<'_>, body: &Body, member: &[u8]) -> SmallVec<[Dot; 1]> {
    body.members().into_iter().flat_map(|members| members.dots(member, scene.plan.replicas)).collect()
}

impl<'a> Scene<'a> {
    /// The set in hand; `None` if the key is not there.
    fn set(&self) -> Result<Option<&'a Members>, OpError> {
        Ok(if self.has(Kind::Set)? { self.body.members() } else { None })
    }

    /// The set of another key of the partition; `None` if the key is not there.
    pub(super) fn set_of(&self, key: &[u8]) -> Result<Option<&'a Members>, OpError> {
        let (body, view) = self.look(key);
        match view.present() {
            Kind::None => Ok(None),
            Kind::Set => Ok(body.members()),
            _ => Err(OpError::WrongType),
        }
    }
}

impl Body {
    pub(super) fn members(&self) -> Option<&Members> {
        match self {
            Self::Full(full) => full.members.as_deref(),
            Self::Empty | Self::Lean(_) | Self::Counter(_) => None,
        }
    }
}
