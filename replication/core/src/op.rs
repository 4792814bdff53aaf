//! What clients ask of the state: data commands, parsed, each touching exactly one key.
//!
//! Commands over several keys (MGET, MSET, DEL a b) are many ops: keys live in different partitions, and each op is atomic
//! only within its own. Times stay as the client gave them; the partition checks them against `now`, since their errors
//! depend on it.

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

/// One data command on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the Redis command of its name; the fields are its arguments")]
pub enum Op {
    Get {
        key: Bytes,
    },
    Set {
        key: Bytes,
        value: Bytes,
        expiry: SetExpiry,
        condition: SetIf,
        get: bool,
    },
    GetDel {
        key: Bytes,
    },
    Del {
        key: Bytes,
    },
    Exists {
        key: Bytes,
    },
    Type {
        key: Bytes,
    },
    Expire {
        key: Bytes,
        when: When,
        condition: ExpireIf,
    },
    Ttl {
        key: Bytes,
        unit: TimeUnit,
    },
    Persist {
        key: Bytes,
    },
    /// INCR, DECR, INCRBY, DECRBY: `by` is already signed (DECRBY of `i64::MIN` is refused by the caller, as Redis does).
    Incr {
        key: Bytes,
        by: i64,
    },
    HSet {
        key: Bytes,
        fields: Vec<(Bytes, Bytes)>,
    },
    HGet {
        key: Bytes,
        field: Bytes,
    },
    HMGet {
        key: Bytes,
        fields: Vec<Bytes>,
    },
    HGetAll {
        key: Bytes,
    },
    HDel {
        key: Bytes,
        fields: Vec<Bytes>,
    },
    HExists {
        key: Bytes,
        field: Bytes,
    },
    HLen {
        key: Bytes,
    },
    HIncr {
        key: Bytes,
        field: Bytes,
        by: i64,
    },
    SAdd {
        key: Bytes,
        members: Vec<Bytes>,
    },
    SRem {
        key: Bytes,
        members: Vec<Bytes>,
    },
    SMembers {
        key: Bytes,
    },
    SIsMember {
        key: Bytes,
        member: Bytes,
    },
    SCard {
        key: Bytes,
    },
}

impl Op {
    /// The one key this op reads or writes; it decides the partition.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Get { key }
            | Self::Set { key, .. }
            | Self::GetDel { key }
            | Self::Del { key }
            | Self::Exists { key }
            | Self::Type { key }
            | Self::Expire { key, .. }
            | Self::Ttl { key, .. }
            | Self::Persist { key }
            | Self::Incr { key, .. }
            | Self::HSet { key, .. }
            | Self::HGet { key, .. }
            | Self::HMGet { key, .. }
            | Self::HGetAll { key }
            | Self::HDel { key, .. }
            | Self::HExists { key, .. }
            | Self::HLen { key }
            | Self::HIncr { key, .. }
            | Self::SAdd { key, .. }
            | Self::SRem { key, .. }
            | Self::SMembers { key }
            | Self::SIsMember { key, .. }
            | Self::SCard { key } => key,
        }
    }

    /// Whether the op may change state. A read needs no stamp, no journal and no wait.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Get { .. }
            | Self::Exists { .. }
            | Self::Type { .. }
            | Self::Ttl { .. }
            | Self::HGet { .. }
            | Self::HMGet { .. }
            | Self::HGetAll { .. }
            | Self::HExists { .. }
            | Self::HLen { .. }
            | Self::SMembers { .. }
            | Self::SIsMember { .. }
            | Self::SCard { .. } => false,
            Self::Set { .. }
            | Self::GetDel { .. }
            | Self::Del { .. }
            | Self::Expire { .. }
            | Self::Persist { .. }
            | Self::Incr { .. }
            | Self::HSet { .. }
            | Self::HDel { .. }
            | Self::HIncr { .. }
            | Self::SAdd { .. }
            | Self::SRem { .. } => true,
        }
    }
}
