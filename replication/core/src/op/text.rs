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
    /// INCR, DECR, INCRBY, DECRBY: `by` is already signed (DECRBY of `i64::MIN` is refused by the caller, as Redis does).
    Incr {
        by: i64,
    },
}

impl TextOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Get => false,
            Self::Set { .. } | Self::GetDel | Self::Incr { .. } => true,
        }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Set { value, .. } => visit(value),
            Self::Get | Self::GetDel | Self::Incr { .. } => {}
        }
    }
}
