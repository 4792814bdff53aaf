//! The world: regions, network and time, driven event by event on one thread, and the oracle that looks on.
//!
//! ```text
//! scenario ──► queue of events ──► clients.rs   writes, replies, reads
//!                                  links.rs     the link machines over the simulated network
//!                                  faults.rs    what breaks, and what comes back
//!                                  upkeep.rs    the stores' own rounds
//!              after each event ─► watching.rs  the oracle compares
//!              at the end       ─► ending.rs    everything repaired: do the regions agree, is everything there?
//! ```
//! The first broken promise ends a run.

mod clients;
mod effects;
mod ending;
mod faults;
mod links;
mod plants;
mod upkeep;
mod watching;

use replication_core::partition_of;

use crate::{
    Run,
    queue::Queue,
    rng::Rng,
    state::{
        coverage::{Coverage, Met},
        net::{Net, Packet},
        oracle::{History, Rule, Violation},
        plant::Plant,
        region::Region,
        scenario::{Action, KEYS, Scenario, Step},
    },
    trace::Trace,
};

/// Something that is going to happen.
#[derive(Debug)]
enum Event {
    Step(usize),
    Start { region: u16 },
    Flush { region: u16, life: u64 },
    Upkeep { region: u16, life: u64 },
    Wake { region: u16, life: u64, peer: u16 },
    Dial { a: u16, b: u16 },
    Connected { a: u16, b: u16 },
    Arrive(Packet),
    Wrote { packet: Packet, life: u64 },
    Gone { region: u16, life: u64, peer: u16, connection: u64, why: &'static str },
    CutTimeout { from: u16, to: u16, connection: u64 },
    Repair(Repair),
    Heal,
    Look,
    LastWrite { region: u16 },
}

/// The end of a fault.
#[derive(Debug, Clone, Copy)]
enum Repair {
    Path { from: u16, to: u16 },
    Speed { from: u16, to: u16 },
    Disk { region: u16 },
    Return { region: u16 },
}

pub(crate) struct World<'s> {
    scenario: &'s Scenario,
    plant: Option<Plant>,
    now_ms: u64,
    queue: Queue<Event>,
    net: Net,
    /// In the order of their numbers, from 1.
    regions: Vec<Region>,
    /// The partitions that the workload uses.
    partitions: Vec<u16>,
    history: History,
    /// The furthest change of each replica that another region was ever seen to have.
    shipped: std::collections::BTreeMap<(u16, replication_core::ReplicaId), u64>,
    /// Regions that the others go on without.
    detached: Vec<u16>,
    coverage: Coverage,
    trace: Trace,
    /// By when all regions must agree, in milliseconds.
    agree_by_ms: u64,
    finished: bool,
}

/// Runs a scenario to its end or to the first broken promise, with a bug planted or none.
pub fn run(scenario: &Scenario, plant: Option<Plant>, keep_lines: bool) -> Run<Rule, Met> {
    let mut world = World::new(scenario, plant, keep_lines);
    let driven = world.drive();
    world.count_at_end();
    Run::end(world.now_ms, driven, world.coverage, world.trace)
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, plant: Option<Plant>, keep_lines: bool) -> Self {
        let count = scenario.shape.regions.len() as u16;
        let seed = scenario.seed;
        let regions = scenario.shape.regions.iter().zip(1..).map(|(shape, id)| Region::new(id, *shape, seed)).collect();
        let mut partitions: Vec<u16> = KEYS.iter().map(|key| partition_of(key.as_bytes())).collect();
        partitions.sort_unstable();
        partitions.dedup();
        Self {
            scenario,
            plant,
            now_ms: 0,
            queue: Queue::default(),
            net: Net::new(count, Rng::of(seed, "net")),
            regions,
            partitions,
            history: History::default(),
            shipped: Default::default(),
            detached: Vec::new(),
            coverage: Coverage::default(),
            trace: Trace::new(keep_lines),
            agree_by_ms: 0,
            finished: false,
        }
    }

    fn drive(&mut self) -> Result<(), Violation> {
        for (index, step) in self.scenario.steps.iter().enumerate() {
            self.queue.plan(step.at_ms, Event::Step(index));
        }
        for region in 1..=self.count() {
            self.queue.plan(0, Event::Start { region });
        }
        self.queue.plan(self.scenario.shape.end_ms, Event::Heal);
        while !self.finished
            && let Some((at_ms, event)) = self.queue.next()
        {
            self.now_ms = at_ms;
            for region in &self.regions {
                region.clock.set(at_ms);
            }
            self.happen(event)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Step(index) => self.step(index),
            Event::Start { region } => self.start(region),
            Event::Flush { region, life } => self.flush(region, life),
            Event::Upkeep { region, life } => self.upkeep(region, life),
            Event::Wake { region, life, peer } => self.wake(region, life, peer),
            Event::Dial { a, b } => {
                self.dial(a, b);
                Ok(())
            }
            Event::Connected { a, b } => self.connected(a, b),
            Event::Arrive(packet) => self.arrive(packet),
            Event::Wrote { packet, life } => self.wrote(&packet, life),
            Event::Gone { region, life, peer, connection, why } => self.gone(region, life, peer, connection, why),
            Event::CutTimeout { from, to, connection } => self.cut_timeout(from, to, connection),
            Event::Repair(repair) => self.repair(repair),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
            Event::LastWrite { region } => self.last_write(region),
        }
    }

    fn step(&mut self, index: usize) -> Result<(), Violation> {
        let scenario = self.scenario;
        let Some(Step { action, .. }) = scenario.steps.get(index) else { return Ok(()) };
        self.trace.say(self.now_ms, format_args!("{action}"));
        match action {
            Action::Write { region, ops, gather_ms } => self.write(*region, ops, *gather_ms),
            Action::Read { region, key } => self.read(*region, key),
            Action::Fault(fault) => self.break_something(fault),
        }
    }

    fn count(&self) -> u16 {
        self.regions.len() as u16
    }

    fn region(&self, id: u16) -> &Region {
        &self.regions[usize::from(id) - 1]
    }

    fn region_mut(&mut self, id: u16) -> &mut Region {
        &mut self.regions[usize::from(id) - 1]
    }

    /// Whether the process that an event was planned for is still the one that runs.
    fn is_current(&self, region: u16, life: u64) -> bool {
        self.region(region).life.as_ref().is_some_and(|running| running.number == life)
    }

    /// What each event ends with for a region that it touched: it may have died of it; if not, the oracle looks.
    fn after(&mut self, region: u16) -> Result<(), Violation> {
        if self.region(region).life.is_none() {
            return Ok(());
        }
        if self.region(region).disk.is_crashed() {
            self.coverage.met(Met::CrashesInACall);
            self.die_by_fuse(region);
            return Ok(());
        }
        self.watch(region)
    }
}
