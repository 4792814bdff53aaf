//! The last Plan on disk: two files in turns, each one line of head, then JSON as a person can read it, then what was there before.
//!
//! ```text
//! atoll-plan 2 TURN LENGTH XXH3\n
//! {"id":{"lineage":…,"version":…},…}
//! ```
//!
//! A Plan is written over the older of the two, in place, under one sync: a failover waits for it. A crash on the way damages the
//! file that nobody needs, and the other one is whole; of two whole ones the later turn counts. Files grow in steps and never
//! shrink, so that a write changes no metadata: a new file that is synced, renamed, and its directory synced, takes three times as long.
//!
//! What cannot be read back is set aside under another name where neither file can, so that somebody can look at it.

use std::{
    cmp::Ordering,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use model::{Plan, PlanId};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const MAGIC: &str = "atoll-plan 2";
/// The two files.
pub(crate) const NAMES: [&str; 2] = ["plan", "plan.2"];
/// A file's length is a multiple of this, bytes.
const STEP: usize = 16 << 10;
/// No Plan that a member can send is longer, and nothing else belongs into this file.
const MOST: u64 = plane_client::frame::MOST as u64 + STEP as u64 + 100;

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

/// The files, held exclusively.
pub(crate) struct PlanFile {
    dir: PathBuf,
    newest: Option<Newest>,
    /// Held as long as we live; the system lets go of it, however we end.
    _lock: File,
}

/// The newest Plan on disk.
#[derive(Debug, Clone, Copy)]
struct Newest {
    id: PlanId,
    turn: u64,
    /// Which of [`NAMES`].
    slot: usize,
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
        let mut file = Self { dir: dir.to_owned(), newest: None, _lock: lock };
        let plan = file.load().map_err(io)?;
        Ok((file, plan))
    }

    /// The newest Plan on disk.
    pub(crate) fn written(&self) -> Option<PlanId> {
        self.newest.map(|newest| newest.id)
    }

    /// Writes a Plan, if it is newer than the one on disk, or the same one and that is damaged.
    pub(crate) fn store(&mut self, plan: &Plan) -> io::Result<()> {
        let (turn, slot) = match self.newest {
            Some(newest) => match newest.id.cmp(&plan.id) {
                Ordering::Greater => return Ok(()),
                Ordering::Equal if self.holds(newest, plan)? => return Ok(()),
                Ordering::Equal | Ordering::Less => (newest.turn + 1, 1 - newest.slot),
            },
            None => (1, 0),
        };
        self.write(slot, &encode(turn, plan)?)?;
        self.newest = Some(Newest { id: plan.id, turn, slot });
        Ok(())
    }

    fn write(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(NAMES[slot]);
        let is_new = !path.exists();
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        let length = file.metadata()?.len();
        file.write_all(bytes)?;
        if length < bytes.len() as u64 {
            // Spaces, so that the file stays readable.
            file.write_all(&vec![b' '; bytes.len().next_multiple_of(STEP) - bytes.len()])?;
        }
        file.sync_data()?;
        if is_new { File::open(&self.dir)?.sync_all() } else { Ok(()) }
    }

    /// Whether the newest Plan on disk is this one, to the byte.
    fn holds(&self, newest: Newest, plan: &Plan) -> io::Result<bool> {
        let bytes = encode(newest.turn, plan)?;
        Ok(self.read(newest.slot).is_ok_and(|on_disk| on_disk.is_some_and(|on_disk| on_disk.starts_with(&bytes))))
    }

    fn read(&self, slot: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.dir.join(NAMES[slot])) {
            Ok(file) => file.take(MOST).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(Some(bytes))
    }

    fn load(&mut self) -> io::Result<Option<Plan>> {
        let mut best: Option<Plan> = None;
        let mut unusable = Vec::new();
        for (slot, name) in NAMES.into_iter().enumerate() {
            let Some(bytes) = self.read(slot)? else { continue };
            match decode(&bytes) {
                Ok((turn, plan)) if self.newest.is_none_or(|newest| newest.turn < turn) => {
                    self.newest = Some(Newest { id: plan.id, turn, slot });
                    best = Some(plan);
                }
                Ok(_) => {}
                Err(why) => unusable.push((name, why)),
            }
        }
        for (name, why) in unusable {
            let path = self.dir.join(name);
            if best.is_some() {
                warn!(file = %path.display(), why, "one of two Plans on disk is damaged, as a crash leaves it; the other one is used");
                continue;
            }
            let aside = self.dir.join(format!("{name}.unusable"));
            fs::rename(&path, &aside)?;
            warn!(
                file = %path.display(), aside = %aside.display(), why,
                "the last Plan on disk cannot be used and was set aside; the plane will send it again"
            );
        }
        Ok(best)
    }
}

pub(crate) fn encode(turn: u64, plan: &Plan) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(plan)?;
    let mut bytes = head(turn, &json).into_bytes();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

/// The sum is over the turn as well: a flipped bit in it must not make an older Plan the newer one.
fn head(turn: u64, json: &[u8]) -> String {
    format!("{MAGIC} {turn} {} {:016x}\n", json.len(), xxh3_64_with_seed(json, turn))
}

/// The turn and the Plan at the beginning of a file; whatever comes behind is left of earlier ones.
pub(crate) fn decode(bytes: &[u8]) -> Result<(u64, Plan), String> {
    let damaged = "its head does not fit its content: it was damaged, or another version wrote it";
    let line = bytes.iter().take(100).position(|&b| b == b'\n').ok_or("it has no head")?;
    let words = std::str::from_utf8(&bytes[..line]).map_err(|_| damaged)?.strip_prefix(MAGIC).ok_or(damaged)?;
    let mut numbers = words.split_ascii_whitespace();
    let turn: u64 = numbers.next().and_then(|word| word.parse().ok()).ok_or(damaged)?;
    let length: usize = numbers.next().and_then(|word| word.parse().ok()).ok_or(damaged)?;
    let json = bytes.get(line + 1..).and_then(|rest| rest.get(..length)).ok_or(damaged)?;
    // The head is compared whole with the one that the content asks for: there is one right form of it.
    if &bytes[..=line] != head(turn, json).as_bytes() {
        return Err(damaged.into());
    }
    let plan = serde_json::from_slice(json).map_err(|e| format!("its content is not understood: {e}"))?;
    Ok((turn, plan))
}
