//! What is promised, in a second writing, and what is kept to check it.

use traffic::Policy;

use super::{
    scenario::{Action, FAULT_AT_MS, FAULT_ENDS_MS, Kind, STORM_ENDS_MS, Scenario},
    world::Outcomes,
};
use crate::{Promise, Violation};

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A request goes to a member that is listed, ready and not draining; in panic to one that was ready once.
    NobodyWhoMustNotBe,
    /// What is under way is counted as it is.
    CountsAreTrue,
    /// As long as there is a member that was ready once and does not drain, a request is sent.
    AlwaysSent,
    /// Nobody is ejected when that leaves fewer than half, or none.
    NeverTheLast,
    /// A route that fails everywhere ejects nobody. One that hangs may, but only where the last three requests of a
    /// member were its.
    NobodyIsBlamedForARoute,
    /// Retries stay within a fifth of the requests and ten a second.
    RetriesWithinBudget,
    /// Two seconds after one worker fell ill, 99.9 % of the requests succeed again (peak-EWMA; 99 % where a worker has
    /// fewer than fifteen requests a second).
    SucceedsSoon,
    /// Two seconds after one worker fell ill, or a route broke everywhere, the 99th percentile is below twice what it
    /// was without that (peak-EWMA).
    QuickSoon,
    /// A new worker gets a small share at first, and in the end a whole one.
    RampIsKept,
    /// A reload costs nobody a request.
    ReloadsAreFree,
    /// When everything is well again, everything is as if nothing had been.
    Recovers,
    /// Who is ejected gets nothing for a second at least, and then one request at a time.
    LeftOutIsLeftOut,
    /// A cookie's slot gets the request if its member is usable.
    CookiesAreKept,
    /// A breaker opens when half of at least twenty requests in its window failed, and when a probe failed.
    OpensInTime,
    /// It refuses nobody else.
    OpensForACause,
    /// An open breaker lets nobody through.
    OpenLetsNobodyThrough,
    /// Three probes at a time.
    ProbesAreFew,
    /// It is open for 5 s, 10 s … 60 s, and half as long again; three probes begin its ramp, which lets a tenth through at
    /// first, and all after ten seconds.
    ComesBack,
    /// What an open breaker says is when the next request is let through.
    RetryAfterIsTrue,
}

impl Promise for Rule {
    fn number(self) -> u8 {
        0
    }
}

pub(crate) type Checked = Result<(), Violation<Rule>>;

pub(crate) fn broken(rule: Rule, what: String) -> Checked {
    Err(Violation::new(rule, what))
}

/// Retries and requests in the buckets of a second, for the budget.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    requests: Vec<u64>,
    retries: Vec<u64>,
}

impl Ledger {
    pub(crate) fn request(&mut self, now_us: u64) {
        Self::add(&mut self.requests, now_us);
    }

    /// A retry, and whether it was within the budget: over ten aligned seconds, a fifth of the requests and a hundred.
    pub(crate) fn retry(&mut self, now_us: u64) -> Checked {
        Self::add(&mut self.retries, now_us);
        let sum = |counts: &Vec<u64>| counts.iter().rev().take(10).sum::<u64>();
        Self::reach(&mut self.requests, now_us);
        let (requests, retries) = (sum(&self.requests), sum(&self.retries));
        if retries * 5 > requests + 500 {
            return broken(
                Rule::RetriesWithinBudget,
                format!("{retries} retries of {requests} requests in ten seconds"),
            );
        }
        Ok(())
    }

    fn reach(counts: &mut Vec<u64>, now_us: u64) -> usize {
        let second = (now_us / 1_000_000) as usize;
        if counts.len() <= second {
            counts.resize(second + 1, 0);
        }
        second
    }

    fn add(counts: &mut Vec<u64>, now_us: u64) {
        let second = Self::reach(counts, now_us);
        counts[second] += 1;
    }
}

/// Checks at the end what only numbers show: against the same world without its faults.
pub(crate) fn compare(scenario: &Scenario, got: &Outcomes, normal: &Outcomes) -> Checked {
    let shape = &scenario.shape;
    let by_default = shape.policy == Policy::Ewma;
    let (from, to) = (FAULT_AT_MS + 2_000, FAULT_ENDS_MS);
    match shape.kind {
        kind if kind.is_one_sick() && by_default => {
            let (failed, all) = got.failures(from, to);
            // A few more than one in a thousand, since few of the worlds have many thousands. Where a worker has few
            // requests, two seconds are too short to tell one that fails half of them: one in a hundred there.
            let per_mille = if shape.rate / f64::from(shape.workers) >= 15.0 { 1 } else { 10 };
            if failed > ((all * per_mille).div_ceil(1_000) + 1).max(3) {
                return broken(Rule::SucceedsSoon, format!("{failed} of {all} failed from {from} ms to {to} ms"));
            }
            quick(Rule::QuickSoon, got, normal, from, to)
        }
        // Who calls what hangs waits in vain, and says nothing of the others.
        Kind::BuggyRoute if scenario.steps.iter().any(|step| matches!(step.action, Action::HangRoute(_))) => Ok(()),
        Kind::BuggyRoute if by_default => quick(Rule::QuickSoon, got, normal, from, to),
        Kind::Reload => {
            let (failed, all) = got.failures(0, shape.lasts_ms);
            if failed > 0 {
                return broken(Rule::ReloadsAreFree, format!("{failed} of {all} failed"));
            }
            Ok(())
        }
        // Clients with cookies stay where they are, so that times are not as they were.
        Kind::Upstream | Kind::Sticky => {
            let (from, to) = (shape.lasts_ms - 10_000, shape.lasts_ms - 1_000);
            let (failed, all) = got.failures(from, to);
            if failed > 0 {
                return broken(Rule::Recovers, format!("{failed} of {all} failed from {from} ms to {to} ms"));
            }
            Ok(())
        }
        Kind::Storm => {
            let (from, to) = (STORM_ENDS_MS + 90_000, STORM_ENDS_MS + 109_000);
            let (failed, all) = got.failures(from, to);
            if failed > 0 {
                return broken(Rule::Recovers, format!("{failed} of {all} failed from {from} ms to {to} ms"));
            }
            quick(Rule::Recovers, got, normal, from, to)
        }
        _ => Ok(()),
    }
}

/// The 99th percentile is below twice what it is without faults: no more than one in a hundred takes longer than twice that, and
/// what luck adds to that number in a world of few requests. Nothing ever changes without faults, so that all of its time is
/// looked at: the percentile of few requests is luck as well.
fn quick(rule: Rule, got: &Outcomes, normal: &Outcomes, from_ms: u64, to_ms: u64) -> Checked {
    let before = normal.percentile(0, u64::MAX / 1_000, 0.99);
    let (late, all) = got.longer_than(from_ms, to_ms, 2 * before);
    let one_percent = all as f64 / 100.0;
    if late as f64 > one_percent + 2.0 * one_percent.sqrt() {
        let now = got.percentile(from_ms, to_ms, 0.99);
        let what =
            format!("the 99th percentile is {now} µs, without faults {before} µs; {late} of {all} beyond twice that");
        return broken(rule, what);
    }
    Ok(())
}
