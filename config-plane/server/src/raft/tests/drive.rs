//! A drive that forgets what was not synced, tears what was being written, fills up, fails once, and can be told to die at any
//! call. Everything is played in memory; luck is a number.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use redb::StorageBackend;

use crate::raft::disk::TEST_JOURNAL_BYTES;

/// What a drive writes at once: a write is torn between sectors, never within one.
const SECTOR: usize = 512;

/// What goes wrong at a call. Calls that change the drive are counted: writes, syncs, changes of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power goes: this call and all later ones fail.
    Death,
    /// This one call fails, and the next ones do not.
    Error,
    /// This call and all later ones say that they synced, and did not.
    Lie,
}

/// What survives a crash, and what is only in the cache.
#[derive(Debug, Default)]
struct Platter {
    durable: Vec<u8>,
    cached: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(usize, Vec<u8>)>,
    calls: usize,
    syncs: usize,
    fault: Option<(usize, Fault)>,
    capacity: Option<usize>,
    dead: bool,
    lying: bool,
}

/// A drive; clones are the same drive.
#[derive(Debug, Clone, Default)]
pub(super) struct Drive {
    platter: Arc<Mutex<Platter>>,
    /// Whether syncs have to wait.
    stalled: Arc<(Mutex<bool>, Condvar)>,
}

/// One process's handle on a file of it: the journal lies before [`TEST_JOURNAL_BYTES`], the database behind. It goes dead with the
/// drive and stays dead when the drive is powered up again.
#[derive(Debug)]
pub(super) struct Attached {
    drive: Drive,
    begin: usize,
    most: usize,
}

impl Drive {
    /// The database and its journal.
    pub(super) fn attach(&self) -> (Attached, Attached) {
        let part = |begin, most| Attached { drive: self.clone(), begin, most };
        (part(TEST_JOURNAL_BYTES, usize::MAX), part(0, TEST_JOURNAL_BYTES))
    }

    /// After `more` further calls without a fault, this one.
    pub(super) fn plan(&self, more: usize, fault: Fault) {
        let mut platter = self.lock();
        platter.fault = Some((platter.calls + more, fault));
    }

    /// It holds this much and no more, bytes; `None`: there is room again.
    pub(super) fn limit(&self, capacity: Option<usize>) {
        self.lock().capacity = capacity;
    }

    pub(super) fn size(&self) -> usize {
        self.lock().cached.len()
    }

    /// Whether the fault that was planned has come.
    pub(super) fn struck(&self) -> bool {
        let platter = self.lock();
        platter.fault.is_some_and(|(at, _)| platter.calls > at)
    }

    /// It dies now.
    pub(super) fn kill(&self) {
        self.lock().dead = true;
    }

    /// The drive after the power came back: what was synced, and of what was not, what luck leaves. Luck 0 leaves nothing, luck 1
    /// everything, any other number some writes whole, some torn, some not at all.
    pub(super) fn after_power_loss(&self, luck: u64) -> Self {
        let platter = self.lock();
        let mut durable = platter.durable.clone();
        let mut dice = luck;
        for (offset, bytes) in &platter.pending {
            let kept = match luck {
                0 => 0,
                1 => bytes.len(),
                _ => match roll(&mut dice) % 3 {
                    0 => 0,
                    1 => bytes.len(),
                    _ => (roll(&mut dice) as usize % (bytes.len() / SECTOR + 1)) * SECTOR,
                },
            };
            put(&mut durable, *offset, &bytes[..kept]);
        }
        Self::holding(durable)
    }

    /// The drive as the next process of the same machine finds it: the system's cache is still there.
    pub(super) fn after_restart(&self) -> Self {
        Self::holding(self.lock().cached.clone())
    }

    fn holding(durable: Vec<u8>) -> Self {
        let platter = Platter { cached: durable.clone(), durable, ..Platter::default() };
        Self { platter: Arc::new(Mutex::new(platter)), ..Self::default() }
    }

    /// A copy with one bit flipped.
    pub(super) fn flipped(&self, at: usize, bit: u8) -> Self {
        let mut bytes = self.lock().cached.clone();
        bytes[at] ^= 1 << bit;
        Self::holding(bytes)
    }

    /// What is on it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.lock().cached.clone()
    }

    /// From now on syncs wait, or they go on.
    pub(super) fn stall(&self, stalled: bool) {
        *self.stalled.0.lock().expect("no test panics while it holds the lock") = stalled;
        self.stalled.1.notify_all();
    }

    fn wait_while_stalled(&self) {
        let stalled = self.stalled.0.lock().expect("no test panics while it holds the lock");
        drop(self.stalled.1.wait_while(stalled, |stalled| *stalled));
    }

    pub(super) fn syncs(&self) -> usize {
        self.lock().syncs
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().expect("no test panics while it holds the drive")
    }
}

/// The next number of a small generator: a multiplication and a shift.
pub(super) fn roll(dice: &mut u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *dice >> 33
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}

impl Platter {
    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the drive is gone")) } else { Ok(()) }
    }

    /// Counts a call, and lets the planned fault happen.
    fn call(&mut self) -> io::Result<()> {
        self.alive()?;
        let due = self.fault.filter(|(at, _)| *at == self.calls).map(|(_, fault)| fault);
        self.calls += 1;
        match due {
            None => Ok(()),
            Some(Fault::Lie) => {
                self.lying = true;
                Ok(())
            }
            Some(Fault::Error) => Err(io::Error::other("the drive failed once")),
            Some(Fault::Death) => {
                self.dead = true;
                Err(io::Error::other("the power went"))
            }
        }
    }

    fn room_for(&self, len: usize) -> io::Result<()> {
        if self.capacity.is_some_and(|most| len > most) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Attached {
    fn len(&self) -> io::Result<u64> {
        let platter = self.drive.lock();
        platter.alive()?;
        Ok(platter.cached.len().saturating_sub(self.begin).min(self.most) as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.drive.lock();
        platter.alive()?;
        let from = self.begin + offset as usize;
        let bytes = platter.cached.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.drive.lock();
        platter.call()?;
        // The journal has its length as long as there is a database behind it.
        let end = if self.begin == 0 { platter.cached.len().max(len as usize) } else { self.begin + len as usize };
        platter.room_for(end)?;
        // Not among the pending writes: a file that grew and was not synced may be short after a crash.
        platter.cached.resize(end, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.drive.wait_while_stalled();
        let mut platter = self.drive.lock();
        platter.call()?;
        platter.syncs += 1;
        if platter.lying {
            return Ok(());
        }
        let (begin, end) = (self.begin, self.begin.saturating_add(self.most));
        let Platter { durable, cached, pending, .. } = &mut *platter;
        if self.begin > 0 || durable.len() < self.most {
            durable.resize(cached.len(), 0);
        }
        // What was written to the other file stays pending.
        pending.retain(|(offset, bytes)| {
            if !(begin..end).contains(offset) {
                return true;
            }
            // A file that was cut afterwards has no room for what was written before.
            let end = (offset + bytes.len()).min(cached.len()).min(durable.len());
            if *offset < end {
                durable[*offset..end].copy_from_slice(&cached[*offset..end]);
            }
            false
        });
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.drive.lock();
        platter.call()?;
        let offset = self.begin + offset as usize;
        platter.room_for(offset + data.len())?;
        put(&mut platter.cached, offset, data);
        platter.pending.push((offset, data.to_vec()));
        Ok(())
    }
}
