//! The H commands; those about the deadlines of fields are in `hash_expiry.rs`.

use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::luck::{Luck, MAX_DRAWS};
use super::{Answer, Scene, bulk, distinct, hash_expiry, page};
use crate::delta::{Part, Value};
use crate::dots::Replicas;
use crate::types::cell::{self, Cell, Reading};
use crate::types::extended::Extended;
use crate::types::float::{FloatSum, add_float};
use crate::types::hash::Fields;
use crate::types::{Body, Kind};
use crate::{Dot, HashOp, OpError, Reply};

pub(super) fn run(ask: &HashOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        HashOp::Set { fields } => set(scene, fields),
        HashOp::SetNx { field, value } => set_nx(scene, field, value),
        HashOp::Get { field } => Ok(scene.hash()?.map_or(Reply::Nil, |hash| hash.value(field))),
        HashOp::MGet { fields } => get_many(scene, fields),
        HashOp::GetAll => get_all(scene),
        HashOp::Del { fields } => del(scene, fields),
        HashOp::Exists { field } => {
            Ok(Reply::Int(i64::from(scene.hash()?.is_some_and(|hash| hash.cell(field).is_some()))))
        }
        HashOp::Len => Ok(Reply::Int(scene.hash()?.map_or(0, Hash::len) as i64)),
        HashOp::Incr { field, by } => incr(scene, field, *by),
        HashOp::IncrByFloat { field, by } => incr_by_float(scene, field, by),
        HashOp::RandField { count, with_values } => rand_field(scene, *count, *with_values),
        HashOp::Scan { cursor, count } => scan(scene, *cursor, *count),
        HashOp::Expire { when, condition, fields } => hash_expiry::expire(scene, *when, *condition, fields),
        HashOp::Ttl { unit, absolute, fields } => hash_expiry::ttl(scene, *unit, *absolute, fields),
        HashOp::Persist { fields } => hash_expiry::persist(scene, fields),
        HashOp::GetDel { fields } => get_del(scene, fields),
        HashOp::GetEx { expiry, fields } => hash_expiry::get_ex(scene, *expiry, fields),
        HashOp::SetEx { fields, expiry, condition } => hash_expiry::set_ex(scene, fields, *expiry, *condition),
    }
}

/// A hash at a moment: what clients see of its fields.
#[derive(Clone, Copy)]
pub(super) struct Hash<'a> {
    pub(super) fields: &'a Fields,
    pub(super) replicas: &'a Replicas,
    now_ms: u64,
}

impl<'a> Hash<'a> {
    /// The hash that a body holds.
    pub(super) fn of(body: &'a Body, replicas: &'a Replicas, now_ms: u64) -> Option<Self> {
        let Body::Full(full) = body else { return None };
        Some(Self { fields: full.fields.as_deref()?, replicas, now_ms })
    }

    pub(super) fn cell(self, field: &[u8]) -> Option<&'a Cell> {
        self.fields.shown(field, self.now_ms, self.replicas)
    }

    fn reading(self, field: &[u8]) -> Option<Reading<'a>> {
        self.cell(field)?.read(self.replicas)
    }

    pub(super) fn value(self, field: &[u8]) -> Reply {
        self.reading(field).map_or(Reply::Nil, |reading| Reply::Bulk(bulk(reading)))
    }

    pub(super) fn len(self) -> usize {
        self.fields.len(self.now_ms, self.replicas)
    }

    pub(super) fn readings(self) -> impl Iterator<Item = (&'a [u8], Reading<'a>)> {
        self.fields.readings(self.now_ms, self.replicas)
    }
}

impl<'a> Scene<'a> {
    /// The hash in hand; `None` if the key is not there.
    pub(super) fn hash(&self) -> Result<Option<Hash<'a>>, OpError> {
        Ok(if self.has(Kind::Hash)? { self.hash_of(self.body) } else { None })
    }

    /// The hash that a body holds.
    pub(super) fn hash_of(&self, body: &'a Body) -> Option<Hash<'a>> {
        Hash::of(body, self.plan.replicas, self.now_ms)
    }

    /// Plans a text in place of all that is observed of a field, and gives its name. The field's deadlines are left to the caller.
    pub(super) fn put_field(&mut self, hash: Option<Hash<'_>>, field: &Bytes, value: &Bytes) -> Dot {
        let clearing = hash.map(|hash| self.plan.observed_field(hash.fields, field)).unwrap_or_default();
        let register = Dot { replica: self.plan.me, seq: self.plan.next_seq };
        self.plan.put(Part::Field(field.clone()), clearing.removes.into(), Value::Text(value.clone()));
        self.plan.floors(clearing.floors);
        register
    }

    /// The dots of a field's observed deadlines.
    pub(super) fn stale_deadlines(&self, hash: Option<Hash<'_>>, field: &[u8]) -> SmallVec<[Dot; 1]> {
        hash.map(|hash| self.plan.observed_field_deadlines(hash.fields, field)).unwrap_or_default()
    }

    /// Plans the removal of fields that clients see, and of the key's deadline if none is left.
    pub(super) fn drop_fields(&mut self, doomed: &[&Bytes]) -> Result<(), OpError> {
        if doomed.is_empty() {
            return Ok(());
        }
        let body = self.open(Kind::Hash)?;
        let Some(hash) = self.hash_of(body) else { return Ok(()) };
        let remove_wins = self.remove_wins();
        for field in doomed {
            self.plan.drop_field(hash.fields, field, remove_wins);
        }
        if hash.len() == doomed.len() {
            self.plan.clear_deadlines(body); // the key is gone, and its deadline with it
        }
        Ok(())
    }
}

fn set(scene: &mut Scene<'_>, fields: &[(Bytes, Bytes)]) -> Answer {
    let body = scene.open(Kind::Hash)?;
    let hash = scene.hash_of(body);
    let mut created = 0;
    for (field, value) in last_of_each(fields) {
        created += i64::from(hash.is_none_or(|hash| hash.cell(field).is_none()));
        scene.put_field(hash, field, value);
        let stale = scene.stale_deadlines(hash, field);
        scene.plan.remove(Part::FieldDeadline(field.clone()), stale);
    }
    Ok(Reply::Int(created))
}

fn set_nx(scene: &mut Scene<'_>, field: &Bytes, value: &Bytes) -> Answer {
    if scene.hash()?.is_some_and(|hash| hash.cell(field).is_some()) {
        return Ok(Reply::Int(0));
    }
    set(scene, &[(field.clone(), value.clone())])
}

fn get_many(scene: &Scene<'_>, fields: &[Bytes]) -> Answer {
    let hash = scene.hash()?;
    let values = fields.iter().map(|field| hash.map_or(Reply::Nil, |hash| hash.value(field)));
    Ok(Reply::Array(values.collect()))
}

fn get_all(scene: &Scene<'_>) -> Answer {
    let pairs = scene.hash()?.into_iter().flat_map(Hash::readings);
    Ok(Reply::Map(pairs.map(|(field, reading)| (Bytes::copy_from_slice(field), bulk(reading))).collect()))
}

fn del(scene: &mut Scene<'_>, fields: &[Bytes]) -> Answer {
    let Some(hash) = scene.hash()? else { return Ok(Reply::Int(0)) };
    let mut doomed = distinct(fields);
    doomed.retain(|field| hash.cell(field).is_some());
    scene.drop_fields(&doomed)?;
    Ok(Reply::Int(doomed.len() as i64))
}

fn get_del(scene: &mut Scene<'_>, fields: &[Bytes]) -> Answer {
    let replies = get_many(scene, fields)?;
    del(scene, fields)?;
    Ok(replies)
}

fn incr(scene: &mut Scene<'_>, field: &Bytes, by: i64) -> Answer {
    let reading = scene.hash()?.and_then(|hash| hash.reading(field));
    let (sum, decimal) = cell::add_integer(reading, by, OpError::HashNotAnInteger)?;
    count(scene, field, decimal)?;
    Ok(Reply::Int(sum))
}

fn incr_by_float(scene: &mut Scene<'_>, field: &Bytes, by: &Bytes) -> Answer {
    if Extended::parse(by).is_none() {
        return Err(OpError::NotAFloat);
    }
    let reading = scene.hash()?.and_then(|hash| hash.reading(field));
    match add_float(reading, by, OpError::HashNotAFloat)? {
        FloatSum::Counted { by, shown } => {
            count(scene, field, by)?;
            Ok(Reply::Bulk(shown))
        }
        FloatSum::Text(sum) => {
            let body = scene.open(Kind::Hash)?;
            hash_expiry::put_keeping_deadline(scene, body, field, &sum);
            Ok(Reply::Bulk(sum))
        }
    }
}

/// Plans one more increment of a field, which stays under its deadline; one that does not show starts from nothing.
fn count(scene: &mut Scene<'_>, field: &Bytes, by: i128) -> Result<(), OpError> {
    let body = scene.open(Kind::Hash)?;
    let part = Part::Field(field.clone());
    let Some(hash) = scene.hash_of(body) else {
        cell::plan_count(None, &mut scene.plan, part, by);
        return Ok(());
    };
    if let Some(cell) = hash.cell(field) {
        cell::plan_count(cell.tally(), &mut scene.plan, part, by);
        return Ok(());
    }
    scene.plan.drop_field(hash.fields, field, false);
    cell::plan_count(None, &mut scene.plan, part, by);
    Ok(())
}

fn rand_field(scene: &Scene<'_>, count: Option<i64>, with_values: bool) -> Answer {
    let hash = scene.hash()?;
    if count.is_some_and(|count| count < 0 && count.unsigned_abs() > MAX_DRAWS) {
        return Err(OpError::TooManyDraws(MAX_DRAWS));
    }
    let fields = hash.map(|hash| choose(hash, count.unwrap_or(1), scene.luck)).unwrap_or_default();
    let Some(hash) = hash.filter(|_| with_values) else {
        return Ok(match count {
            Some(_) => Reply::Array(fields.into_iter().map(Reply::Bulk).collect()),
            None => fields.into_iter().next().map_or(Reply::Nil, Reply::Bulk),
        });
    };
    let value = |field: &Bytes| hash.reading(field).map(bulk).unwrap_or_default();
    Ok(Reply::Map(fields.into_iter().map(|field| (field.clone(), value(&field))).collect()))
}

/// So many different fields, or all if there are no more; with a negative count each by itself.
fn choose(hash: Hash<'_>, count: i64, luck: u64) -> Vec<Bytes> {
    let (mut luck, len) = (Luck::new(luck), hash.len());
    let times = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let places: Vec<usize> =
        if count >= 0 { luck.distinct(times, len) } else { (0..times).map(|_| luck.below(len)).collect() };
    if places.first().is_none_or(|&place| hash.fields.at(place).is_some()) {
        return places.into_iter().filter_map(|place| hash.fields.at(place)).map(Bytes::copy_from_slice).collect();
    }
    let all: Vec<&[u8]> = hash.readings().map(|(field, _)| field).collect();
    places.into_iter().filter_map(|at| all.get(at)).map(|field| Bytes::copy_from_slice(field)).collect()
}

fn scan(scene: &Scene<'_>, cursor: u64, count: usize) -> Answer {
    let Some(hash) = scene.hash()? else { return Ok(page(0, Vec::new())) };
    let (next, fields) = hash.fields.page(cursor, count, scene.now_ms, hash.replicas);
    let pairs = fields.flat_map(|(field, reading)| [Bytes::copy_from_slice(field), bulk(reading)]);
    Ok(page(next, pairs.map(Reply::Bulk).collect()))
}

/// Each field once, with the value named last.
pub(super) fn last_of_each(fields: &[(Bytes, Bytes)]) -> Vec<(&Bytes, &Bytes)> {
    if let [(field, value)] = fields {
        return vec![(field, value)];
    }
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
