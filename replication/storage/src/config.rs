//! What a store is told when it is opened.

use std::{path::PathBuf, sync::Arc, time::Duration};

use replication_core::Rules;

use crate::{Files, Luck, RealFiles, WallClock};

/// When a write counts as written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before the reply it is handed to the system; it is synced to the disk once a second. A killed process loses
    /// nothing, a power failure at most the last second. Redis calls this `appendfsync everysec`.
    #[default]
    EverySecond,
    /// Before the reply it is synced to the disk.
    Always,
}

/// Who does what is due without anybody asking: syncs, upkeep, checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Threads {
    /// The store's own threads.
    #[default]
    Own,
    /// The caller, with [`crate::StateStore::tick`]. Then the store does nothing but what it is called for, and the same
    /// calls over the same clock, files and luck give the same bytes.
    None,
}

/// How to open a [`crate::StateStore`].
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The directory of the state; made if it is not there. Nobody else's files belong into it.
    pub dir: PathBuf,
    /// What tells this world from others, for ever; a directory of another world is refused.
    pub world: String,
    /// The region's number in the World.
    pub region: u16,
    /// When a write counts as written, unless the rules ask for more by the key's prefix.
    pub durability: Durability,
    /// What the World says about keys by their prefix.
    pub rules: Arc<Rules>,
    /// Where the time comes from.
    pub clock: WallClock,
    /// Where random numbers come from.
    pub luck: Luck,
    /// The file system that holds `dir`.
    pub files: Arc<dyn Files>,
    /// Who does upkeep.
    pub threads: Threads,
    /// Size at which a journal file is closed and the next one begun, in bytes.
    pub segment_bytes: u64,
    /// How many bytes of recent local changes are kept in memory for links.
    pub ring_bytes: usize,
    /// A region that was not heard of for this long is not waited for any more: removals that only it has not confirmed are
    /// forgotten. It may return at any time, with all it wrote; its way back is longer then.
    pub detach_after: Duration,
    /// How much memory the state may take, in bytes; 0 for as much as there is. See [`crate::StateStore::is_full`].
    pub max_memory_bytes: usize,
    /// The journal may grow to this many bytes, or to the size of the last checkpoint if that is larger, before the
    /// next checkpoint is made.
    pub checkpoint_bytes: u64,
}

impl StoreConfig {
    /// The defaults: everysec, 64 MiB segments, an 8 MiB ring, a checkpoint each 128 MiB of journal.
    pub fn new(dir: impl Into<PathBuf>, world: impl Into<String>, region: u16) -> Self {
        Self {
            dir: dir.into(),
            world: world.into(),
            region,
            durability: Durability::default(),
            rules: Arc::default(),
            clock: WallClock::default(),
            luck: Luck::default(),
            files: Arc::new(RealFiles),
            threads: Threads::default(),
            segment_bytes: 64 << 20,
            ring_bytes: 8 << 20,
            detach_after: Duration::from_secs(24 * 3600),
            max_memory_bytes: 0,
            checkpoint_bytes: 128 << 20,
        }
    }
}
