//! Opening a directory. If what is read from it is not surely all that was ever said from there, the state goes on under a
//! new name, and peers give back what is missing.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, AtomicUsize},
    },
    time::{Duration, Instant},
};

use replication_core::{AHEAD_MS, Hlc, Partition, ReplicaId};

use crate::{
    Hold, OpenError, StoreConfig, TornTail,
    checkpoint::{self, Last},
    clock::SharedHlc,
    identity::{self, Found, Identity},
    journal::{self, Journal, Owner},
    keeper::Bell,
    lanes,
    memory::Memory,
    peers::Peers,
    reading::{self, Reading, Replay},
    shard::{self, Shards},
    store::{Counters, Inner, millis},
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
    let reading = reading::read(files, dir, &owner, me, known.as_ref(), lanes::lanes_for(config.threads))?;
    checkpoint::remove_unfinished(files, dir)?;
    let Reading { mut replay, last, replayed, in_doubt, sync_lost } = reading;
    if in_doubt.is_some() && known.is_some() {
        me.incarnation = identity::new_incarnation(&config.luck);
        replay.partitions = renamed(dir, &replay.partitions, me)?;
    }
    let mut identity = Identity {
        world: config.world.clone(),
        region: config.region,
        incarnation: me.incarnation,
        boot: String::new(),
        birthmark: String::new(),
    };
    let doubtful = in_doubt.is_some();
    if doubtful {
        // Durable before the reason for taking the name is cut off. Without a boot, so that a start that ends in between
        // leaves the next one as much in doubt as this one was: it must not take for damage what a power failure left.
        identity.save(files, dir)?;
        journal::mend(files, dir, &replayed)?;
    }
    identity.boot = files.boot_id();
    // Durable before the first change is made under the name.
    identity.save(files, dir)?;
    if !doubtful {
        journal::mend(files, dir, &replayed)?;
    }
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
    let journal = Journal::resume(setting(&config, me), &replayed, report.in_doubt.is_some(), sync_lost)?;
    let wall_ms = config.clock.now_ms();
    // Others' stamps are followed as far as when they came, no further: what their clocks are ahead is not our past.
    let past = replay.marks.last.max(replay.last_seen.adoptable(wall_ms));
    let resume = if known.is_none() || doubtful { beyond_the_past(past, wall_ms) } else { past };
    Ok((assemble(config, hold, identity, journal, replay, last.unwrap_or_default(), resume), report))
}

/// Where stamps go on under a new name: behind what may have been issued under the last one and is lost. A region's stamps
/// follow others by [`AHEAD_MS`] at most, so unless the clock was set back nothing was stamped later than that. If it was,
/// peers say so in their hellos ([`crate::StateStore::resume_after`]).
fn beyond_the_past(known: Hlc, wall_ms: u64) -> Hlc {
    known.max(Hlc::from_ms(wall_ms.saturating_add(AHEAD_MS)))
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
    resume: Hlc,
) -> Inner {
    let Replay { partitions, marks, last_local, .. } = replay;
    let (shards, memory) = (Shards::new(partitions, &config.rules), Memory::default());
    shards.each(|_, slot| memory.account(slot));
    Inner {
        incarnation: AtomicU32::new(identity.incarnation),
        identity: Mutex::new(identity),
        shards,
        memory,
        hlc: SharedHlc::resume_after(resume),
        last_write: AtomicU64::new(last_local.0),
        journal,
        watermarks: Watermarks::resume(marks.regions),
        changes: Arc::default(),
        peers: Peers::default(),
        counters: Counters::default(),
        max_value_bytes: AtomicUsize::new(config.rules.max_value_bytes),
        detach_after_ms: AtomicU64::new(millis(config.detach_after)),
        sync_bell: Bell::default(),
        keeper_bell: Bell::default(),
        checkpoint: Mutex::new(last),
        config,
        upkeep: Mutex::default(),
        _hold: hold,
    }
}
