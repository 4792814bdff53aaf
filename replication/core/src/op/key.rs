//! Commands that do not care what the key holds: existence, deadlines, names.

use bytes::Bytes;

/// The unit a client gave a time in; it decides the word in the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// `EX`, `EXPIRE`, `TTL`.
    Seconds,
    /// `PX`, `PEXPIRE`, `PTTL`.
    Millis,
}

/// A moment as a client wrote it: relative to now, or since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// `EX`, `PX`, `EXPIRE`, `PEXPIRE`: this long from now.
    In(i64, TimeUnit),
    /// `EXAT`, `PXAT`, `EXPIREAT`, `PEXPIREAT`: unix time.
    At(i64, TimeUnit),
}

/// Conditions of EXPIRE and its kin; the caller has refused the combinations that Redis refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireIf {
    /// `NX`: only if the key has no deadline.
    pub nx: bool,
    /// `XX`: only if the key has one.
    pub xx: bool,
    /// `GT`: only if the new deadline is later (no deadline counts as infinitely late).
    pub gt: bool,
    /// `LT`: only if the new deadline is earlier.
    pub lt: bool,
}

/// What can be asked of a key of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the Redis command of its name; the fields are its arguments")]
pub enum KeyOp {
    Del,
    Exists,
    Type,
    Expire {
        when: When,
        condition: ExpireIf,
    },
    Ttl {
        unit: TimeUnit,
    },
    ExpireTime {
        unit: TimeUnit,
    },
    Persist,
    /// RENAME, or RENAMENX: `nx`.
    Rename {
        to: Bytes,
        nx: bool,
    },
    /// COPY within the partition, to another key.
    Copy {
        to: Bytes,
        replace: bool,
    },
    /// OBJECT ENCODING.
    Encoding,
}

impl KeyOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Exists | Self::Type | Self::Ttl { .. } | Self::ExpireTime { .. } | Self::Encoding => false,
            Self::Del | Self::Expire { .. } | Self::Persist | Self::Rename { .. } | Self::Copy { .. } => true,
        }
    }

    pub(super) fn other_keys(&self) -> &[Bytes] {
        match self {
            Self::Rename { to, .. } | Self::Copy { to, .. } => std::slice::from_ref(to),
            _ => &[],
        }
    }
}
