//! `atoll sim`: runs seeds of the deterministic simulation, says what they covered, and shows the shortest way into whatever
//! they break.

use std::{
    fs,
    io::IsTerminal,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use chaos_sim::{
    Failure, Meeting, Plan, Promise, Shortened, Simulation, Survey,
    decision::{self, DecisionSim},
    shorten,
    state::{self, StateSim},
    survey,
};
use serde::Serialize;

use crate::{
    cli::{SeedArgs, SimArgs, SimWhat, WorldArgs},
    exit::Exit,
    output::{self, Paint, Table},
};

/// How long may be spent on making a failing seed shorter.
const SHORTEN_WITHIN: Duration = Duration::from_secs(30);
/// On a terminal, and in a file.
const PROGRESS_EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

pub(crate) fn run_verb(args: &SimArgs, world: &WorldArgs) -> anyhow::Result<Exit> {
    match &args.what {
        SimWhat::State(args) => {
            let flags = flag("regions", args.regions) + &flag("plant", args.plant.map(state::Plant::name));
            let simulation = StateSim { regions: args.regions, plant: args.plant };
            play(&simulation, &args.seeds, &format!("state{flags}"), world.json)
        }
        SimWhat::Decision(args) => {
            let hours = Some(args.hours).filter(|hours| *hours != DecisionSim::HOURS);
            let flags = flag("regions", args.regions)
                + &flag("hours", hours)
                + &flag("plant", args.plant.map(decision::Plant::name));
            let (regions, hours, plant) = (args.regions, args.hours, args.plant);
            let simulation = DecisionSim { regions, hours, plant, ..DecisionSim::default() };
            play(&simulation, &args.seeds, &format!("decision{flags}"), world.json)
        }
    }
}

/// ` --NAME VALUE`, or nothing.
fn flag(name: &str, value: Option<impl std::fmt::Display>) -> String {
    value.map(|value| format!(" --{name} {value}")).unwrap_or_default()
}

/// Runs the seeds of one kind of world; `what` is what was asked for, as it is written on the command line.
fn play<S: Simulation>(simulation: &S, args: &SeedArgs, what: &str, json: bool) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let seeds = args.seeds.0.clone();
    let found = survey(simulation, seeds.clone(), Plan::default(), progress(seeds.end - seeds.start));
    let shortest = found.failures.first().map(|failure| shorten_one(simulation, failure));
    if let Some(path) = &args.trace {
        write_trace(simulation, path, &args.seeds, shortest.as_ref())?;
    }
    let steps = shortest.map(|shortest| simulation.steps(&shortest.scenario).iter().map(ToString::to_string).collect());
    let report = Report::of(&found, steps.unwrap_or_default(), &args.seeds, what, began.elapsed());
    if json {
        output::say_json(&report)?;
    } else {
        report.print();
    }
    Ok(if found.failures.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Says how far it is, and how long the rest will take: on a terminal once a second, elsewhere a line a minute.
fn progress(total: u64) -> impl Fn(u64, usize) + Sync {
    let terminal = std::io::stderr().is_terminal();
    let began = Instant::now();
    let last = Mutex::new(began);
    move |done, failed| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = done == total;
        if !(ends && terminal) && last.elapsed() < PROGRESS_EVERY[usize::from(!terminal)] {
            return;
        }
        *last = Instant::now();
        let left = began.elapsed().mul_f64((total - done) as f64 / done.max(1) as f64);
        let left = format!("{done} of {total} seeds, {failed} failed, about {} s left", left.as_secs());
        if terminal {
            eprint!("\r\x1b[K{left}{}", if ends { "\n" } else { "" });
        } else {
            eprintln!("{left}");
        }
    }
}

fn shorten_one<S: Simulation>(simulation: &S, failure: &Failure<S::Rule>) -> Shortened<S> {
    let until = Instant::now() + SHORTEN_WITHIN;
    shorten(simulation, &simulation.scenario(failure.seed), failure.violation.rule, || Instant::now() < until)
}

/// The trace of the shortest failure, or of the first seed where nothing failed.
fn write_trace<S: Simulation>(
    simulation: &S,
    path: &PathBuf,
    seeds: &Seeds,
    shortest: Option<&Shortened<S>>,
) -> anyhow::Result<()> {
    let first;
    let lines = match shortest {
        Some(shortest) => &shortest.run.lines,
        None => {
            first = simulation.run(&simulation.scenario(seeds.0.start), true);
            &first.lines
        }
    };
    let mut text = lines.join("\n");
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write the trace to {}", path.display()))
}

/// What a set of seeds came to, for people and programs.
#[derive(Debug, Serialize)]
struct Report {
    seeds: u64,
    /// Seeds that were not run any more, since enough had failed.
    left_out: u64,
    failed: Vec<Broken>,
    /// Why the first failing seed fails, in as few steps as could be found.
    shortest: Vec<String>,
    /// The command that runs the first failing seed again.
    repeat: Option<String>,
    coverage: Vec<Covered>,
    never_met: Vec<&'static str>,
    simulated_s: u64,
    took_ms: u64,
    /// Equal for equal seeds and equal code.
    trace_hash: String,
}

#[derive(Debug, Serialize)]
struct Broken {
    seed: u64,
    at_ms: u64,
    rule: String,
    invariant: u8,
    what: String,
}

#[derive(Debug, Serialize)]
struct Covered {
    group: &'static str,
    what: &'static str,
    times: u64,
}

impl Report {
    fn of<R: Promise, M: Meeting>(
        found: &Survey<R, M>,
        shortest: Vec<String>,
        seeds: &Seeds,
        what: &str,
        took: Duration,
    ) -> Self {
        let broken = |failure: &Failure<R>| Broken {
            seed: failure.seed,
            at_ms: failure.at_ms,
            rule: format!("{:?}", failure.violation.rule),
            invariant: failure.violation.rule.number(),
            what: failure.violation.what.clone(),
        };
        let covered = |met: &M| Covered { group: met.group(), what: met.text(), times: found.coverage.of(*met) };
        Self {
            seeds: found.seeds,
            left_out: (seeds.0.end - seeds.0.start).saturating_sub(found.seeds),
            failed: found.failures.iter().map(broken).collect(),
            shortest,
            repeat: found.failures.first().map(|failure| repeat(what, failure.seed)),
            coverage: M::ALL.iter().map(covered).collect(),
            never_met: found.coverage.missing().into_iter().map(M::text).collect(),
            simulated_s: found.simulated_ms / 1000,
            took_ms: took.as_millis() as u64,
            trace_hash: format!("{:016x}", found.hash),
        }
    }

    fn print(&self) {
        let paint = Paint::for_stdout();
        let mut table = Table::default();
        for covered in &self.coverage {
            let times = covered.times.to_string();
            let times = if covered.times == 0 { paint.warn(&times) } else { times };
            table.row(vec![paint.dim(covered.group), covered.what.to_owned(), times]);
        }
        output::say(table.to_string());
        if !self.never_met.is_empty() {
            output::say(paint.warn(&format!("never met, so nothing is proved of it: {}", self.never_met.join(", "))));
        }
        output::say(format!(
            "{} seeds, {} s of simulated time in {:.1} s, trace hash {}",
            self.seeds,
            self.simulated_s,
            self.took_ms as f64 / 1e3,
            self.trace_hash
        ));
        if self.failed.is_empty() {
            output::say(paint.good("every promise held"));
            return;
        }
        if self.left_out > 0 {
            output::say(format!("{} seeds were left out, since {} had failed", self.left_out, self.failed.len()));
        }
        for broken in &self.failed {
            output::say(paint.bad(&format!("seed {} at {} ms: {}", broken.seed, broken.at_ms, broken.rule)));
            output::say(format!("  {}", broken.what));
        }
        output::say("the shortest way into the first of them:");
        self.shortest.iter().for_each(|step| output::say(format!("  {step}")));
        if let Some(repeat) = &self.repeat {
            output::say(format!("again, with everything that happens: {repeat}"));
        }
    }
}

fn repeat(what: &str, seed: u64) -> String {
    format!("atoll sim {what} --seeds {seed}..{} --trace trace.txt", seed + 1)
}

/// `A..B`: the seeds from A up to and without B.
#[derive(Debug, Clone)]
pub(crate) struct Seeds(pub(crate) std::ops::Range<u64>);

impl std::str::FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no range of seeds; write 0..500 for the 500 seeds from 0 on");
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let (from, to): (u64, u64) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
        if from < to {
            Ok(Self(from..to))
        } else {
            Err(format!("`{text}` holds no seed: the first must be below the last"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_read_as_they_are_written() {
        let check = |text: &str, wanted: Option<std::ops::Range<u64>>| {
            assert_eq!(text.parse::<Seeds>().ok().map(|seeds| seeds.0), wanted, "{text}");
        };
        check("0..500", Some(0..500));
        check("7..8", Some(7..8));
        check("7", None);
        check("8..7", None);
        check("a..b", None);
    }

    #[test]
    fn the_command_to_repeat_names_what_the_seed_needs() {
        let plain = format!("state{}{}", flag("regions", None::<u16>), flag("plant", None::<&str>));
        assert_eq!(repeat(&plain, 7), "atoll sim state --seeds 7..8 --trace trace.txt");
        let plant = Some(state::Plant::ReuseIdentity.name());
        let planted = format!("state{}{}", flag("regions", Some(5)), flag("plant", plant));
        assert_eq!(
            repeat(&planted, 7),
            "atoll sim state --regions 5 --plant reuse-identity --seeds 7..8 --trace trace.txt"
        );
        let long = format!("decision{}", flag("hours", Some(48)));
        assert_eq!(repeat(&long, 7), "atoll sim decision --hours 48 --seeds 7..8 --trace trace.txt");
    }
}
