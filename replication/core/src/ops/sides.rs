//! Sets to be combined, whatever they are: sets and sorted sets as they lie in the partition, and copies of those that lie in
//! others. A plain set is a sorted set whose members all score 1, as in Redis.

use bytes::Bytes;
use hashbrown::HashMap;

use super::Scene;
use crate::types::set::Members;
use crate::types::zset::Zset;
use crate::types::{Body, Kind};
use crate::{OpError, Score};

/// A set to be combined.
pub(super) enum Side<'a> {
    Absent,
    Plain(&'a Members),
    Sorted(&'a Zset),
    /// A copy from another partition.
    Copy(HashMap<&'a [u8], f64>),
}

impl<'a> Side<'a> {
    /// The set or sorted set under a key of this partition.
    pub(super) fn look(scene: &Scene<'a>, key: &[u8]) -> Result<Self, OpError> {
        let (body, view) = scene.look(key);
        match (view.present(), body) {
            (Kind::None, _) => Ok(Self::Absent),
            (Kind::Zset, body) => Ok(body.zset().map_or(Self::Absent, Self::Sorted)),
            (Kind::Set, Body::Full(full)) => Ok(full.members.as_deref().map_or(Self::Absent, Self::Plain)),
            _ => Err(OpError::WrongType),
        }
    }

    /// A plain set of this partition; `None` for a key that is not there.
    pub(super) fn plain(members: Option<&'a Members>) -> Self {
        members.map_or(Self::Absent, Self::Plain)
    }

    pub(super) fn copy_of_set(members: &'a [Bytes]) -> Self {
        Self::Copy(members.iter().map(|member| (&member[..], 1.0)).collect())
    }

    pub(super) fn copy_of_rows(rows: &'a [(Bytes, Score)]) -> Self {
        Self::Copy(rows.iter().map(|(member, score)| (&member[..], score.0)).collect())
    }

    /// For commands that take no plain sets.
    pub(super) fn into_zset(self) -> Result<Option<&'a Zset>, OpError> {
        match self {
            Self::Absent => Ok(None),
            Self::Sorted(zset) => Ok(Some(zset)),
            Self::Plain(_) | Self::Copy(_) => Err(OpError::WrongType),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Plain(members) => members.len(),
            Self::Sorted(zset) => zset.len(),
            Self::Copy(rows) => rows.len(),
        }
    }

    pub(super) fn has(&self, member: &[u8]) -> bool {
        self.score(member).is_some()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Absent => None,
            Self::Plain(members) => members.has(member).then_some(1.0),
            Self::Sorted(zset) => zset.score(member),
            Self::Copy(rows) => rows.get(member).copied(),
        }
    }

    /// Members and scores; in order where it is a sorted set of this partition.
    pub(super) fn rows(&self) -> Box<dyn Iterator<Item = (&[u8], f64)> + '_> {
        match self {
            Self::Absent => Box::new(std::iter::empty()),
            Self::Plain(members) => Box::new(members.iter().map(|member| (member, 1.0))),
            Self::Sorted(zset) => Box::new(zset.iter()),
            Self::Copy(rows) => Box::new(rows.iter().map(|(member, score)| (*member, *score))),
        }
    }
}

/// The rows of the first set whose members are in none of the others.
pub(super) fn difference<'s>(sides: &'s [Side<'_>]) -> impl Iterator<Item = (&'s [u8], f64)> {
    let (first, others) = sides.split_at(sides.len().min(1));
    let rows = first.iter().flat_map(Side::rows);
    rows.filter(|(member, _)| !others.iter().any(|side| side.has(member)))
}
