//! Whose state a directory holds, and whether what was last said from it is surely still in it.
//!
//! A replica's name goes into every change, so two histories under one name would be two truths. The file `identity`
//! therefore remembers the name, how the last process ended, and during which boot of the machine it ran: after a kill
//! the system still writes what it was handed, after a power failure it may not have.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{OpenError, journal::segment::sync_dir};

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
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join("identity");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => return Ok(None),
            Err(e) => return Err(OpenError::io("read", &path)(e)),
        };
        let Some((sum, json)) = text.split_once('\n') else { return Ok(None) };
        if sum != format!("{:016x}", xxh3_64(json.as_bytes())) {
            return Ok(None);
        }
        Ok(serde_json::from_str(json).ok())
    }

    /// Writes the identity whole and durably, or not at all.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), OpenError> {
        let path = dir.join("identity");
        let new = dir.join("identity.new");
        let write = || -> std::io::Result<()> {
            let json = serde_json::to_string(self)?;
            let mut file = File::create(&new)?;
            write!(file, "{:016x}\n{json}", xxh3_64(json.as_bytes()))?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_dir(dir)
        };
        write().map_err(OpenError::io("write", &path))
    }
}

/// A name that no life of this region has had, by the odds of 32 random bits; never 0.
pub(crate) fn new_incarnation() -> Result<u32, OpenError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|e| OpenError::io("read", Path::new("the system's randomness"))(std::io::Error::other(e)))?;
    Ok(u32::from_le_bytes(bytes).max(1))
}

/// The present boot of this machine.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Holds a directory for one process; let go by drop, or by the system when the process dies.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path: PathBuf = dir.join("lock");
        let open = File::options().create(true).read(true).write(true).truncate(false).open(&path);
        let mut file = open.map_err(OpenError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let known = file.read_to_string(&mut pid).is_ok() && !pid.is_empty();
                let by = if known { format!(" (pid {})", pid.trim()) } else { String::new() };
                return Err(OpenError::InUse { dir: dir.into(), by });
            }
            Err(TryLockError::Error(e)) => return Err(OpenError::io("lock", &path)(e)),
        }
        let note = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(OpenError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}
