//! GET, SET, GETDEL, INCR and their kin.

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::{Answer, Scene, bulk};
use crate::delta::{Deadline, Part, Value};
use crate::ops::expiry::moment;
use crate::types::cell::{self, Reading};
use crate::types::{Body, Kind};
use crate::{Dot, OpError, Reply, SetExpiry, SetIf};

pub(super) fn get(scene: &Scene<'_>) -> Answer {
    let reading = if scene.has(Kind::Text)? { scene.body.reading(scene) } else { None };
    Ok(reading.map_or(Reply::Nil, |reading| Reply::Bulk(bulk(reading))))
}

pub(super) fn set(scene: &mut Scene<'_>, value: &Bytes, expiry: SetExpiry, condition: SetIf, old: bool) -> Answer {
    let deadline_ms = match expiry {
        SetExpiry::Clear => None,
        SetExpiry::Keep if scene.view.expired => None,
        SetExpiry::Keep => scene.view.deadline_ms,
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

/// The common case plans exactly what [`crate::types::Lean`] can take in without growing.
fn plan_set(scene: &mut Scene<'_>, value: &Bytes, deadline_ms: Option<u64>) {
    let plan = &mut scene.plan;
    let mut floors = Vec::new();
    let mut observed: SmallVec<[Dot; 1]> = SmallVec::new();
    match scene.body {
        Body::Empty => {}
        Body::Lean(lean) => observed = smallvec![plan.replicas.unpack(lean.dot)],
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

pub(super) fn get_del(scene: &mut Scene<'_>) -> Answer {
    let reply = get(scene)?;
    if reply != Reply::Nil {
        scene.plan.clear_key(scene.body);
    }
    Ok(reply)
}

pub(super) fn incr(scene: &mut Scene<'_>, by: i64) -> Answer {
    let body = scene.open(Kind::Text)?;
    let reading = body.reading(scene);
    let tally = match body {
        Body::Full(full) => full.cell.tally(),
        Body::Empty | Body::Lean(_) => None,
    };
    let sum = cell::plan_incr(reading, tally, &mut scene.plan, Part::Cell, by, OpError::NotAnInteger)?;
    Ok(Reply::Int(sum))
}

impl Body {
    /// What the cell reads as, whatever its type and deadline.
    fn reading(&self, scene: &Scene<'_>) -> Option<Reading<'_>> {
        match self {
            Self::Empty => None,
            Self::Lean(lean) => Some(Reading::Text(&lean.text)),
            Self::Full(full) => full.cell.read(scene.plan.replicas),
        }
    }
}

const INVALID: OpError = OpError::InvalidExpire("set");
