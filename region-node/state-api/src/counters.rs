//! What the port has done since it was opened: for `INFO` and for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Running sums. Connections add to them once per batch of commands, so they cost nothing worth mentioning.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) slow_readers: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

/// The sums at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateApiCounters {
    /// Connections now.
    pub connected: usize,
    /// Connections ever accepted, rejected ones included.
    pub accepted: u64,
    /// Connections closed because there were too many.
    pub rejected: u64,
    /// Commands executed or refused.
    pub commands: u64,
    /// Commands that were answered with an error.
    pub errors: u64,
    /// Connections closed because they broke the protocol.
    pub protocol_errors: u64,
    /// Connections closed because they did not read their replies.
    pub slow_readers: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

impl Counters {
    /// The sums, with the number of connections now.
    pub(crate) fn snapshot(&self, connected: usize) -> StateApiCounters {
        StateApiCounters {
            connected,
            accepted: self.accepted.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            commands: self.commands.load(Relaxed),
            errors: self.errors.load(Relaxed),
            protocol_errors: self.protocol_errors.load(Relaxed),
            slow_readers: self.slow_readers.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }
}
