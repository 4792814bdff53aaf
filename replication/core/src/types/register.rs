//! What the registers of a cell hold: the text of a string or hash field, the score of a sorted set's member. The laws of
//! cells (`cell.rs`) are the same for both.

use crate::blob::Blob;
use crate::delta::Score;
use crate::types::{Held, HeldRef, decimal};

pub(crate) trait Register: Sized {
    /// The value as a register; another kind of value comes back.
    fn take(held: Held) -> Result<Self, Held>;
    fn into_held(self) -> Held;
    fn show(&self) -> HeldRef<'_>;
    /// The number that counts are added to; `None` where they cannot be, and the register reads as it is.
    fn number(&self) -> Option<i128>;
    /// What a sum reads as that no single increment could have made.
    fn clamp(sum: i128) -> i128;
}

impl Register for Blob {
    fn take(held: Held) -> Result<Self, Held> {
        match held {
            Held::Text(text) => Ok(text),
            other => Err(other),
        }
    }

    fn into_held(self) -> Held {
        Held::Text(self)
    }

    fn show(&self) -> HeldRef<'_> {
        HeldRef::Text(self)
    }

    fn number(&self) -> Option<i128> {
        decimal::parse(self.as_slice())
    }

    fn clamp(sum: i128) -> i128 {
        sum.clamp(decimal::whole(i64::MIN), decimal::whole(i64::MAX))
    }
}

impl Register for Score {
    fn take(held: Held) -> Result<Self, Held> {
        match held {
            Held::Score(score) => Ok(score),
            other => Err(other),
        }
    }

    fn into_held(self) -> Held {
        Held::Score(self)
    }

    fn show(&self) -> HeldRef<'_> {
        HeldRef::Score(*self)
    }

    fn number(&self) -> Option<i128> {
        decimal::from_f64(self.0)
    }

    fn clamp(sum: i128) -> i128 {
        sum // any sum is a score
    }
}
