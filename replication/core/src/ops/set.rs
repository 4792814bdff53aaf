//! The S commands.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Answer, Scene, distinct};
use crate::delta::{Part, Value};
use crate::types::set::Members;
use crate::types::{Body, Kind};
use crate::{Dot, MAX_COMMAND_BYTES, OpError, Reply, SetOp};

pub(super) fn run(ask: &SetOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        SetOp::Add { members } => add(scene, members),
        SetOp::Rem { members: doomed } => remove(scene, doomed),
        SetOp::Members => members(scene),
        SetOp::IsMember { member } => is_member(scene, member),
        SetOp::Card => len(scene),
    }
}

fn add(scene: &mut Scene<'_>, members: &[Bytes]) -> Answer {
    let body = scene.open(Kind::Set)?;
    let mut created = 0;
    for member in distinct(members) {
        let observed = observed(scene, body, member);
        created += i64::from(observed.is_empty());
        scene.plan.put(Part::Member(member.clone()), observed, Value::Member);
    }
    Ok(Reply::Int(created))
}

fn remove(scene: &mut Scene<'_>, members: &[Bytes]) -> Answer {
    if !scene.has(Kind::Set)? {
        return Ok(Reply::Int(0));
    }
    let mut doomed = distinct(members);
    doomed.retain(|member| !observed(scene, scene.body, member).is_empty());
    if doomed.is_empty() {
        return Ok(Reply::Int(0));
    }
    let body = scene.open(Kind::Set)?;
    for member in &doomed {
        let observed = observed(scene, body, member);
        scene.plan.remove(Part::Member(Bytes::clone(member)), observed);
    }
    if body.members().is_some_and(|members| members.len() == doomed.len()) {
        scene.plan.clear_deadlines(body); // the key is gone, and its deadline with it
    }
    Ok(Reply::Int(doomed.len() as i64))
}

fn members(scene: &Scene<'_>) -> Answer {
    let members = if scene.has(Kind::Set)? { scene.body.members() } else { None };
    Ok(Reply::Set(members.into_iter().flat_map(Members::iter).map(Bytes::copy_from_slice).collect()))
}

fn is_member(scene: &Scene<'_>, member: &[u8]) -> Answer {
    let there = scene.has(Kind::Set)? && !observed(scene, scene.body, member).is_empty();
    Ok(Reply::Int(i64::from(there)))
}

fn len(scene: &Scene<'_>) -> Answer {
    let members = if scene.has(Kind::Set)? { scene.body.members() } else { None };
    Ok(Reply::Int(members.map_or(0, Members::len) as i64))
}

impl Scene<'_> {
    /// Refuses to plan a copy of so many elements, of these sizes, as one change that is larger than any command may be.
    pub(super) fn check_size(&self, sizes: impl Iterator<Item = usize>) -> Result<(), OpError> {
        const EACH: usize = 64; // what an element takes beside its text
        let mut total = 0usize;
        for size in sizes {
            total = total.saturating_add(size + EACH);
            if total > MAX_COMMAND_BYTES {
                return Err(OpError::ResultTooLarge);
            }
        }
        Ok(())
    }
}

fn observed(scene: &Scene<'_>, body: &Body, member: &[u8]) -> SmallVec<[Dot; 1]> {
    let adds = body.members().map_or(&[][..], |members| members.adds(member));
    adds.iter().map(|add| scene.plan.replicas.unpack(add.dot)).collect()
}

impl Body {
    fn members(&self) -> Option<&Members> {
        match self {
            Self::Full(full) => full.members.as_deref(),
            Self::Empty | Self::Lean(_) => None,
        }
    }
}
