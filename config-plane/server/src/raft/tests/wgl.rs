//! Is there an order of these operations on registers, each within the time that it took, in which every read sees the last
//! write? The search of Wing and Gong, with Lowe's memory of what was tried in vain.
//!
//! The crates that do this come with benchmarks, random numbers and regular expressions in their dependencies; a register needs
//! a hundred lines.

use std::collections::{BTreeMap, HashSet};

/// One operation of a client.
#[derive(Debug, Clone)]
pub(super) struct Op {
    pub(super) register: usize,
    pub(super) what: What,
    pub(super) called: u64,
    /// `None`: nobody knows what became of it. It happened at any time after the call, or never.
    pub(super) returned: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Write(u64),
    /// And what it saw; a register begins as 0.
    Read(u64),
}

/// `Err`: there is no such order; with the longest one that was found.
pub(super) fn check(history: &[Op]) -> Result<(), String> {
    let mut registers: BTreeMap<usize, Vec<&Op>> = BTreeMap::new();
    for op in history {
        registers.entry(op.register).or_default().push(op);
    }
    for (register, mut ops) in registers {
        ops.sort_by_key(|op| op.called);
        let mut search =
            Search { done: vec![0; ops.len().div_ceil(64)], ops, tried: HashSet::new(), longest: Vec::new() };
        if !search.from(0, &mut Vec::new()) {
            let order: Vec<&Op> = search.longest.iter().map(|at| search.ops[*at]).collect();
            let left = (0..search.ops.len()).filter(|at| !search.longest.contains(at)).map(|at| search.ops[at]);
            let left: Vec<&Op> = left.take(5).collect();
            return Err(format!("register {register}: after {order:#?} none of {left:#?} is possible"));
        }
    }
    Ok(())
}

struct Search<'a> {
    ops: Vec<&'a Op>,
    /// Bit by bit: what has its place in the order.
    done: Vec<u64>,
    /// What was done and what the register held, where nothing came of it.
    tried: HashSet<(Vec<u64>, u64)>,
    longest: Vec<usize>,
}

impl Search<'_> {
    fn is_done(&self, at: usize) -> bool {
        self.done[at / 64] & (1 << (at % 64)) != 0
    }

    /// Whether the rest can be ordered, when the register holds this.
    fn from(&mut self, holds: u64, order: &mut Vec<usize>) -> bool {
        let left: Vec<usize> = (0..self.ops.len()).filter(|at| !self.is_done(*at)).collect();
        let Some(first_return) = left.iter().filter_map(|at| self.ops[*at].returned).min() else {
            // What nobody has an answer to need not have happened.
            return true;
        };
        if order.len() > self.longest.len() {
            self.longest.clone_from(order);
        }
        if !self.tried.insert((self.done.clone(), holds)) {
            return false;
        }
        for at in left {
            let op = self.ops[at];
            if op.called > first_return {
                break;
            }
            let after = match op.what {
                What::Write(value) => value,
                What::Read(saw) if saw == holds => holds,
                What::Read(_) => continue,
            };
            self.done[at / 64] |= 1 << (at % 64);
            order.push(at);
            if self.from(after, order) {
                return true;
            }
            order.pop();
            self.done[at / 64] &= !(1 << (at % 64));
        }
        false
    }
}

#[test]
fn orders_that_exist_are_found_and_those_that_do_not_are_not() {
    let op =
        |what, called, returned: u64| Op { register: 0, what, called, returned: (returned > 0).then_some(returned) };
    use What::{Read, Write};
    let possible: [&[Op]; 5] = [
        &[],
        &[op(Write(1), 0, 1), op(Read(1), 2, 3)],
        // At the same time: the read may come first.
        &[op(Write(1), 0, 5), op(Read(0), 1, 2), op(Read(1), 3, 4)],
        // Without an answer: it comes to pass later, or never.
        &[op(Write(1), 0, 1), op(Write(2), 2, 0), op(Read(1), 3, 4), op(Read(2), 5, 6)],
        &[op(Write(1), 0, 1), op(Write(2), 2, 0), op(Read(1), 3, 4)],
    ];
    for history in possible {
        check(history).expect("there is an order");
    }
    let impossible: [&[Op]; 5] = [
        // A stale read.
        &[op(Write(1), 0, 1), op(Read(0), 2, 3)],
        // A write that was acknowledged and is gone.
        &[op(Write(1), 0, 1), op(Write(2), 2, 3), op(Read(1), 4, 5)],
        // What nobody wrote.
        &[op(Read(7), 0, 1)],
        // Two readers disagree about the order.
        &[op(Write(1), 0, 9), op(Read(1), 1, 2), op(Read(0), 3, 4)],
        // Undone after it was seen.
        &[op(Write(1), 0, 1), op(Write(2), 2, 0), op(Read(2), 3, 4), op(Read(1), 5, 6)],
    ];
    for history in impossible {
        assert!(check(history).is_err(), "{history:?}");
    }
}
