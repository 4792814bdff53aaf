//! Commands on the bits of a string. Bit 0 is the most significant bit of the first byte.

use bytes::Bytes;

/// What the ends of a range are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitUnit {
    /// `BYTE`, and the default.
    Bytes,
    /// `BIT`.
    Bits,
}

/// Both ends included, counted from the end of the string where negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the arguments")]
pub struct BitRange {
    pub start: i64,
    /// `None`: the end of the string, and BITPOS may find a zero behind it.
    pub end: Option<i64>,
    pub unit: BitUnit,
}

/// How BITOP combines its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the BITOP of its name")]
pub enum Bitwise {
    And,
    Or,
    Xor,
    /// Of one source: the caller has made sure.
    Not,
}

/// An integer within the bits of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitField {
    /// Its first bit.
    pub offset: u64,
    /// Its width: 1 to 64 bits if signed, 1 to 63 if not.
    pub bits: u8,
    /// Two's complement, or not.
    pub signed: bool,
}

/// What BITFIELD does with a value that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Keeps the low bits.
    #[default]
    Wrap,
    /// Takes the nearest value that fits.
    Saturate,
    /// Writes nothing and answers nil.
    Fail,
}

/// What BITFIELD does to one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the subcommand of its name")]
pub enum FieldAsk {
    Get,
    Set { value: i64, overflow: Overflow },
    Incr { by: i64, overflow: Overflow },
}

/// What can be asked of the bits of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the Redis command of its name; the fields are its arguments")]
pub enum BitsOp {
    Get {
        offset: u64,
    },
    Set {
        offset: u64,
        on: bool,
    },
    Count {
        range: Option<BitRange>,
    },
    Pos {
        on: bool,
        range: Option<BitRange>,
    },
    /// BITOP: the key is the destination.
    Combine {
        how: Bitwise,
        sources: Vec<Bytes>,
    },
    /// BITFIELD, BITFIELD_RO: carried out in order, each seeing those before it.
    Field {
        steps: Vec<(BitField, FieldAsk)>,
    },
}

impl BitsOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Get { .. } | Self::Count { .. } | Self::Pos { .. } => false,
            Self::Set { .. } | Self::Combine { .. } => true,
            Self::Field { steps } => steps.iter().any(|(_, ask)| *ask != FieldAsk::Get),
        }
    }

    pub(super) fn other_keys(&self) -> &[Bytes] {
        if let Self::Combine { sources, .. } = self { sources } else { &[] }
    }
}
