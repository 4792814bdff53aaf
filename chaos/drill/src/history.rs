//! What was written, where, and what came back. The checkers read nothing else.

use std::sync::{Mutex, PoisonError};

use model::RegionName;
use serde::{Deserialize, Serialize};

/// What a write does. Values are unique within a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteKind {
    /// `SET key value` on a key of its own.
    Set,
    /// `DEL key` of a key that the same region wrote before.
    Del,
    /// `INCR` of the one counter that all regions share.
    Incr,
    /// `SADD` of a unique member to the one set that all regions share.
    Sadd,
}

/// What the client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteResult {
    /// Acknowledged: it must be there.
    Ok,
    /// Refused: it must not count.
    Fail,
    /// No answer: it may be there or not. A time-out is never a failure.
    Info,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The region it was sent to.
    pub region: RegionName,
    /// What it does.
    pub kind: WriteKind,
    /// Key, or member for `Sadd`.
    pub key: String,
    /// Value of `Set`; empty otherwise.
    pub value: String,
    /// When it was sent, Unix milliseconds.
    pub sent_ms: u64,
    /// When the answer came, Unix milliseconds.
    pub done_ms: u64,
    /// What the answer was.
    pub result: WriteResult,
}

/// All writes of a drill, in the order of their answers. Bounded by the drill's rate and length.
#[derive(Debug, Default)]
pub struct History {
    writes: Mutex<Vec<Write>>,
}

impl History {
    /// Adds one.
    pub fn note(&self, write: Write) {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }

    /// All of them.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every key that was set or deleted, once.
    pub fn keys(&self) -> Vec<String> {
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let own = writes.iter().filter(|w| matches!(w.kind, WriteKind::Set | WriteKind::Del));
        let keys: std::collections::BTreeSet<&String> = own.map(|w| &w.key).collect();
        keys.into_iter().cloned().collect()
    }

    /// How many were acknowledged in a region since a time.
    pub fn acked_since(&self, at_ms: u64, region: Option<&RegionName>) -> usize {
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |w: &&Write| {
            w.result == WriteResult::Ok && w.done_ms >= at_ms && region.is_none_or(|region| w.region == *region)
        };
        writes.iter().filter(counts).count()
    }
}
