//! A network of numbers: delays, cuts in either direction, loss, members that stand still. It carries the very messages that travel
//! between members otherwise, without frames and TLS, and hands them to the very function that the listener hands them to.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use plane_client::{CallError, Endpoint};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use crate::{
    plane::Plane,
    raft::{
        carrier::{CallFailure, Carrier, Lane},
        rpc::Ask,
        tests::drive::roll,
    },
};

/// Between two looks at whether a member that stands still moves again.
const LOOK: Duration = Duration::from_millis(10);

/// The network; clones are the same one.
#[derive(Clone)]
pub(in crate::raft::tests) struct Net(Arc<Mutex<Wires>>);

struct Wires {
    started: Instant,
    members: BTreeMap<u64, (Arc<Plane>, Alive)>,
    cut: BTreeSet<(u64, u64)>,
    frozen: BTreeSet<u64>,
    one_way: BTreeMap<(u64, u64), Duration>,
    loss_percent: u64,
    seed: u64,
    calls: u64,
    trace: u64,
}

/// Whether one life of a member goes on.
pub(in crate::raft::tests) type Alive = Arc<AtomicBool>;

impl Net {
    pub(in crate::raft::tests) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Wires {
            started: Instant::now(),
            members: BTreeMap::new(),
            cut: BTreeSet::new(),
            frozen: BTreeSet::new(),
            one_way: BTreeMap::new(),
            loss_percent: 0,
            seed,
            calls: 0,
            trace: 0,
        })))
    }

    /// From one direction to both: nothing gets through between these two.
    pub(in crate::raft::tests) fn cut(&self, a: u64, b: u64) {
        self.wires().cut.extend([(a, b), (b, a)]);
    }

    /// Nothing gets from the one to the other; the way back stays open.
    pub(in crate::raft::tests) fn cut_one_way(&self, from: u64, to: u64) {
        self.wires().cut.insert((from, to));
    }

    pub(in crate::raft::tests) fn heal(&self) {
        let mut wires = self.wires();
        wires.cut.clear();
        wires.frozen.clear();
        wires.loss_percent = 0;
    }

    /// A member stands still for its peers, as after SIGSTOP: nothing is lost, everything waits.
    pub(in crate::raft::tests) fn freeze(&self, id: u64) {
        self.wires().frozen.insert(id);
    }

    pub(in crate::raft::tests) fn lose(&self, percent: u64) {
        self.wires().loss_percent = percent;
    }

    /// How long a packet takes between these two, in either direction.
    pub(in crate::raft::tests) fn one_way(&self, a: u64, b: u64, takes: Duration) {
        self.wires().one_way.extend([((a, b), takes), ((b, a), takes)]);
    }

    /// A number that two runs share if and only if the same packets went the same ways at the same times.
    pub(in crate::raft::tests) fn trace(&self) -> (u64, u64) {
        let wires = self.wires();
        (wires.calls, wires.trace)
    }

    pub(in crate::raft::tests) fn plug(&self, id: u64, plane: Arc<Plane>, alive: Alive) {
        self.wires().members.insert(id, (plane, alive));
    }

    pub(in crate::raft::tests) fn unplug(&self, id: u64) {
        self.wires().members.remove(&id);
    }

    /// One packet's way. Returns once it has arrived; a lost one never does.
    async fn travel(&self, from: u64, to: u64, what: usize) {
        self.thawed(from).await;
        let (takes, lost) = {
            let mut wires = self.wires();
            let at = wires.started.elapsed().as_nanos() as u64;
            let mut luck = wires.seed;
            for number in [at, from, to, what as u64] {
                luck = (luck ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            }
            // Sums: which of two packets of one moment comes first is nobody's promise.
            wires.calls += 1;
            wires.trace = wires.trace.wrapping_add(luck);
            let lost = wires.loss_percent > 0 && roll(&mut luck) % 100 < wires.loss_percent;
            (wires.one_way.get(&(from, to)).copied().unwrap_or(Duration::from_millis(1)), lost)
        };
        sleep(takes).await;
        self.thawed(to).await;
        if lost || self.wires().cut.contains(&(from, to)) {
            pending::<()>().await;
        }
    }

    async fn thawed(&self, id: u64) {
        while self.wires().frozen.contains(&id) {
            sleep(LOOK).await;
        }
    }

    pub(in crate::raft::tests) fn member(&self, id: u64) -> Option<(Arc<Plane>, Alive)> {
        self.wires().members.get(&id).cloned()
    }

    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().expect("no test panics while it holds the network")
    }
}

/// One life's end of the network.
pub(in crate::raft::tests) struct Line {
    pub(in crate::raft::tests) net: Net,
    pub(in crate::raft::tests) own: u64,
    pub(in crate::raft::tests) alive: Alive,
}

impl Carrier for Line {
    fn ask(
        &self,
        to: u64,
        _lane: Lane,
        what: Ask,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'_, Result<Bytes, CallFailure>> {
        let endpoint = Endpoint::region(super::name(to), ([127, 0, 0, 1], 1).into());
        Box::pin(async move {
            let call = self.call(to, what, body, endpoint.clone());
            let late = |_| Err(CallError::Timeout { endpoint, within }.into());
            timeout(within, call).await.unwrap_or_else(late)
        })
    }
}

impl Line {
    async fn call(&self, to: u64, what: Ask, body: Bytes, endpoint: Endpoint) -> Result<Bytes, CallFailure> {
        self.stays_alive(&self.alive).await;
        self.net.travel(self.own, to, body.len()).await;
        let Some((plane, alive)) = self.net.member(to) else {
            return Err(CallError::Unreachable { endpoint, why: "connection refused".into() }.into());
        };
        let (tell, told) = oneshot::channel();
        // A task of its own: what has arrived is done, whether or not somebody still waits for the answer.
        super::spawn(async move {
            // The asker may have gone away.
            drop(tell.send(plane.answer(what as u8, body).await));
        });
        let answer = told.await.expect("nothing ends the task");
        self.stays_alive(&alive).await;
        self.net.travel(to, self.own, answer.as_ref().map_or(0, Vec::len)).await;
        match answer {
            Ok(bytes) => Ok(bytes.into()),
            Err(fault) => Err(CallFailure::Refused { endpoint, why: fault.to_string() }),
        }
    }

    /// What a dead member says reaches nobody.
    async fn stays_alive(&self, alive: &Alive) {
        if !alive.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}
