//! A dead leader over long paths: sooner than its lease where observers see it, and nobody who leads is disturbed where they err.

use std::time::Duration;

use decision::Outcome;
use tokio::time::{Instant, sleep};

use super::sim::{Sim, request, run, write};
use crate::RaftTiming;

const SECOND: Duration = Duration::from_secs(1);
/// One way between any two regions.
const WAY: Duration = Duration::from_millis(100);

/// Members that are far from each other, and who leads them.
async fn far_apart(seed: u64, voters: u64) -> (Sim, u64) {
    let sim = Sim::founded_with(RaftTiming::for_rtt(250), seed, voters).await;
    for a in sim.ids() {
        for b in sim.ids().into_iter().filter(|b| *b > a) {
            sim.net.one_way(a, b, WAY);
        }
    }
    // From here on heartbeats take their way.
    sleep(2 * SECOND).await;
    let leader = sim.leader(SECOND).await;
    (sim, leader)
}

fn others(sim: &Sim, of: u64) -> Vec<u64> {
    sim.ids().into_iter().filter(|id| *id != of).collect()
}

fn term(sim: &Sim, at: u64) -> u64 {
    sim.plane(at).consensus.sight().term
}

#[test]
fn a_leader_whose_region_is_down_is_succeeded_before_its_lease_is_over() {
    for seed in 0..6 {
        let voters = [3, 5][seed as usize % 2];
        run(seed, async {
            let (mut sim, leader) = far_apart(seed, voters).await;
            let survivors = others(&sim, leader);
            // However long the log is: openraft would search it for what they have in common.
            for number in 0..40 * seed {
                sim.propose(leader, request(1000 + number, write(0, number))).await.expect("taken");
            }
            sleep(SECOND).await;
            let died = Instant::now();
            sim.kill(leader, seed);
            // The probes take that long, and not all members hear of them at once.
            sleep(Duration::from_millis(1100)).await;
            for survivor in &survivors {
                sim.call_down(leader, &[*survivor]);
                sleep(Duration::from_millis(20)).await;
            }
            sim.leader(10 * SECOND).await;
            // To what it took to know of the death come a look, three round trips (would you, will you, the first entry) and their
            // syncs; one more where the first who stands finds the others not told yet.
            let most = Duration::from_millis(1200) + 4 * 2 * WAY + Duration::from_millis(200);
            assert!(most < Duration::from_millis(sim.timing.election_max_ms), "the lease");
            assert!(died.elapsed() <= most, "seed {seed}, {voters} voters: {:?}", died.elapsed());
        });
    }
}

/// It alone can be elected, and asks before the other one is told of the death.
#[test]
fn who_alone_has_the_dead_leaders_last_entry_asks_again_until_the_other_knows_too() {
    for seed in 0..4 {
        run(seed, async {
            let (mut sim, leader) = far_apart(seed, 3).await;
            let [first, second] = others(&sim, leader)[..] else { panic!("three voters") };
            sim.net.cut(leader, second);
            let entry = sim.propose(leader, request(1000, write(0, 7))).await;
            assert!(matches!(entry, Ok(Outcome::Applied(_))), "{entry:?}");
            sim.kill(leader, seed);
            let died = Instant::now();
            sim.net.heal();
            sleep(Duration::from_millis(1200)).await;
            sim.call_down(leader, &[first]);
            sleep(2 * WAY).await;
            sim.call_down(leader, &[second]);
            let told = Instant::now();
            assert_eq!(sim.leader(10 * SECOND).await, first);
            assert!(died.elapsed() < Duration::from_millis(sim.timing.election_max_ms), "the lease");
            // Half a heartbeat until it asks again, three round trips, their syncs.
            let most = Duration::from_millis(sim.timing.heartbeat_ms / 2) + 3 * 2 * WAY + Duration::from_millis(150);
            assert!(told.elapsed() <= most, "seed {seed}: {:?}", told.elapsed());
        });
    }
}

#[test]
fn a_leader_that_is_heard_leads_on_whatever_observers_say() {
    run(1, async {
        let (sim, leader) = far_apart(1, 3).await;
        let before = term(&sim, leader);
        sim.call_down(leader, &sim.ids());
        sleep(30 * SECOND).await;
        assert_eq!((sim.leader_now(), term(&sim, leader)), (Some(leader), before));
    });
}

#[test]
fn who_misses_the_leader_alone_disturbs_nobody_and_follows_it_again() {
    for seed in 0..4 {
        run(seed, async {
            let (sim, leader) = far_apart(seed, 3).await;
            let before = term(&sim, leader);
            let lonely = others(&sim, leader)[0];
            sim.net.cut(leader, lonely);
            sim.call_down(leader, &sim.ids());
            sleep(20 * SECOND).await;
            sim.net.heal();
            let hears = || (sim.plane(lonely).consensus.sight().leader == Some(leader)).then_some(());
            sim.until("it follows again", 5 * SECOND, hears).await;
            // It gave up its lease. Now that it hears the leader it helps nobody all the same who does not.
            sim.net.cut(leader, others(&sim, leader)[1]);
            sleep(20 * SECOND).await;
            sim.net.heal();
            sleep(5 * SECOND).await;
            assert_eq!((sim.leader_now(), term(&sim, lonely)), (Some(leader), before), "seed {seed}");
        });
    }
}

#[test]
fn where_the_others_see_no_death_the_lease_is_waited_for() {
    for seed in 0..4 {
        run(seed, async {
            let (mut sim, leader) = far_apart(seed, 3).await;
            let survivors = others(&sim, leader);
            let died = Instant::now();
            sim.kill(leader, seed);
            sim.call_down(leader, &survivors[..1]);
            sim.leader(10 * SECOND).await;
            // The last heartbeat was on its way, or a whole one ago.
            let lease = Duration::from_millis(sim.timing.election_max_ms - sim.timing.heartbeat_ms);
            assert!(died.elapsed() > lease, "seed {seed}: {:?}", died.elapsed());
        });
    }
}
