//! What one direction of a link does to its packets.

use serde::{Deserialize, Serialize};

/// The terms of one direction. The default is a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkShape {
    /// One-way delay, milliseconds, 0 to 10 000.
    pub delay_ms: f64,
    /// Uniform extra delay of 0 to this many milliseconds; on UDP it may reorder.
    pub jitter_ms: f64,
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Bits per second; none is unlimited.
    pub rate_bps: Option<u64>,
    /// Nothing passes.
    pub cut: bool,
}

/// A shape outside its ranges.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("link shape: {field} is {value}, but must be {range}")]
pub struct ShapeError {
    field: &'static str,
    value: String,
    range: &'static str,
}

impl LinkShape {
    /// Half of a round trip each way.
    pub fn of_round_trip(rtt_ms: f64) -> Self {
        Self { delay_ms: rtt_ms / 2.0, ..Self::default() }
    }

    /// The shape if every field is in its range.
    pub fn checked(self) -> Result<Self, ShapeError> {
        let wrong = |field, value: String, range| Err(ShapeError { field, value, range });
        if !(0.0..=10_000.0).contains(&self.delay_ms) {
            return wrong("delay_ms", self.delay_ms.to_string(), "0 to 10000");
        }
        if !(0.0..=10_000.0).contains(&self.jitter_ms) {
            return wrong("jitter_ms", self.jitter_ms.to_string(), "0 to 10000");
        }
        if !(0.0..=1.0).contains(&self.loss) {
            return wrong("loss", self.loss.to_string(), "a share from 0 to 1");
        }
        if self.rate_bps.is_some_and(|rate| rate < 1000) {
            return wrong("rate_bps", format!("{:?}", self.rate_bps), "at least 1000");
        }
        Ok(self)
    }
}
