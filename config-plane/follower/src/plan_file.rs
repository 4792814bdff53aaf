//! The last Plan on disk: one line of head, then JSON, as a person can read it.
//!
//! ```text
//! atoll-plan 1 LENGTH XXH3\n
//! {"id":{"lineage":…,"version":…},…}
//! ```
//!
//! A crash leaves the old Plan or the new one: write beside it, sync, rename, sync the directory. What cannot be read back
//! is set aside under another name, so that somebody can look at it, and so that it is never in the way.

use std::{
    cmp::Ordering,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use model::{Plan, PlanId};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &str = "atoll-plan 1";
/// No Plan that a member can send is longer, and nothing else belongs into this file.
const MOST: u64 = plane_client::frame::MOST as u64 + 100;

/// Why a follower cannot start. A Plan that cannot be read is not among the reasons.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("cannot keep the Plan in {}: {source}; make the directory writable or choose another one", dir.display())]
    Io {
        /// Which.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else follows with this directory.
    #[error("another process keeps its Plan in {}; stop it, or choose another directory", dir.display())]
    Taken {
        /// Which.
        dir: PathBuf,
    },
}

/// The file, held exclusively.
pub(crate) struct PlanFile {
    dir: PathBuf,
    /// The Plan that the file holds.
    written: Option<PlanId>,
    /// Held as long as we live; the system lets go of it, however we end.
    _lock: File,
}

impl PlanFile {
    /// Takes the directory for ourselves, and reads the Plan in it.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Option<Plan>), OpenError> {
        let io = |source| OpenError::Io { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(io)?;
        let lock = File::create(dir.join("plan.lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Taken { dir: dir.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let mut file = Self { dir: dir.to_owned(), written: None, _lock: lock };
        let plan = file.load().map_err(io)?;
        file.written = plan.as_ref().map(|plan| plan.id);
        Ok((file, plan))
    }

    /// The Plan that the file holds.
    pub(crate) fn written(&self) -> Option<PlanId> {
        self.written
    }

    /// Writes a Plan, if it is newer than the one in the file, or the same one and the file is damaged.
    pub(crate) fn store(&mut self, plan: &Plan) -> io::Result<()> {
        let bytes = match self.written.map(|written| written.cmp(&plan.id)) {
            Some(Ordering::Greater) => return Ok(()),
            Some(Ordering::Equal) => {
                let bytes = encode(plan)?;
                if self.read().is_ok_and(|on_disk| on_disk.is_some_and(|on_disk| on_disk == bytes)) {
                    return Ok(());
                }
                bytes
            }
            _ => encode(plan)?,
        };
        let beside = self.dir.join(".plan.new");
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.path())?;
        self.written = Some(plan.id);
        File::open(&self.dir)?.sync_all()
    }

    fn path(&self) -> PathBuf {
        self.dir.join("plan")
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.path()) {
            Ok(file) => file.take(MOST + 1).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(Some(bytes))
    }

    fn load(&self) -> io::Result<Option<Plan>> {
        let Some(bytes) = self.read()? else { return Ok(None) };
        match decode(&bytes) {
            Ok(plan) => Ok(Some(plan)),
            Err(why) => {
                let aside = self.dir.join("plan.unusable");
                fs::rename(self.path(), &aside)?;
                warn!(
                    file = %self.path().display(), aside = %aside.display(), why,
                    "the last Plan on disk cannot be used and was set aside; the plane will send it again"
                );
                Ok(None)
            }
        }
    }
}

pub(crate) fn encode(plan: &Plan) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(plan)?;
    let mut bytes = format!("{MAGIC} {} {:016x}\n", json.len(), xxh3_64(&json)).into_bytes();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Plan, String> {
    let head_end = bytes.iter().take(100).position(|&b| b == b'\n').ok_or("it has no head")?;
    let (head, json) = (&bytes[..head_end], &bytes[head_end + 1..]);
    // The head is compared whole with the one that the content asks for: there is one right form of it.
    if head != format!("{MAGIC} {} {:016x}", json.len(), xxh3_64(json)).as_bytes() {
        return Err("its head does not fit its content: it was damaged, or another version wrote it".into());
    }
    serde_json::from_slice(json).map_err(|e| format!("its content is not understood: {e}"))
}
