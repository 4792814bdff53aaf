//! What is measured, and the bars.

use std::fmt;

/// Different keys that operations choose from.
pub(crate) const KEYS: u64 = 100_000;
/// Connections.
pub(crate) const CLIENTS: u32 = 50;
/// Bytes of a value.
pub(crate) const VALUE_BYTES: u32 = 64;

/// One operation, sent one way.
#[derive(Debug, PartialEq)]
pub(crate) struct Case {
    /// As redis-benchmark calls the test.
    pub(crate) op: &'static str,
    /// Commands that a connection sends before it waits; 1 is no pipeline.
    pub(crate) pipeline: u32,
    /// Atoll's CPU per operation may be this many times redis-server's.
    pub(crate) bar: Option<f64>,
}

impl Case {
    const fn new(op: &'static str, pipeline: u32, bar: Option<f64>) -> Self {
        Self { op, pipeline, bar }
    }

    /// Operations of one measurement. A pipelined one costs a fraction, while the clock that is read still ticks each 10 ms.
    pub(crate) fn ops(&self, unpipelined: u64) -> u64 {
        if self.pipeline > 1 { 4 * unpipelined } else { unpipelined }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pipeline {
            1 => write!(f, "{}", self.op),
            pipeline => write!(f, "{} -P {pipeline}", self.op),
        }
    }
}

pub(crate) const CASES: &[Case] = &[
    Case::new("SET", 1, Some(1.5)),
    Case::new("GET", 1, Some(1.0)),
    Case::new("INCR", 1, Some(1.5)),
    Case::new("HSET", 1, Some(1.5)),
    Case::new("SADD", 1, Some(1.5)),
    Case::new("ZADD", 1, Some(1.5)),
    Case::new("SET", 16, Some(2.0)),
    Case::new("GET", 16, Some(2.0)),
    Case::new("INCR", 16, Some(2.0)),
    Case::new("HSET", 16, Some(2.0)),
    Case::new("SADD", 16, Some(2.0)),
    Case::new("ZADD", 16, Some(2.0)),
];

/// Before anything is measured: so many operations that 99 % of the keys are there, and reads find what they ask for.
pub(crate) const WARM_UP: &[(Case, u64)] = &[
    (Case::new("SET", 16, None), 5 * KEYS),
    (Case::new("INCR", 16, None), 5 * KEYS),
    (Case::new("HSET", 16, None), 5 * KEYS),
    (Case::new("SADD", 16, None), 5 * KEYS),
    (Case::new("ZADD", 16, None), 5 * KEYS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelined_cases_take_more_operations() {
        assert_eq!(CASES[0].ops(1000), 1000);
        assert_eq!(CASES[6].ops(1000), 4000);
    }

    #[test]
    fn cases_are_named_as_they_are_run() {
        assert_eq!(CASES[0].to_string(), "SET");
        assert_eq!(CASES[8].to_string(), "INCR -P 16");
    }
}
