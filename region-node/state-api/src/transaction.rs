//! What a connection keeps for MULTI and WATCH: the commands that wait for EXEC, and the keys as they were.
//!
//! ```text
//! (none) ── MULTI ──→ queueing ── EXEC ──→ all of it, as one change of one partition ──→ (none)
//!                        │  └─ a command that cannot be ──→ spoilt ── EXEC ──→ EXECABORT
//!                        └─ DISCARD, RESET, end of the connection ──→ (none)
//! ```
//! All keys of a transaction, and those it watches, are of one partition: that is what can be changed as one, for every reader
//! in every region. The keys decide when they are queued, so EXEC never stops half-way.

use bytes::Bytes;
use replication_core::MAX_COMMAND_BYTES;

use crate::{
    call::{Answer, Refusal, one_partition},
    resp::Writer,
    table::{Command, flag},
};

/// Most commands in one transaction.
const LONGEST: usize = 64 * 1024;

/// Commands that wait for EXEC.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) commands: Vec<(&'static Command, Vec<Bytes>)>,
    /// The partition of the keys so far.
    pub(crate) partition: Option<u16>,
    /// A command was refused: EXEC will be, too.
    pub(crate) spoilt: bool,
    bytes: usize,
}

impl Queue {
    /// Takes a command in and answers `QUEUED`, or refuses it, and with it the whole transaction.
    pub(crate) fn take(
        &mut self,
        found: Result<&'static Command, Refusal>,
        args: &[Bytes],
        watched: Option<u16>,
        out: &mut Writer,
    ) -> Answer {
        let taken = found.and_then(|command| self.push(command, args, watched));
        match taken {
            Ok(()) => out.status("QUEUED"),
            Err(_) => self.spoilt = true,
        }
        taken
    }

    fn push(&mut self, command: &'static Command, args: &[Bytes], watched: Option<u16>) -> Answer {
        if command.is(flag::WIDE) {
            return Err(Refusal::not_in_multi(command));
        }
        let keys = command.keys.into_iter().flat_map(|keys| keys.positions(args));
        if let Some(partition) = one_partition(keys.map(|at| &args[at]))? {
            if self.partition.or(watched).is_some_and(|known| known != partition) {
                return Err(Refusal::CROSS_SLOT);
            }
            self.partition = Some(partition);
        }
        self.bytes += args.iter().map(|arg| arg.len() + size_of::<Bytes>()).sum::<usize>();
        if self.bytes > MAX_COMMAND_BYTES || self.commands.len() == LONGEST {
            return Err("ERR transaction too large, split it".into());
        }
        // Copies: a slice would keep the whole read buffer in memory until EXEC.
        self.commands.push((command, args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect()));
        Ok(())
    }
}

/// Keys that WATCH named, each with its fingerprint of then.
#[derive(Default)]
pub(crate) struct Watched {
    keys: Vec<(Bytes, u64)>,
    partition: Option<u16>,
}

/// Most keys that one connection may watch.
const MOST_WATCHED: usize = 1024;

impl Watched {
    /// Watches keys of `partition` too; `fingerprint` tells how a key is now. A key that is watched already stays as it was then.
    pub(crate) fn add(&mut self, partition: u16, keys: &[Bytes], fingerprint: impl Fn(&[u8]) -> u64) -> Answer {
        if self.partition.is_some_and(|known| known != partition) {
            return Err(Refusal::CROSS_SLOT);
        }
        for key in keys {
            if self.keys.iter().any(|(known, _)| known == key) {
                continue;
            }
            if self.keys.len() == MOST_WATCHED {
                return Err(Refusal(format!("ERR too many watched keys, at most {MOST_WATCHED}").into()));
            }
            self.keys.push((Bytes::copy_from_slice(key), fingerprint(key)));
        }
        self.partition = Some(partition);
        Ok(())
    }

    /// The partition of the watched keys.
    pub(crate) fn partition(&self) -> Option<u16> {
        self.partition
    }

    /// Whether all keys are as they were.
    pub(crate) fn unchanged(&self, fingerprint: impl Fn(&[u8]) -> u64) -> bool {
        self.keys.iter().all(|(key, then)| fingerprint(key) == *then)
    }

    /// Watches nothing any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
