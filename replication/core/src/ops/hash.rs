//! The H commands.

use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{Answer, Scene, bulk, distinct};
use crate::delta::{Part, Value};
use crate::plan::Clearing;
use crate::types::cell::{self, Cell};
use crate::types::hash::Fields;
use crate::types::{Body, Kind};
use crate::{HashOp, OpError, Reply};

pub(super) fn run(ask: &HashOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        HashOp::Set { fields } => set(scene, fields),
        HashOp::Get { field } => get(scene, field),
        HashOp::MGet { fields } => get_many(scene, fields),
        HashOp::GetAll => get_all(scene),
        HashOp::Del { fields } => del(scene, fields),
        HashOp::Exists { field } => exists(scene, field),
        HashOp::Len => len(scene),
        HashOp::Incr { field, by } => incr(scene, field, *by),
    }
}

fn set(scene: &mut Scene<'_>, fields: &[(Bytes, Bytes)]) -> Answer {
    let body = scene.open(Kind::Hash)?;
    let mut created = 0;
    for (field, value) in last_of_each(fields) {
        let part = Part::Field(field.clone());
        let text = Value::Text(value.clone());
        match body.field(field) {
            Some(cell) => {
                created += i64::from(!cell.is_visible(scene.plan.replicas));
                cell.plan_set(&mut scene.plan, &part, text);
            }
            None => {
                created += 1;
                scene.plan.put(part, SmallVec::new(), text);
            }
        }
    }
    Ok(Reply::Int(created))
}

fn get(scene: &Scene<'_>, field: &[u8]) -> Answer {
    scene.has(Kind::Hash).map(|there| if there { value(scene, field) } else { Reply::Nil })
}

fn get_many(scene: &Scene<'_>, fields: &[Bytes]) -> Answer {
    let there = scene.has(Kind::Hash)?;
    Ok(Reply::Array(fields.iter().map(|field| if there { value(scene, field) } else { Reply::Nil }).collect()))
}

fn get_all(scene: &Scene<'_>) -> Answer {
    let fields = if scene.has(Kind::Hash)? { scene.body.fields() } else { None };
    let pairs = fields.into_iter().flat_map(|fields| fields.readings(scene.plan.replicas));
    Ok(Reply::Map(pairs.map(|(field, reading)| (Bytes::copy_from_slice(field), bulk(reading))).collect()))
}

fn exists(scene: &Scene<'_>, field: &[u8]) -> Answer {
    let there =
        scene.has(Kind::Hash)? && scene.body.field(field).is_some_and(|cell| cell.is_visible(scene.plan.replicas));
    Ok(Reply::Int(i64::from(there)))
}

fn len(scene: &Scene<'_>) -> Answer {
    let fields = if scene.has(Kind::Hash)? { scene.body.fields() } else { None };
    Ok(Reply::Int(fields.map_or(0, Fields::len) as i64))
}

fn del(scene: &mut Scene<'_>, fields: &[Bytes]) -> Answer {
    let is_seen = |body: &Body, field: &[u8], scene: &Scene<'_>| {
        body.field(field).is_some_and(|cell| cell.is_visible(scene.plan.replicas))
    };
    if !scene.has(Kind::Hash)? {
        return Ok(Reply::Int(0));
    }
    let mut doomed = distinct(fields);
    doomed.retain(|field| is_seen(scene.body, field, scene));
    if doomed.is_empty() {
        return Ok(Reply::Int(0));
    }
    let body = scene.open(Kind::Hash)?;
    for field in &doomed {
        let part = Part::Field(Bytes::clone(field));
        let mut clearing = Clearing::default();
        if let Some(cell) = body.field(field) {
            cell.clear(scene.plan.replicas, scene.plan.me, &part, &mut clearing);
        }
        scene.plan.remove(part, clearing.removes.into());
        scene.plan.floors(clearing.floors);
    }
    if body.fields().is_some_and(|fields| fields.len() == doomed.len()) {
        scene.plan.clear_deadlines(body); // the key is gone, and its deadline with it
    }
    Ok(Reply::Int(doomed.len() as i64))
}

fn incr(scene: &mut Scene<'_>, field: &Bytes, by: i64) -> Answer {
    let cell = scene.open(Kind::Hash)?.field(field);
    let reading = cell.and_then(|cell| cell.read(scene.plan.replicas));
    let tally = cell.and_then(Cell::tally);
    let part = Part::Field(field.clone());
    let sum = cell::plan_incr(reading, tally, &mut scene.plan, part, by, OpError::HashNotAnInteger)?;
    Ok(Reply::Int(sum))
}

fn value(scene: &Scene<'_>, field: &[u8]) -> Reply {
    let reading = scene.body.field(field).and_then(|cell| cell.read(scene.plan.replicas));
    reading.map_or(Reply::Nil, |reading| Reply::Bulk(bulk(reading)))
}

/// Each field once, with the value named last.
fn last_of_each(fields: &[(Bytes, Bytes)]) -> Vec<(&Bytes, &Bytes)> {
    let mut places = HashMap::with_capacity(fields.len());
    let mut pairs: Vec<(&Bytes, &Bytes)> = Vec::with_capacity(fields.len());
    for (field, value) in fields {
        let place = *places.entry(field).or_insert(pairs.len());
        match pairs.get_mut(place) {
            Some(pair) => pair.1 = value,
            None => pairs.push((field, value)),
        }
    }
    pairs
}

impl Body {
    pub(super) fn fields(&self) -> Option<&Fields> {
        match self {
            Self::Full(full) => full.fields.as_deref(),
            Self::Empty | Self::Lean(_) => None,
        }
    }

    fn field(&self, field: &[u8]) -> Option<&Cell> {
        self.fields()?.cell(field)
    }
}
