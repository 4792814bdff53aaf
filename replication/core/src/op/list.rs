//! Commands on lists.

use bytes::Bytes;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListEnd {
    /// The head, where index 0 is.
    Left,
    /// The tail.
    Right,
}

/// What can be asked of a list. Indexes count from the left, negative ones from the right, -1 the last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant is the Redis command of its name, without the L; the fields are its arguments"
)]
pub enum ListOp {
    /// LPUSH, RPUSH; `existing`: LPUSHX, RPUSHX, which make no list.
    Push {
        end: ListEnd,
        values: Vec<Bytes>,
        existing: bool,
    },
    /// LPOP, RPOP: one element, or with a count that many at most, as an array.
    Pop {
        end: ListEnd,
        count: Option<u64>,
    },
    Len,
    Range {
        start: i64,
        stop: i64,
    },
    Index {
        index: i64,
    },
    Set {
        index: i64,
        value: Bytes,
    },
    Insert {
        before: bool,
        pivot: Bytes,
        value: Bytes,
    },
    /// Removes `count` elements that equal `value` from the left, from the right if negative, all if 0.
    Rem {
        count: i64,
        value: Bytes,
    },
    Trim {
        start: i64,
        stop: i64,
    },
    /// `rank` is not 0; negative ranks search from the right. `count`: so many matches as an array, 0 for all. `max_len`: compares
    /// no more elements than that, 0 for all.
    Pos {
        value: Bytes,
        rank: i64,
        count: Option<u64>,
        max_len: u64,
    },
    /// LMOVE, RPOPLPUSH.
    Move {
        to: Bytes,
        pop: ListEnd,
        push: ListEnd,
    },
}

impl ListOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Len | Self::Range { .. } | Self::Index { .. } | Self::Pos { .. } => false,
            Self::Push { .. }
            | Self::Pop { .. }
            | Self::Set { .. }
            | Self::Insert { .. }
            | Self::Rem { .. }
            | Self::Trim { .. }
            | Self::Move { .. } => true,
        }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Push { values, .. } => values.iter().for_each(visit),
            Self::Set { value, .. } | Self::Insert { value, .. } => visit(value),
            _ => self.other_keys().iter().for_each(visit),
        }
    }

    pub(super) fn other_keys(&self) -> &[Bytes] {
        match self {
            Self::Move { to, .. } => std::slice::from_ref(to),
            _ => &[],
        }
    }
}
