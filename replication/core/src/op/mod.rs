//! What clients ask of the state: data commands, parsed.
//!
//! An [`Op`] is one command on one key; the few that touch several keys of one partition (RENAME, SUNIONSTORE …) name the others
//! in what they ask. Commands over keys of several partitions (MGET, MSET, DEL a b) are many ops. Times stay as the client
//! gave them; the partition checks them against `now`, since their errors depend on it.
//!
//! One file per family: a new command is a variant there, and its answer a function in `ops/`.

mod bits;
mod hash;
mod key;
mod list;
mod set;
mod sketch;
mod text;
mod zset;

use bytes::Bytes;

pub use bits::{BitField, BitRange, BitUnit, BitsOp, Bitwise, FieldAsk, Overflow};
pub use hash::HashOp;
pub use key::{ExpireIf, KeyOp, TimeUnit, When};
pub use list::{ListEnd, ListOp};
pub use set::{Combine, SetOp};
pub use sketch::SketchOp;
pub use text::{GetExpiry, SetExpiry, SetIf, TextOp};
pub use zset::{AddIf, Aggregate, NameBound, Recipe, ScoreBound, Select, Span, ZsetOp};

/// One data command.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// The key it reads or writes; it decides the partition.
    pub key: Bytes,
    /// What is asked of it.
    pub ask: Ask,
}

/// What is asked of a key, by family.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant holds the commands of the family it is named after")]
pub enum Ask {
    Key(KeyOp),
    Text(TextOp),
    Bits(BitsOp),
    Hash(HashOp),
    Set(SetOp),
    List(ListOp),
    Zset(ZsetOp),
    Sketch(SketchOp),
}

impl Op {
    /// Whether it may change state. A read needs no stamp, no journal and no wait.
    pub fn is_write(&self) -> bool {
        match &self.ask {
            Ask::Key(op) => op.is_write(),
            Ask::Text(op) => op.is_write(),
            Ask::Bits(op) => op.is_write(),
            Ask::Hash(op) => op.is_write(),
            Ask::Set(op) => op.is_write(),
            Ask::List(op) => op.is_write(),
            Ask::Zset(op) => op.is_write(),
            Ask::Sketch(op) => op.is_write(),
        }
    }

    /// Whether it may add to the state: what a region whose memory is full does not do. What removes, renames, or has to do with
    /// deadlines goes on.
    pub fn grows(&self) -> bool {
        let shrinks = match &self.ask {
            Ask::Key(op) => !matches!(op, KeyOp::Copy { .. }),
            Ask::Text(op) => matches!(op, TextOp::GetDel | TextOp::GetEx { .. }),
            Ask::Hash(op) => op.keeps_size(),
            Ask::Set(op) => matches!(op, SetOp::Rem { .. } | SetOp::Pop { .. } | SetOp::Move { .. }),
            Ask::List(op) => matches!(op, ListOp::Pop { .. } | ListOp::Rem { .. } | ListOp::Trim { .. }),
            Ask::Zset(op) => matches!(op, ZsetOp::Rem { .. } | ZsetOp::RemRange { .. } | ZsetOp::Pop { .. }),
            Ask::Bits(_) | Ask::Sketch(_) => false,
        };
        !shrinks && self.is_write()
    }

    /// The keys it touches beside [`Op::key`]. The caller makes sure that they are of the same partition.
    pub fn other_keys(&self) -> &[Bytes] {
        match &self.ask {
            Ask::Key(op) => op.other_keys(),
            Ask::List(op) => op.other_keys(),
            Ask::Zset(op) => op.other_keys(),
            Ask::Text(op) => op.other_keys(),
            Ask::Bits(op) => op.other_keys(),
            Ask::Sketch(op) => op.other_keys(),
            Ask::Set(op) => op.other_keys(),
            Ask::Hash(_) => &[],
        }
    }

    /// Shows everything that may come to be stored besides the key: values, fields, members.
    pub(crate) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match &self.ask {
            Ask::Key(op) => op.other_keys().iter().for_each(visit),
            Ask::Text(op) => op.each_argument(visit),
            Ask::Bits(op) => op.other_keys().iter().for_each(visit),
            Ask::Hash(op) => op.each_argument(visit),
            Ask::Set(op) => op.each_argument(visit),
            Ask::List(op) => op.each_argument(visit),
            Ask::Zset(op) => op.each_argument(visit),
            Ask::Sketch(op) => op.each_argument(visit),
        }
    }
}

/// `KeyOp::Del.on(key)`: every family makes ops the same way.
macro_rules! asked_of_a_key {
    ($($family:ident => $ask:ident),+) => {$(
        impl $family {
            /// The op that asks this of `key`.
            pub fn on(self, key: impl Into<Bytes>) -> Op {
                Op { key: key.into(), ask: Ask::$ask(self) }
            }
        }
    )+};
}
asked_of_a_key!(
    KeyOp => Key, TextOp => Text, BitsOp => Bits, HashOp => Hash, SetOp => Set, ListOp => List, ZsetOp => Zset,
    SketchOp => Sketch
);
