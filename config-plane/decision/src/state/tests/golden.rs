//! Logs as they lie on disks, each entry with the hash of the state that it must leave behind.
//!
//! INVARIANT: the same log gives bit-equal state and Plans on all members and versions N, N+1. So these files are never
//! regenerated: a change of what `apply` makes of an entry begins a new generation of guards, and a new file.

use std::fmt::Write as _;

use expect_test::{ExpectFile, expect_file};

use super::super::*;

/// FNV-1a, 64 bit: enough to tell two states apart, and in ten lines for ever the same.
fn hash(state: &PlaneState) -> u64 {
    let bytes = serde_json::to_vec(state).unwrap();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Replays lines of `INDEX HASH OUTCOME REQUEST`, and writes them back with what came of each.
fn replay(text: &str, golden: &ExpectFile) {
    let (mut state, mut out) = (PlaneState::new(), String::new());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let index = words.next().unwrap().parse().expect("INDEX");
        let request = words.nth(2).expect("INDEX HASH OUTCOME REQUEST");
        let entry: Request = serde_json::from_str(request).expect("a request of this log");
        let outcome = match state.apply(index, &entry) {
            Outcome::Applied(_) => "applied",
            Outcome::Unchanged(_) => "unchanged",
            Outcome::Refused(_) => "refused",
        };
        writeln!(out, "{index} {:016x} {outcome} {request}", hash(&state)).unwrap();
    }
    golden.assert_eq(&out);
}

#[test]
fn the_same_log_gives_bit_equal_state_log_of_generation_0() {
    replay(include_str!("../../../testdata/log-0.txt"), &expect_file!["../../../testdata/log-0.txt"]);
}

#[test]
fn the_same_log_gives_bit_equal_state_log_of_generation_1() {
    replay(include_str!("../../../testdata/log-1.txt"), &expect_file!["../../../testdata/log-1.txt"]);
}

#[test]
fn the_same_log_gives_bit_equal_state_log_of_generation_2() {
    replay(include_str!("../../../testdata/log-2.txt"), &expect_file!["../../../testdata/log-2.txt"]);
}

#[test]
fn the_same_log_gives_bit_equal_state_log_of_generation_3() {
    replay(include_str!("../../../testdata/log-3.txt"), &expect_file!["../../../testdata/log-3.txt"]);
}
