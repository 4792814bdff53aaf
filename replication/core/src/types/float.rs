//! What INCRBYFLOAT and HINCRBYFLOAT come to: an exact decimal that is counted, wherever that is possible; else a float, written
//! as a text.

use std::borrow::Cow;

use bytes::Bytes;

use crate::OpError;
use crate::blob::Blob;
use crate::types::cell::Reading;
use crate::types::decimal;
use crate::types::extended::{self, Extended};
use crate::types::register::Register;

/// The sum.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FloatSum {
    /// To be counted ([`super::cell::plan_count`]), so that concurrent increments add up.
    Counted {
        /// The increment, in units of 10^-17.
        by: i128,
        /// The new value, as clients read it.
        shown: Bytes,
    },
    /// The new value is to be written as a text: it, or what it is made of, is no decimal that counters hold.
    Text(Bytes),
}

/// Adds `by` to what reads as `reading`.
pub(crate) fn add_float(reading: Option<Reading<'_>>, by: &[u8], not_a_float: OpError) -> Result<FloatSum, OpError> {
    let before: Cow<'_, [u8]> = match reading {
        Some(Reading::Text(text)) => text.as_slice().into(),
        Some(Reading::Number(number)) => decimal::show(number).into_bytes().into(),
        None => b"0"[..].into(),
    };
    let exact = |text: &[u8]| decimal::parse(text).filter(|_| text.len() <= extended::MAX_TEXT);
    let decimals = exact(&before).zip(exact(by));
    if let Some((sum, by)) = decimals.and_then(|(before, by)| Some((before.checked_add(by)?, by))) {
        let shown = Bytes::from(decimal::show(sum));
        return Ok(if Blob::clamp(sum) == sum { FloatSum::Counted { by, shown } } else { FloatSum::Text(shown) });
    }
    let (Some(before), Some(by)) = (Extended::parse(&before), Extended::parse(by)) else { return Err(not_a_float) };
    let sum = before.plus(by).ok_or(OpError::NotFinite)?;
    Ok(FloatSum::Text(Bytes::from(sum.show())))
}
