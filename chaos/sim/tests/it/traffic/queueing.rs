//! The simulated pool against queueing theory: mean times of many requests.

use chaos_sim::traffic::{
    Kind, Measured, Service, Shape, measure,
    reference::{erlang_m1, mm1, mmc},
};
use traffic::Policy;

/// A worker serves a hundred a second.
const SERVICE_US: u64 = 10_000;
const SERVICE: f64 = 100.0;

fn shape(policy: Policy, workers: u16, load: f64) -> Shape {
    let rate = load * SERVICE * f64::from(workers);
    Shape {
        kind: Kind::Added,
        workers,
        concurrency: 1,
        service_us: SERVICE_US,
        service: Service::Exponential,
        rate,
        policy,
        streams_percent: 0,
        endless_percent: 0,
        breaker: false,
        clients: 0,
        impatient_percent: 0,
        repeatable_percent: 100,
        first_byte_ms: 60_000,
        lasts_ms: (80_000.0 / rate * 1_000.0) as u64,
    }
}

/// The mean over two seeds.
fn mean(policy: Policy, workers: u16, load: f64) -> f64 {
    let measured: Vec<Measured> = (0..2).map(|seed| measure(&shape(policy, workers, load), seed)).collect();
    measured.iter().map(|measured| measured.mean_secs).sum::<f64>() / measured.len() as f64
}

#[track_caller]
fn near(got: f64, expected: f64, what: &str) {
    assert!((got / expected - 1.0).abs() < 0.05, "{what}: {got} s, the formula says {expected} s");
}

#[test]
fn means_are_what_theory_says() {
    for (workers, load) in [(1, 0.5), (2, 0.7), (4, 0.5), (4, 0.8), (8, 0.7)] {
        let what = |policy: &str| format!("{policy}, {workers} workers at {load}");
        let (at_each, all) = (load * SERVICE, load * SERVICE * f64::from(workers));
        let (random, turns, ideal) =
            (mm1(at_each, SERVICE), erlang_m1(at_each, SERVICE, workers.into()), mmc(all, SERVICE, workers.into()));
        near(mean(Policy::IpHash, workers, load), random, &what("hash"));
        near(mean(Policy::RoundRobin, workers, load), turns, &what("in turn"));
        let (least, ewma) = (mean(Policy::LeastConnections, workers, load), mean(Policy::Ewma, workers, load));
        println!(
            "{}: ideal {ideal:.5} least {least:.5} ewma {ewma:.5} turns {turns:.5} random {random:.5}",
            what("means")
        );
        for (got, name) in [(least, "least connections"), (ewma, "peak-EWMA")] {
            // Above one queue for all, which nobody can beat who has to choose at once; below what chooses without
            // looking.
            assert!(got > ideal * 0.97 && got < random * 1.03, "{}: {got} s, not in {ideal}..{random} s", what(name));
        }
        assert!(least < turns * 1.03, "{}: {least} s, in turn {turns} s", what("least connections"));
    }
}
