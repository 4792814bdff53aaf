//! How long answers take, from when a query was read to when its answer was handed to the system.
//!
//! Over UDP the clock is read twice a batch, not twice a query: each query of a batch is counted with the time of the whole, which
//! is the most that it can have taken. So a histogram under load says what a client could see, and costs nothing. The time that a
//! query waits in the socket is not in it; what the socket has no room for is in `RcvbufErrors` of `/proc/net/snmp`.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::counters::add;

/// Upper bounds of the histogram's buckets, microseconds.
pub const LATENCY_BOUNDS_US: [u64; 13] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000];

/// A histogram of latencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latency {
    /// Queries that took no longer than the bound of the same place, and longer than the one before it; the last: longer than all.
    pub buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// The sum of all, microseconds.
    pub sum_us: u64,
}

impl Latency {
    /// Queries in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(crate) fn add(&mut self, cells: &LatencyCells) {
        for (bucket, cell) in self.buckets.iter_mut().zip(&cells.buckets) {
            *bucket += cell.load(Relaxed);
        }
        self.sum_us += cells.sum_ns.load(Relaxed) / 1_000;
    }
}

/// The cells of one writer.
#[derive(Debug, Default)]
pub(crate) struct LatencyCells {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl LatencyCells {
    pub(crate) fn note(&self, queries: u64, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.iter().position(|bound| ns <= bound * 1_000).unwrap_or(LATENCY_BOUNDS_US.len());
        add(&self.buckets[bucket], queries);
        add(&self.sum_ns, ns.saturating_mul(queries));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_in_the_bucket_of_their_time() {
        let cells = LatencyCells::default();
        for (queries, ns) in [(3, 0), (1, 5_000), (2, 5_001), (1, 1_000_000), (4, 100_000_001), (1, 100_000_000)] {
            cells.note(queries, Duration::from_nanos(ns));
        }
        let mut latency = Latency::default();
        latency.add(&cells);
        let filled: Vec<_> = latency.buckets.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &4), (1, &2), (7, &1), (12, &1), (13, &4)]);
        assert_eq!((latency.count(), latency.sum_us), (12, 501_015));
    }

    #[test]
    fn bounds_rise() {
        assert!(LATENCY_BOUNDS_US.is_sorted());
    }
}
