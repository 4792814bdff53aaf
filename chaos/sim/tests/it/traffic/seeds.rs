//! The seeds of the test run. More of them: `ATOLL_SIM_SEEDS=A..B cargo test --release -p chaos-sim traffic::seeds --
//! --nocapture`.

use chaos_sim::{
    Meeting, Plan, Simulation, Survey, shorten, survey,
    traffic::{Kind, Met, Rule, TrafficSim},
};

/// What the promises are tested with on every run. They meet everything that the simulation can do (see below).
const SEEDS: std::ops::Range<u64> = 0..300;

fn asked_for() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("ATOLL_SIM_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").expect("ATOLL_SIM_SEEDS is written A..B");
    from.parse().expect("A is a number")..to.parse().expect("B is a number")
}

/// Worlds of one kind, as `ATOLL_SIM_KIND` spells it: `Sticky`.
fn kind_asked_for() -> Option<Kind> {
    let name = std::env::var("ATOLL_SIM_KIND").ok()?;
    let kind = Kind::ALL.into_iter().find(|kind| format!("{kind:?}") == name);
    Some(kind.unwrap_or_else(|| panic!("ATOLL_SIM_KIND is one of {:?}", Kind::ALL)))
}

fn report(sim: TrafficSim, survey: &Survey<Rule, Met>) -> String {
    let Some(failure) = survey.failures.first() else { return String::new() };
    let mut tries = 0;
    let short = shorten(&sim, &sim.scenario(failure.seed), failure.violation.rule, || {
        tries += 1;
        tries < 100
    });
    let seeds: Vec<String> =
        survey.failures.iter().map(|f| format!("{} at {} ms: {}", f.seed, f.at_ms, f.violation)).collect();
    format!("{}\n\nthe first, shortened:\n{}", seeds.join("\n"), short.run.lines.join("\n"))
}

#[test]
fn every_promise_holds_on_every_seed_and_the_seeds_meet_everything() {
    let (sim, seeds) = (TrafficSim { kind: kind_asked_for(), plant: None }, asked_for());
    let began = std::time::Instant::now();
    let total = seeds.end - seeds.start;
    let tell = |done: u64, failed: usize| {
        if done.is_multiple_of(500) {
            println!("{done} of {total} seeds, {failed} failed, {} s", began.elapsed().as_secs());
        }
    };
    let survey = survey(&sim, seeds, Plan { enough_failures: 20, ..Plan::default() }, tell);
    println!("{} seeds, {} simulated hours, {:?}", survey.seeds, survey.simulated_ms / 3_600_000, began.elapsed());
    for met in Met::ALL {
        println!("{:>10} {}", survey.coverage.of(*met), met.text());
    }
    assert!(survey.failures.is_empty(), "{}", report(sim, &survey));
    let missing: Vec<&str> = survey.coverage.missing().into_iter().map(Met::text).collect();
    assert!(sim.kind.is_some() || missing.is_empty(), "{} seeds never met: {}", survey.seeds, missing.join(", "));
}

#[test]
fn a_seed_replays_exactly() {
    let sim = TrafficSim::default();
    for seed in 0..12 {
        let first = sim.run(&sim.scenario(seed), true);
        let again = std::thread::spawn(move || sim.run(&sim.scenario(seed), true));
        let again = again.join().expect("the second run panicked");
        let differs = first.lines.iter().zip(&again.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.hash, again.hash, "seed {seed}");
    }
}

/// Found by long runs: sound workers that were ejected when a route broke; new workers with a whole share; worlds of so few
/// requests that a percentile is luck; breakers whose probes were streams.
#[test]
fn seeds_that_once_broke_a_promise_keep_it() {
    for (kind, seeds) in [
        (Kind::Added, &[635, 645][..]),
        (Kind::BuggyRoute, &[677, 961, 3077]),
        (Kind::FailingOne, &[762, 2931]),
        (Kind::DeadOne, &[1129]),
        (Kind::SlowOne, &[2864, 4745]),
        (Kind::Storm, &[729, 2238, 2754, 3664]),
        (Kind::Upstream, &[82, 123, 224]),
    ] {
        let sim = TrafficSim { kind: Some(kind), plant: None };
        for seed in seeds {
            assert_eq!(sim.run(&sim.scenario(*seed), false).violation, None, "{kind:?}, seed {seed}");
        }
    }
}
