//! Each line of a table is a machine with `down_after` 3 and `up_after` 4: results as `.` (good), `p` (poor) and `x` (failed) go in,
//! votes as `u` (Up), `g` (Degraded), `d` (Down) and `?` (Unknown) come out.

use model::{RegionName, Subject, Vote};

use super::*;
use crate::VoteBook;

fn finding(result: char) -> Finding {
    match result {
        '.' => Finding::Good,
        'p' => Finding::Poor,
        _ => Finding::Failed,
    }
}

fn check(results: &str, votes: &str) {
    let mut machine = ProbeMachine::new(3, 4);
    let seen: String = results
        .chars()
        .enumerate()
        .map(|(i, result)| match machine.observe(i as u64, finding(result)) {
            Vote::Up => 'u',
            Vote::Degraded => 'g',
            Vote::Down => 'd',
            _ => '?',
        })
        .collect();
    assert_eq!(seen, votes, "after {results}");
}

#[test]
fn the_first_success_makes_it_up_and_only_a_full_count_of_failures_makes_it_down() {
    check(".", "u");
    check("x.", "?u");
    check("xxx", "??d");
    check("xx.xxx", "??uuud");
}

#[test]
fn failures_need_not_be_in_a_row_but_enough_successes_clear_their_count() {
    check(".xxx", "uuud");
    check(".x.x.x", "uuuuud");
    check(".x..x..x", "uuuuuuud");
    check(".x...xx...xx...", "uuuuuuuuuuuuuuu");
}

#[test]
fn poor_results_degrade_it_and_only_good_ones_in_a_row_bring_it_back() {
    check(".ppp", "uuug");
    check(".pp.p", "uuuug");
    check(".pp...p", "uuuuuuu");
    check("ppp...p....", "uuggggggggu");
    check("pppxxx", "uugggd");
    check("pppxxx....", "uugggddddu");
}

#[test]
fn down_ends_with_successes_in_a_row_only() {
    check("xxx....", "??ddddu");
    check("xxx...x...x....", "??ddddddddddddu");
}

#[test]
fn the_bad_streak_keeps_the_start_of_its_first_failure() {
    let mut machine = ProbeMachine::new(3, 2);
    for (at, ok, since) in [
        (10, true, None),
        (20, false, Some(20)),
        (30, true, Some(20)),
        (40, false, Some(20)),
        (50, false, Some(20)),
        (60, true, Some(20)),
        (70, true, None),
    ] {
        machine.observe(at, if ok { Finding::Good } else { Finding::Failed });
        assert_eq!(machine.failing_since_ms(), since, "at {at}");
    }
}

#[test]
fn the_distance_to_a_change_shrinks_with_each_result_towards_it() {
    let mut machine = ProbeMachine::new(3, 4);
    let mut distances = vec![machine.results_until_change()];
    for ok in [true, false, false, false, true, true] {
        machine.observe(0, if ok { Finding::Good } else { Finding::Failed });
        distances.push(machine.results_until_change());
    }
    assert_eq!(distances, [1, 3, 2, 1, 4, 3, 2]);
}

fn subject(name: &str) -> Subject {
    Subject::Region(RegionName::new(name).unwrap())
}

fn timing() -> Timing {
    Timing::of(model::Profile::Default, &model::Check::default())
}

#[test]
fn an_observer_that_fails_its_own_control_has_no_opinion() {
    let mut observer = Observer::new(RegionName::new("us").unwrap(), 7);
    observer.watch([(subject("eu"), timing()), (subject("ap"), timing())]);
    observer.observe(&subject("eu"), 1, Finding::Good);
    assert_eq!(observer.vector(9, true).votes[&subject("eu")], Vote::Up);
    let blind = observer.vector(9, false);
    assert_eq!(blind.votes.len(), 2, "a vector always has every subject");
    assert!(blind.votes.values().all(|vote| *vote == Vote::Unknown));
    assert_eq!((blind.epoch_ms, blind.seq), (7, 2));
}

#[test]
fn an_observer_tells_what_it_never_saw_stand_and_how_long_things_have_failed_by_its_own_clock() {
    let mut observer = Observer::new(RegionName::new("us").unwrap(), 7);
    observer.watch([(subject("eu"), timing()), (subject("ap"), timing())]);
    observer.observe(&subject("eu"), 1000, Finding::Good);
    for started_ms in (1500..).step_by(500).take(timing().down_after as usize) {
        observer.observe(&subject("eu"), started_ms, Finding::Failed);
        observer.observe(&subject("ap"), started_ms, Finding::Failed);
    }
    let vector = observer.vector(9000, true);
    assert_eq!((vector.votes[&subject("eu")], vector.votes[&subject("ap")]), (Vote::Down, Vote::Down));
    assert_eq!(vector.never_up, [subject("ap")].into());
    // Whoever hears of it may have another clock.
    let mut book = VoteBook::default();
    book.offer(5, 1500, vector);
    let (us, all) = (RegionName::new("us").unwrap(), ["us", "eu", "ap"].map(|name| RegionName::new(name).unwrap()));
    let counting = book.counting(5, 1500, &all.into());
    assert_eq!(counting.failing_for_ms(&us, &subject("eu")), 7500);
    assert!(counting.saw_it_fall(&us, &subject("eu")) && !counting.saw_it_fall(&us, &subject("ap")));
    assert_eq!(observer.vector(9500, false).never_up, [].into(), "of what it has no opinion on it says nothing");
    (0..timing().up_after).for_each(|_| _ = observer.observe(&subject("ap"), 3000, Finding::Good));
    (0..timing().down_after).for_each(|_| _ = observer.observe(&subject("ap"), 4000, Finding::Failed));
    let vector = observer.vector(9900, true);
    assert_eq!((vector.votes[&subject("ap")], vector.never_up.len()), (Vote::Down, 0), "it has seen it stand since");
}

#[test]
fn a_new_list_of_subjects_keeps_what_is_known_of_the_old_ones() {
    let mut observer = Observer::new(RegionName::new("us").unwrap(), 7);
    observer.watch([(subject("eu"), timing()), (subject("ap"), timing())]);
    observer.observe(&subject("eu"), 1, Finding::Good);
    observer.watch([(subject("eu"), timing()), (subject("sa"), timing())]);
    let vector = observer.vector(9, true);
    assert_eq!(vector.votes[&subject("eu")], Vote::Up);
    assert_eq!(vector.votes[&subject("sa")], Vote::Unknown);
    assert_eq!(
        observer.observe(&subject("ap"), 2, Finding::Good),
        Vote::Unknown,
        "a late answer of a subject that is gone"
    );
}

/// gdnsd's `gdnsd_mon_state_updater` (src/plugins/mon.c, version 3.8), written down as it is there: the oracle of our machine.
#[derive(Clone, Copy)]
struct Gdnsd {
    down: bool,
    failures: u32,
    successes: u32,
}

impl Gdnsd {
    fn observe(&mut self, ok: bool, down_thresh: u32, up_thresh: u32) {
        // What gdnsd calls `ok_thresh` is `down_thresh` with us.
        let ok_thresh = down_thresh;
        match (self.down, ok) {
            (true, true) => {
                self.successes += 1;
                if self.successes == up_thresh {
                    *self = Self { down: false, failures: 0, successes: 0 };
                }
            }
            (true, false) => self.successes = 0,
            (false, true) if self.failures > 0 => {
                self.successes += 1;
                if self.successes == ok_thresh {
                    (self.failures, self.successes) = (0, 0);
                }
            }
            (false, true) => {}
            (false, false) => {
                self.successes = 0;
                self.failures += 1;
                if self.failures == down_thresh {
                    *self = Self { down: true, failures: 0, successes: 0 };
                }
            }
        }
    }

    /// Its TTL, in intervals.
    fn until_change(self, down_thresh: u32, up_thresh: u32) -> u32 {
        if self.down { up_thresh - self.successes } else { down_thresh - self.failures }
    }
}

/// Every sequence of results up to a length that leads through each state and back, for every pair of small thresholds. It begins
/// with a success: a failed first probe makes gdnsd DOWN at once and us Unknown, since an observer that has just started knows
/// nothing yet, and others do.
#[test]
fn every_sequence_of_results_ends_as_with_gdnsd() {
    const LENGTH: u32 = 13;
    for (down_after, up_after) in (1..=4).flat_map(|down| (1..=4).map(move |up| (down, up))) {
        for sequence in 0..1_u32 << LENGTH {
            let mut ours = ProbeMachine::new(down_after, up_after);
            ours.observe(0, Finding::Good);
            let mut theirs = Gdnsd { down: false, failures: 0, successes: 0 };
            for nth in 0..LENGTH {
                let ok = sequence >> nth & 1 == 1;
                let vote = ours.observe(0, if ok { Finding::Good } else { Finding::Failed });
                theirs.observe(ok, down_after, up_after);
                let place = || format!("{sequence:013b} at {nth}, down after {down_after}, up after {up_after}");
                assert_eq!(vote == Vote::Down, theirs.down, "{}", place());
                assert_eq!(ours.results_until_change(), theirs.until_change(down_after, up_after), "{}", place());
            }
        }
    }
}
