//! A drive that forgets what was not synced, and that can be told to die at its n-th sync.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use redb::StorageBackend;

/// What survives a crash, and what is only in the cache.
#[derive(Debug, Default)]
struct Platter {
    durable: Vec<u8>,
    cached: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(usize, Vec<u8>)>,
    syncs: usize,
    dies_at: Option<usize>,
    dead: bool,
}

/// A drive; clones are the same drive.
#[derive(Debug, Clone, Default)]
pub(super) struct Drive {
    platter: Arc<Mutex<Platter>>,
    /// Whether syncs have to wait.
    stalled: Arc<(Mutex<bool>, Condvar)>,
}

/// One process's handle on it. It goes dead with the drive and stays dead when the drive is powered up again.
#[derive(Debug)]
pub(super) struct Attached(Drive);

impl Drive {
    pub(super) fn attach(&self) -> Attached {
        Attached(self.clone())
    }

    /// The next syncs succeed, but for the one after `more` of them: that one fails, and everything after it.
    pub(super) fn die_after(&self, more: usize) {
        let mut platter = self.lock();
        platter.dies_at = Some(platter.syncs + more + 1);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// The drive after the power came back: what was synced, plus the first `torn` of the writes that were not.
    pub(super) fn after_power_loss(&self, torn: usize) -> Self {
        let platter = self.lock();
        let mut durable = platter.durable.clone();
        for (offset, bytes) in platter.pending.iter().take(torn) {
            if durable.len() < offset + bytes.len() {
                durable.resize(offset + bytes.len(), 0);
            }
            durable[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        let platter = Platter { cached: durable.clone(), durable, ..Platter::default() };
        Self { platter: Arc::new(Mutex::new(platter)), ..Self::default() }
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

impl Attached {
    fn alive(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.0.lock();
        if platter.dead { Err(io::Error::other("the drive is gone")) } else { Ok(platter) }
    }
}

impl StorageBackend for Attached {
    fn len(&self) -> io::Result<u64> {
        Ok(self.alive()?.cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.alive()?;
        let from = offset as usize;
        let bytes = platter.cached.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // Not among the pending writes: a file that grew and was not synced may be short after a crash.
        self.alive()?.cached.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.wait_while_stalled();
        let mut platter = self.alive()?;
        platter.syncs += 1;
        if platter.dies_at == Some(platter.syncs) {
            platter.dead = true;
            return Err(io::Error::other("the power went"));
        }
        platter.durable = platter.cached.clone();
        platter.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.alive()?;
        let from = offset as usize;
        if platter.cached.len() < from + data.len() {
            platter.cached.resize(from + data.len(), 0);
        }
        platter.cached[from..from + data.len()].copy_from_slice(data);
        platter.pending.push((from, data.to_vec()));
        Ok(())
    }
}
