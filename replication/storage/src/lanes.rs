//! What is read from the disk, put into memory by several workers at once.
//!
//! ```text
//! reader: file ─ checksum ─ route ─┬─ loads ──→ lane 0: partitions 0, n, 2n …        decode, merge
//!                                  └─ loads ──→ lane 1: partitions 1, n + 1 …
//! ```
//! Law: **records of one partition are applied in the order in which they were read, and partitions know nothing of each
//! other**. So what comes out is the same for any number of lanes, one on the reader's own thread included. A load is applied
//! partition by partition, since then a partition's tables stay in the processor's caches for many records in a row; and its
//! bytes are copied together, so that lanes share nothing that is written to, not even a reference count.
//!
//! Where several records cannot be read, the first of them is reported, whichever lane met it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, ScopedJoinHandle},
};

use bytes::Bytes;
use replication_core::{CatchUp, Delta, Hlc, Merged, PARTITIONS, Partition, ReplicaId, partition_of_frame};

use crate::{
    OpenError, Threads,
    journal::record::{Kind, Record},
};

/// Bytes of a load: enough that each partition has some records in it.
const LOAD_BYTES: usize = 4 << 20;
/// Loads that wait for one lane. With the one in work and the one being made it has four in memory.
const WAITING: usize = 2;
/// With more lanes than this they would wait for the reader.
const MOST_LANES: usize = 8;

/// How many lanes a store with `threads` is read through.
pub(crate) fn lanes_for(threads: Threads) -> usize {
    match threads {
        Threads::None => 1,
        Threads::Own => thread::available_parallelism().map_or(1, |n| n.get().min(MOST_LANES)),
    }
}

/// What was read.
pub(crate) struct Filled {
    /// All partitions, in order.
    pub(crate) partitions: Vec<Partition>,
    /// The last stamp of any change.
    pub(crate) last_seen: Hlc,
    /// The last stamp of a change made here.
    pub(crate) last_local: Hlc,
}

/// Runs `read`, which routes records, and returns what they amount to. `me` is who reads; `dir` is named where no thread can be
/// started.
pub(crate) fn fill<R>(
    dir: &Path,
    lanes: usize,
    me: ReplicaId,
    read: impl FnOnce(&mut Router) -> Result<R, OpenError>,
) -> Result<(R, Filled), OpenError> {
    let lanes = lanes.max(1);
    let (outcome, lanes) = if lanes == 1 {
        let mut router = Router::new(vec![Outlet::Here(Box::new(Lane::new(0, 1, me)))]);
        let outcome = read(&mut router);
        (outcome, router.finish())
    } else {
        fill_beside(dir, lanes, me, read)?
    };
    // A record that a lane refused came before whatever the reader stumbled over.
    let faults = lanes.iter().filter_map(|lane| lane.fault.as_ref());
    if let Some(first) = faults.min_by_key(|fault| fault.place) {
        return Err(OpenError::Damaged {
            file: first.file.to_path_buf(),
            offset: first.place.1,
            what: first.what.clone(),
        });
    }
    let outcome = outcome?;
    let last_seen = lanes.iter().map(|lane| lane.last_seen).max().unwrap_or(Hlc::ZERO);
    let last_local = lanes.iter().map(|lane| lane.last_local).max().unwrap_or(Hlc::ZERO);
    let mut shares: Vec<_> = lanes.into_iter().map(|lane| lane.partitions.into_iter()).collect();
    let count = shares.len();
    let partitions = (0..usize::from(PARTITIONS)).filter_map(|id| shares[id % count].next()).collect();
    Ok((outcome, Filled { partitions, last_seen, last_local }))
}

/// With a thread for each lane, beside the reader.
fn fill_beside<R>(
    dir: &Path,
    count: usize,
    me: ReplicaId,
    read: impl FnOnce(&mut Router) -> Result<R, OpenError>,
) -> Result<(Result<R, OpenError>, Vec<Lane>), OpenError> {
    thread::scope(|scope| {
        let (mut outlets, mut handles): (_, Vec<ScopedJoinHandle<'_, Lane>>) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (sender, loads) = sync_channel(WAITING);
            let thread = thread::Builder::new().name("recovery".into());
            let lane = thread.spawn_scoped(scope, move || Lane::new(index, count, me).run(&loads));
            handles.push(lane.map_err(OpenError::io("start a thread to read", dir))?);
            outlets.push(Outlet::Beside(sender));
        }
        let mut router = Router::new(outlets);
        let outcome = read(&mut router);
        // Its senders go with it, and that is how the lanes hear of the end.
        router.finish();
        let lanes = handles.into_iter().map(|handle| handle.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        Ok((outcome, lanes.collect()))
    })
}

/// Where a record stands: the number of its file in the order of reading, and its offset in there, in bytes.
type Place = (u64, u64);

/// Records of one file for one lane.
struct Load {
    file: Arc<Path>,
    /// The number of the file.
    number: u64,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    partition: u16,
    kind: Kind,
    start: usize,
    length: usize,
    /// Where in the file its record begins.
    at: u64,
}

impl Load {
    fn new(file: Arc<Path>, number: u64) -> Self {
        Self { file, number, bytes: Vec::new(), entries: Vec::new() }
    }
}

/// Who takes a lane's loads.
enum Outlet {
    Here(Box<Lane>),
    Beside(SyncSender<Load>),
}

/// Hands records to the lane of their partition.
pub(crate) struct Router {
    outlets: Vec<(Outlet, Load)>,
}

impl Router {
    fn new(outlets: Vec<Outlet>) -> Self {
        let nothing: Arc<Path> = PathBuf::new().into();
        Self { outlets: outlets.into_iter().map(|outlet| (outlet, Load::new(nothing.clone(), 0))).collect() }
    }

    /// The records that follow are of this file.
    pub(crate) fn begin(&mut self, file: &Path) {
        let file: Arc<Path> = file.into();
        for (outlet, load) in &mut self.outlets {
            let next = Load::new(file.clone(), load.number + 1);
            outlet.take(std::mem::replace(load, next));
        }
    }

    /// Passes on the record that begins at `at` in the file.
    pub(crate) fn route(&mut self, at: u64, record: &Record<'_>) {
        // What cannot be told has no place where it is less wrong; the lane will say what is the matter with it.
        let partition = partition_of_frame(record.payload).unwrap_or(0);
        let count = self.outlets.len();
        let (outlet, load) = &mut self.outlets[usize::from(partition) % count];
        let (start, length) = (load.bytes.len(), record.payload.len());
        load.bytes.extend_from_slice(record.payload);
        load.entries.push(Entry { partition, kind: record.kind, start, length, at });
        if load.bytes.len() >= LOAD_BYTES {
            let next = Load {
                bytes: Vec::with_capacity(LOAD_BYTES + LOAD_BYTES / 8),
                entries: Vec::with_capacity(load.entries.len()),
                ..Load::new(load.file.clone(), load.number)
            };
            outlet.take(std::mem::replace(load, next));
        }
    }

    /// Passes on what is left, and returns the lanes that are here.
    fn finish(self) -> Vec<Lane> {
        let here = self.outlets.into_iter().filter_map(|(mut outlet, load)| {
            outlet.take(load);
            match outlet {
                Outlet::Here(mut lane) => {
                    lane.finish();
                    Some(*lane)
                }
                Outlet::Beside(_) => None,
            }
        });
        here.collect()
    }
}

impl Outlet {
    fn take(&mut self, load: Load) {
        match self {
            _ if load.entries.is_empty() => {}
            Self::Here(lane) => lane.take(load),
            // A lane that has ended has panicked; whoever joins it passes that on.
            Self::Beside(loads) => drop(loads.send(load)),
        }
    }
}

/// A record that could not be applied.
struct Fault {
    place: Place,
    file: Arc<Path>,
    what: String,
}

/// One worker and its partitions.
struct Lane {
    /// Partition `p` is here if `p % count` is the lane's number, at `p / count`.
    count: usize,
    me: ReplicaId,
    partitions: Vec<Partition>,
    /// The pieces of a partition so far, and where the last of them stood.
    assembly: Option<(CatchUp, Place, Arc<Path>)>,
    last_seen: Hlc,
    last_local: Hlc,
    fault: Option<Fault>,
}

impl Lane {
    fn new(index: usize, count: usize, me: ReplicaId) -> Self {
        let partitions = (index as u16..PARTITIONS).step_by(count).map(|id| Partition::new(id, me)).collect();
        Self { count, me, partitions, assembly: None, last_seen: Hlc::ZERO, last_local: Hlc::ZERO, fault: None }
    }

    fn run(mut self, loads: &Receiver<Load>) -> Self {
        while let Ok(load) = loads.recv() {
            self.take(load);
        }
        self.finish();
        self
    }

    fn take(&mut self, load: Load) {
        if self.fault.is_some() {
            return;
        }
        let Load { file, number, bytes, mut entries } = load;
        entries.sort_unstable_by_key(|entry| (entry.partition, entry.start));
        let bytes = Bytes::from(bytes);
        for entry in &entries {
            let payload = bytes.slice(entry.start..entry.start + entry.length);
            let place = (number, entry.at);
            // Once a record was refused, others of the load may turn out to come before it in the file.
            if let Err(what) = self.apply(entry.kind, &payload, place, &file) {
                self.refuse(place, &file, what);
            }
        }
    }

    fn refuse(&mut self, place: Place, file: &Arc<Path>, what: String) {
        if self.fault.as_ref().is_none_or(|fault| place < fault.place) {
            self.fault = Some(Fault { place, file: file.clone(), what });
        }
    }

    fn apply(&mut self, kind: Kind, payload: &Bytes, place: Place, file: &Arc<Path>) -> Result<(), String> {
        if kind != Kind::Piece {
            self.finish();
        }
        match kind {
            Kind::Delta => self.delta(payload),
            Kind::CatchUp => self.catch_up(&catch_up(payload)?),
            Kind::Piece => self.piece(catch_up(payload)?, place, file),
            Kind::Partition => {
                let (partition, _) = Partition::decode_state(payload, self.me).map_err(|e| e.to_string())?;
                let id = partition.id();
                *self.partition(id)? = partition;
                Ok(())
            }
            Kind::Watermarks | Kind::End | Kind::Synced => Err("a record of no partition".into()),
        }
    }

    fn delta(&mut self, payload: &Bytes) -> Result<(), String> {
        let (delta, _) = Delta::decode_within(payload).map_err(|e| e.to_string())?.ok_or("a delta that is cut off")?;
        self.last_seen = self.last_seen.max(delta.hlc);
        if delta.replica.region == self.me.region {
            self.last_local = self.last_local.max(delta.hlc);
        }
        match self.partition(delta.partition)?.merge(&delta) {
            Merged::Applied | Merged::Duplicate => Ok(()),
            Merged::Gap { have, got } => {
                Err(format!("change {got} of replica {} follows change {have}: some are missing", delta.replica))
            }
            Merged::WrongPartition => Err("a change that belongs to another partition".into()),
        }
    }

    fn catch_up(&mut self, news: &CatchUp) -> Result<(), String> {
        self.partition(news.partition)?.apply_catch_up(news).map(drop).map_err(|e| e.to_string())
    }

    /// Joins a piece to the pieces of its partition that came before it; those of another partition are all there now.
    fn piece(&mut self, piece: CatchUp, place: Place, file: &Arc<Path>) -> Result<(), String> {
        let whole = match self.assembly.take() {
            Some((mut begun, ..)) if begun.partition == piece.partition => {
                begun.then(piece).map_err(|e| e.to_string())?;
                begun
            }
            other => {
                self.assembly = other;
                self.finish();
                piece
            }
        };
        self.assembly = Some((whole, place, file.clone()));
        Ok(())
    }

    /// The pieces so far are all there are.
    fn finish(&mut self) {
        if let Some((whole, place, file)) = self.assembly.take()
            && let Err(what) = self.catch_up(&whole)
        {
            self.refuse(place, &file, what);
        }
    }

    fn partition(&mut self, id: u16) -> Result<&mut Partition, String> {
        self.partitions
            .get_mut(usize::from(id) / self.count)
            .ok_or_else(|| format!("a change of partition {id}, which does not exist"))
    }
}

fn catch_up(payload: &[u8]) -> Result<CatchUp, String> {
    let (catch_up, _) = CatchUp::decode(payload).map_err(|e| e.to_string())?.ok_or("a catch-up that is cut off")?;
    Ok(catch_up)
}
