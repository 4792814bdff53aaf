//! What a raft group must hold, each shown by a simulated group in the situation that broke somebody else's.

use std::time::Duration;

use decision::Outcome;
use tokio::time::{Instant, sleep};

use super::sim::{Sim, register, request, run, spawn, write};
use crate::{ProposeError, concerns};

const SECOND: Duration = Duration::from_secs(1);

const CHILD: &str = "ATOLL_TEST_TRACE";

/// In a process of its own, twice: the order in which openraft looks at things that are ready at the same moment comes from a
/// generator that each thread of a process seeds differently.
#[test]
fn a_seed_replays() {
    if std::env::var_os(CHILD).is_some() {
        println!("{CHILD} {:?}", trace_of(7));
        return;
    }
    let once = || {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
        child.env(CHILD, "1").args(["--exact", "raft::tests::invariants::a_seed_replays", "--nocapture"]);
        let said = String::from_utf8(child.output().expect("it runs").stdout).expect("text");
        let trace = said.lines().find(|line| line.contains(CHILD));
        trace.unwrap_or_else(|| panic!("no trace in {said}")).to_owned()
    };
    let (first, second) = (once(), once());
    assert_eq!(first, second, "packets and their trace, of two runs of one seed");
}

fn trace_of(seed: u64) -> (u64, u64) {
    run(seed, async {
        let mut sim = Sim::founded(seed, 3).await;
        let leader = sim.leader(SECOND).await;
        sim.kill(leader, 0);
        sim.leader(10 * SECOND).await;
        sim.start(leader).await;
        sleep(5 * SECOND).await;
        sim.net.trace()
    })
}

#[test]
fn a_dead_leader_is_replaced_within_the_time_that_the_table_promises() {
    for seed in 0..4 {
        run(seed, async {
            let mut sim = Sim::founded(seed, 5).await;
            let leader = sim.leader(SECOND).await;
            let died = Instant::now();
            sim.kill(leader, seed);
            sim.leader(10 * SECOND).await;
            // The lease, the longest random timeout, three round trips and as many syncs.
            let most = Duration::from_millis(2 * sim.timing.election_max_ms + 150);
            assert!(died.elapsed() <= most, "seed {seed}: {:?}", died.elapsed());
        });
    }
}

/// ```text
///    a -------- b        isolated
///     \        /
///      \      /
///       bridge
///          |
///     old leader
/// ```
/// The old leader's heartbeats kept the bridge's lease fresh for ever, so that nobody got its vote.
#[test]
fn invariant_a_bridge_partition_elects_a_leader_within_three_timeouts_and_a_probe_interval() {
    for seed in 0..4 {
        run(seed, async {
            let sim = Sim::founded(seed, 5).await;
            let old = sim.leader(SECOND).await;
            let others: Vec<u64> = sim.ids().into_iter().filter(|id| *id != old).collect();
            let [a, b, bridge, isolated] = others[..] else { panic!("five voters") };
            sim.isolate(isolated);
            sim.net.cut(old, a);
            sim.net.cut(old, b);
            let most = Duration::from_millis(3 * sim.timing.election_max_ms + sim.timing.probe_ms());
            let leads = || sim.leader_now().filter(|id| [a, b, bridge].contains(id));
            let next = sim.until("a leader of the connected majority", most, leads).await;
            let mut number = 0;
            sim.write_somehow(next, &mut number, 5 * SECOND).await;
            assert_eq!(register(&sim.plane(next).state(), 0), number);
        });
    }
}

/// A leader that reaches one less than a majority must not commit, whoever they are and whatever it has counted before.
#[test]
fn invariant_a_commit_needs_a_true_majority_of_five_and_of_seven() {
    for voters in [5, 7] {
        for seed in 0..3 {
            run(seed, async {
                let sim = Sim::founded(seed, voters).await;
                let leader = sim.leader(SECOND).await;
                let mut others: Vec<u64> = sim.ids().into_iter().filter(|id| *id != leader).collect();
                let rotated = (seed as usize) % others.len();
                others.rotate_left(rotated);
                // Followers get far apart from each other first: the count that was wrong was of unequal progress.
                let mut number = 0;
                for lagging in &others {
                    sim.net.cut(leader, *lagging);
                    if sim.leader_now() == Some(leader)
                        && others.iter().position(|id| id == lagging) < Some(others.len() / 2)
                    {
                        sim.write_somehow(leader, &mut number, SECOND).await;
                    }
                }
                sim.net.heal();
                let reached = (voters / 2 - 1) as usize;
                for cut in &others[reached..] {
                    sim.net.cut(leader, *cut);
                }
                let before = sim.plane(leader).consensus.sight().committed;
                let answer = sim.propose(leader, request(1000, write(1, 1))).await;
                assert!(
                    matches!(
                        answer,
                        Err(ProposeError::Unknown | ProposeError::NoQuorum | ProposeError::NotLeader { .. })
                    ),
                    "{voters} voters, seed {seed}: {answer:?}"
                );
                let sight = sim.plane(leader).consensus.sight();
                if sight.leader == Some(leader) {
                    assert_eq!(
                        sight.committed, before,
                        "{voters} voters, seed {seed}: committed with {reached} followers"
                    );
                }
                assert_eq!(register(&sim.plane(leader).state(), 1), 0);
                // One more makes a majority.
                sim.net.heal();
                let next = sim.leader(10 * SECOND).await;
                sim.write_somehow(next, &mut number, 10 * SECOND).await;
            });
        }
    }
}

#[test]
fn invariant_whatever_was_acknowledged_survives_the_death_of_all_members_at_once() {
    for seed in 0..4 {
        run(seed, async {
            let mut sim = Sim::founded(seed, 3).await;
            let leader = sim.leader(SECOND).await;
            let mut last = 0;
            for value in 1..=20 + seed {
                let outcome = sim.propose(leader, request(value, write(0, value))).await;
                assert!(matches!(outcome, Ok(Outcome::Applied(_))), "{outcome:?}");
                last = value;
            }
            for id in sim.ids() {
                sim.kill(id, seed + id);
            }
            for id in sim.ids() {
                sim.start(id).await;
            }
            let leader = sim.leader(10 * SECOND).await;
            let state = sim.plane(leader).read_state().await.expect("a quorum");
            assert_eq!(register(&state, 0), last, "seed {seed}");
        });
    }
}

#[test]
fn a_member_whose_disk_stands_still_can_be_stopped_all_the_same() {
    run(0, async {
        let sim = Sim::founded(0, 3).await;
        let leader = sim.leader(SECOND).await;
        let stopped = sim.ids().into_iter().find(|id| *id != leader).expect("others");
        sim.stall_disk(stopped, true);
        sim.write_somehow(leader, &mut 0, SECOND).await;
        let consensus = sim.plane(stopped).consensus.clone();
        sim.until("a write that does not end", SECOND, || (!consensus.disk_stalled_for().is_zero()).then_some(()))
            .await;
        let asked = Instant::now();
        consensus.close(SECOND).await;
        assert!(asked.elapsed() <= 2 * SECOND, "{:?}", asked.elapsed());
    });
}

/// The leader's disk stands still: it hands over, and from then on writes are taken again although it never recovers.
#[test]
fn invariant_a_leader_whose_disk_stalls_keeps_the_lead_for_no_more_than_one_further_timeout() {
    for (seed, voters) in [(0, 3), (1, 3), (2, 5), (3, 5)] {
        run(seed, async {
            let sim = Sim::founded(seed, voters).await;
            let old = sim.leader(SECOND).await;
            let asked_at = sim.ids().into_iter().find(|id| *id != old).expect("others");
            let timeout = Duration::from_millis(sim.timing.election_max_ms);
            let mut number = 0;
            sim.write_somehow(asked_at, &mut number, SECOND).await;
            sim.stall_disk(old, true);
            let stalled = Instant::now();
            // The others commit without its disk meanwhile: it is asked for a write at once, and answers or not.
            let plane = sim.plane(asked_at);
            let first = request(10_000, write(1, 5));
            let first = spawn(async move { plane.propose(first).await });
            let leads = || sim.leader_now().filter(|id| *id != old);
            let next = sim.until("another leader", 2 * timeout + timeout / 4, leads).await;
            sim.write_somehow(next, &mut number, 2 * timeout).await;
            assert!(stalled.elapsed() < 4 * timeout, "seed {seed}: {:?}", stalled.elapsed());
            let first = first.await.expect("it ends");
            assert!(
                matches!(first, Ok(Outcome::Applied(_)) | Err(ProposeError::Unknown | ProposeError::NoQuorum)),
                "{first:?}"
            );
            assert_eq!(register(&sim.plane(next).state(), 0), number);
            // What was under way has come to pass or never will, and the one with the slow disk learns everything afterwards.
            sim.stall_disk(old, false);
            sim.write_somehow(next, &mut number, SECOND).await;
            let same = || (register(&sim.plane(old).state(), 0) == number).then_some(());
            sim.until("the old leader follows", 3 * timeout, same).await;
            assert_eq!(sim.leader_now(), Some(next), "and takes nothing back");
        });
    }
}

#[test]
fn a_follower_whose_disk_stalls_disturbs_nobody() {
    run(3, async {
        let sim = Sim::founded(3, 3).await;
        let leader = sim.leader(SECOND).await;
        let slow = sim.ids().into_iter().find(|id| *id != leader).expect("others");
        sim.stall_disk(slow, true);
        let mut number = 0;
        for _ in 0..20 {
            sim.write_somehow(leader, &mut number, SECOND).await;
            sleep(SECOND / 5).await;
        }
        assert_eq!((sim.leader_now(), number), (Some(leader), 20), "every write was taken at once");
        let concerns = concerns::own(&sim.plane(slow));
        assert!(concerns.iter().any(|concern| concern.message.contains("has not answered")), "{concerns:?}");
        sim.stall_disk(slow, false);
        let same = || (register(&sim.plane(slow).state(), 0) == number).then_some(());
        sim.until("it catches up", 5 * SECOND, same).await;
        assert_eq!(concerns::own(&sim.plane(slow)), []);
    });
}

/// Three regions, two of them near each other and one far away, which leads: the lead goes where a majority is near.
#[test]
fn the_lead_moves_to_where_a_majority_is_nearest_and_stays_there() {
    run(5, async {
        let sim = Sim::founded(5, 3).await;
        let far = sim.leader(SECOND).await;
        let near: Vec<u64> = sim.ids().into_iter().filter(|id| *id != far).collect();
        for id in &near {
            sim.net.one_way(far, *id, Duration::from_millis(40));
        }
        let moved = || sim.leader_now().filter(|id| near.contains(id));
        let next = sim.until("a leader where a majority is near", 120 * SECOND, moved).await;
        let mut number = 0;
        for _ in 0..60 {
            sim.write_somehow(far, &mut number, SECOND).await;
            sleep(3 * SECOND).await;
            assert_eq!(sim.leader_now(), Some(next));
        }
        assert_eq!(number, 60, "no write had to be repeated");
    });
}

/// The new leader's only supporter loses its disk, and finds the old leader, whom it helped to vote out of office.
#[test]
fn a_voter_that_lost_its_disk_does_not_commit_with_a_leader_that_it_had_voted_out() {
    for seed in 0..4 {
        run(seed, async {
            let mut sim = Sim::founded(seed, 3).await;
            let old = sim.leader(SECOND).await;
            sim.isolate(old);
            let next = sim.until("a new leader", 10 * SECOND, || sim.leader_now().filter(|id| *id != old)).await;
            let mut number = 0;
            sim.write_somehow(next, &mut number, SECOND).await;
            // Nobody but the new leader knows of it any more.
            let lost = sim.ids().into_iter().find(|id| ![old, next].contains(id)).expect("three");
            sim.kill(lost, 0);
            sim.wipe(lost);
            sim.net.heal();
            sim.isolate(next);
            sim.start(lost).await;
            for attempt in 0..10 {
                let answer = sim.propose(old, request(1000 + attempt, write(0, 999))).await;
                assert!(answer.is_err(), "seed {seed}: {answer:?}");
                sleep(SECOND).await;
            }
            sim.net.heal();
            let leader = sim.leader(20 * SECOND).await;
            let state = sim.plane(leader).read_state().await.expect("a quorum");
            assert_eq!(register(&state, 0), number, "seed {seed}: what was acknowledged is there");
            let settled = || (!sim.plane(lost).consensus.is_newcomer()).then_some(());
            sim.until("it takes part in full", 10 * SECOND, settled).await;
        });
    }
}

/// Restarted before it has caught up, it still does not know what it helped to commit.
#[test]
fn a_voter_that_lost_its_disk_stays_careful_across_restarts_and_settles_when_it_has_caught_up() {
    run(11, async {
        let mut sim = Sim::founded(11, 3).await;
        let leader = sim.leader(SECOND).await;
        let lost = sim.ids().into_iter().find(|id| *id != leader).expect("others");
        sim.until("settled", 5 * SECOND, || (!sim.plane(lost).consensus.is_newcomer()).then_some(())).await;
        sim.kill(lost, 0);
        sim.start(lost).await;
        assert!(!sim.plane(lost).consensus.is_newcomer(), "a settled member stays settled");
        sim.kill(lost, 0);
        sim.wipe(lost);
        sim.isolate(lost);
        for _ in 0..2 {
            sim.start(lost).await;
            sleep(5 * SECOND).await;
            assert!(sim.plane(lost).consensus.is_newcomer(), "it has heard nobody");
            sim.kill(lost, 1);
        }
        sim.net.heal();
        sim.start(lost).await;
        sim.until("settled again", 10 * SECOND, || (!sim.plane(lost).consensus.is_newcomer()).then_some(())).await;
    });
}
