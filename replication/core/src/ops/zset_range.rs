//! The Z commands on stretches: ZRANGE in all its forms, ZCOUNT, ZREMRANGEBY…, pops, ZRANDMEMBER, ZSCAN.
//!
//! Every stretch is turned into a range of ranks first, in logarithmic time; from there on scores, names and ranks are alike.

use std::ops::Range;

use bytes::Bytes;

use super::luck::{Luck, MAX_DRAWS};
use super::sides::Side;
use super::{Answer, Scene, indexes, zset::plan_removal, zset_algebra};
use crate::delta::Score;
use crate::types::zset::Zset;
use crate::{NameBound, OpError, Reply, ScoreBound, Select, Span};

/// A sorted set up to here is shown whole by one ZSCAN, in order, as Redis does with small ones.
const SHOWN_WHOLE: usize = 128;

impl Span {
    /// The ranks of the stretch, counted from the smallest; `rev`: its own ranks are counted from the greatest.
    fn ranks(&self, zset: &Zset, rev: bool) -> Range<usize> {
        match self {
            Self::Ranks(start, stop) => {
                let ranks = indexes(*start, *stop, zset.len());
                if rev { zset.len() - ranks.end..zset.len() - ranks.start } else { ranks }
            }
            Self::Scores(min, max) => {
                let start = zset.count_before(|score, _| min.is_above(score));
                let end = zset.count_before(|score, _| !max.is_below(score));
                start..end.max(start)
            }
            Self::Names(min, max) if is_mixed(zset) => stretch(zset, min, max, rev, 0),
            Self::Names(min, max) => {
                let start = zset.count_before(|_, name| min.is_above(name));
                let end = zset.count_before(|_, name| !max.is_below(name));
                start..end.max(start)
            }
        }
    }
}

/// Whether names are in no order and the set is one that Redis would walk through.
fn is_mixed(zset: &Zset) -> bool {
    zset.len() <= SHOWN_WHOLE && zset.has_several_scores()
}

/// The stretch of names where scores differ, so that names are in no order. Redis promises nothing there; this is what its small
/// sorted sets do: they look for the first name that is not too low, pass over `skip` names whatever they are, and go on to the
/// next one that is too high; or the same from the end.
fn stretch(zset: &Zset, min: &NameBound, max: &NameBound, rev: bool, skip: usize) -> Range<usize> {
    let names: Vec<&[u8]> = zset.iter().map(|(name, _)| name).collect();
    let (Some(first), Some(last)) = (names.first(), names.last()) else { return 0..0 };
    if min.is_beyond(max) || min.is_above(last) || max.is_below(first) {
        return 0..0;
    }
    if rev {
        let Some(last) = names.iter().rposition(|name| !max.is_below(name)) else { return 0..0 };
        let end = if min.is_above(names[last]) { 0 } else { (last + 1).saturating_sub(skip) };
        names[..end].iter().rposition(|name| min.is_above(name)).map_or(0, |at| at + 1)..end
    } else {
        let Some(first) = names.iter().position(|name| !min.is_above(name)) else { return 0..0 };
        let start = if max.is_below(names[first]) { names.len() } else { first.saturating_add(skip).min(names.len()) };
        let length = names[start..].iter().position(|name| max.is_below(name));
        start..length.map_or(names.len(), |length| start + length)
    }
}

impl ScoreBound {
    /// As a lower end: whether that score lies before the stretch.
    fn is_above(self, score: f64) -> bool {
        if self.open { score <= self.score.0 } else { score < self.score.0 }
    }

    /// As an upper end: whether that score lies behind the stretch.
    fn is_below(self, score: f64) -> bool {
        if self.open { score >= self.score.0 } else { score > self.score.0 }
    }
}

impl NameBound {
    /// As a lower end: whether that name lies before the stretch.
    fn is_above(&self, name: &[u8]) -> bool {
        match self {
            Self::Lowest => false,
            Self::Highest => true,
            Self::With(end) => name < &end[..],
            Self::Without(end) => name <= &end[..],
        }
    }

    /// As an upper end: whether that name lies behind the stretch.
    fn is_below(&self, name: &[u8]) -> bool {
        match self {
            Self::Lowest => true,
            Self::Highest => false,
            Self::With(end) => name > &end[..],
            Self::Without(end) => name >= &end[..],
        }
    }
}

impl NameBound {
    /// Whether a stretch from this one to `max` is empty whatever there is.
    fn is_beyond(&self, max: &Self) -> bool {
        match (self, max) {
            (Self::Highest, _) | (_, Self::Lowest) => true,
            (Self::Lowest, _) | (_, Self::Highest) => false,
            (Self::With(min), Self::With(max)) => min > max,
            (Self::With(min) | Self::Without(min), Self::With(max) | Self::Without(max)) => min >= max,
        }
    }
}

impl Select {
    /// The selected ranks, counted from the smallest.
    fn ranks(&self, zset: &Zset) -> Range<usize> {
        let (skip, take) = match self.limit {
            Some((skip, _)) if skip < 0 => return 0..0,
            Some((skip, take)) => (skip as usize, usize::try_from(take).unwrap_or(usize::MAX)),
            None => return self.span.ranks(zset, self.rev),
        };
        let (ranks, skip) = match &self.span {
            Span::Names(min, max) if is_mixed(zset) => (stretch(zset, min, max, self.rev, skip), 0),
            span => (span.ranks(zset, self.rev), skip),
        };
        let skip = skip.min(ranks.len());
        let take = take.min(ranks.len() - skip);
        if self.rev {
            let end = ranks.end - skip;
            end - take..end
        } else {
            let start = ranks.start + skip;
            start..start + take
        }
    }

    fn rows(&self, zset: &Zset) -> Vec<(Bytes, Score)> {
        let rows = zset.range(self.ranks(zset));
        if self.rev { rows.rev().map(copied).collect() } else { rows.map(copied).collect() }
    }
}

pub(super) fn copied((member, score): (&[u8], f64)) -> (Bytes, Score) {
    (Bytes::copy_from_slice(member), Score(score))
}

pub(super) fn range(scene: &Scene<'_>, select: &Select) -> Answer {
    Ok(Reply::Scored(scene.zset()?.map_or_else(Vec::new, |zset| select.rows(zset))))
}

pub(super) fn count(scene: &Scene<'_>, span: &Span) -> Answer {
    Ok(Reply::Int(scene.zset()?.map_or(0, |zset| span.ranks(zset, false).len()) as i64))
}

/// What is stored is a new value, as if it had been deleted and added: concurrent changes to either set do not meet in it.
pub(super) fn store(scene: &mut Scene<'_>, source: &Bytes, select: &Select) -> Answer {
    let zset = Side::look(scene, source)?.into_zset()?;
    let rows = zset.map_or_else(Vec::new, |zset| select.rows(zset));
    zset_algebra::overwrite(scene, rows)
}

pub(super) fn remove(scene: &mut Scene<'_>, span: &Span) -> Answer {
    let Some(zset) = scene.zset()? else { return Ok(Reply::Int(0)) };
    let doomed: Vec<Bytes> =
        zset.range(span.ranks(zset, false)).map(|(member, _)| Bytes::copy_from_slice(member)).collect();
    plan_removal(scene, &doomed.iter().collect::<Vec<_>>())?;
    Ok(Reply::Int(doomed.len() as i64))
}

pub(super) fn pop(scene: &mut Scene<'_>, max: bool, count: u64) -> Answer {
    let Some(zset) = scene.zset()? else { return Ok(Reply::Scored(Vec::new())) };
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(zset.len());
    let rows: Vec<(Bytes, Score)> = if max {
        zset.range(zset.len() - count..zset.len()).rev().map(copied).collect()
    } else {
        zset.range(0..count).map(copied).collect()
    };
    plan_removal(scene, &rows.iter().map(|(member, _)| member).collect::<Vec<_>>())?;
    Ok(Reply::Scored(rows))
}

pub(super) fn random(scene: &Scene<'_>, count: i64) -> Answer {
    let Some(zset) = scene.zset()? else { return Ok(Reply::Scored(Vec::new())) };
    let (mut luck, len) = (Luck::new(scene.luck), zset.len());
    let times = count.unsigned_abs();
    let ranks = if count >= 0 {
        luck.distinct(usize::try_from(times).unwrap_or(usize::MAX), len)
    } else if times > MAX_DRAWS {
        return Err(OpError::TooManyDraws(MAX_DRAWS));
    } else {
        (0..times).map(|_| luck.below(len)).collect()
    };
    let rows = ranks.into_iter().flat_map(|rank| zset.range(rank..rank + 1)).map(copied);
    Ok(Reply::Scored(rows.collect()))
}

pub(super) fn scan(scene: &Scene<'_>, cursor: u64, count: usize) -> Answer {
    let (next, page) = match scene.zset()? {
        None => (0, Vec::new()),
        Some(zset) if zset.len() <= SHOWN_WHOLE => (0, zset.iter().map(copied).collect()),
        Some(zset) => {
            let (next, page) = zset.page(cursor, count);
            (next, page.map(copied).collect())
        }
    };
    Ok(Reply::Array(vec![Reply::Int(next as i64), Reply::Scored(page)]))
}
