//! What an op answers, before any protocol gives it a shape on the wire.

use bytes::Bytes;

use crate::{MAX_COMMAND_BYTES, MAX_KEY_BYTES, Score};

/// An answer in no particular protocol; RESP2 flattens `Map` and `Set` into arrays, RESP3 does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Ok,
    /// No such thing, or a condition did not hold.
    Nil,
    /// A count, a flag, a counter's new value.
    Int(i64),
    /// A value.
    Bulk(Bytes),
    /// A word of the protocol: the answers of TYPE.
    Status(&'static str),
    /// Answers in the order of the question (HMGET).
    Array(Vec<Self>),
    /// Field and value pairs (HGETALL), in no particular order.
    Map(Vec<(Bytes, Bytes)>),
    /// Members (SMEMBERS), in no particular order.
    Set(Vec<Bytes>),
    /// A sorted set member's score.
    Score(Score),
    /// Members with their scores, in order (ZRANGE); version 2 of the protocol has them in one flat list.
    Scored(Vec<(Bytes, Score)>),
    /// The op was refused and changed nothing.
    Error(OpError),
}

/// Why an op was refused. `Display` gives Redis's own words, code first, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// INCR on text that is no 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// HINCRBY on a field that is no 64-bit integer.
    #[error("ERR hash value is not an integer")]
    HashNotAnInteger,
    /// HINCRBYFLOAT of a field that is no number.
    #[error("ERR hash value is not a float")]
    HashNotAFloat,
    /// HEXPIRE and its kin with a time below zero.
    #[error("ERR invalid expire time, must be >= 0")]
    NegativeExpire,
    /// INCRBYFLOAT of what is no number.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// INCRBYFLOAT beyond all numbers.
    #[error("ERR increment would produce NaN or Infinity")]
    NotFinite,
    /// A string that a command in place would make longer than the limit; the words are Redis's.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// A bit beyond the longest string.
    #[error("ERR bit offset is not an integer or out of range")]
    BitOffset,
    /// A string that is no HyperLogLog.
    #[error("WRONGTYPE Key is not a valid HyperLogLog string value.")]
    NotASketch,
    /// A HyperLogLog whose registers are damaged.
    #[error("INVALIDOBJ Corrupted HLL object detected")]
    CorruptSketch,
    /// The sum would leave the range of a 64-bit integer.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// LSET of a key that is not there.
    #[error("ERR no such key")]
    NoSuchKey,
    /// LSET beyond the ends.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// Thousands of LINSERTs into ever the same spot have used up the positions there.
    #[error("ERR no room left at this place of the list, write the list anew to make some")]
    NoRoomInList,
    /// A deadline that is zero, negative or past the end of time, with the command that named it.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// A key over the limit.
    #[error("ERR key is longer than {MAX_KEY_BYTES} bytes")]
    KeyTooLong,
    /// A value, field or member over the limit.
    #[error("ERR string exceeds maximum allowed size ({0} bytes)")]
    ValueTooLong(usize),
    /// The arguments of one command together are over the limit.
    #[error("ERR command is longer than {MAX_COMMAND_BYTES} bytes, split it")]
    CommandTooLarge,
    /// What a command would write (a union, a copy) is more than one change may hold.
    #[error("ERR the result is larger than {MAX_COMMAND_BYTES} bytes, too large to be written as one change")]
    ResultTooLarge,
    /// More random choices than one command may make.
    #[error("ERR value is out of range, value must between -{0} and {0}")]
    TooManyDraws(u64),
    /// ZINCRBY from one infinity to the other.
    #[error("ERR resulting score is not a number (NaN)")]
    NotANumber,
    /// This replica has used up its dots (2^48 changes in one partition); a new incarnation has a fresh supply.
    #[error("ERR replica has run out of change numbers, restart the region to take a new incarnation")]
    OutOfDots,
    /// The region's memory is as full as it may get; what only deletes or reads goes on.
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    /// The region cannot make writes durable now; reads go on. The text says why.
    #[error("MISCONF {0}")]
    Unwritable(String),
}
