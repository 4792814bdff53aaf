//! Raft's log and vote: in memory for reading, on disk (`disk.rs`) for keeping.
//!
//! Laws, in the order in which openraft relies on them:
//! - the log has no holes, and its writes reach the disk in the order in which they were asked for;
//! - an entry can be read as soon as `append` returns, and its callback is called only when it is durable;
//! - a vote is durable before `save_vote` returns: a member never votes twice in a term, even across a crash;
//! - the committed index is written without anybody waiting for it. If a crash loses it, the member comes back a little older
//!   and learns it again from the leader.
//!
//! The whole log fits in memory: it holds what came since the last snapshot and little more (`timing.rs`).

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};

use super::{
    codec::{self, CodecError},
    disk::{Change, Disk, Found},
    types::{Entry, LogId, TypeConfig, Vote},
    wire::{WireEntry, WireLogId, WireVote},
};

/// The log store; clones of it are its readers.
#[derive(Clone)]
pub(crate) struct LogStore {
    disk: Disk,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    log: BTreeMap<u64, Entry>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
}

impl LogStore {
    /// The store over what was found on the disk.
    pub(crate) fn new(disk: Disk, found: &Found) -> Result<Self, CodecError> {
        let log_id = |bytes: &Option<Vec<u8>>| -> Result<Option<LogId>, CodecError> {
            bytes.as_deref().map(codec::decode::<WireLogId>).transpose().map(|id| id.map(Into::into))
        };
        let mut log = BTreeMap::new();
        for (index, bytes) in &found.log {
            log.insert(*index, codec::decode::<WireEntry>(bytes)?.into_entry()?);
        }
        let vote = found.vote.as_deref().map(codec::decode::<WireVote>).transpose()?.map(Into::into);
        let memory = Memory { log, vote, committed: log_id(&found.committed)?, purged: log_id(&found.purged)? };
        Ok(Self { disk, memory: Arc::new(Mutex::new(memory)) })
    }

    /// No code panics while it holds the lock, so a poisoned lock still guards sound data.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Ok(self.memory().log.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.memory().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let memory = self.memory();
        let last = memory.log.last_key_value().map(|(_, entry)| entry.log_id);
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: last.or(memory.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let bytes = codec::encode(&WireVote::from(*vote))?;
        self.disk.write(Change::Vote(bytes)).await?;
        self.memory().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.memory().committed = committed;
        let Some(committed) = committed else { return Ok(()) };
        let bytes = codec::encode(&WireLogId::from(committed))?;
        // Nobody waits, but a failure is not lost: the disk thread fails every later change too.
        self.disk.submit(Change::Committed(bytes), drop).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut rows = Vec::with_capacity(entries.len());
        for entry in &entries {
            rows.push((entry.log_id.index, codec::encode(&WireEntry::from(entry))?));
        }
        self.memory().log.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        self.disk.submit(Change::Append(rows), move |result| callback.io_completed(result)).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let first = last.map_or(0, |id| id.index + 1);
        self.memory().log.split_off(&first);
        self.disk.write(Change::TruncateFrom(first)).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        {
            let mut memory = self.memory();
            memory.log = memory.log.split_off(&(upto.index + 1));
            memory.purged = memory.purged.max(Some(upto));
        }
        let purged = codec::encode(&WireLogId::from(upto))?;
        self.disk.write(Change::Purge { upto: upto.index, purged }).await
    }
}
