//! Whose state a directory holds, and whether what was last said from it is surely still in it.
//!
//! A replica's name goes into every change, so two histories under one name would be two truths. The file `identity`
//! remembers the name and the circumstances under which it may be used again after a stop; in any other a new one is
//! taken, which costs a few bytes per partition and nothing else:
//!
//! - the machine has not stopped since (the system still writes what a killed process handed to it; a power failure, and
//!   any disk that was moved, cloned or rolled back, shows in the boot);
//! - the file is the one that was made then, by inode and time of birth: no copy of it, so no backup put back;
//! - the journal is as long as the note beside it says (`journal/reached.rs`), whole, and its end is not torn.
//!
//! What all this cannot see (older bytes written into the very same files) shows at the first contact with a peer that
//! has seen more of this replica than the replica itself: [`crate::StateStore::begin_new_incarnation`].

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{Access, Files, Hold, Locked, Luck, OpenError};

/// The content of the file `identity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) world: String,
    pub(crate) region: u16,
    pub(crate) incarnation: u32,
    /// The boot of the machine during which the last process ran; empty where the system does not tell.
    pub(crate) boot: String,
    /// What tells the file from every copy of it; empty where the system does not tell.
    #[serde(default)]
    pub(crate) birthmark: String,
}

/// An identity as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) identity: Identity,
    /// The birthmark of the file that it was found in.
    birthmark: String,
}

impl Found {
    /// Why the name may not be used again, judged by the file alone.
    pub(crate) fn doubt(&self, files: &dyn Files) -> Option<&'static str> {
        if self.power_failed(files) {
            return Some("the machine was started anew since, so the last second may be lost");
        }
        let known = !self.birthmark.is_empty() && !self.identity.birthmark.is_empty();
        (known && self.birthmark != self.identity.birthmark).then_some("the state was copied here, maybe from a backup")
    }

    /// Whether what was written and not synced may be lost.
    pub(crate) fn power_failed(&self, files: &dyn Files) -> bool {
        let boot = files.boot_id();
        boot.is_empty() || boot != self.identity.boot
    }
}

impl Identity {
    /// Reads the identity of a directory. `None` if it has none that can be read: then the history is in doubt.
    pub(crate) fn load(files: &dyn Files, dir: &Path) -> Result<Option<Found>, OpenError> {
        let path = dir.join("identity");
        let read = || Ok((files.read(&path)?, files.open(&path, Access::Read)?.birthmark()));
        let (bytes, birthmark) = match read() {
            Ok(found) => found,
            Err(e) if io::Error::kind(&e) == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(OpenError::io("read", &path)(e)),
        };
        Ok(Self::decode(&bytes).map(|identity| Found { identity, birthmark }))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (sum, json) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        if sum != format!("{:016x}", xxh3_64(json.as_bytes())) {
            return None;
        }
        serde_json::from_str(json).ok()
    }

    /// Writes the identity whole and durably, or not at all. The birthmark is the new file's own.
    pub(crate) fn save(&mut self, files: &dyn Files, dir: &Path) -> Result<(), OpenError> {
        let path = dir.join("identity");
        let new = dir.join("identity.new");
        let mut write = || -> io::Result<()> {
            // Removed first: a file that is emptied and filled again would keep its mark.
            match files.remove(&new) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let file = files.open(&new, Access::Create)?;
            self.birthmark = file.birthmark();
            let json = serde_json::to_string(self)?;
            file.write_at(0, format!("{:016x}\n{json}", xxh3_64(json.as_bytes())).as_bytes())?;
            file.sync()?;
            files.rename(&new, &path)?;
            files.sync_dir(dir)
        };
        write().map_err(OpenError::io("write", &path))
    }
}

/// A name that no life of this region has had, by the odds of 32 random bits; never 0.
pub(crate) fn new_incarnation(luck: &Luck) -> u32 {
    ((luck.draw() >> 32) as u32).max(1)
}

/// Holds a directory for one process; let go by drop, or by the system when the process dies.
pub(crate) fn take_lock(files: &dyn Files, dir: &Path) -> Result<Box<dyn Hold>, OpenError> {
    let path: PathBuf = dir.join("lock");
    match files.lock(&path, &std::process::id().to_string()).map_err(OpenError::io("lock", &path))? {
        Locked::Taken(hold) => Ok(hold),
        Locked::HeldBy(pid) => {
            let by = if pid.is_empty() { pid } else { format!(" (pid {})", pid.trim()) };
            Err(OpenError::InUse { dir: dir.into(), by })
        }
    }
}
