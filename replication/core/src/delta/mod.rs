//! What one command did, mergeable anywhere, any number of times, in any order.
//!
//! A delta is a list of changes: "in this part of this key, these dots are gone, and this value is new". Its puts take the
//! delta's sequence numbers in order; a delta without puts takes one all the same, so that contexts tell that it happened.

mod codec;

use bytes::Bytes;
use smallvec::SmallVec;

pub use codec::MAX_DELTA_BYTES;
pub(crate) use codec::{read_hlc, read_partition, understood};

use crate::{Dot, Hlc, ReplicaId, VersionVector};

/// One command's effect: atomic everywhere. It takes `max(1, puts)` consecutive sequence numbers of its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The partition it belongs to.
    pub partition: u16,
    /// Who made it.
    pub replica: ReplicaId,
    /// Its first sequence number.
    pub first_seq: u64,
    /// The stamp of the command.
    pub hlc: Hlc,
    /// What its maker had seen of other replicas and had not seen at its previous delta: these must be here first.
    pub needs: VersionVector,
    /// What it did.
    pub changes: Vec<Change>,
}

/// One change to one part of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Bytes,
    /// Which part of it.
    pub part: Part,
    /// The dots in that part that the writer had observed and that are gone now.
    pub removes: SmallVec<[Dot; 1]>,
    /// The new value, if any. Never with [`Part::Any`].
    pub put: Option<Value>,
}

/// Where in a key an element lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Wherever the dots are: a DEL names what it removes by dots alone.
    Any,
    /// The string or counter.
    Cell,
    /// A hash field, itself a string or counter.
    Field(Bytes),
    /// A set member.
    Member(Bytes),
    /// The key's deadline.
    Deadline,
    /// The deadline of a hash field.
    FieldDeadline(Bytes),
    /// A sorted set member, itself a score that can be counted on.
    Rated(Bytes),
    /// A list element, by its position; positions are ordered as bytes.
    Item(Bytes),
    /// A HyperLogLog.
    Sketch,
    /// The key as a whole: where a removal mark lies.
    Key,
}

/// The value of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A register's text, in a cell or field; a list element's; a sketch's registers.
    Text(Bytes),
    /// What one replica added to a counter, in a cell or field.
    Count(Box<Count>),
    /// How much of a replica's count a reset had observed, in a cell or field.
    Floor(Box<Floor>),
    /// Presence in a set.
    Member,
    /// When the key or field expires.
    Deadline(Deadline),
    /// A sorted set member's score.
    Score(Score),
    /// A removal mark: what it has not observed does not show.
    Revoked,
}

/// A score: any float but NaN, compared by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Score(pub f64);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Score {}

/// One replica's increments since it last started counting here. See the laws in `types/cell.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Sum of all increments since the start, in units of 10^-17, as all sums here.
    pub sum: i128,
    /// Sequence number of the last increment.
    pub last: u64,
    /// Increments up to this sequence number are reset already …
    pub base_seq: u64,
    /// … and this was their sum.
    pub base_sum: i128,
}

/// What a reset had observed of another replica's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Whose count.
    pub owner: ReplicaId,
    /// The last increment observed.
    pub seq: u64,
    /// The sum up to there.
    pub sum: i128,
}

/// When a key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Milliseconds since 1970; [`Deadline::NEVER`] is what PERSIST writes.
    pub at_ms: u64,
    /// The register this deadline was given to; `None` where the key was no register (counter, hash, set).
    pub bound: Option<Dot>,
}

impl Deadline {
    /// Later than every deadline.
    pub const NEVER: u64 = u64::MAX;
}

impl Delta {
    /// The last sequence number it takes.
    pub fn last_seq(&self) -> u64 {
        self.first_seq + (self.puts() as u64).max(1) - 1
    }

    /// How many values it puts.
    pub fn puts(&self) -> usize {
        self.changes.iter().filter(|c| c.put.is_some()).count()
    }

    /// About how many bytes its keys and values take: for bounds on what is held in memory.
    pub fn size_hint(&self) -> usize {
        let change = |change: &Change| {
            let value = change.put.as_ref().map_or(0, Value::size_hint);
            let removes = change.removes.len() * size_of::<Dot>();
            size_of::<Change>() + change.key.len() + change.part.size_hint() + value + removes
        };
        self.changes.iter().map(change).sum()
    }
}

impl Part {
    /// How many bytes its name takes.
    pub(crate) fn size_hint(&self) -> usize {
        match self {
            Self::Field(name)
            | Self::Member(name)
            | Self::FieldDeadline(name)
            | Self::Rated(name)
            | Self::Item(name) => name.len(),
            Self::Any | Self::Cell | Self::Deadline | Self::Sketch | Self::Key => 0,
        }
    }
}

impl Value {
    /// How many bytes its text takes.
    pub(crate) fn size_hint(&self) -> usize {
        if let Self::Text(text) = self { text.len() } else { 0 }
    }

    /// Whether `part` can hold such a value.
    pub(crate) fn fits(&self, part: &Part) -> bool {
        match self {
            Self::Text(_) => matches!(part, Part::Cell | Part::Field(_) | Part::Item(_) | Part::Sketch),
            Self::Count(_) | Self::Floor(_) => matches!(part, Part::Cell | Part::Field(_) | Part::Rated(_)),
            Self::Score(_) => matches!(part, Part::Rated(_)),
            Self::Member => matches!(part, Part::Member(_)),
            Self::Deadline(_) => matches!(part, Part::Deadline | Part::FieldDeadline(_)),
            Self::Revoked => matches!(part, Part::Key | Part::Field(_) | Part::Member(_) | Part::Rated(_)),
        }
    }
}
