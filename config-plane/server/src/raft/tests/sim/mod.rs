//! A whole raft group in one thread: simulated time, a network and disks that are played (`net.rs`, `drive.rs`), and everything
//! else as it is in production: log store, state machine, codec, RPCs, forwarding, timing, watch over the disk.
//!
//! Why not a simulator of sockets: it would have to seed tokio itself, which takes a build of everything with `tokio_unstable` in a
//! target directory of its own. openraft's luck comes from the seed here, and a run can be repeated in a process of its own
//! (`a_seed_replays`).

pub(super) mod net;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use decision::{Command, Outcome, PlaneState, Request, RequestId};
use model::{OverrideAction, RegionName, Subject, World};
use openraft_rt::deterministic_rng::DeterministicRng;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use self::net::{Alive, Line, Net};
use super::drive::Drive;
use crate::{
    Member, ProposeError, RaftTiming,
    judging::Message,
    plane::{Parts, Plane},
    raft::{
        consensus::{Consensus, Leads},
        disk::Disk,
        network::Network,
        types::RegionNode,
    },
    steward,
};

/// How long a sync takes on a disk in good health.
const SYNC: Duration = Duration::from_millis(2);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a simulation on a clock that leaps to the next thing that is due.
pub(super) fn run<F: Future>(seed: u64, simulation: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(scoped(seed, simulation))
}

fn scoped<F: Future>(seed: u64, future: F) -> impl Future<Output = F::Output> {
    DeterministicRng::<openraft::TokioRuntime>::scope(seed, future)
}

/// A task in which openraft finds its luck.
pub(super) fn spawn<F: Future<Output: Send> + Send + 'static>(future: F) -> JoinHandle<F::Output> {
    // Such tasks draw nothing themselves: one seed does for all of them.
    tokio::spawn(scoped(1, future))
}

/// The region of a member. The first three are those of the default world.
pub(super) fn name(id: u64) -> RegionName {
    let names = ["us-east", "eu-west", "ap-south"];
    let known = usize::try_from(id).ok().and_then(|id| names.get(id.checked_sub(1)?));
    known.map_or_else(|| format!("region-{id}"), |name| (*name).to_owned()).parse().expect("a region name")
}

/// The whole group.
pub(super) struct Sim {
    pub(super) net: Net,
    pub(super) timing: RaftTiming,
    seats: BTreeMap<u64, Seat>,
    blame: Blame,
}

/// Whose judge was told by a quorum that which region is Down.
type Blame = Arc<Mutex<BTreeSet<(u64, RegionName)>>>;

struct Seat {
    drive: Drive,
    stalled: watch::Sender<bool>,
    life: Option<Life>,
}

struct Life {
    plane: Arc<Plane>,
    alive: Alive,
    tasks: JoinSet<()>,
    _stop: watch::Sender<bool>,
}

impl Sim {
    /// This many voters, started and with a leader, of a world that is founded.
    pub(super) async fn founded(seed: u64, voters: u64) -> Self {
        Self::founded_with(RaftTiming::for_rtt(50), seed, voters).await
    }

    /// The same over longer paths or shorter ones.
    pub(super) async fn founded_with(timing: RaftTiming, seed: u64, voters: u64) -> Self {
        let seat = || Seat { drive: Drive::default(), stalled: watch::Sender::new(false), life: None };
        let seats = (1..=voters).map(|id| (id, seat())).collect();
        let mut sim = Self { net: Net::new(seed), timing, seats, blame: Blame::default() };
        for id in 1..=voters {
            sim.start(id).await;
        }
        let nodes = (1..=voters).map(|id| (id, RegionNode { name: name(id).to_string() })).collect();
        sim.plane(1).consensus.initialise(nodes).await.expect("a group");
        sim.leader(Duration::from_secs(10)).await;
        let world = World::parse(&World::default_toml(3, 0), "world.toml").expect("valid");
        sim.propose(1, request(0, Command::Found { world: world.into(), lineage: 7 })).await.expect("founded");
        sim
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.seats.keys().copied().collect()
    }

    pub(super) fn running(&self) -> Vec<u64> {
        self.seats.iter().filter(|(_, seat)| seat.life.is_some()).map(|(id, _)| *id).collect()
    }

    pub(super) fn plane(&self, id: u64) -> Arc<Plane> {
        Arc::clone(&self.seats[&id].life.as_ref().expect("it runs").plane)
    }

    /// Starts a member on what its drive holds.
    pub(super) async fn start(&mut self, id: u64) {
        let ids = self.ids();
        let (net, timing, blame) = (self.net.clone(), self.timing, Arc::clone(&self.blame));
        let seat = self.seats.get_mut(&id).expect("a seat");
        let stalled = seat.stalled.subscribe();
        let pace = move || {
            let mut stalled = stalled.clone();
            async move {
                sleep(SYNC).await;
                // An error means that the simulation is over.
                drop(stalled.wait_for(|stalled| !stalled).await);
            }
        };
        let opened = Disk::open_played(seat.drive.attach(), &name(id).to_string(), pace).expect("opens");
        let alive = Alive::new(true.into());
        let network = Network::new(id, Line { net: net.clone(), own: id, alive: Arc::clone(&alive) });
        let consensus =
            Consensus::over(opened, Path::new("played"), (id, ids.iter().copied().collect()), timing, network.clone())
                .await;
        let consensus = consensus.expect("starts");
        let (leaders, leads) = watch::channel(Leads::default());
        let (judge, inbox) = mpsc::channel(1);
        let (stop, stopping) = watch::channel(false);
        let member = |id: u64| Member { id: id as u16, name: name(id), addr: ([127, 0, 0, 1], 1).into() };
        let plane = Plane::new(Parts {
            region: name(id),
            id,
            members: ids.into_iter().map(|id| (id, member(id))).collect(),
            timing,
            consensus: consensus.clone(),
            network,
            leads,
            judge,
            stopping,
            lever: crate::lever::Lever::untouched(),
        });
        net.plug(id, Arc::clone(&plane), Arc::clone(&alive));
        consensus.run();
        let mut tasks = JoinSet::new();
        let ticking = consensus.clone();
        tasks.spawn(scoped(id, async move { ticking.tick().await }));
        tasks.spawn(scoped(id, async move { consensus.follow_leader(leaders).await }));
        tasks.spawn(scoped(id, steward::watch_disk(Arc::clone(&plane))));
        tasks.spawn(scoped(id, steward::pulse(Arc::clone(&plane))));
        tasks.spawn(scoped(id, steward::succeed(Arc::clone(&plane))));
        tasks.spawn(scoped(id, steward::settle(Arc::clone(&plane))));
        tasks.spawn(judged(id, blame, inbox));
        seat.life = Some(Life { plane, alive, tasks, _stop: stop });
    }

    /// The power goes: the member says and writes nothing more. Luck says what is left of what it had not synced.
    pub(super) fn kill(&mut self, id: u64, luck: u64) {
        self.net.unplug(id);
        let seat = self.seats.get_mut(&id).expect("a seat");
        let mut life = seat.life.take().expect("it runs");
        life.alive.store(false, Ordering::Relaxed);
        life.tasks.abort_all();
        seat.drive.kill();
        seat.drive = seat.drive.after_power_loss(luck);
        // A dead process's threads are gone; here its tasks must be told.
        seat.stalled.send_replace(false);
        let consensus = life.plane.consensus.clone();
        spawn(async move { consensus.close(Duration::from_secs(1)).await });
    }

    /// Its disk is replaced by an empty one while it is off.
    pub(super) fn wipe(&mut self, id: u64) {
        self.seats.get_mut(&id).expect("a seat").drive = Drive::default();
    }

    /// From now on nothing that this member writes becomes durable, or it does again.
    pub(super) fn stall_disk(&self, id: u64, stalled: bool) {
        self.seats[&id].stalled.send_replace(stalled);
    }

    /// From now on a quorum tells these members that a region is Down.
    pub(super) fn call_down(&self, region: u64, at: &[u64]) {
        let mut blame = self.blame.lock().unwrap_or_else(PoisonError::into_inner);
        blame.extend(at.iter().map(|at| (*at, name(region))));
    }

    /// No quorum calls anybody Down any more.
    pub(super) fn call_up(&self) {
        self.blame.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Nothing gets to this member or away from it.
    pub(super) fn isolate(&self, id: u64) {
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.net.cut(id, other);
        }
    }

    /// Waits until a member leads that a majority follows and that has applied all that was committed before it.
    pub(super) async fn leader(&self, within: Duration) -> u64 {
        self.until("a leader", within, || self.leader_now()).await
    }

    /// The leader, if a majority agrees on it and it takes requests.
    pub(super) fn leader_now(&self) -> Option<u64> {
        let running = self.running();
        let sights: Vec<_> = running.iter().map(|id| (*id, self.plane(*id).consensus.sight())).collect();
        let led = |id: u64| sights.iter().filter(|(_, sight)| sight.leader == Some(id)).count();
        let majority = self.seats.len() / 2 + 1;
        running.into_iter().find(|id| {
            let (own, term) = (self.plane(*id).leads.borrow().ready, sights.iter().map(|(_, s)| s.term).max());
            let newest = sights.iter().any(|(other, sight)| other == id && Some(sight.term) == term);
            own && newest && led(*id) >= majority
        })
    }

    pub(super) async fn until<T>(&self, what: &str, within: Duration, mut is: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = is() {
                return found;
            }
            assert!(started.elapsed() <= within, "not within {within:?}: {what}");
            sleep(LOOK).await;
        }
    }

    pub(super) async fn propose(&self, at: u64, request: Request) -> Result<Outcome, ProposeError> {
        self.plane(at).propose(request).await
    }

    /// Writes until one is taken; what became of the others does not matter.
    pub(super) async fn write_somehow(&self, at: u64, number: &mut u64, within: Duration) {
        let started = Instant::now();
        loop {
            *number += 1;
            let request = request(*number, write(0, *number));
            match self.propose(at, request).await {
                Ok(Outcome::Applied(_)) => return,
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert!(started.elapsed() < within, "no write was taken within {within:?}"),
            }
        }
    }
}

/// Nobody judges here: this one only knows what it is told.
async fn judged(id: u64, blame: Blame, mut inbox: mpsc::Receiver<Message>) {
    while let Some(message) = inbox.recv().await {
        if let Message::IsDown(region, reply) = message {
            let is_down = blame.lock().unwrap_or_else(PoisonError::into_inner).contains(&(id, region));
            let _ = reply.send(is_down);
        }
    }
}

/// A request under an id of its own.
pub(super) fn request(number: u64, command: Command) -> Request {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Request::new(RequestId::from_bytes(id), 1_700_000_000_000, name(1), command)
}

/// The overrides of the first regions are registers: a write's value is its reason.
pub(super) fn write(register: usize, value: u64) -> Command {
    let subject = Subject::Region(name(register as u64 + 1));
    Command::set_override(subject, OverrideAction::Up, (&value.to_string(), "ops"), 3_600_000)
}

/// What a register holds; 0: it was never written.
pub(super) fn register(state: &PlaneState, register: usize) -> u64 {
    let subject = Subject::Region(name(register as u64 + 1));
    let held = state.plan().and_then(|plan| plan.override_on(&subject).map(|held| held.reason.clone()));
    held.map_or(0, |value| value.parse().expect("a number"))
}
