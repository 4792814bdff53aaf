//! Deadlines of hash fields: HEXPIRE, HTTL, HPERSIST and their kin, HGETEX, HSETEX.
//!
//! Each field is answered by itself: -2 there is no such field, 0 the condition does not hold, 1 done, 2 removed, because the moment
//! is past. A field named twice is answered twice and changed once.

use bytes::Bytes;
use smallvec::SmallVec;

use super::expiry::moment;
use super::hash::{Hash, last_of_each};
use super::{Answer, Scene, distinct};
use crate::delta::{Deadline, Part, Value};
use crate::types::{Body, Kind};
use crate::{Dot, ExpireIf, GetExpiry, OpError, Reply, SetExpiry, SetIf, TimeUnit, When};

/// The latest moment of a field's deadline, in milliseconds since 1970: Redis's limit.
const LATEST_MS: u64 = (1 << 46) - 1;

/// `when` in milliseconds since 1970. Zero is past, negative is refused, as Redis does for fields.
fn field_moment(when: When, now_ms: u64) -> Result<u64, OpError> {
    let (When::In(amount, _) | When::At(amount, _)) = when;
    if amount < 0 {
        return Err(OpError::NegativeExpire);
    }
    // The caller puts its own command's name into the error.
    moment(when, now_ms).filter(|at_ms| *at_ms <= LATEST_MS).ok_or(OpError::InvalidExpire("hexpire"))
}

impl Hash<'_> {
    fn deadline_ms(self, field: &[u8]) -> Option<u64> {
        self.fields.deadline(field, self.replicas).map(|deadline| deadline.value.at_ms)
    }
}

/// Plans a deadline for a field that shows, in place of those observed.
fn put_deadline(scene: &mut Scene<'_>, hash: Hash<'_>, field: &Bytes, at_ms: u64) {
    let observed = scene.stale_deadlines(Some(hash), field);
    let bound = hash.fields.anchor(field, hash.replicas);
    scene.plan.put(Part::FieldDeadline(field.clone()), observed, Value::Deadline(Deadline { at_ms, bound }));
}

/// Answers every field by `one`, which sees each field that is there.
fn each(hash: Option<Hash<'_>>, fields: &[Bytes], mut one: impl FnMut(Hash<'_>, &Bytes) -> i64) -> Reply {
    let answer = |field: &Bytes| hash.filter(|hash| hash.cell(field).is_some()).map_or(-2, |hash| one(hash, field));
    Reply::Array(fields.iter().map(answer).map(Reply::Int).collect())
}

pub(super) fn expire(scene: &mut Scene<'_>, when: When, condition: ExpireIf, fields: &[Bytes]) -> Answer {
    let at_ms = field_moment(when, scene.now_ms)?;
    let past = at_ms <= scene.now_ms;
    let hash = scene.hash()?;
    let allowed = |hash: Hash<'_>, field: &Bytes| condition.allows(hash.deadline_ms(field), at_ms);
    let replies = each(hash, fields, |hash, field| match allowed(hash, field) {
        false => 0,
        true if past => 2,
        true => 1,
    });
    let Some(hash) = hash else { return Ok(replies) };
    let mut changed = distinct(fields);
    changed.retain(|field| hash.cell(field).is_some() && allowed(hash, field));
    give_deadline(scene, &changed, at_ms)?;
    Ok(replies)
}

/// Gives fields that are there a deadline; one that is past removes them.
fn give_deadline(scene: &mut Scene<'_>, fields: &[&Bytes], at_ms: u64) -> Result<(), OpError> {
    if fields.is_empty() {
        return Ok(());
    }
    if at_ms <= scene.now_ms {
        return scene.drop_fields(fields);
    }
    let body = scene.open(Kind::Hash)?;
    if let Some(hash) = scene.hash_of(body) {
        fields.iter().for_each(|field| put_deadline(scene, hash, field, at_ms));
    }
    Ok(())
}

pub(super) fn ttl(scene: &Scene<'_>, unit: TimeUnit, absolute: bool, fields: &[Bytes]) -> Answer {
    let start = if absolute { 0 } else { scene.now_ms };
    Ok(each(scene.hash()?, fields, |hash, field| match hash.deadline_ms(field) {
        None => -1,
        Some(at_ms) => {
            let ms = i64::try_from(at_ms.saturating_sub(start)).unwrap_or(i64::MAX);
            match unit {
                TimeUnit::Millis => ms,
                TimeUnit::Seconds => ms.saturating_add(999) / 1000, // rounded up, as Redis does for fields
            }
        }
    }))
}

pub(super) fn persist(scene: &mut Scene<'_>, fields: &[Bytes]) -> Answer {
    let hash = scene.hash()?;
    let timed = |hash: Hash<'_>, field: &Bytes| hash.deadline_ms(field).is_some();
    let replies = each(hash, fields, |hash, field| if timed(hash, field) { 1 } else { -1 });
    let Some(hash) = hash else { return Ok(replies) };
    let mut changed = distinct(fields);
    changed.retain(|field| hash.cell(field).is_some() && timed(hash, field));
    give_deadline(scene, &changed, Deadline::NEVER)?;
    Ok(replies)
}

pub(super) fn get_ex(scene: &mut Scene<'_>, expiry: GetExpiry, fields: &[Bytes]) -> Answer {
    let at_ms = match expiry {
        GetExpiry::Deadline(when) => Some(field_moment(when, scene.now_ms)?),
        GetExpiry::Keep | GetExpiry::Persist => None,
    };
    let hash = scene.hash()?;
    let values = fields.iter().map(|field| hash.map_or(Reply::Nil, |hash| hash.value(field)));
    let replies = Reply::Array(values.collect());
    let Some(hash) = hash else { return Ok(replies) };
    match (at_ms, expiry) {
        (Some(at_ms), _) => {
            let mut there = distinct(fields);
            there.retain(|field| hash.cell(field).is_some());
            give_deadline(scene, &there, at_ms)?;
        }
        (None, GetExpiry::Persist) => _ = persist(scene, fields)?,
        (None, _) => {}
    }
    Ok(replies)
}

pub(super) fn set_ex(scene: &mut Scene<'_>, fields: &[(Bytes, Bytes)], expiry: SetExpiry, condition: SetIf) -> Answer {
    let at_ms = match expiry {
        SetExpiry::Deadline(when) => Some(field_moment(when, scene.now_ms)?),
        SetExpiry::Clear | SetExpiry::Keep => None,
    };
    let hash = scene.hash()?;
    let is_there = |field: &Bytes| hash.is_some_and(|hash| hash.cell(field).is_some());
    let refused = match condition {
        SetIf::Always => false,
        SetIf::Absent => fields.iter().any(|(field, _)| is_there(field)),
        SetIf::Present => !fields.iter().all(|(field, _)| is_there(field)),
    };
    if refused {
        return Ok(Reply::Int(0));
    }
    let pairs = last_of_each(fields);
    if at_ms.is_some_and(|at_ms| at_ms <= scene.now_ms) {
        // Written and past at once.
        let doomed: Vec<&Bytes> = pairs.into_iter().map(|(field, _)| field).filter(|field| is_there(field)).collect();
        scene.drop_fields(&doomed)?;
        return Ok(Reply::Int(1));
    }
    let body = scene.open(Kind::Hash)?;
    for (field, value) in pairs {
        match (at_ms, expiry) {
            (Some(at_ms), _) => put_with_deadline(scene, body, field, value, Some(at_ms)),
            (None, SetExpiry::Keep) => put_keeping_deadline(scene, body, field, value),
            (None, _) => put_with_deadline(scene, body, field, value, None),
        }
    }
    Ok(Reply::Int(1))
}

/// Plans a text in place of what is observed of a field, under the deadline that the field has.
pub(super) fn put_keeping_deadline(scene: &mut Scene<'_>, body: &Body, field: &Bytes, value: &Bytes) {
    let kept = match body {
        Body::Full(full) => full.fields.as_deref().and_then(|fields| {
            fields.shown(field, scene.now_ms, scene.plan.replicas)?;
            fields.deadline(field, scene.plan.replicas).map(|deadline| deadline.value.at_ms)
        }),
        Body::Empty | Body::Lean(_) | Body::Counter(_) => None,
    };
    put_with_deadline(scene, body, field, value, kept);
}

fn put_with_deadline(scene: &mut Scene<'_>, body: &Body, field: &Bytes, value: &Bytes, at_ms: Option<u64>) {
    let hash = Hash::of(body, scene.plan.replicas, scene.now_ms);
    let register: Dot = scene.put_field(hash, field, value);
    let stale: SmallVec<[Dot; 1]> = scene.stale_deadlines(hash, field);
    let part = Part::FieldDeadline(field.clone());
    match at_ms {
        Some(at_ms) => scene.plan.put(part, stale, Value::Deadline(Deadline { at_ms, bound: Some(register) })),
        None => scene.plan.remove(part, stale),
    }
}
