//! The region's eyes: probes every subject each interval, and sends its whole vote vector to every plane member each period, and
//! at once when a vote has changed. Our own member gets it by the wiring, without a detour over the network.
//!
//! ```text
//! interval ─▶ probe each subject ─▶ Observer (pure) ─┐
//! period, change ────────────────────────────────────┴─▶ vote vector ─▶ every member
//!                                                               receipts ─▶ who leads, does a quorum stand behind it
//! ```
//!
//! Probes overlap: the next one starts on time even if the last one still waits, so that a host that hangs is seen as soon as one
//! that is slow. At most `timeout / interval + 1` probes of a subject are under way.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use decision::{Observer, ProbeMachine, Timing};
use model::{Check, Plan, RegionName, Subject, Vote, VoteVector, World};
use plane_client::{Endpoint, PlaneClient, Transport, api::VoteReceipt};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};

use crate::{
    probe::{ProbeTools, Report, probe},
    unix_ms,
};

/// Probe results that wait for the observer.
const RESULTS: usize = 256;

/// Whom the observer looks at and tells.
#[derive(Clone)]
pub(crate) struct Eyes {
    pub(crate) region: RegionName,
    /// Each region's gateway as this region reaches it; its own directly.
    pub(crate) gateways: BTreeMap<RegionName, SocketAddr>,
    /// Every plane member but our own.
    pub(crate) members: Vec<Endpoint>,
    pub(crate) transport: Transport,
    pub(crate) tools: ProbeTools,
}

/// What the observer tells the rest of the region.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The last vector, also when nobody could be told.
    pub votes: watch::Receiver<Option<Arc<VoteVector>>>,
    /// The newest receipt that the leader itself wrote, and when it came.
    pub leader: watch::Receiver<Option<(VoteReceipt, Instant)>>,
}

/// Starts the observer; it ends when `plans` is closed.
pub(crate) fn start(eyes: Eyes, plans: watch::Receiver<Option<Arc<Plan>>>, tasks: &mut JoinSet<()>) -> Sight {
    let (votes, leader) = (watch::Sender::new(None), watch::Sender::new(None));
    let sight = Sight { votes: votes.subscribe(), leader: leader.subscribe() };
    let couriers = eyes.members.iter().map(|member| {
        let (queue, letters) = watch::channel(None);
        tasks.spawn(courier(eyes.transport.clone(), member.clone(), letters, leader.clone()));
        queue
    });
    let couriers = couriers.collect();
    tasks.spawn(observe(eyes, plans, votes, couriers));
    sight
}

type Letter = Option<(Arc<VoteVector>, Duration)>;

/// The observer's own loop: probes on time, collects results, writes vectors.
async fn observe(
    eyes: Eyes,
    mut plans: watch::Receiver<Option<Arc<Plan>>>,
    votes: watch::Sender<Option<Arc<VoteVector>>>,
    couriers: Vec<watch::Sender<Letter>>,
) {
    let mut observer = Observer::new(eyes.region.clone(), unix_ms());
    let Some(mut sights) = next_plan(&mut plans).await.map(|plan| Sights::of(&eyes, &plan.world)) else { return };
    observer.watch(sights.subjects());
    let (results, mut arriving) = mpsc::channel(RESULTS);
    let mut probing = ticker(sights.timing.interval_ms);
    let mut voting = ticker(sights.timing.vote_period_ms);
    let mut due = Instant::now() + Duration::from_millis(sights.timing.interval_ms);
    let mut late = false;
    loop {
        tokio::select! {
            _ = probing.tick() => {
                // A loop that is late by an interval cannot tell a slow subject from its own slowness.
                late = Instant::now() > due + Duration::from_millis(sights.timing.interval_ms);
                due = Instant::now() + Duration::from_millis(sights.timing.interval_ms);
                sights.probe_all(&eyes.tools, &results);
            }
            Some((subject, started_ms, report)) = arriving.recv() => {
                let before = observer.machine(&subject).map(ProbeMachine::vote);
                let after = observer.observe(&subject, started_ms, report.finding);
                if let Some(rps) = report.load_rps {
                    observer.note_load(&subject, rps);
                }
                if before.is_some_and(|before| before != after) {
                    voting.reset_immediately();
                }
            }
            _ = voting.tick() => {
                let own = observer.machine(&Subject::Region(eyes.region.clone())).map(ProbeMachine::vote);
                let vector = Arc::new(observer.vector(unix_ms(), own != Some(Vote::Down) && !late));
                for courier in &couriers {
                    courier.send_replace(Some((vector.clone(), sights.letter_life())));
                }
                votes.send_replace(Some(vector));
            }
            changed = plans.changed() => {
                if changed.is_err() {
                    return;
                }
                let Some(plan) = plans.borrow_and_update().clone() else { continue };
                let next = Sights::of(&eyes, &plan.world);
                if next != sights {
                    sights = next;
                    observer.watch(sights.subjects());
                    probing = ticker(sights.timing.interval_ms);
                    voting = ticker(sights.timing.vote_period_ms);
                }
            }
        }
    }
}

async fn next_plan(plans: &mut watch::Receiver<Option<Arc<Plan>>>) -> Option<Arc<Plan>> {
    plans.wait_for(Option::is_some).await.ok()?.clone()
}

fn ticker(period_ms: u64) -> tokio::time::Interval {
    let mut ticker = tokio::time::interval(Duration::from_millis(period_ms.max(1)));
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// What is looked at, derived from a World.
#[derive(Debug, Clone, PartialEq)]
struct Sights {
    timing: Timing,
    seen: Vec<(Subject, SocketAddr, Arc<Check>, Timing)>,
}

impl Sights {
    fn of(eyes: &Eyes, world: &World) -> Self {
        let seen = world.subjects().filter_map(|(subject, check)| {
            let at = *eyes.gateways.get(subject.region())?;
            let check = check.cloned().unwrap_or_default();
            let timing = Timing::of(world.profile, &check);
            Some((subject, at, Arc::new(check), timing))
        });
        Self { timing: Timing::of_world(world), seen: seen.collect() }
    }

    fn subjects(&self) -> Vec<(Subject, Timing)> {
        self.seen.iter().map(|(subject, _, _, timing)| (subject.clone(), *timing)).collect()
    }

    /// A vector is worth nothing when two newer ones exist.
    fn letter_life(&self) -> Duration {
        Duration::from_millis(self.timing.vote_life_ms)
    }

    fn probe_all(&self, tools: &ProbeTools, results: &mpsc::Sender<(Subject, u64, Report)>) {
        for (subject, at, check, timing) in &self.seen {
            let (subject, at, check, results) = (subject.clone(), *at, check.clone(), results.clone());
            let tools = tools.clone();
            let within = Duration::from_millis(timing.timeout_ms);
            tokio::spawn(async move {
                let started_ms = unix_ms();
                let report = probe(&tools, &subject, at, &check, within).await;
                // The observer is gone only when the region stops.
                let _ = results.send((subject, started_ms, report)).await;
            });
        }
    }
}

/// Brings the newest vector to one member. A member that does not answer delays nobody else's.
async fn courier(
    transport: Transport,
    member: Endpoint,
    mut letters: watch::Receiver<Letter>,
    leader: watch::Sender<Option<(VoteReceipt, Instant)>>,
) {
    while letters.changed().await.is_ok() {
        let Some((vector, life)) = letters.borrow_and_update().clone() else { continue };
        match PlaneClient::vote(&transport, &member, &vector, life).await {
            Ok(receipt) if receipt.is_leader => drop(leader.send_replace(Some((receipt, Instant::now())))),
            Ok(_) => {}
            Err(error) => tracing::debug!(%member, "a vote did not arrive: {error}"),
        }
    }
}
