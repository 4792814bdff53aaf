//! INCR, INCRBYFLOAT and their kin.

use std::borrow::Cow;

use bytes::Bytes;

use super::string::plan_set;
use super::{Answer, Scene};
use crate::delta::Part;
use crate::types::cell::{self, Reading, Tally};
use crate::types::float::{FloatSum, add_float};
use crate::types::{Body, Kind};
use crate::{OpError, Reply};

pub(super) fn incr(scene: &mut Scene<'_>, by: i64) -> Answer {
    if scene.view.present() == Kind::Sketch {
        return Err(OpError::NotAnInteger);
    }
    let body = scene.open(Kind::Text)?;
    let (reading, tally) = (reading(body, scene), tally(body));
    let sum = cell::plan_incr(reading, tally.as_deref(), &mut scene.plan, Part::Cell, by, OpError::NotAnInteger)?;
    Ok(Reply::Int(sum))
}

pub(super) fn incr_by_float(scene: &mut Scene<'_>, by: &Bytes) -> Answer {
    if scene.view.present() == Kind::Sketch {
        return Err(OpError::NotAFloat);
    }
    let before = if scene.has(Kind::Text)? { reading(scene.body, scene) } else { None };
    match add_float(before, by, OpError::NotAFloat)? {
        FloatSum::Counted { by, shown } => {
            let body = scene.open(Kind::Text)?;
            cell::plan_count(tally(body).as_deref(), &mut scene.plan, Part::Cell, by);
            Ok(Reply::Bulk(shown))
        }
        FloatSum::Text(sum) => {
            let kept = scene.kept_deadline();
            plan_set(scene, &sum, kept);
            Ok(Reply::Bulk(sum))
        }
    }
}

fn tally(body: &Body) -> Option<Cow<'_, Tally>> {
    match body {
        Body::Full(full) => full.cell.tally().map(Cow::Borrowed),
        Body::Counter(counter) => Some(Cow::Owned(counter.tally())),
        Body::Empty | Body::Lean(_) => None,
    }
}

/// What the cell reads as, whatever its deadline.
fn reading<'a>(body: &'a Body, scene: &Scene<'_>) -> Option<Reading<'a>> {
    match body {
        Body::Empty => None,
        Body::Lean(lean) => Some(Reading::Text(&lean.text)),
        Body::Counter(counter) => Some(Reading::Number(counter.shown())),
        Body::Full(full) => full.cell.read(scene.plan.replicas),
    }
}
