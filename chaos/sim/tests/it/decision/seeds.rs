//! The seeds of the test run. More of them: `atoll sim decision --seeds A..B`.

use chaos_sim::{
    Meeting, Plan, Simulation, Survey,
    decision::{DecisionSim, Met, Rule},
    shorten, survey,
};

/// What the promises are tested with on every run. They meet everything that the simulation can do (see below).
const SEEDS: std::ops::Range<u64> = 0..200;
/// How long each of them lasts, hours: what a test run has time for. The command plays whole days.
const HOURS: u64 = 2;

/// `ATOLL_SIM_SEEDS=A..B` and `ATOLL_SIM_HOURS=N` ask for others.
fn asked_for() -> (DecisionSim, std::ops::Range<u64>) {
    let seeds = std::env::var("ATOLL_SIM_SEEDS").ok().map(|text| {
        let (from, to) = text.split_once("..").expect("ATOLL_SIM_SEEDS is written A..B");
        from.parse().expect("A is a number")..to.parse().expect("B is a number")
    });
    let hours = std::env::var("ATOLL_SIM_HOURS").ok().map(|text| text.parse().expect("ATOLL_SIM_HOURS is a number"));
    (DecisionSim { hours: hours.unwrap_or(HOURS), ..DecisionSim::default() }, seeds.unwrap_or(SEEDS))
}

fn report(sim: DecisionSim, survey: &Survey<Rule, Met>) -> String {
    let Some(failure) = survey.failures.first() else { return String::new() };
    let mut tries = 0;
    let short = shorten(&sim, &sim.scenario(failure.seed), failure.violation.rule, || {
        tries += 1;
        tries < 100
    });
    let steps: Vec<String> = short.scenario.steps.iter().map(ToString::to_string).collect();
    let seeds: Vec<String> =
        survey.failures.iter().map(|f| format!("{} at {} ms: {}", f.seed, f.at_ms, f.violation)).collect();
    format!("{}\n\nthe first, shortened:\n{}\n\n{}", seeds.join("\n"), steps.join("\n"), short.run.lines.join("\n"))
}

#[test]
fn every_promise_holds_on_every_seed_and_the_seeds_meet_everything() {
    let (sim, seeds) = asked_for();
    let began = std::time::Instant::now();
    let total = seeds.end - seeds.start;
    let tell = |done: u64, failed: usize| {
        if done.is_multiple_of(500) {
            println!("{done} of {total} seeds, {failed} failed, {} s", began.elapsed().as_secs());
        }
    };
    let survey = survey(&sim, seeds, Plan { enough_failures: 5, ..Plan::default() }, tell);
    println!("{} seeds, {} simulated hours", survey.seeds, survey.simulated_ms / 3_600_000);
    for met in Met::ALL {
        println!("{:>10} {}", survey.coverage.of(*met), met.text());
    }
    assert!(survey.failures.is_empty(), "{}", report(sim, &survey));
    let missing: Vec<&str> = survey.coverage.missing().into_iter().map(Met::text).collect();
    assert!(missing.is_empty(), "{} seeds never met: {}", survey.seeds, missing.join(", "));
}

#[test]
fn a_seed_replays_exactly() {
    let sim = DecisionSim { hours: 2, ..DecisionSim::default() };
    for seed in [1, 9, 28, 46, 201] {
        let first = sim.run(&sim.scenario(seed), true);
        let again = std::thread::spawn(move || sim.run(&sim.scenario(seed), true));
        let again = again.join().expect("the second run panicked");
        let differs = first.lines.iter().zip(&again.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.hash, again.hash, "seed {seed}");
    }
}

/// Found by long runs: two observers of four with cut paths, and a third whose votes were late for the loss alone; two regions that
/// fell together, of which one was out of sight for a moment and then seemed to have fallen later; removals that were committed
/// long after they were proposed, and did not count where velocity is reckoned; a leader without a quorum that went on pausing for
/// half a minute when it had one again; an observer with a bad path, and a chance failure of another one in the midst of it, among
/// four regions (5329) and three (14687), where a view that had been held behind a cut for minutes was then taken for a new one (16997,
/// 17763, 18390). Seed 5894 blamed guards for what they cannot know: everybody's forged word against the only
/// region that nobody else had one on; seed 9863 wanted a fall to be known of while too few could tell, seed 12006 wanted one decided
/// at once by a lasting view and that of a region that had just come back.
#[test]
fn seeds_that_once_broke_a_promise_keep_it() {
    let of_two_hours = [121, 1519, 2087, 4444, 2855, 5329, 5894, 9863, 12_006, 14_687, 16_997, 17_763, 18_390];
    for (seed, hours) in of_two_hours.map(|seed| (seed, 2)).into_iter().chain([(345, 24)]) {
        let sim = DecisionSim { hours, ..DecisionSim::default() };
        assert_eq!(sim.run(&sim.scenario(seed), false).violation, None, "seed {seed}");
    }
}

/// What is skipped changes nothing: not when who votes what, not what is decided when, not which numbers it gets.
#[test]
fn a_seed_of_which_nothing_is_skipped_is_the_same_seed() {
    let sim = DecisionSim { hours: 1, ..DecisionSim::default() };
    let eager = DecisionSim { eager: true, ..sim };
    for seed in 0..10 {
        let (skipping, whole) = (sim.run(&sim.scenario(seed), true), eager.run(&eager.scenario(seed), true));
        let differs = skipping.lines.iter().zip(&whole.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(skipping.hash, whole.hash, "seed {seed}");
    }
}

#[test]
fn seeds_differ_and_regions_can_be_chosen() {
    let sim = DecisionSim { regions: Some(5), hours: 1, ..DecisionSim::default() };
    assert_ne!(sim.run(&sim.scenario(1), false).hash, sim.run(&sim.scenario(2), false).hash);
    assert_eq!(sim.scenario(1).shape.regions.len(), 5);
}
