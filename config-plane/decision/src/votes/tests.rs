//! What votes add up to: whom they ask for, who is believed, and what users ask of the regions.

use super::*;
use crate::{
    PlaneState,
    testkit::{decide, founded, name, plan, request},
};

const FIVE: [&str; 5] = ["ap", "eu", "sa", "us", "uw"];

fn tally(up: usize, degraded: usize, down: usize) -> Tally {
    Tally {
        votes: BTreeMap::new(),
        qualified: up + degraded + down,
        sight: 2,
        up,
        degraded,
        down,
        first_probe_ms: None,
    }
}

#[test]
fn two_thirds_ask_for_a_verdict_and_worse_or_better_votes_go_along_with_the_careful_one() {
    use Verdict::{Degraded, Down, Up};
    let table = [
        ((0, 0, 3), [Some(Down), Some(Down), None]),
        ((3, 0, 0), [None, Some(Up), Some(Up)]),
        ((0, 3, 0), [Some(Degraded), None, Some(Degraded)]),
        ((1, 1, 1), [Some(Degraded), None, Some(Degraded)]),
        ((2, 1, 0), [None, Some(Up), Some(Up)]),
        ((1, 2, 0), [Some(Degraded), None, Some(Degraded)]),
        ((1, 0, 2), [Some(Down), Some(Down), None]),
        ((2, 0, 2), [None, None, None]),
        ((0, 1, 0), [None, None, None]),
    ];
    for ((up, degraded, down), wanted) in table {
        let tally = tally(up, degraded, down);
        assert_eq!(
            [Up, Degraded, Down].map(|now| tally.wants(now)),
            wanted,
            "{up} up, {degraded} degraded, {down} down"
        );
    }
}

fn heard(book: &mut VoteBook, at_ms: u64, observer: &str, loads: &[(&str, u32)]) {
    let load_rps = loads.iter().map(|(region, rps)| (name(region), *rps)).collect();
    let vector = VoteVector { load_rps, ..VoteVector::new(name(observer), 1, at_ms, BTreeMap::new()) };
    assert!(book.offer(at_ms, 1500, vector));
}

#[test]
fn a_regions_load_is_the_median_of_what_was_heard_and_stays_known_as_long_as_users_are_sent_there() {
    let mut book = VoteBook::default();
    heard(&mut book, 1000, "ap", &[("eu", 100), ("us", 10)]);
    heard(&mut book, 1100, "us", &[("eu", 120), ("us", 12)]);
    heard(&mut book, 1200, "sa", &[("eu", 9_999_999)]);
    let mut state = founded(&FIVE);
    let demand = |book: &VoteBook, state: &PlaneState| {
        book.demand(&plan(state)).iter().map(|(region, rps)| format!("{region}={rps}")).collect::<Vec<_>>()
    };
    assert_eq!(demand(&book, &state), ["eu=120", "us=10"], "one that exaggerates is not the median");
    heard(&mut book, 3_600_000, "ap", &[("us", 50)]);
    assert_eq!(demand(&book, &state), ["eu=120", "us=50"], "a silent region's users are still there");
    state.apply(2, &request(2, decide(&state, "eu", Verdict::Down)));
    assert_eq!(demand(&book, &state), ["us=50"], "and not any more once they are sent elsewhere");
}
