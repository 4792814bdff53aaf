//! Raft's log and vote: in memory for reading, on disk (`disk.rs`) for keeping.
//!
//! Laws, in the order in which openraft relies on them:
//! - the log has no holes, and its writes reach the disk in the order in which they were asked for;
//! - an entry can be read as soon as `append` returns, and its callback is called only when it is durable;
//! - a vote is durable before `save_vote` returns: a member never votes twice in a term, even across a crash;
//! - the committed index is written without anybody waiting for it, with what comes next. If a crash loses it, the member comes back a little older
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

use decision::Command;
use openraft::{
    EntryPayload, LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};

use serde::de::DeserializeOwned;

use super::{
    answerer::QUESTION_MOST,
    codec::{self, CodecError},
    disk::Disk,
    file::{Change, Found},
    types::{Entry, LogId, Proposal, TypeConfig, Vote},
    wire::{WireEntry, WireLogId, WireVote},
};

/// Why what the file holds is not a log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogFault {
    #[error("{what} cannot be read: {source}")]
    Record { what: String, source: CodecError },
    #[error("entry {found} follows entry {after}: what was between them is lost")]
    Hole { after: u64, found: u64 },
    #[error("the place of entry {place} holds entry {found}")]
    Misplaced { place: u64, found: u64 },
}

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
    pub(crate) fn new(disk: Disk, found: &Found) -> Result<Self, LogFault> {
        let committed = record::<WireLogId>("the commit index", found.committed.as_deref())?.map(LogId::from);
        let purged = record::<WireLogId>("the purge point", found.purged.as_deref())?.map(LogId::from);
        let vote = record::<WireVote>("the vote", found.vote.as_deref())?.map(Into::into);
        let log = read_log(&found.log, purged.map(|id| id.index))?;
        let memory = Memory { log, vote, committed, purged };
        Ok(Self { disk, memory: Arc::new(Mutex::new(memory)) })
    }

    /// Whether nothing that was asked for is in the log or was ever before it: a group that is just being made.
    pub(crate) fn is_bare(&self) -> bool {
        let memory = self.memory();
        let asked_for = |entry: &Entry| matches!(entry.payload, EntryPayload::Normal(_));
        memory.purged.is_none() && !memory.log.values().any(asked_for)
    }

    /// Whether this entry is in the log, or the last one that was purged.
    pub(super) fn holds(&self, id: LogId) -> bool {
        let memory = self.memory();
        memory.purged == Some(id) || memory.log.get(&id.index).is_some_and(|entry| entry.log_id == id)
    }

    /// No code panics while it holds the lock, so a poisoned lock still guards sound data.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record<T: DeserializeOwned>(what: &str, bytes: Option<&[u8]>) -> Result<Option<T>, LogFault> {
    bytes.map(codec::decode).transpose().map_err(|source| LogFault::Record { what: what.to_owned(), source })
}

/// The entries, each at its place and none missing: openraft takes both for granted.
fn read_log(rows: &BTreeMap<u64, Vec<u8>>, purged: Option<u64>) -> Result<BTreeMap<u64, Entry>, LogFault> {
    let mut log = BTreeMap::new();
    let mut before = purged;
    for (place, bytes) in rows {
        let damaged = |source| LogFault::Record { what: format!("entry {place}"), source };
        let entry = codec::decode::<WireEntry>(bytes).and_then(WireEntry::into_entry).map_err(damaged)?;
        if entry.log_id.index != *place {
            return Err(LogFault::Misplaced { place: *place, found: entry.log_id.index });
        }
        if let Some(after) = before.filter(|before| before + 1 != *place) {
            return Err(LogFault::Hole { after, found: *place });
        }
        before = Some(*place);
        log.insert(*place, entry);
    }
    Ok(log)
}

/// Worlds in one append: the others, three hundred at most, are small.
const WORLDS_AT_ONCE: usize = 2;

// A member takes no longer question; see `answerer.rs`.
const _: () = assert!(WORLDS_AT_ONCE * model::World::JSON_MAX + (4 << 20) <= QUESTION_MOST);

fn has_world(entry: &Entry) -> bool {
    matches!(&entry.payload, EntryPayload::Normal(Proposal(request)) if matches!(request.command, Command::Found { .. } | Command::SetWorld { .. }))
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Ok(self.memory().log.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let memory = self.memory();
        let mut worlds = 0;
        let fits = |entry: &&Entry| {
            worlds += usize::from(has_world(entry));
            worlds <= WORLDS_AT_ONCE
        };
        Ok(memory.log.range(start..end).map(|(_, entry)| entry).take_while(fits).cloned().collect())
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
        let bytes = codec::seal(&WireVote::from(*vote))?;
        self.disk.write(Change::Vote(bytes)).await?;
        self.memory().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.memory().committed = committed;
        let Some(committed) = committed else { return Ok(()) };
        let bytes = codec::seal(&WireLogId::from(committed))?;
        self.disk.put_aside(bytes);
        Ok(())
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
            rows.push((entry.log_id.index, codec::seal(&WireEntry::from(entry))?));
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
        let purged = codec::seal(&WireLogId::from(upto))?;
        self.disk.write(Change::Purge { upto: upto.index, purged }).await
    }
}
