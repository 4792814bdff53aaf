//! GET, SET, APPEND and their kin: strings as a whole and by ranges.

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::expiry::{self, moment};
use super::{Answer, Scene};
use crate::delta::{Deadline, Part, Value};
use crate::types::{Body, Kind};
use crate::{Dot, GetExpiry, OpError, Reply, SetExpiry, SetIf, TextOp};

pub(super) fn run(ask: &TextOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        TextOp::Get => get(scene),
        TextOp::Set { value, expiry, condition, get } => set(scene, value, *expiry, *condition, *get),
        TextOp::GetDel => get_del(scene),
        TextOp::GetEx { expiry } => get_ex(scene, *expiry),
        TextOp::Append { value } => append(scene, value),
        TextOp::StrLen => Ok(Reply::Int(scene.string()?.map_or(0, |text| text.as_slice().len() as i64))),
        TextOp::GetRange { start, end } => get_range(scene, *start, *end),
        TextOp::SetRange { offset, value } => set_range(scene, *offset, value),
        TextOp::Incr { by } => super::counter::incr(scene, *by),
        TextOp::IncrByFloat { by } => super::counter::incr_by_float(scene, by),
        TextOp::MSet { others, values, if_absent } => Ok(super::mset::mset(scene, others, values, *if_absent)),
    }
}

fn get(scene: &Scene<'_>) -> Answer {
    Ok(scene.string()?.map_or(Reply::Nil, |text| Reply::Bulk(text.into_bytes())))
}

fn set(scene: &mut Scene<'_>, value: &Bytes, expiry: SetExpiry, condition: SetIf, old: bool) -> Answer {
    let deadline_ms = match expiry {
        SetExpiry::Clear => None,
        SetExpiry::Keep => scene.kept_deadline(),
        SetExpiry::Deadline(when) => Some(moment(when, scene.now_ms).filter(|at| *at > 0).ok_or(INVALID)?),
    };
    let old = if old { Some(get(scene)?) } else { None };
    let present = scene.view.present() != Kind::None;
    match condition {
        SetIf::Absent if present => return Ok(old.unwrap_or(Reply::Nil)),
        SetIf::Present if !present => return Ok(old.unwrap_or(Reply::Nil)),
        _ => {}
    }
    if deadline_ms.is_some_and(|at| at <= scene.now_ms) {
        scene.plan.clear_key(scene.body); // a deadline in the past: written and expired at once
    } else {
        plan_set(scene, value, deadline_ms);
    }
    Ok(old.unwrap_or(Reply::Ok))
}

/// Plans a text in place of everything at the key. The common case is exactly what [`crate::types::Lean`] can take in without
/// growing.
pub(super) fn plan_set(scene: &mut Scene<'_>, value: &Bytes, deadline_ms: Option<u64>) {
    let plan = &mut scene.plan;
    let mut floors = Vec::new();
    let mut observed: SmallVec<[Dot; 1]> = SmallVec::new();
    match scene.body {
        Body::Empty => {}
        Body::Lean(lean) => observed = smallvec![plan.replicas.unpack(lean.dot)],
        Body::Counter(counter) => {
            let clearing = plan.clearing_counter(counter);
            observed = clearing.removes.into();
            floors = clearing.floors;
        }
        Body::Full(full) => {
            let clearing = plan.clearing(full, Kind::None);
            plan.remove(Part::Any, clearing.removes.into());
            floors = clearing.floors;
        }
    }
    let register = Dot { replica: plan.me, seq: plan.next_seq };
    plan.put(Part::Cell, observed, Value::Text(value.clone()));
    let stale = plan.observed_deadlines(scene.body);
    match deadline_ms {
        Some(at_ms) => plan.put(Part::Deadline, stale, Value::Deadline(Deadline { at_ms, bound: Some(register) })),
        None => plan.remove(Part::Deadline, stale),
    }
    plan.floors(floors);
}

fn get_del(scene: &mut Scene<'_>) -> Answer {
    let reply = get(scene)?;
    if reply != Reply::Nil {
        scene.drop_key();
    }
    Ok(reply)
}

fn get_ex(scene: &mut Scene<'_>, expiry: GetExpiry) -> Answer {
    let reply = get(scene)?;
    if reply == Reply::Nil {
        return Ok(reply);
    }
    match expiry {
        GetExpiry::Keep => {}
        GetExpiry::Persist => _ = expiry::persist(scene),
        GetExpiry::Deadline(when) => {
            let at_ms = moment(when, scene.now_ms).filter(|at| *at > 0).ok_or(INVALID)?;
            expiry::expire_at(scene, at_ms);
        }
    }
    Ok(reply)
}

fn append(scene: &mut Scene<'_>, more: &Bytes) -> Answer {
    let old = scene.string()?;
    let present = old.is_some();
    let old = old.as_ref().map_or(&[][..], |text| text.as_slice());
    let len = old.len() + more.len();
    scene.check_length(len as u64)?;
    if !present || !more.is_empty() {
        let value = [old, more].concat();
        scene.rewrite(value);
    }
    Ok(Reply::Int(len as i64))
}

/// A range of a string of `len` bytes, ends as Redis takes them; `None` if it is empty.
pub(super) fn range(start: i64, end: i64, len: usize) -> Option<std::ops::RangeInclusive<usize>> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    (start <= end).then_some(start as usize..=end as usize)
}

/// Redis takes such a range for empty before it looks at the length, but not in BITPOS.
pub(super) fn is_backwards(start: i64, end: i64) -> bool {
    start < 0 && end < 0 && start > end
}

fn get_range(scene: &Scene<'_>, start: i64, end: i64) -> Answer {
    let Some(text) = scene.string()? else { return Ok(Reply::Bulk(Bytes::new())) };
    let range = if is_backwards(start, end) { None } else { range(start, end, text.as_slice().len()) };
    let Some(range) = range else { return Ok(Reply::Bulk(Bytes::new())) };
    Ok(Reply::Bulk(text.into_bytes().slice(range)))
}

fn set_range(scene: &mut Scene<'_>, offset: u64, patch: &Bytes) -> Answer {
    let old = scene.string()?;
    let old = old.as_ref().map_or(&[][..], |text| text.as_slice());
    if patch.is_empty() {
        return Ok(Reply::Int(old.len() as i64));
    }
    let end = offset.saturating_add(patch.len() as u64);
    scene.check_length(end)?;
    let (offset, end) = (offset as usize, end as usize);
    let mut value = old.to_vec();
    value.resize(value.len().max(end), 0);
    value[offset..end].copy_from_slice(patch);
    let len = value.len();
    scene.rewrite(value);
    Ok(Reply::Int(len as i64))
}

const INVALID: OpError = OpError::InvalidExpire("set");
