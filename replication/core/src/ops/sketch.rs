//! PFADD, PFCOUNT, PFMERGE: HyperLogLogs, and strings that hold the bytes of one. A write makes such a string a sketch, so that
//! from then on concurrent changes unite.

use bytes::Bytes;
use smallvec::SmallVec;

use super::text::{self, Text};
use super::{Answer, Scene};
use crate::delta::{Deadline, Part, Value};
use crate::dots::Replicas;
use crate::hll::{Draft, Mark, Registers, Sketch};
use crate::types::sketch::Sketches;
use crate::types::{Body, Kind, View};
use crate::{Dot, OpError, Reply, SketchOp};

pub(super) fn run(ask: &SketchOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        SketchOp::Add { elements } => add(scene, elements),
        SketchOp::Count { others } => count(scene, others),
        SketchOp::Merge { sources } => merge(scene, sources),
        SketchOp::Read => read(scene),
    }
}

/// What is at the key in hand, as far as sketches are concerned.
enum Found<'a> {
    Nothing,
    Bytes(Text<'a>),
    Sketches(&'a Sketches),
}

fn found<'a>(body: &'a Body, view: &View, replicas: &Replicas) -> Result<Found<'a>, OpError> {
    if let (Kind::Sketch, Some(sketches)) = (view.present(), body.sketches()) {
        return Ok(Found::Sketches(sketches));
    }
    Ok(text::read(body, view, replicas)?.map_or(Found::Nothing, Found::Bytes))
}

impl Found<'_> {
    /// Raises `registers` to these. Tells whether they are dense.
    fn gather(&self, registers: &mut Registers) -> Result<bool, OpError> {
        match self {
            Self::Nothing => Ok(false),
            Self::Bytes(text) => {
                let sketch = Sketch::parse(text.as_slice())?;
                registers.merge(sketch).map(|()| sketch.is_dense())
            }
            Self::Sketches(sketches) => {
                let mut dense = false;
                for sketch in sketches.sketches() {
                    // One that is damaged counts nothing, rather than that nothing counts.
                    dense |= registers.merge(sketch).is_ok() && sketch.is_dense();
                }
                Ok(dense)
            }
        }
    }

    /// Whether adding this would change nothing.
    fn covers(&self, mark: Mark) -> Result<bool, OpError> {
        match self {
            Self::Nothing => Ok(false),
            Self::Bytes(text) => Sketch::parse(text.as_slice())?.covers(mark),
            Self::Sketches(sketches) => Ok(sketches.covers(mark)),
        }
    }

    /// What this region goes on from.
    fn draft(&self, scene: &Scene<'_>) -> Result<Draft, OpError> {
        match self {
            Self::Nothing => Ok(Draft::empty()),
            Self::Bytes(text) => Draft::from(Sketch::parse(text.as_slice())?),
            Self::Sketches(sketches) => Ok(sketches.draft(scene.plan.me.region, scene.plan.replicas)),
        }
    }
}

fn add(scene: &mut Scene<'_>, elements: &[Bytes]) -> Answer {
    let found = found(scene.body, &scene.view, scene.plan.replicas)?;
    if let Found::Bytes(text) = &found {
        Sketch::parse(text.as_slice())?;
    }
    let mut marks: SmallVec<[Mark; 4]> = SmallVec::new();
    for element in elements {
        let mark = Mark::of(element);
        if !found.covers(mark)? {
            marks.push(mark);
        }
    }
    if marks.is_empty() && !matches!(found, Found::Nothing) {
        return Ok(Reply::Int(0));
    }
    let mut draft = found.draft(scene)?;
    marks.iter().for_each(|mark| draft.add(*mark));
    plan_sketch(scene, draft.finish());
    Ok(Reply::Int(1))
}

fn count(scene: &Scene<'_>, others: &[Bytes]) -> Answer {
    let first = found(scene.body, &scene.view, scene.plan.replicas)?;
    if let (Found::Bytes(text), []) = (&first, others)
        && let Some(cached) = Sketch::parse(text.as_slice())?.cached()
    {
        return Ok(Reply::Int(cached as i64));
    }
    let mut registers = Registers::new();
    first.gather(&mut registers)?;
    for key in others {
        let (body, view) = scene.look(key);
        found(body, &view, scene.plan.replicas)?.gather(&mut registers)?;
    }
    Ok(Reply::Int(registers.count() as i64))
}

fn merge(scene: &mut Scene<'_>, sources: &[Bytes]) -> Answer {
    let target = found(scene.body, &scene.view, scene.plan.replicas)?;
    let mut registers = Registers::new();
    let was_dense = target.gather(&mut registers)?;
    let mut dense = was_dense;
    for key in sources {
        let (body, view) = scene.look(key);
        dense |= found(body, &view, scene.plan.replicas)?.gather(&mut registers)?;
    }
    let mut marks = Vec::new();
    for mark in registers.marks() {
        if !target.covers(mark)? {
            marks.push(mark);
        }
    }
    if marks.is_empty() && dense == was_dense && !matches!(target, Found::Nothing) {
        return Ok(Reply::Ok);
    }
    let mut draft = target.draft(scene)?;
    if dense {
        draft.make_dense();
    }
    marks.into_iter().for_each(|mark| draft.add(mark));
    plan_sketch(scene, draft.finish());
    Ok(Reply::Ok)
}

fn read(scene: &Scene<'_>) -> Answer {
    let Some(text) = scene.string()? else { return Ok(Reply::Nil) };
    Sketch::parse(text.as_slice())?;
    Ok(Reply::Bulk(text.into_bytes()))
}

/// Plans `sketch` in place of this region's own one, or of the string that held one. The deadline stays.
fn plan_sketch(scene: &mut Scene<'_>, sketch: Bytes) {
    let kept = scene.kept_deadline();
    let mut removes: SmallVec<[Dot; 1]> = SmallVec::new();
    match (scene.view.present(), scene.body.sketches()) {
        (Kind::Sketch, Some(sketches)) => {
            let plan = &mut scene.plan;
            if scene.view.clash {
                plan.clear_hidden(scene.body, Kind::Sketch);
            }
            let own = sketches.of_region(plan.me.region, plan.replicas);
            removes.extend(own.map(|tagged| plan.replicas.unpack(tagged.dot)));
            plan.put(Part::Sketch, removes, Value::Text(sketch));
        }
        _ => {
            scene.plan.clear_key(scene.body);
            scene.plan.put(Part::Sketch, removes, Value::Text(sketch));
            if let Some(at_ms) = kept {
                let deadline = Value::Deadline(Deadline { at_ms, bound: None });
                scene.plan.put(Part::Deadline, SmallVec::new(), deadline);
            }
        }
    }
}
