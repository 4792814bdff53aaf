//! Opening a directory: the last checkpoint, then the journal behind it, then the question whether this is surely all
//! that was ever said from here. If not, the state goes on under a new name and peers give back what is missing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64},
    },
    time::{Duration, Instant},
};

use replication_core::{CatchUp, Delta, Hlc, Merged, PARTITIONS, Partition, ReplicaId};

use crate::{
    Files, Hold, OpenError, StoreConfig, TornTail,
    checkpoint::{self, Last, Loaded, Marks},
    clock::SharedHlc,
    identity::{self, Found, Identity},
    journal::{
        self, Journal, Owner, Reached, Replayed,
        record::{Kind, Record},
    },
    keeper::Bell,
    shard::{self, Shards},
    store::{Counters, Inner},
    watermarks::Watermarks,
};

/// What opening a directory found; one line of it belongs into the log.
#[derive(Debug, Clone)]
pub struct RecoveryReport {
    /// The name under which the store writes from now on.
    pub replica: ReplicaId,
    /// Nothing was there before.
    pub empty: bool,
    /// Why a new name was taken, if one was: what was last said from here may be lost, and comes back from peers.
    pub in_doubt: Option<String>,
    /// The end of the journal that was cut off, if any was.
    pub torn_tail: Option<TornTail>,
    /// The journal position of the checkpoint that was read, if there was one.
    pub checkpoint: Option<u64>,
    /// Journal records read behind it.
    pub records: u64,
    /// Keys in memory now.
    pub keys: usize,
    /// How long it took.
    pub took: Duration,
}

/// Moves a state directory out of the way, for a person to look at; the next start begins an empty one and fetches the
/// state from its peers. Returns where it is now. Refused while a process has it open.
pub fn set_aside(config: &StoreConfig) -> Result<PathBuf, OpenError> {
    let (files, dir) = (&*config.files, &*config.dir);
    let lock = identity::take_lock(files, dir)?;
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".aside");
    let mut aside = dir.with_file_name(&name);
    let mut n = 0;
    while files.exists(&aside).map_err(OpenError::io("read", &aside))? {
        n += 1;
        aside = with_number(dir, &name, n);
    }
    files.rename(dir, &aside).map_err(OpenError::io("move aside", dir))?;
    drop(lock);
    Ok(aside)
}

fn with_number(dir: &Path, name: &std::ffi::OsStr, n: u32) -> PathBuf {
    let mut name = name.to_owned();
    name.push(format!(".{n}"));
    dir.with_file_name(name)
}

/// What the journal is read into.
struct Replay {
    partitions: Vec<Partition>,
    marks: Marks,
    last_local: Hlc,
    me: ReplicaId,
}

impl Replay {
    fn take(&mut self, record: &Record<'_>) -> Result<(), String> {
        match record.kind {
            Kind::Delta => self.delta(record.payload),
            Kind::CatchUp => self.catch_up(record.payload),
            Kind::Watermarks => {
                let marks = Marks::decode(record.payload).ok_or("watermarks that cannot be read")?;
                self.marks.last = self.marks.last.max(marks.last);
                self.marks.regions.extend(marks.regions);
                Ok(())
            }
            Kind::Partition | Kind::End => Err("a record that belongs into a checkpoint".into()),
            Kind::Synced => Ok(()),
        }
    }

    fn delta(&mut self, payload: &[u8]) -> Result<(), String> {
        let (delta, _) = Delta::decode(payload).map_err(|e| e.to_string())?.ok_or("a delta that is cut off")?;
        self.marks.last = self.marks.last.max(delta.hlc);
        if delta.replica == self.me {
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

    fn catch_up(&mut self, payload: &[u8]) -> Result<(), String> {
        let (catch_up, _) = CatchUp::decode(payload).map_err(|e| e.to_string())?.ok_or("a catch-up that is cut off")?;
        self.partition(catch_up.partition)?.apply_catch_up(&catch_up).map_err(|e| e.to_string())?;
        Ok(())
    }

    fn partition(&mut self, id: u16) -> Result<&mut Partition, String> {
        self.partitions
            .get_mut(usize::from(id))
            .ok_or_else(|| format!("a change of partition {id}, which does not exist"))
    }
}

pub(crate) fn open(config: StoreConfig) -> Result<(Inner, RecoveryReport), OpenError> {
    let started = Instant::now();
    let (files, dir) = (&*config.files, &config.dir);
    files.create_dir_all(dir).map_err(OpenError::io("create", dir))?;
    let hold = identity::take_lock(files, dir)?;
    let known = known_identity(&config)?;
    let incarnation = match &known {
        Some(known) => known.identity.incarnation,
        None => identity::new_incarnation(&config.luck),
    };
    let mut me = ReplicaId { region: config.region, incarnation };
    let owner = Owner::new(&config.world, config.region, incarnation);
    let loaded = checkpoint::load(files, dir, &owner, me)?;
    let (mut replay, last) = begin(loaded, me);
    let from = last.map_or(0, |last| last.position);
    let power_failed = known.as_ref().is_none_or(|known| known.power_failed(files));
    let replayed = journal::replay(files, dir, &owner, from, power_failed, &mut |record| replay.take(record))?;
    let reached = Reached::load(files, dir)?;
    let in_doubt = doubt(files, known.as_ref(), &replayed, last, reached);
    if in_doubt.is_some() && known.is_some() {
        me.incarnation = identity::new_incarnation(&config.luck);
        replay.partitions = renamed(dir, &replay.partitions, me)?;
    }
    let mut identity = Identity {
        world: config.world.clone(),
        region: config.region,
        incarnation: me.incarnation,
        boot: files.boot_id(),
        birthmark: String::new(),
    };
    // Durable before the first change is made under the name, and before the reason for taking it is cut off.
    identity.save(files, dir)?;
    journal::mend(files, dir, &replayed)?;
    let report = RecoveryReport {
        replica: me,
        empty: known.is_none() && in_doubt.is_none(),
        in_doubt,
        torn_tail: replayed.torn.clone(),
        checkpoint: last.map(|last| last.position),
        records: replayed.records,
        keys: replay.partitions.iter().map(Partition::len).sum(),
        took: started.elapsed(),
    };
    let sync_lost = !power_failed && reached.is_some_and(|reached| reached.sync_lost);
    let journal = Journal::resume(setting(&config, me), &replayed, report.in_doubt.is_some(), sync_lost)?;
    Ok((assemble(config, hold, identity, journal, replay, last.unwrap_or_default()), report))
}

/// The identity of the directory, if it has one; refuses a directory of somebody else.
fn known_identity(config: &StoreConfig) -> Result<Option<Found>, OpenError> {
    let Some(found) = Identity::load(&*config.files, &config.dir)? else { return Ok(None) };
    let (dir, identity) = (config.dir.clone(), &found.identity);
    if identity.world != config.world {
        return Err(OpenError::OtherWorld { dir, found: identity.world.clone(), want: config.world.clone() });
    }
    if identity.region != config.region {
        return Err(OpenError::OtherRegion { dir, found: identity.region, want: config.region });
    }
    Ok(Some(found))
}

fn begin(loaded: Option<Loaded>, me: ReplicaId) -> (Replay, Option<Last>) {
    match loaded {
        Some(Loaded { last, marks, partitions }) => {
            (Replay { partitions, last_local: marks.last, marks, me }, Some(last))
        }
        None => {
            let partitions = (0..PARTITIONS).map(|id| Partition::new(id, me)).collect();
            (Replay { partitions, marks: Marks::default(), last_local: Hlc::ZERO, me }, None)
        }
    }
}

/// Why it is not certain that everything ever said from this directory is still in it.
fn doubt(
    files: &dyn Files,
    known: Option<&Found>,
    replayed: &Replayed,
    checkpoint: Option<Last>,
    reached: Option<Reached>,
) -> Option<String> {
    if let Some(torn) = &replayed.torn {
        return Some(format!("{} was cut off at byte {}: {}", torn.file.display(), torn.offset, torn.what));
    }
    let Some(known) = known else {
        let something = replayed.last.is_some() || checkpoint.is_some();
        return something.then(|| "the file `identity` cannot be read".into());
    };
    if let Some(doubt) = known.doubt(files) {
        return Some(doubt.into());
    }
    let end = replayed.end;
    match reached {
        _ if replayed.last.is_none() => Some("the journal is not there".into()),
        None => Some("the note of how far the journal had got cannot be read".into()),
        Some(Reached { position, .. }) if position > end => {
            Some(format!("the journal ends at position {end} and had got to {position} before"))
        }
        Some(_) => None,
    }
}

fn renamed(dir: &Path, partitions: &[Partition], me: ReplicaId) -> Result<Vec<Partition>, OpenError> {
    let renamed: Result<Vec<_>, _> = partitions.iter().map(|partition| shard::rename(partition, me)).collect();
    renamed.map_err(|e| OpenError::Incomplete { dir: dir.into(), what: format!("a partition cannot be renamed: {e}") })
}

fn setting(config: &StoreConfig, me: ReplicaId) -> journal::Setting {
    journal::Setting {
        files: config.files.clone(),
        dir: config.dir.clone(),
        owner: Owner::new(&config.world, config.region, me.incarnation),
        segment_bytes: config.segment_bytes,
        ring_bytes: config.ring_bytes,
    }
}

fn assemble(
    config: StoreConfig,
    hold: Box<dyn Hold>,
    identity: Identity,
    journal: Journal,
    replay: Replay,
    last: Last,
) -> Inner {
    let Replay { partitions, marks, last_local, .. } = replay;
    Inner {
        incarnation: AtomicU32::new(identity.incarnation),
        identity: Mutex::new(identity),
        shards: Shards::new(partitions, &config.rules),
        hlc: SharedHlc::resume_after(marks.last),
        last_write: AtomicU64::new(last_local.0),
        journal,
        watermarks: Watermarks::resume(marks.regions),
        changes: Arc::default(),
        acked: Mutex::new(BTreeMap::new()),
        counters: Counters::default(),
        sync_bell: Bell::default(),
        keeper_bell: Bell::default(),
        checkpoint: Mutex::new(last),
        config,
        upkeep: Mutex::default(),
        _hold: hold,
    }
}
