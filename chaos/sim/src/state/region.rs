//! One region: a disk and a clock that outlive its processes, and the process, while it lives.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use replication_core::{DEFAULT_MAX_VALUE_BYTES, Dot, Hlc, PrefixRule, ReplicaId, Rules, VersionVector};
use replication_link::{Peer, Session};
use replication_storage::{Durability, Luck, OpenError, RecoveryReport, StateStore, StoreConfig, Threads, WriteMark};

use crate::{
    rng::Rng,
    state::{
        clock::RegionClock,
        disk::{Crash, Image, SimDisk},
        scenario::{REMOVES_WIN, RegionShape},
    },
};

/// The name of the simulated world.
const WORLD: &str = "simulated";

/// What each partition has seen.
pub(crate) type Contexts = BTreeMap<u16, VersionVector>;

/// How much of what it said a region may have lost when it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    /// Nothing that was written.
    Nothing,
    /// Nothing that was truly synced.
    Unsynced,
    /// Anything: the disk is another one.
    Anything,
}

/// A write whose client waits for its reply.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) mark: WriteMark,
    pub(crate) token: Token,
}

/// What a client may carry to another region: an acknowledged change and its stamp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) hlc: Hlc,
    pub(crate) partition: u16,
    pub(crate) dot: Dot,
}

/// A running process.
pub(crate) struct Life {
    pub(crate) number: u64,
    pub(crate) store: StateStore,
    pub(crate) sessions: BTreeMap<u16, Session>,
    /// When each session is due to be woken, as far as that is planned.
    pub(crate) wakes: BTreeMap<u16, u64>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) flush_planned: bool,
    /// The store's change counts at the last look.
    pub(crate) seen: Vec<u32>,
    /// What each partition had seen at the last look.
    pub(crate) contexts: Contexts,
    /// The watermarks of other regions at the last look.
    pub(crate) watermarks: BTreeMap<u16, Hlc>,
    /// The furthest stamp that peers have told it to have called complete in an earlier life.
    pub(crate) told: Hlc,
}

/// How a process will end when its fuse has burnt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) crash: Crash,
    pub(crate) down_ms: u64,
    /// The next process dies in this call to its disk, while it starts; 0 if it does not.
    pub(crate) again_after: u64,
}

impl Fate {
    /// Killed, down for so long.
    pub(crate) fn kill(down_ms: u64) -> Self {
        Self { crash: Crash::Kill, down_ms, again_after: 0 }
    }
}

/// A region of the simulated world.
pub(crate) struct Region {
    pub(crate) id: u16,
    pub(crate) shape: RegionShape,
    pub(crate) disk: SimDisk,
    pub(crate) clock: RegionClock,
    pub(crate) life: Option<Life>,
    pub(crate) lives: u64,
    pub(crate) fate: Option<Fate>,
    /// The fuse of the next process.
    pub(crate) again: Option<Fate>,
    /// When it is due to start, while it is down.
    pub(crate) starts_at: Option<u64>,
    /// When it started last.
    pub(crate) started_ms: u64,
    /// The name it wrote under last.
    pub(crate) name: Option<ReplicaId>,
    /// What must be here after a kill.
    pub(crate) written: Contexts,
    /// What must be here after a power failure.
    pub(crate) synced: Contexts,
    pub(crate) may_lose: Loss,
    pub(crate) tokens: Vec<Token>,
    /// The furthest watermark of this region that any other was ever seen to have.
    pub(crate) marked: Hlc,
    pub(crate) backup: Option<Image>,
    luck: Luck,
}

impl Region {
    pub(crate) fn new(id: u16, shape: RegionShape, seed: u64) -> Self {
        let disk = SimDisk::new(Rng::of(seed, &format!("disk {id}")));
        Self {
            id,
            shape,
            disk,
            clock: RegionClock::new(shape.clock_offset_ms, shape.clock_drift_ppm),
            life: None,
            lives: 0,
            fate: None,
            again: None,
            starts_at: Some(0),
            started_ms: 0,
            name: None,
            written: Contexts::new(),
            synced: Contexts::new(),
            may_lose: Loss::Nothing,
            tokens: Vec::new(),
            marked: Hlc::ZERO,
            backup: None,
            luck: Luck::seeded(Rng::of(seed, &format!("luck {id}")).word()),
        }
    }

    /// Starts a process on what the disk holds.
    pub(crate) fn open(&mut self) -> Result<(StateStore, RecoveryReport), OpenError> {
        let files = self.disk.begin_life();
        self.lives += 1;
        if let Some(fate) = self.again.take() {
            self.disk.arm(fate.again_after);
            self.fate = Some(Fate { again_after: 0, ..fate });
        }
        let config = StoreConfig {
            durability: if self.shape.always { Durability::Always } else { Durability::EverySecond },
            clock: self.clock.wall_clock(),
            luck: self.luck.clone(),
            files: Arc::new(files),
            threads: Threads::None,
            rules: Arc::new(rules()),
            segment_bytes: self.shape.segment_bytes,
            ring_bytes: self.shape.ring_bytes,
            checkpoint_bytes: self.shape.checkpoint_bytes,
            ..StoreConfig::new("/state", WORLD, self.id)
        };
        StateStore::open(config)
    }

    /// The process on a store that was opened.
    pub(crate) fn live(&mut self, store: StateStore, regions: u16) {
        let peers = (1..=regions).filter(|peer| *peer != self.id);
        let session = |id| {
            let session = Session::new(store.clone(), peer(id));
            if self.shape.compares_at_once { session.comparing_at_once() } else { session }
        };
        let sessions = peers.map(|id| (id, session(id))).collect();
        let mut seen = Vec::new();
        store.changed_partitions(&mut seen);
        self.life = Some(Life {
            number: self.lives,
            store,
            sessions,
            wakes: BTreeMap::new(),
            waiting: Vec::new(),
            flush_planned: false,
            seen,
            contexts: Contexts::new(),
            watermarks: BTreeMap::new(),
            told: Hlc::ZERO,
        });
    }

    /// Notes that everything in memory is written, and how much of that a power failure would leave.
    pub(crate) fn note_written(&mut self, partitions: &[u16]) {
        let Some(life) = &self.life else { return };
        self.written = partitions.iter().map(|id| (*id, life.store.version_vector(*id))).collect();
        if self.disk.is_all_synced() {
            self.synced.clone_from(&self.written);
        }
    }

    /// Whether its process has only just started.
    pub(crate) fn is_new(&self, now_ms: u64) -> bool {
        self.lives > 1 && now_ms < self.started_ms + 500
    }

    /// What must be here now that the process has ended.
    pub(crate) fn owed(&self) -> Contexts {
        match self.may_lose {
            Loss::Nothing => self.written.clone(),
            Loss::Unsynced => self.synced.clone(),
            Loss::Anything => Contexts::new(),
        }
    }
}

fn rules() -> Rules {
    let removes_win = PrefixRule { remove_wins: true, ..PrefixRule::default() };
    Rules::new(DEFAULT_MAX_VALUE_BYTES, [(REMOVES_WIN.into(), removes_win)])
}

fn peer(id: u16) -> Peer {
    // Sessions know no addresses; the simulated network finds them by number.
    Peer { id, name: format!("region-{id}"), addr: SocketAddr::from((Ipv4Addr::LOCALHOST, id)) }
}
