//! How long a large zone takes from master file to View, and how much memory: `cargo run --release -p steering --example load_zone -- 1000000`.
//!
//! One A record per name. Memory is what this process holds (VmRSS) and held at most (VmHWM), as Linux tells it.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a tool for people

use std::{fmt::Write, time::Instant};

use model::{Plan, PlanId, Region, RegionName, World, ZoneFile, ZoneFileLimits};
use steering::{View, ViewInputs};

fn main() {
    let names: u32 = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    let mut text = String::from("$TTL 300\n@ SOA ns.else. mail 1 3600 600 86400 30\n@ NS ns.else.\n");
    for n in 0..names {
        let [_, a, b, c] = n.to_be_bytes();
        writeln!(text, "name-{n} A 10.{a}.{b}.{c}").unwrap();
    }
    told("text made", Instant::now());

    let start = Instant::now();
    let limits = ZoneFileLimits { records: usize::MAX, bytes: usize::MAX };
    let no_file = |_: &str, name: &str| Err(format!("{name} is not there"));
    let read = ZoneFile::read(Some("example.test"), ("example.zone", &text), limits, &no_file).unwrap();
    drop(text);
    told("parsed", start);

    let start = Instant::now();
    // Beyond a World's limit there is one error, about that; everything else is looked at all the same.
    let faults = read.check().map_or_else(|errors| errors.errors.len(), |()| 0);
    assert!(faults <= 1);
    told("validated", start);

    let region = RegionName::new("eu").unwrap();
    let here = model::Location { latitude: 53.35, longitude: -6.26 };
    let mut world = World::of("load", vec![Region::new(region.clone(), 1, here)]);
    world.zones.push(read.zone);
    let plan = Plan::new(PlanId { lineage: 1, version: 1 }, 0, "", world);
    let inputs = ViewInputs::new(region);
    let start = Instant::now();
    let view = View::compile(&plan, &inputs).unwrap();
    told("compiled", start);
    drop(plan);
    told("plan dropped", start);
    println!("{view:?}");
}

fn told(what: &str, since: Instant) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let megabytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    let (now, most) = (megabytes("VmRSS:"), megabytes("VmHWM:"));
    println!("{what:12} {:6.2} s   {now:5} MB now, {most:5} MB at most", since.elapsed().as_secs_f64());
}
