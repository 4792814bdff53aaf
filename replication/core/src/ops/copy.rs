//! RENAME and COPY: what shows of a key is written anew under another.
//!
//! The copy is a new value: texts, members and deadlines get dots of their own, a counter is written as the number it reads as, and
//! what hides behind a conflict stays behind. So a concurrent write to the source never reaches the copy, and a concurrent write to
//! the destination meets it as it would meet a SET.

use bytes::Bytes;
use smallvec::SmallVec;

use super::hash::Hash;
use super::text::{self, Text};
use super::{Answer, Scene, SizeLimit, bulk};
use crate::delta::{Deadline, Part, Score, Value};
use crate::types::set::Members;
use crate::types::{Body, Kind, View};
use crate::{Dot, OpError, Reply};

/// RENAME, or RENAMENX: `nx`.
pub(super) fn rename(scene: &mut Scene<'_>, to: &Bytes, nx: bool) -> Answer {
    let (source, view) = (scene.body, scene.view);
    if view.present() == Kind::None {
        return Err(OpError::NoSuchKey);
    }
    if scene.plan.key == *to {
        return Ok(if nx { Reply::Int(0) } else { Reply::Ok });
    }
    if nx && scene.look(to).1.present() != Kind::None {
        return Ok(Reply::Int(0));
    }
    scene.drop_key();
    overwrite(scene, to, source, view)?;
    Ok(if nx { Reply::Int(1) } else { Reply::Ok })
}

/// COPY; the caller has refused a copy of a key to itself.
pub(super) fn copy(scene: &mut Scene<'_>, to: &Bytes, replace: bool) -> Answer {
    let (source, view) = (scene.body, scene.view);
    let taken = scene.look(to).1.present() != Kind::None;
    if view.present() == Kind::None || (taken && !replace) {
        return Ok(Reply::Int(0));
    }
    overwrite(scene, to, source, view)?;
    Ok(Reply::Int(1))
}

/// Puts what shows of `source` in the place of whatever is held of `to`.
fn overwrite(scene: &mut Scene<'_>, to: &Bytes, source: &Body, view: View) -> Result<(), OpError> {
    scene.turn_to(to);
    scene.plan.clear_key(scene.body);
    let mut bound = None;
    match view.kind {
        Kind::None => {}
        Kind::Text => bound = Some(cell(scene, source, view)),
        Kind::Hash => hash(scene, source)?,
        Kind::Set => set(scene, source)?,
        Kind::List => list(scene, source)?,
        Kind::Zset => zset(scene, source)?,
        Kind::Sketch => {
            let registers = string(scene, source, view);
            scene.plan.put(Part::Sketch, SmallVec::new(), Value::Text(registers));
        }
    }
    if let Some(at_ms) = view.deadline_ms {
        let deadline = Value::Deadline(Deadline { at_ms, bound });
        scene.plan.put(Part::Deadline, SmallVec::new(), deadline);
    }
    Ok(())
}

/// The string that a text, a counter or a sketch reads as.
fn string(scene: &Scene<'_>, source: &Body, view: View) -> Bytes {
    let text = text::read(source, &view, scene.plan.replicas);
    text.ok().flatten().map(Text::into_bytes).unwrap_or_default()
}

fn cell(scene: &mut Scene<'_>, source: &Body, view: View) -> Dot {
    let text = string(scene, source, view);
    scene.plan.put_named(Part::Cell, Value::Text(text))
}

fn hash(scene: &mut Scene<'_>, source: &Body) -> Result<(), OpError> {
    let Some(hash) = Hash::of(source, scene.plan.replicas, scene.now_ms) else { return Ok(()) };
    let mut size = SizeLimit::default();
    for (field, reading) in hash.readings() {
        let (field, text) = (Bytes::copy_from_slice(field), bulk(reading));
        size.add(field.len() + text.len())?;
        let bound = Some(scene.plan.put_named(Part::Field(field.clone()), Value::Text(text)));
        if let Some(given) = hash.fields.deadline(&field, hash.replicas) {
            let deadline = Deadline { at_ms: given.value.at_ms, bound };
            scene.plan.put(Part::FieldDeadline(field), SmallVec::new(), Value::Deadline(deadline));
        }
    }
    Ok(())
}

fn set(scene: &mut Scene<'_>, source: &Body) -> Result<(), OpError> {
    let members = source.members().into_iter().flat_map(Members::iter);
    put_all(scene, members.map(|member| (Part::Member(Bytes::copy_from_slice(member)), Value::Member)))
}

fn list(scene: &mut Scene<'_>, source: &Body) -> Result<(), OpError> {
    let Body::Full(full) = source else { return Ok(()) };
    let replicas = scene.plan.replicas;
    let items = full.list.iter().flat_map(|list| list.iter());
    let parts = items.filter_map(|item| {
        let position = Part::Item(Bytes::copy_from_slice(item.position()));
        item.shown(replicas).map(|text| (position, Value::Text(text.to_bytes())))
    });
    put_all(scene, parts)
}

fn zset(scene: &mut Scene<'_>, source: &Body) -> Result<(), OpError> {
    let Body::Full(full) = source else { return Ok(()) };
    let members = full.zset.iter().flat_map(|zset| zset.iter());
    put_all(
        scene,
        members.map(|(member, score)| (Part::Rated(Bytes::copy_from_slice(member)), Value::Score(Score(score)))),
    )
}

/// Plans elements of a collection, as long as one change can hold them.
fn put_all(scene: &mut Scene<'_>, parts: impl Iterator<Item = (Part, Value)>) -> Result<(), OpError> {
    let mut size = SizeLimit::default();
    for (part, value) in parts {
        size.add(part.size_hint() + value.size_hint())?;
        scene.plan.put(part, SmallVec::new(), value);
    }
    Ok(())
}
