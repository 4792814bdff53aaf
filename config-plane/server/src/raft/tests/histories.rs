//! Clients write and read through any member while links are cut, members stand still, disks stall and machines lose power. What
//! they were told must be explained by one order of it all.

use std::{sync::atomic::Ordering, time::Duration};

use decision::Outcome;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use super::{
    drive::roll,
    sim::{self, Sim, net::Net, register, run, write},
    wgl::{self, Op, What},
};
use crate::ProposeError;

const REGISTERS: u64 = 2;
const CLIENTS: u64 = 4;
const SECOND: Duration = Duration::from_secs(1);

/// How a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// With a quorum's confirmation.
    Confirmed,
    /// From the member's own memory: the mistake that must be found.
    Stale,
}

struct Client {
    net: Net,
    members: u64,
    started: Instant,
    dice: u64,
    next_value: u64,
    reads: Reads,
    tell: mpsc::UnboundedSender<Op>,
}

impl Client {
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    async fn live(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let at = roll(&mut self.dice) % self.members + 1;
            let register = (roll(&mut self.dice) % REGISTERS) as usize;
            if roll(&mut self.dice).is_multiple_of(2) {
                self.write(at, register).await;
            } else {
                self.read(at, register).await;
            }
            sleep(Duration::from_millis(roll(&mut self.dice) % 300)).await;
        }
    }

    async fn write(&mut self, at: u64, register: usize) {
        let Some((plane, alive)) = self.net.member(at) else { return };
        self.next_value += CLIENTS;
        let value = self.next_value;
        let called = self.now();
        let answer = plane.propose(sim::request(value, write(register, value))).await;
        let heard = alive.load(Ordering::Relaxed);
        let returned = match answer {
            Ok(Outcome::Applied(_)) if heard => Some(self.now()),
            // It says that nothing has happened: then nobody may ever see it.
            Err(ProposeError::NoQuorum | ProposeError::NotLeader { .. } | ProposeError::Stopped { .. }) if heard => {
                return;
            }
            Ok(other) if heard => panic!("{other:?}"),
            _ => None,
        };
        self.tell.send(Op { register, what: What::Write(value), called, returned }).expect("somebody listens");
    }

    async fn read(&mut self, at: u64, from: usize) {
        let Some((plane, alive)) = self.net.member(at) else { return };
        let called = self.now();
        let state = match self.reads {
            Reads::Confirmed => plane.read_state().await,
            Reads::Stale => Ok(plane.state()),
        };
        let Some(state) = state.ok().filter(|_| alive.load(Ordering::Relaxed)) else { return };
        let (what, returned) = (What::Read(register(&state, from)), Some(self.now()));
        self.tell.send(Op { register: from, what, called, returned }).expect("somebody listens");
    }
}

/// One thing after another goes wrong, and is mended.
async fn trouble(sim: &mut Sim, dice: &mut u64, rounds: u64) {
    let members = sim.ids().len() as u64;
    for _ in 0..rounds {
        let victim = match sim.leader_now() {
            Some(leader) if roll(dice).is_multiple_of(2) => leader,
            _ => roll(dice) % members + 1,
        };
        let other = victim % members + 1;
        let lasts = SECOND + Duration::from_millis(roll(dice) % 3000);
        // Rightly or not: whether anybody leads is not for observers to say.
        if roll(dice).is_multiple_of(2) {
            sim.call_down(victim, &sim.ids());
        }
        match roll(dice) % 6 {
            0 => sim.isolate(victim),
            1 => sim.net.cut_one_way(victim, other),
            2 => sim.net.freeze(victim),
            3 => sim.net.lose(20),
            4 => sim.stall_disk(victim, true),
            _ => sim.kill(victim, roll(dice)),
        }
        sleep(lasts).await;
        sim.net.heal();
        sim.call_up();
        for id in sim.ids() {
            sim.stall_disk(id, false);
            if !sim.running().contains(&id) {
                sim.start(id).await;
            }
        }
        sleep(Duration::from_millis(roll(dice) % 2000)).await;
    }
}

async fn history(seed: u64, members: u64, reads: Reads) -> Vec<Op> {
    let mut sim = Sim::founded(seed, members).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let (stop, stopping) = watch::channel(false);
    let clients = (1..=CLIENTS).map(|number| Client {
        net: sim.net.clone(),
        members,
        started: Instant::now(),
        dice: seed * CLIENTS + number,
        next_value: number,
        reads,
        tell: tell.clone(),
    });
    let lives: Vec<_> = clients.map(|client| sim::spawn(client.live(stopping.clone()))).collect();
    let mut dice = seed;
    trouble(&mut sim, &mut dice, 8).await;
    sleep(3 * SECOND).await;
    stop.send_replace(true);
    for life in lives {
        life.await.expect("no client panics");
    }
    drop(tell);
    let mut ops = Vec::new();
    while let Some(op) = told.recv().await {
        ops.push(op);
    }
    ops
}

#[test]
fn writes_and_reads_are_linearizable_under_cuts_pauses_stalls_and_power_losses() {
    let (mut answered, mut unknown) = (0, 0);
    for (seed, members) in [(1, 3), (2, 3), (3, 5)] {
        let ops = run(seed, history(seed, members, Reads::Confirmed));
        wgl::check(&ops).unwrap_or_else(|why| panic!("seed {seed}, {members} members: {why}"));
        unknown += ops.iter().filter(|op| op.returned.is_none()).count();
        answered += ops.iter().filter(|op| op.returned.is_some()).count();
    }
    assert!(answered > 200 && unknown > 0, "{answered} answers, {unknown} without one: the histories say something");
}

#[test]
fn a_planted_stale_read_is_caught() {
    let caught = (1..=3).any(|seed| wgl::check(&run(seed, history(seed, 3, Reads::Stale))).is_err());
    assert!(caught, "a member's own memory is not linearizable");
}

/// What an unknown outcome means to its sender: ask again with the same id, and it is done once.
#[test]
fn a_request_whose_answer_was_lost_is_done_once_when_it_is_repeated_under_its_id() {
    run(9, async {
        let sim = Sim::founded(9, 3).await;
        let leader = sim.leader(SECOND).await;
        let asked_at = sim.ids().into_iter().find(|id| *id != leader).expect("others");
        let request = sim::request(500, write(0, 77));
        // The question gets there, the answer does not come back.
        sim.net.cut_one_way(leader, asked_at);
        let plane = sim.plane(asked_at);
        let lost = plane.propose(request.clone()).await;
        assert!(matches!(lost, Err(ProposeError::Unknown)), "{lost:?}");
        sim.net.heal();
        let leader = sim.leader(10 * SECOND).await;
        let state = sim.plane(leader).read_state().await.expect("a quorum");
        assert_eq!(register(&state, 0), 77, "it had come to pass");
        let first = state.plan().map(|plan| plan.id);
        let again = plane.propose(request).await.expect("an outcome");
        assert_eq!(again.plan_id(), first, "the first outcome again");
        assert_eq!(sim.plane(leader).read_state().await.expect("a quorum").plan().map(|plan| plan.id), first);
    });
}
