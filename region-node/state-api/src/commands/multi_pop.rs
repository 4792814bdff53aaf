//! The arguments of LMPOP, ZMPOP and their blocking kin: which keys, from which end, how many.

use bytes::Bytes;

use crate::{call::Refusal, resp::parse_i64};

/// `numkeys key [key …] END [COUNT count]`
#[derive(Debug)]
pub(super) struct MultiPop<'a, End> {
    /// To be looked at in this order.
    pub(super) keys: &'a [Bytes],
    pub(super) from: End,
    /// At least 1.
    pub(super) count: u64,
}

impl<'a, End> MultiPop<'a, End> {
    /// Reads the arguments from `numkeys` on; `end` reads the word that says from where.
    pub(super) fn parse(args: &'a [Bytes], end: impl Fn(&[u8]) -> Result<End, Refusal>) -> Result<Self, Refusal> {
        let [numkeys, rest @ ..] = args else { return Err(Refusal::SYNTAX) };
        let numkeys = positive(numkeys, "ERR numkeys should be greater than 0")?;
        let numkeys = usize::try_from(numkeys).ok().filter(|numkeys| *numkeys < rest.len()).ok_or(Refusal::SYNTAX)?;
        let (keys, rest) = rest.split_at(numkeys);
        let [from, options @ ..] = rest else { return Err(Refusal::SYNTAX) };
        let from = end(from)?;
        let (count, rest) = match options {
            [name, count, rest @ ..] if name.eq_ignore_ascii_case(b"count") => {
                (positive(count, "ERR count should be greater than 0")?, rest)
            }
            rest => (1, rest),
        };
        if rest.is_empty() { Ok(Self { keys, from, count }) } else { Err(Refusal::SYNTAX) }
    }
}

fn positive(text: &[u8], refusal: &'static str) -> Result<u64, Refusal> {
    let number = parse_i64(text).and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or(refusal.into())
}
