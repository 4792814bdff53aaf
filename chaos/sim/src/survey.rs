//! Many seeds: each world runs on one thread, and worlds side by side on as many as there are.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Coverage, Meeting, Simulation, Violation};

/// A seed that broke a promise.
#[derive(Debug, Clone)]
pub struct Failure<R> {
    /// The seed.
    pub seed: u64,
    /// When it was noticed, in simulated milliseconds.
    pub at_ms: u64,
    /// What was broken.
    pub violation: Violation<R>,
}

/// What a set of seeds came to.
#[derive(Debug)]
pub struct Survey<R, M> {
    /// How many seeds were run.
    pub seeds: u64,
    /// What they met.
    pub coverage: Coverage<M>,
    /// Those that broke a promise, by seed.
    pub failures: Vec<Failure<R>>,
    /// Simulated time of all of them, in milliseconds.
    pub simulated_ms: u64,
    /// The sum of all trace hashes: equal for equal seeds.
    pub hash: u64,
}

impl<R, M: Meeting> Default for Survey<R, M> {
    fn default() -> Self {
        Self { seeds: 0, coverage: Coverage::default(), failures: Vec::new(), simulated_ms: 0, hash: 0 }
    }
}

/// How to run a set of seeds.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// On how many threads.
    pub threads: usize,
    /// Stops beginning new seeds after so many failures.
    pub enough_failures: usize,
}

impl Default for Plan {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { threads, enough_failures: 10 }
    }
}

/// Runs all seeds; `progress` hears now and then how many are done and how many of them failed.
pub fn survey<S: Simulation>(
    simulation: &S,
    seeds: Range<u64>,
    plan: Plan,
    progress: impl Fn(u64, usize) + Sync,
) -> Survey<S::Rule, S::Met> {
    let next = AtomicU64::new(seeds.start);
    let total: Mutex<Survey<S::Rule, S::Met>> = Mutex::default();
    let lock = || total.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || lock().failures.len() >= plan.enough_failures {
                return;
            }
            let run = simulation.run(&simulation.scenario(seed), false);
            let mut total = lock();
            total.seeds += 1;
            total.coverage.join(&run.coverage);
            total.simulated_ms += run.simulated_ms;
            total.hash = total.hash.wrapping_add(run.hash);
            total.failures.extend(run.violation.map(|(at_ms, violation)| Failure { seed, at_ms, violation }));
            let (done, failed) = (total.seeds, total.failures.len());
            drop(total);
            progress(done, failed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..plan.threads {
            scope.spawn(work);
        }
        work();
    });
    let mut survey = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    survey.failures.sort_by_key(|failure| failure.seed);
    survey
}
