//! The tables of conflicts in `testdata/`, line by line, over two to five regions and one that only listens.

use std::collections::BTreeSet;

use crate::support::{Region, START_MS, deliver, parse, show};

const OURS: &str = include_str!("testdata/conflicts.txt");
const GOLDEN: &str = include_str!("testdata/redis_enterprise.txt");
const MANUAL: &str = include_str!("../../../../docs/state.md");

/// The most regions that a case may have.
const MOST: usize = 5;

/// Orders in which changes reach the regions; each case is played in all of them.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Each region hears the others from its neighbour on.
    Round,
    /// Everybody hears the last region first.
    Backwards,
    /// Everybody hears the first region first, and all that it heard before, twice.
    Twice,
    /// The regions hear everything from one of them, which heard it from the others: by catch-up.
    Relayed,
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn check(line: &str) {
    for order in [Order::Round, Order::Backwards, Order::Twice, Order::Relayed] {
        play(line, order);
    }
}

/// `A commands ∥ B commands ∥ … → question = answer ; …`, stages joined by `⇒`. Everybody hears everything after each stage.
fn play(line: &str, order: Order) {
    let (name, stages) = line.split_once(": ").unwrap_or_else(|| panic!("no name: {line}"));
    let writers = stages.split('⇒').map(|stage| stage.matches('∥').count() + 1).max().unwrap_or(1).max(2);
    assert!(writers <= MOST, "{name}: {writers} regions");
    let mut regions: Vec<Region> = (0..=writers).map(Region::new).collect();
    for stage in stages.split('⇒') {
        let (commands, answers) = stage.split_once('→').unwrap_or((stage, ""));
        for (region, commands) in commands.split('∥').enumerate() {
            for command in parts(commands) {
                let (command, reply) = command.split_once(" gives ").map_or((command, None), |(c, r)| (c, Some(r)));
                let (command, wall_ms) = timed(command);
                let got = regions[region].run(command, wall_ms);
                assert!(reply.is_none_or(|reply| reply == got), "{name}: {command} gave {got}\n{line}");
            }
        }
        sync(&mut regions, order);
        for answer in parts(answers) {
            let (question, expected) = answer.split_once('=').unwrap_or_else(|| panic!("no answer: {answer}"));
            let (question, wall_ms) = timed(question.trim());
            for (at, region) in regions.iter_mut().enumerate() {
                let got = show(region.read(&parse(question), wall_ms));
                assert_eq!(got, expected.trim(), "{name}, region {at}, {order:?}: {question}\n{line}");
            }
        }
        let digests: BTreeSet<u64> = regions.iter().map(|region| region.partition.digest()).collect();
        assert_eq!(digests.len(), 1, "{name}, {order:?}: digests differ\n{line}");
    }
}

/// Everything to everybody.
fn sync(regions: &mut [Region], order: Order) {
    let count = regions.len();
    match order {
        Order::Round => each_pair(count, |to, step| deliver(regions, (to + step) % count, to)),
        Order::Backwards => each_pair(count, |to, step| deliver(regions, (to + count - step) % count, to)),
        Order::Twice => {
            for _ in 0..2 {
                each_pair(count, |to, step| deliver(regions, if step > to { step } else { step - 1 }, to));
            }
        }
        Order::Relayed => {
            for from in 1..count {
                deliver(regions, from, 0);
            }
            for to in 1..count {
                let lack = regions[0].partition.catch_up_since(regions[to].partition.vv());
                let stamps: Vec<_> = regions.iter().flat_map(|region| &region.made).map(|delta| delta.hlc).collect();
                for stamp in stamps {
                    regions[to].clock.observe(stamp, stamp.ms());
                }
                regions[to].partition.apply_catch_up(&lack).unwrap();
            }
        }
    }
}

fn each_pair(count: usize, mut visit: impl FnMut(usize, usize)) {
    (0..count).for_each(|to| (1..count).for_each(|step| visit(to, step)));
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty())
}

/// `command @n` runs n milliseconds after the start.
fn timed(command: &str) -> (&str, u64) {
    match command.rsplit_once('@') {
        Some((command, at)) => (command.trim(), START_MS + at.trim().parse::<u64>().unwrap()),
        None => (command, START_MS),
    }
}

/// Invariants 9 and 10: the tables of types and deadlines, over every order of delivery.
#[test]
fn concurrent_writes_end_as_the_table_says() {
    assert!(lines(OURS).count() > 50);
    lines(OURS).for_each(check);
}

/// Invariant 10: the documented results of Redis Enterprise, and where we differ, that we do.
#[test]
fn the_golden_table_holds_and_its_exceptions_are_in_the_manual() {
    let mut covered = BTreeSet::new();
    let mut differing = BTreeSet::new();
    for line in lines(GOLDEN) {
        let rule = line.split(' ').next().unwrap();
        covered.insert(rule.trim_end_matches('≠'));
        if rule.ends_with('≠') {
            differing.insert(rule.trim_end_matches('≠'));
        }
        check(line);
    }
    let wanted = ["S1", "S2", "S3", "H1", "H2", "T1", "Z1", "Z2", "Z3", "Z4", "L1", "L2", "L3", "P1", "E1", "E2", "D1"];
    assert_eq!(covered, BTreeSet::from(wanted));
    let section = MANUAL.split("## Differences from Redis Enterprise").nth(1).unwrap();
    let rows = section.lines().take_while(|line| !line.starts_with("## ")).filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(differing, listed, "rules that the golden table marks with ≠, and those that the manual explains");
}
