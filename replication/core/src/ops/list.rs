//! The L commands.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Answer, Scene, at_most, indexes};
use crate::delta::{Part, Value};
use crate::types::list::{Item, List};
use crate::types::position::Run;
use crate::types::{Body, Kind};
use crate::{Dot, ListEnd, ListOp, OpError, Reply};

/// From here on a removal names dots alone rather than each element's place, if it takes most of the list.
const MANY: usize = 64;

pub(super) fn run(ask: &ListOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        ListOp::Push { end, values, existing } => push(scene, *end, values, *existing),
        ListOp::Pop { end, count } => pop(scene, *end, *count),
        ListOp::Len => Ok(Reply::Int(list(scene)?.map_or(0, List::len) as i64)),
        ListOp::Range { start, stop } => range(scene, *start, *stop),
        ListOp::Index { index } => index_of(scene, *index),
        ListOp::Set { index, value } => set(scene, *index, value),
        ListOp::Insert { before, pivot, value } => insert(scene, *before, pivot, value),
        ListOp::Rem { count, value } => rem(scene, *count, value),
        ListOp::Trim { start, stop } => trim(scene, *start, *stop),
        ListOp::Pos { value, rank, count, max_len } => pos(scene, value, *rank, *count, *max_len),
        ListOp::Move { to, pop, push } => shift(scene, to, *pop, *push),
    }
}

fn push(scene: &mut Scene<'_>, end: ListEnd, values: &[Bytes], existing: bool) -> Answer {
    if existing && list(scene)?.is_none() {
        return Ok(Reply::Int(0));
    }
    let list = scene.open(Kind::List)?.list();
    plan_push(scene, list, end, values)?;
    Ok(Reply::Int((list.map_or(0, List::len) + values.len()) as i64))
}

fn pop(scene: &mut Scene<'_>, end: ListEnd, count: Option<u64>) -> Answer {
    let Some(found) = list(scene)? else { return Ok(Reply::Nil) };
    if count == Some(0) {
        return Ok(Reply::Array(Vec::new()));
    }
    let len = found.len();
    let taken = usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX).min(len);
    scene.open(Kind::List)?;
    let ranks = match end {
        ListEnd::Left => 0..taken,
        ListEnd::Right => len - taken..len,
    };
    let doomed: Vec<&Item> = found.range(ranks).collect();
    plan_removal(scene, found, &doomed);
    let mut popped: Vec<Reply> = doomed.iter().map(|item| shown(scene, item)).collect();
    if end == ListEnd::Right {
        popped.reverse();
    }
    Ok(match count {
        Some(_) => Reply::Array(popped),
        None => popped.pop().unwrap_or(Reply::Nil),
    })
}

fn range(scene: &Scene<'_>, start: i64, stop: i64) -> Answer {
    let Some(list) = list(scene)? else { return Ok(Reply::Array(Vec::new())) };
    let items = list.range(indexes(start, stop, list.len()));
    Ok(Reply::Array(items.map(|item| shown(scene, item)).collect()))
}

fn index_of(scene: &Scene<'_>, index: i64) -> Answer {
    let item = list(scene)?.and_then(|list| list.get(absolute(index, list.len())?));
    Ok(item.map_or(Reply::Nil, |item| shown(scene, item)))
}

fn set(scene: &mut Scene<'_>, index: i64, value: &Bytes) -> Answer {
    let list = list(scene)?.ok_or(OpError::NoSuchKey)?;
    let item = absolute(index, list.len()).and_then(|index| list.get(index)).ok_or(OpError::IndexOutOfRange)?;
    scene.open(Kind::List)?;
    let observed = dots(scene, item).collect();
    scene.plan.put(place(item), observed, Value::Text(value.clone()));
    Ok(Reply::Ok)
}

fn insert(scene: &mut Scene<'_>, before: bool, pivot: &[u8], value: &Bytes) -> Answer {
    let Some(list) = list(scene)? else { return Ok(Reply::Int(0)) };
    let Some(at) = list.iter().position(|item| is(scene, item, pivot)) else { return Ok(Reply::Int(-1)) };
    scene.open(Kind::List)?;
    let right = if before { at } else { at + 1 };
    let left = right.checked_sub(1).and_then(|left| list.get(left));
    plan_run(scene, left, list.get(right), [value].into_iter())?;
    Ok(Reply::Int(list.len() as i64 + 1))
}

fn rem(scene: &mut Scene<'_>, count: i64, value: &[u8]) -> Answer {
    let Some(list) = list(scene)? else { return Ok(Reply::Int(0)) };
    let most = at_most(count.unsigned_abs());
    let doomed: Vec<&Item> = if count < 0 {
        list.iter().rev().filter(|item| is(scene, item, value)).take(most).collect()
    } else {
        list.iter().filter(|item| is(scene, item, value)).take(most).collect()
    };
    if !doomed.is_empty() {
        scene.open(Kind::List)?;
        plan_removal(scene, list, &doomed);
    }
    Ok(Reply::Int(doomed.len() as i64))
}

fn trim(scene: &mut Scene<'_>, start: i64, stop: i64) -> Answer {
    let Some(list) = list(scene)? else { return Ok(Reply::Ok) };
    let kept = indexes(start, stop, list.len());
    let doomed: Vec<&Item> = list.range(0..kept.start).chain(list.range(kept.end..list.len())).collect();
    if !doomed.is_empty() {
        scene.open(Kind::List)?;
        plan_removal(scene, list, &doomed);
    }
    Ok(Reply::Ok)
}

fn pos(scene: &Scene<'_>, value: &[u8], rank: i64, count: Option<u64>, max_len: u64) -> Answer {
    let skipped = usize::try_from(rank.unsigned_abs().saturating_sub(1)).unwrap_or(usize::MAX);
    let wanted = count.map_or(1, at_most);
    let mut found = Vec::new();
    if let Some(list) = list(scene)? {
        let last = list.len() - 1;
        let matches = |(at, item): (usize, &Item)| is(scene, item, value).then_some(Reply::Int(at as i64));
        if rank < 0 {
            let items = list.iter().rev().enumerate().take(at_most(max_len)).map(|(at, item)| (last - at, item));
            found = items.filter_map(matches).skip(skipped).take(wanted).collect();
        } else {
            let items = list.iter().enumerate().take(at_most(max_len));
            found = items.filter_map(matches).skip(skipped).take(wanted).collect();
        }
    }
    Ok(match count {
        Some(_) => Reply::Array(found),
        None => found.pop().unwrap_or(Reply::Nil),
    })
}

fn shift(scene: &mut Scene<'_>, to: &Bytes, pop: ListEnd, push: ListEnd) -> Answer {
    let Some(source) = list(scene)? else { return Ok(Reply::Nil) };
    if !matches!(scene.look(to).1.present(), Kind::None | Kind::List) {
        return Err(OpError::WrongType);
    }
    let Some(item) = (match pop {
        ListEnd::Left => source.get(0),
        ListEnd::Right => source.last(),
    }) else {
        return Ok(Reply::Nil);
    };
    let Some(value) = item.shown(scene.plan.replicas).map(crate::blob::Blob::to_bytes) else { return Ok(Reply::Nil) };
    if *to != scene.plan.key {
        scene.open(Kind::List)?;
        plan_removal(scene, source, &[item]);
        scene.turn_to(to);
        let target = scene.open(Kind::List)?.list();
        plan_push(scene, target, push, std::slice::from_ref(&value))?;
    } else if pop != push && source.len() > 1 {
        scene.open(Kind::List)?;
        let gone = dots(scene, item).collect();
        scene.plan.remove(place(item), gone);
        plan_push(scene, Some(source), push, std::slice::from_ref(&value))?;
    }
    Ok(Reply::Bulk(value))
}

/// Plans new elements at one end. Those pushed to the left come to stand in reverse.
fn plan_push(scene: &mut Scene<'_>, list: Option<&List>, end: ListEnd, values: &[Bytes]) -> Result<(), OpError> {
    match end {
        ListEnd::Left => plan_run(scene, None, list.and_then(|list| list.get(0)), values.iter().rev()),
        ListEnd::Right => plan_run(scene, list.and_then(List::last), None, values.iter()),
    }
}

/// Plans new elements, from left to right, between two neighbours.
fn plan_run<'v>(
    scene: &mut Scene<'_>,
    left: Option<&Item>,
    right: Option<&Item>,
    values: impl Iterator<Item = &'v Bytes>,
) -> Result<(), OpError> {
    let plan = &mut scene.plan;
    let dot = Dot { replica: plan.me, seq: plan.next_seq };
    let run = Run::between(left.map(Item::position), right.map(Item::position), dot).ok_or(OpError::NoRoomInList)?;
    for (index, value) in values.enumerate() {
        plan.put(Part::Item(run.position(index)), SmallVec::new(), Value::Text(value.clone()));
    }
    Ok(())
}

/// Plans the removal of elements. The last one takes the key's deadline with it.
fn plan_removal(scene: &mut Scene<'_>, list: &List, doomed: &[&Item]) {
    if doomed.len() >= MANY && doomed.len() > list.len() / 2 {
        let all = doomed.iter().flat_map(|item| dots(scene, item)).collect();
        scene.plan.remove(Part::Any, all);
    } else {
        for item in doomed {
            let gone = dots(scene, item).collect();
            scene.plan.remove(place(item), gone);
        }
    }
    if doomed.len() == list.len() {
        scene.plan.clear_deadlines(scene.body);
    }
}

fn place(item: &Item) -> Part {
    Part::Item(Bytes::copy_from_slice(item.position()))
}

fn dots<'a>(scene: &'a Scene<'_>, item: &'a Item) -> impl Iterator<Item = Dot> + use<'a> {
    item.texts().iter().map(|text| scene.plan.replicas.unpack(text.dot))
}

fn shown(scene: &Scene<'_>, item: &Item) -> Reply {
    item.shown(scene.plan.replicas).map_or(Reply::Nil, |text| Reply::Bulk(text.to_bytes()))
}

fn is(scene: &Scene<'_>, item: &Item, value: &[u8]) -> bool {
    item.shown(scene.plan.replicas).is_some_and(|text| text.as_slice() == value)
}

/// The list as clients see it, if there is one.
fn list<'a>(scene: &Scene<'a>) -> Result<Option<&'a List>, OpError> {
    Ok(if scene.has(Kind::List)? { scene.body.list() } else { None })
}

/// An index from either side as one from the left.
fn absolute(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { (len as i64).checked_add(index)? } else { index };
    usize::try_from(index).ok()
}

impl Body {
    fn list(&self) -> Option<&List> {
        match self {
            Self::Full(full) => full.list.as_deref(),
            Self::Empty | Self::Lean(_) | Self::Counter(_) => None,
        }
    }
}
