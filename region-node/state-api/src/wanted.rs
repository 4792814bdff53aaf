//! What a client waits for, and how it is told when it comes.

use bytes::Bytes;
use replication_core::{ListEnd, ListOp, Op, Reply, Score, ZsetOp};

use crate::resp::Writer;

/// What is to be taken from the first key that has it.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// BLPOP, BRPOP: one element.
    Element(ListEnd),
    /// BLMPOP: some elements.
    Elements(ListEnd, u64),
    /// BLMOVE, BRPOPLPUSH: one element, for another list.
    Moved { to: Bytes, pop: ListEnd, push: ListEnd },
    /// BZPOPMIN, BZPOPMAX (`max`): one member.
    Member { max: bool },
    /// BZMPOP: some members.
    Members { max: bool, count: u64 },
}

impl Wanted {
    /// The type of the keys that can have it, as TYPE names it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Element(_) | Self::Elements(..) | Self::Moved { .. } => "list",
            Self::Member { .. } | Self::Members { .. } => "zset",
        }
    }

    /// Takes it from a key.
    pub(crate) fn op(&self, key: &Bytes) -> Op {
        let key = key.clone();
        match self {
            Self::Element(end) => ListOp::Pop { end: *end, count: None }.on(key),
            Self::Elements(end, count) => ListOp::Pop { end: *end, count: Some(*count) }.on(key),
            Self::Moved { to, pop, push } => ListOp::Move { to: to.clone(), pop: *pop, push: *push }.on(key),
            Self::Member { max } => ZsetOp::Pop { max: *max, count: 1 }.on(key),
            Self::Members { max, count } => ZsetOp::Pop { max: *max, count: *count }.on(key),
        }
    }

    /// The key that it goes to, where others may wait for it.
    pub(crate) fn fills(&self) -> impl Iterator<Item = &Bytes> {
        let to = if let Self::Moved { to, .. } = self { Some(to) } else { None };
        to.into_iter()
    }

    /// Whether the answer to [`op`](Self::op) says that the key had it.
    pub(crate) fn is_in(&self, reply: &Reply) -> bool {
        match reply {
            Reply::Nil => false,
            Reply::Array(items) => !items.is_empty(),
            Reply::Scored(members) => !members.is_empty(),
            _ => true,
        }
    }

    /// Writes what was taken from `key`.
    pub(crate) fn write(&self, key: &[u8], reply: &Reply, out: &mut Writer) {
        match (self, reply) {
            (Self::Moved { .. }, _) => out.reply(reply),
            (Self::Member { .. }, Reply::Scored(members)) => {
                out.array(1 + members.len() * 2);
                out.bulk(key);
                members.iter().for_each(|member| write_member(member, out));
            }
            // Pairs in both versions of the protocol.
            (Self::Members { .. }, Reply::Scored(members)) => {
                out.array(2);
                out.bulk(key);
                out.array(members.len());
                for member in members {
                    out.array(2);
                    write_member(member, out);
                }
            }
            _ => {
                out.array(2);
                out.bulk(key);
                out.reply(reply);
            }
        }
    }

    /// Writes that there was nothing and nobody waits, inside MULTI.
    pub(crate) fn write_nothing(&self, out: &mut Writer) {
        match self {
            Self::Moved { .. } => out.null(),
            Self::Element(_) | Self::Elements(..) | Self::Member { .. } | Self::Members { .. } => out.null_array(),
        }
    }
}

fn write_member((member, score): &(Bytes, Score), out: &mut Writer) {
    out.bulk(member);
    out.score(score.0);
}
