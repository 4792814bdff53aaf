//! Commands on strings and the counters they can be.

use bytes::Bytes;

use super::When;

/// What SET does to the key's deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetExpiry {
    /// No option: the key persists from now on.
    #[default]
    Clear,
    /// `KEEPTTL`.
    Keep,
    /// `EX`, `PX`, `EXAT`, `PXAT`.
    Deadline(When),
}

/// When SET writes at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetIf {
    /// Always.
    #[default]
    Always,
    /// `NX`: only if this region sees no such key.
    Absent,
    /// `XX`: only if this region sees the key.
    Present,
}

/// What GETEX does to the key's deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GetExpiry {
    /// No option: nothing.
    #[default]
    Keep,
    /// `PERSIST`.
    Persist,
    /// `EX`, `PX`, `EXAT`, `PXAT`.
    Deadline(When),
}

/// What can be asked of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the Redis command of its name; the fields are its arguments")]
pub enum TextOp {
    Get,
    Set {
        value: Bytes,
        expiry: SetExpiry,
        condition: SetIf,
        get: bool,
    },
    GetDel,
    GetEx {
        expiry: GetExpiry,
    },
    Append {
        value: Bytes,
    },
    StrLen,
    /// GETRANGE, SUBSTR: both ends included, counted from the end where negative.
    GetRange {
        start: i64,
        end: i64,
    },
    SetRange {
        offset: u64,
        value: Bytes,
    },
    /// INCR, DECR, INCRBY, DECRBY: `by` is already signed (DECRBY of `i64::MIN` is refused by the caller, as Redis does).
    Incr {
        by: i64,
    },
    /// `by` as the client wrote it: whether it is a number is told only after the key's type, as in Redis.
    IncrByFloat {
        by: Bytes,
    },
    /// MSET, and MSETNX if `if_absent`: `values[0]` is for the key, the rest for `others`. Of equal keys the last one counts.
    MSet {
        others: Vec<Bytes>,
        values: Vec<Bytes>,
        if_absent: bool,
    },
}

impl TextOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Get | Self::StrLen | Self::GetRange { .. } => false,
            Self::GetEx { expiry } => *expiry != GetExpiry::Keep,
            Self::Set { .. }
            | Self::GetDel
            | Self::Append { .. }
            | Self::SetRange { .. }
            | Self::Incr { .. }
            | Self::IncrByFloat { .. }
            | Self::MSet { .. } => true,
        }
    }

    pub(super) fn other_keys(&self) -> &[Bytes] {
        if let Self::MSet { others, .. } = self { others } else { &[] }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Set { value, .. } | Self::Append { value } | Self::SetRange { value, .. } => visit(value),
            Self::IncrByFloat { by } => visit(by),
            Self::MSet { others, values, .. } => others.iter().chain(values).for_each(visit),
            Self::Get
            | Self::GetDel
            | Self::GetEx { .. }
            | Self::StrLen
            | Self::GetRange { .. }
            | Self::Incr { .. } => {}
        }
    }
}
