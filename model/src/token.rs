//! The token: "I have seen this much of that region", carried by a session from one region to another.

use std::{fmt, str::FromStr};

use crate::NameError;

/// A region's number and a hybrid logical clock stamp. Written `REGION.HLC` in decimal and hexadecimal: `2.18f3a2b4c5d60001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// `Region::id` of the region that acknowledged the write.
    pub region: u16,
    /// The stamp of that write: 48 bits of Unix milliseconds, 16 bits of counter.
    pub hlc: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}", self.region, self.hlc)
    }
}

impl FromStr for Token {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong =
            || NameError { what: "token", text: text.chars().take(40).collect(), why: "it is written REGION.HLC" };
        let (region, hlc) = text.split_once('.').ok_or_else(wrong)?;
        Ok(Self {
            region: region.parse().map_err(|_| wrong())?,
            hlc: u64::from_str_radix(hlc, 16).map_err(|_| wrong())?,
        })
    }
}
