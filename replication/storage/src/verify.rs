//! Checking a directory while no region runs on it: everything a start would read, and nothing changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use replication_core::{Partition, ReplicaId};

pub use replication_core::TypeCount;

use crate::{
    Files, OpenError, PartitionDigest, StateDigest, Threads, TornTail,
    identity::Identity,
    journal::{Owner, segment},
    lanes, reading,
};

/// What a directory holds. Whoever has one of these can start a region on the directory.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Under which name its region wrote last; `None` if the file `identity` cannot be read.
    pub replica: Option<ReplicaId>,
    /// Why the next start takes a new name, if it has to. What is missing then comes back from the other regions.
    pub in_doubt: Option<String>,
    /// An end of the journal that the next start cuts off.
    pub torn_tail: Option<TornTail>,
    /// The journal position of the checkpoint, and its size in bytes.
    pub checkpoint: Option<(u64, u64)>,
    /// Bytes of the journal files that are read behind it.
    pub journal_bytes: u64,
    /// Records read behind the checkpoint.
    pub records: u64,
    /// The journal position behind the last record.
    pub end: u64,
    /// Keys and bytes of data, by type.
    pub types: BTreeMap<&'static str, TypeCount>,
    /// What the state is, in numbers that another region's can be compared with.
    pub digest: StateDigest,
    /// How long it took.
    pub took: Duration,
}

/// Reads everything in a state directory and says what is there, or what is wrong with it. Changes nothing. Of a region
/// that runs the end may be missing, or look torn while it is written.
pub fn verify(files: &dyn Files, dir: &Path, now_ms: u64) -> Result<Verified, OpenError> {
    let started = Instant::now();
    let found = Identity::load(files, dir)?;
    let owner = match &found {
        Some(found) => {
            let identity = &found.identity;
            Owner::new(&identity.world, identity.region, identity.incarnation)
        }
        None => anyones(files, dir)?,
    };
    let me = ReplicaId { region: owner.region, incarnation: owner.incarnation };
    let reading = reading::read(files, dir, &owner, me, found.as_ref(), lanes::lanes_for(Threads::Own))?;
    let partitions = &reading.replay.partitions;
    let mut types = BTreeMap::new();
    partitions.iter().for_each(|partition| partition.census(now_ms, &mut types));
    let digest_of = |partition: &Partition| PartitionDigest { vv: partition.vv().clone(), sum: partition.digest() };
    Ok(Verified {
        replica: found.is_some().then_some(me),
        in_doubt: reading.in_doubt,
        torn_tail: reading.replayed.torn,
        checkpoint: reading.last.map(|last| (last.position, last.bytes)),
        journal_bytes: reading.replayed.bytes,
        records: reading.replayed.records,
        end: reading.replayed.end,
        types,
        digest: StateDigest { partitions: partitions.iter().map(digest_of).collect() },
        took: started.elapsed(),
    })
}

/// Whose the files are, by the header of the first one: for a directory without an identity.
fn anyones(files: &dyn Files, dir: &Path) -> Result<Owner, OpenError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for name in files.list(dir).map_err(OpenError::io("list", dir))? {
        let path = dir.join(name);
        if path.extension().is_some_and(|extension| extension == "journal" || extension == "checkpoint") {
            paths.push(path);
        }
    }
    paths.sort();
    for path in &paths {
        let bytes = files.read(path).map_err(OpenError::io("read", path))?;
        if let Some(owner) = segment::owner_of(&bytes) {
            return Ok(owner);
        }
    }
    let what = "there is neither an identity nor a journal nor a checkpoint in it".to_owned();
    Err(OpenError::Incomplete { dir: dir.into(), what })
}
