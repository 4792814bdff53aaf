//! A walk through the elements of one key in steps, while the key goes on changing between them: for keys too large to be looked
//! at under one hold of a lock.
//!
//! Law: **what is there from the first step to the last is shown.** A table is walked from its end (see [`SubMap::page`]), a list
//! from one position to the next. What comes in between is shown or not; what a removal moved may be shown again.
//!
//! [`SubMap::page`]: super::submap::SubMap::page

use bytes::Bytes;

use super::{Body, Element, Full, PartRef};
use crate::dots::Replicas;

/// How far a walk has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    /// The table that is being walked through; the parts that are no tables are shown before the first.
    table: usize,
    cursor: u64,
    /// The last list element's position.
    after: Option<Bytes>,
}

type Visit<'v> = &'v mut dyn FnMut(Element<'_>);
/// Shows about so many elements of a table, and returns the cursor to go on with, 0 at the end.
type Table = fn(&Full, u64, usize, Visit<'_>) -> u64;

const TABLES: [Table; 7] = [
    |full, cursor, count, visit| full.fields.as_ref().map_or(0, |fields| fields.walk(cursor, count, visit)),
    |full, cursor, count, visit| {
        let marks = full.fields.as_ref().and_then(|fields| fields.marks());
        marks.map_or(0, |marks| marks.walk(PartRef::Field, cursor, count, visit))
    },
    |full, cursor, count, visit| full.fields.as_ref().map_or(0, |fields| fields.walk_deadlines(cursor, count, visit)),
    |full, cursor, count, visit| full.members.as_ref().map_or(0, |members| members.walk(cursor, count, visit)),
    |full, cursor, count, visit| {
        let marks = full.members.as_ref().and_then(|members| members.marks());
        marks.map_or(0, |marks| marks.walk(PartRef::Member, cursor, count, visit))
    },
    |full, cursor, count, visit| full.zset.as_ref().map_or(0, |zset| zset.walk(cursor, count, visit)),
    |full, cursor, count, visit| {
        let marks = full.zset.as_ref().and_then(|zset| zset.marks());
        marks.map_or(0, |marks| marks.walk(PartRef::Rated, cursor, count, visit))
    },
];

impl Body {
    /// About how many elements it has.
    pub(crate) fn size(&self) -> usize {
        let Self::Full(full) = self else { return 2 };
        let Full { fields, members, list, zset, .. } = &**full;
        let tables = fields.as_ref().map_or(0, |fields| fields.entries())
            + members.as_ref().map_or(0, |members| members.entries())
            + zset.as_ref().map_or(0, |zset| zset.entries());
        tables + list.as_ref().map_or(0, |list| list.len())
    }

    /// Shows about `count` elements; false when there are none any more.
    pub(crate) fn walk(&self, walk: &mut Walk, count: usize, replicas: &Replicas, visit: Visit<'_>) -> bool {
        let Self::Full(full) = self else {
            if walk.table == 0 && walk.cursor == 0 {
                self.for_each(replicas, visit);
            }
            return false;
        };
        if let Some(table) = TABLES.get(walk.table) {
            if (walk.table, walk.cursor) == (0, 0) {
                full.for_each_single(visit);
            }
            walk.cursor = table(full, walk.cursor, count, visit);
            walk.table += usize::from(walk.cursor == 0);
            return true;
        }
        walk.after = full.list.as_ref().and_then(|list| list.walk(walk.after.as_deref(), count, visit));
        walk.after.is_some()
    }
}
