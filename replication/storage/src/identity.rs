//! Whose state a directory holds, and whether what was last said from it is surely still in it.
//!
//! A replica's name goes into every change, so two histories under one name would be two truths. The file `identity`
//! therefore remembers the name, how the last process ended, and during which boot of the machine it ran: after a kill
//! the system still writes what it was handed, after a power failure it may not have.

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
    /// The last process synced everything and said so.
    pub(crate) clean: bool,
}

impl Identity {
    /// Reads the identity of a directory. `None` if it has none that can be read: then the history is in doubt.
    pub(crate) fn load(files: &dyn Files, dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join("identity");
        let bytes = match files.read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(OpenError::io("read", &path)(e)),
        };
        let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
        let Some((sum, json)) = text.split_once('\n') else { return Ok(None) };
        if sum != format!("{:016x}", xxh3_64(json.as_bytes())) {
            return Ok(None);
        }
        Ok(serde_json::from_str(json).ok())
    }

    /// Writes the identity whole and durably, or not at all.
    pub(crate) fn save(&self, files: &dyn Files, dir: &Path) -> Result<(), OpenError> {
        let path = dir.join("identity");
        let new = dir.join("identity.new");
        let write = || -> io::Result<()> {
            let json = serde_json::to_string(self)?;
            let file = files.open(&new, Access::Create)?;
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
