//! A voter that began with an empty file: a new one, or one whose disk was lost. Nobody can tell which, so it is careful until it
//! knows what it may have forgotten. Words of others in, permissions out; no clock.
//!
//! What a voter may have forgotten, and what could come of it:
//!
//! | it had | and without knowing it would | so until it is settled |
//! |---|---|---|
//! | helped to commit entries | help to elect somebody who never heard of them | it gives no vote and does not campaign |
//! | voted for a leader of a later term | take entries of the one before, and commit them with it, while the later leader commits others | it takes no entries before it has heard the terms of so many voters that one of each majority with itself in it is among them, and then only of a leader whose term is not below |
//!
//! With three voters those are both others, with five three of four. A candidate may have had its vote and be waiting for more: so
//! only terms count that are heard after the longest election timeout from the start has passed.
//!
//! It is settled once it has applied all that a leader said was committed. The file remembers that it is not, across restarts.
//!
//! A group that is just being made has nothing to forget. So a vote is given to a candidate whose log holds only the members, and
//! what a leader sends before anything was asked for or committed is taken; whoever got the first entry that way is settled with
//! it. Where all who were asked have bare logs, everything is allowed.

use std::collections::{BTreeMap, BTreeSet};

/// What a newcomer has heard.
#[derive(Debug)]
pub(crate) struct Newcomer {
    own: u64,
    voters: BTreeSet<u64>,
    heard: BTreeMap<u64, Heard>,
}

#[derive(Debug)]
struct Heard {
    term: u64,
    bare: bool,
}

impl Newcomer {
    /// Among these voters.
    pub(crate) fn new(own: u64, voters: BTreeSet<u64>) -> Self {
        Self { own, voters, heard: BTreeMap::new() }
    }

    /// A voter's present term, and whether its log holds nothing that was asked for.
    pub(crate) fn hear(&mut self, member: u64, term: u64, bare: bool) {
        if member != self.own && self.voters.contains(&member) {
            self.heard.insert(member, Heard { term, bare });
        }
    }

    /// Whether entries of a leader of this term may be taken.
    pub(crate) fn may_follow(&self, term: u64) -> bool {
        self.heard_enough() && self.heard.values().all(|heard| heard.term <= term)
    }

    /// Whether the whole group is as new.
    pub(crate) fn is_among_newcomers(&self) -> bool {
        self.heard_enough() && self.heard.values().all(|heard| heard.bare)
    }

    /// Whether each majority that this member may have been part of has somebody among those heard.
    fn heard_enough(&self) -> bool {
        let count = self.voters.len();
        let others = count.saturating_sub(1);
        self.heard.len() >= (count - count / 2).min(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomer(voters: u64, heard: &[(u64, u64)]) -> Newcomer {
        let mut newcomer = Newcomer::new(1, (1..=voters).collect());
        for (member, term) in heard {
            newcomer.hear(*member, *term, false);
        }
        newcomer
    }

    #[test]
    fn entries_are_taken_once_enough_terms_are_known_and_of_the_highest_of_them() {
        let check = |voters, heard: &[(u64, u64)], term, want| {
            assert_eq!(newcomer(voters, heard).may_follow(term), want, "{voters} voters, {heard:?}, term {term}");
        };
        check(3, &[], 9, false);
        check(3, &[(2, 1)], 9, false);
        check(3, &[(2, 1), (3, 2)], 1, false);
        check(3, &[(2, 1), (3, 2)], 2, true);
        check(3, &[(2, 1), (3, 2)], 3, true);
        check(3, &[(2, 1), (1, 1), (7, 1)], 9, false);
        check(5, &[(2, 1), (3, 1)], 1, false);
        check(5, &[(2, 1), (3, 1), (4, 1)], 1, true);
        check(5, &[(2, 1), (3, 1), (4, 2)], 1, false);
        check(1, &[], 0, true);
    }

    #[test]
    fn every_majority_with_the_newcomer_in_it_has_somebody_who_was_heard() {
        for voters in [3_u64, 5, 7] {
            for heard in 0..1_u64 << voters {
                let told: Vec<(u64, u64)> =
                    (2..=voters).filter(|id| heard >> (id - 1) & 1 == 1).map(|id| (id, 1)).collect();
                let silent = (voters - 1) as usize - told.len();
                // Those who were not heard, and the newcomer: are they a majority?
                let blind = silent + 1 > voters as usize / 2;
                assert_eq!(newcomer(voters, &told).may_follow(1), !blind, "{voters} voters, {told:?}");
            }
        }
    }

    #[test]
    fn a_group_is_new_if_all_who_were_asked_are() {
        let mut newcomer = newcomer(3, &[]);
        newcomer.hear(2, 0, true);
        assert!(!newcomer.is_among_newcomers(), "one of two");
        newcomer.hear(3, 0, true);
        assert!(newcomer.is_among_newcomers());
        newcomer.hear(3, 0, false);
        assert!(!newcomer.is_among_newcomers());
    }
}
