//! The world: one queue of events, by the microsecond; clients, the gateway's loop around the pool, workers.

use std::time::Duration;

use traffic::{
    Ask, Attempt as Sent, Cause, Event as Told, Member, NoPick, Outcome, Policy, Pool, PoolConfig, State, Ticket,
    Upstream, UpstreamState, Verdict, may_repeat,
};

use super::{
    breaker::Watch,
    cookies::Cookies,
    coverage::{Coverage, Met},
    oracle::{Checked, Ledger, Rule, broken, compare},
    plant::Plant,
    scenario::{Action, FAULT_AT_MS, Kind, STORM_ENDS_MS, Scenario, Service, Shape},
    worker::{Mode, Worker},
};
use crate::{Run, Violation, queue::Queue, rng::Rng, trace::Trace};

/// From gateway to worker and back, together.
const HOP_US: u64 = 100;
/// How much later a slow worker answers.
const SLOW_US: u64 = 5_000_000;
/// How long an answer takes that needs no work: an error, a refusal.
const AT_ONCE_US: u64 = 1_000;
/// How often a request is sent at most.
const ATTEMPTS: usize = 3;
/// How late the list is where it is late on purpose.
const OLD_LIST_US: u64 = 3_000_000;

#[derive(Debug)]
enum Event {
    Arrive,
    Step(usize),
    /// A worker has done what an attempt needed.
    Served {
        worker: u32,
        attempt: u32,
    },
    Answer {
        attempt: u32,
        outcome: Outcome,
    },
    Timeout {
        attempt: u32,
    },
    Gone {
        request: u32,
    },
    /// The last byte of a stream.
    End {
        attempt: u32,
    },
    Publish(Vec<Member>),
}

/// A request, with all the luck it needs.
#[derive(Debug)]
struct Request {
    arrived_us: u64,
    service_us: u64,
    route: u64,
    hash: u64,
    repeatable: bool,
    stream_us: u64,
    /// The answer does not end.
    endless: bool,
    /// Who sent it, of the clients that keep cookies.
    client: Option<usize>,
    tried: Vec<u64>,
    /// The attempt under way.
    current: Option<u32>,
    over: bool,
}

#[derive(Debug)]
struct Attempt {
    request: u32,
    worker: u32,
    ticket: Option<Ticket>,
    answered: bool,
    /// When it was sent, as the breaker's watch counts.
    period: u64,
    /// The watch knows what became of it.
    watched: bool,
}

/// What became of requests: when they arrived, how long they took, how they ended.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Vec<(u64, u64, End)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Well,
    Failed,
    Gone,
}

impl Outcomes {
    fn within(&self, from_ms: u64, to_ms: u64) -> impl Iterator<Item = &(u64, u64, End)> {
        self.0.iter().filter(move |(at, ..)| (from_ms * 1_000..to_ms * 1_000).contains(at))
    }

    /// How many failed of those that arrived then, and how many those were. Who went away counts for neither.
    pub(crate) fn failures(&self, from_ms: u64, to_ms: u64) -> (usize, usize) {
        let ended = || self.within(from_ms, to_ms).filter(|(.., end)| *end != End::Gone);
        (ended().filter(|(.., end)| *end == End::Failed).count(), ended().count())
    }

    /// A percentile of how long they took, microseconds.
    pub(crate) fn percentile(&self, from_ms: u64, to_ms: u64, share: f64) -> u64 {
        let mut took: Vec<u64> = self.within(from_ms, to_ms).map(|(_, took, _)| *took).collect();
        took.sort_unstable();
        let index = (took.len() as f64 * share) as usize;
        took.get(index.min(took.len().saturating_sub(1))).copied().unwrap_or(0)
    }

    /// How many took longer than that, and how many there were.
    pub(crate) fn longer_than(&self, from_ms: u64, to_ms: u64, us: u64) -> (usize, usize) {
        let within = || self.within(from_ms, to_ms);
        (within().filter(|(_, took, _)| *took > us).count(), within().count())
    }

    fn mean_secs(&self) -> f64 {
        let sum: u64 = self.0.iter().map(|(_, took, _)| took).sum();
        sum as f64 / 1e6 / self.0.len().max(1) as f64
    }
}

struct World<'s> {
    scenario: &'s Scenario,
    shape: &'s Shape,
    plant: Option<Plant>,
    now_us: u64,
    queue: Queue<Event>,
    pool: Pool,
    workers: Vec<Worker>,
    requests: Vec<Request>,
    attempts: Vec<Attempt>,
    /// A route that so many of a hundred requests take fails.
    broken_route: u64,
    /// One that hangs.
    hung_route: u64,
    lives: u64,
    /// The pool says that it panics.
    panic: bool,
    /// The breaker's, if the pool has one.
    watch: Option<Watch>,
    cookies: Cookies,
    outcomes: Outcomes,
    ledger: Ledger,
    clients: Rng,
    luck: Rng,
    trace: Trace,
    coverage: Coverage,
    events: u64,
}

/// Runs a scenario to its end or to the first broken promise.
pub fn run(scenario: &Scenario, plant: Option<Plant>, keep_lines: bool) -> Run<Rule, Met> {
    let normal = Scenario { steps: Vec::new(), ..scenario.clone() };
    let mut peace = World::new(&normal, None, false);
    let played = peace.play();
    let mut world = World::new(scenario, plant, keep_lines);
    let driven = played
        .and_then(|()| world.play())
        .and_then(|()| world.check_shares())
        .and_then(|()| compare(scenario, &world.outcomes, &peace.outcomes));
    let (events, requests) = (world.events, world.requests.len());
    world.trace.say(world.now_us / 1_000, format_args!("{requests} requests, {events} events"));
    let took: u64 = world.outcomes.0.iter().map(|(_, took, _)| took).sum();
    world.trace.say(world.now_us / 1_000, format_args!("{took} µs in all"));
    Run::end(world.now_us / 1_000, driven, world.coverage, world.trace)
}

/// What a world without faults comes to.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Mean time from arrival to answer, seconds, without the way there and back.
    pub mean_secs: f64,
    /// How many requests that is the mean of.
    pub requests: usize,
    /// The 99th percentile, seconds.
    pub p99_secs: f64,
}

/// Measures a shape by a seed.
pub fn measure(shape: &Shape, seed: u64) -> Measured {
    let scenario = Scenario { seed, shape: shape.clone(), steps: Vec::new() };
    let mut world = World::new(&scenario, None, false);
    // Without faults no promise is broken that a mean could hide.
    let _ = world.play();
    Measured {
        mean_secs: world.outcomes.mean_secs() - HOP_US as f64 / 1e6,
        requests: world.outcomes.0.len(),
        p99_secs: world.outcomes.percentile(0, u64::MAX / 1_000, 0.99) as f64 / 1e6,
    }
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, plant: Option<Plant>, keep_lines: bool) -> Self {
        let shape = &scenario.shape;
        let upstream = shape.breaker.then(Upstream::default);
        let mut config = PoolConfig { policy: shape.policy, upstream, ..PoolConfig::default() };
        if let Some(plant) = plant {
            plant.spoil(&mut config);
        }
        Self {
            scenario,
            shape,
            plant,
            now_us: 0,
            queue: Queue::default(),
            pool: Pool::new(config),
            workers: Vec::new(),
            requests: Vec::new(),
            attempts: Vec::new(),
            broken_route: 0,
            hung_route: 0,
            lives: 0,
            panic: false,
            watch: shape.breaker.then(Watch::new),
            cookies: Cookies::of(shape.clients),
            outcomes: Outcomes::default(),
            ledger: Ledger::default(),
            clients: Rng::of(scenario.seed, "clients"),
            luck: Rng::of(scenario.seed, "workers"),
            trace: Trace::new(keep_lines),
            coverage: Coverage::default(),
            events: 0,
        }
    }

    fn play(&mut self) -> Checked {
        let (at_ms, shape) = (self.now_us / 1_000, self.shape);
        self.trace.say(at_ms, format_args!("{shape:?}"));
        self.coverage.met(match shape.policy {
            Policy::Ewma => Met::Ewma,
            Policy::RoundRobin => Met::RoundRobin,
            Policy::LeastConnections => Met::LeastConnections,
            Policy::IpHash => Met::IpHash,
            Policy::Rendezvous => Met::Rendezvous,
        });
        self.coverage.add(Met::Upstreams, u64::from(shape.breaker));
        self.coverage.add(Met::Forged, shape.clients / 10);
        for slot in 0..shape.workers {
            self.add_worker(slot);
        }
        self.publish();
        for (index, step) in self.scenario.steps.iter().enumerate() {
            self.queue.plan(step.at_ms * 1_000, Event::Step(index));
        }
        self.queue.plan(0, Event::Arrive);
        while let Some((at_us, event)) = self.queue.next() {
            if at_us >= shape.lasts_ms * 1_000 {
                break;
            }
            self.now_us = at_us;
            self.events += 1;
            self.happen(event)?;
            self.hear()?;
        }
        self.check_counts()
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.now_us)
    }

    fn after(&mut self, us: u64, event: Event) {
        self.queue.plan(self.now_us + us, event);
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Arrive => {
                let pause = exponential(&mut self.clients, 1e6 / self.shape.rate);
                self.after(pause, Event::Arrive);
                self.arrive()
            }
            Event::Step(index) => self.step(self.scenario.steps[index].action),
            Event::Served { worker, attempt } => self.served(worker, attempt),
            Event::Answer { attempt, outcome } => self.answer(attempt, outcome),
            Event::Timeout { attempt } => self.timeout(attempt),
            Event::Gone { request } => self.gone(request),
            Event::End { attempt } => self.finish(attempt, Outcome::Ok),
            Event::Publish(members) => {
                self.pool.set_members(self.now(), &members);
                Ok(())
            }
        }
    }

    // --- Clients -----------------------------------------------------------------------------------------------------

    fn arrive(&mut self) -> Checked {
        self.coverage.met(Met::Requests);
        let (shape, rng) = (self.shape, &mut self.clients);
        let mean = shape.service_us as f64;
        let service_us = match shape.service {
            Service::Exponential => exponential(rng, mean),
            Service::Shifted => shape.service_us / 2 + exponential(rng, mean / 2.0),
            Service::Mixed => {
                let mean = if rng.percent(90) { mean / 2.0 } else { mean * 5.5 };
                exponential(rng, mean)
            }
        };
        let request = Request {
            arrived_us: self.now_us,
            service_us,
            route: rng.below(100),
            hash: rng.word(),
            repeatable: rng.percent(shape.repeatable_percent),
            stream_us: if rng.percent(shape.streams_percent) { rng.between(1_000, 2_000_000) } else { 0 },
            endless: false,
            client: None,
            tried: Vec::new(),
            current: None,
            over: false,
        };
        let impatience = rng.percent(shape.impatient_percent).then(|| rng.between(1_000_000, 3_000_000));
        let request = self.of_a_client(request);
        let index = self.requests.len() as u32;
        self.requests.push(request);
        if let Some(patience) = impatience {
            self.after(patience, Event::Gone { request: index });
        }
        self.pool.deposit(self.now());
        self.ledger.request(self.now_us);
        self.send(index)
    }

    /// In worlds that have such: who sent it, and whether its answer ends.
    fn of_a_client(&mut self, mut request: Request) -> Request {
        let (shape, rng) = (self.shape, &mut self.clients);
        if shape.endless_percent > 0 {
            request.endless = rng.percent(shape.endless_percent);
        }
        if shape.clients > 0 {
            let client = rng.below(shape.clients);
            request.hash = traffic::hash::bytes(&client.to_be_bytes());
            request.client = Some(client as usize);
        }
        request
    }

    fn gone(&mut self, index: u32) -> Checked {
        let request = &mut self.requests[index as usize];
        if request.over {
            return Ok(());
        }
        request.over = true;
        let current = request.current;
        self.coverage.met(Met::Cancelled);
        self.record(index, End::Gone);
        if let Some(attempt) = current {
            if self.plant == Some(Plant::LostTickets) {
                let attempt = &mut self.attempts[attempt as usize];
                attempt.ticket = None;
                self.workers[attempt.worker as usize].in_flight -= 1;
            }
            self.finish(attempt, Outcome::Cancelled)?;
        }
        Ok(())
    }

    fn record(&mut self, index: u32, end: End) {
        let arrived_us = self.requests[index as usize].arrived_us;
        self.outcomes.0.push((arrived_us, self.now_us - arrived_us, end));
    }

    // --- The gateway -------------------------------------------------------------------------------------------------

    /// Sends a request to whom the pool picks; to one that it has been to if there is no other.
    fn send(&mut self, index: u32) -> Checked {
        let now = self.now();
        let request = &self.requests[index as usize];
        let mut tried = request.tried.clone();
        if self.plant == Some(Plant::Phantoms) {
            tried.extend(self.workers.iter().map(|worker| phantom(&worker.member).life));
        }
        let ask = Ask {
            hash: request.hash,
            sticky_slot: request.client.and_then(|client| self.cookie(client)),
            tried: &tried,
            draw: self.luck.word(),
            repeatable: request.repeatable,
        };
        // What was told a moment ago may have begun or ended a panic.
        self.hear()?;
        let panic = self.panic;
        let picked = match self.pool.pick(now, &ask) {
            Err(NoPick::AllTried) if self.plant.is_none() => self.pool.pick(now, &Ask { tried: &[], ..ask }),
            picked => picked,
        };
        self.watch_pick(picked.as_ref().err().copied())?;
        let ticket = match picked {
            Ok(ticket) => ticket,
            Err(why) => return self.nobody(index, why),
        };
        let Some(at) = self.workers.iter().position(|worker| worker.member.life == ticket.life) else {
            return Err(Violation::new(Rule::NobodyWhoMustNotBe, format!("life {} does not exist", ticket.life)));
        };
        self.check_pick(at, panic, ticket.probe)?;
        self.check_cookie(index, at, panic)?;
        if ticket.probe {
            self.coverage.met(Met::Probes);
        }
        let attempt = self.attempts.len() as u32;
        let worker = &mut self.workers[at];
        worker.in_flight += 1;
        worker.picks.push(self.now_us);
        let request = &mut self.requests[index as usize];
        request.tried.push(ticket.life);
        request.current = Some(attempt);
        if self.plant == Some(Plant::HastyFirstByte) {
            self.pool.first_byte(now, &ticket, Outcome::Ok);
        }
        let worker = at as u32;
        let period = self.watch.as_ref().map_or(0, Watch::period);
        let sent = Attempt { request: index, worker, ticket: Some(ticket), answered: false, period, watched: false };
        self.attempts.push(sent);
        self.after(self.shape.first_byte_ms * 1_000, Event::Timeout { attempt });
        self.reach(attempt);
        Ok(())
    }

    /// Nobody takes a request.
    fn nobody(&mut self, index: u32, why: NoPick) -> Checked {
        self.fail(index);
        // The list that the pool has may be late on purpose.
        let there = |worker: &&Worker| worker.listed && worker.was_ready && !worker.member.draining;
        if why == NoPick::NoMember
            && self.plant != Some(Plant::OldList)
            && self.workers.iter().any(|worker| there(&worker))
        {
            return Err(Violation::new(Rule::AlwaysSent, format!("{why:?} although somebody was there")));
        }
        Ok(())
    }

    fn answer(&mut self, attempt: u32, outcome: Outcome) -> Checked {
        let Attempt { request, answered, ref ticket, .. } = self.attempts[attempt as usize];
        let (true, false) = (ticket.is_some(), answered) else { return Ok(()) };
        if outcome == Outcome::Broken {
            return self.broke(attempt);
        }
        self.attempts[attempt as usize].answered = true;
        let told = if self.plant == Some(Plant::Deaf) { Outcome::Ok } else { outcome };
        let now = self.now();
        let lost = self.plant == Some(Plant::LostProbes) && self.is_probe(attempt);
        if let Some(ticket) = &self.attempts[attempt as usize].ticket
            && !lost
        {
            self.pool.first_byte(now, ticket, told);
        }
        self.watch_answer(attempt, outcome)?;
        let Request { stream_us, endless, client, .. } = self.requests[request as usize];
        if let Some(client) = client {
            let slot = self.workers[self.attempts[attempt as usize].worker as usize].member.slot;
            self.cookies.answered(client, slot);
        }
        self.requests[request as usize].over = true;
        self.requests[request as usize].current = None;
        if outcome == Outcome::Ok {
            self.record(request, End::Well);
        } else {
            self.coverage.met(Met::Failed);
            self.record(request, End::Failed);
        }
        if endless && outcome == Outcome::Ok {
            self.coverage.met(Met::Endless);
            Ok(())
        } else if stream_us > 0 {
            self.coverage.met(Met::Streams);
            self.after(stream_us, Event::End { attempt });
            Ok(())
        } else {
            self.finish(attempt, told)
        }
    }

    fn timeout(&mut self, attempt: u32) -> Checked {
        let Attempt { answered, ref ticket, .. } = self.attempts[attempt as usize];
        if answered || ticket.is_none() {
            return Ok(());
        }
        self.coverage.met(Met::TimedOut);
        self.broke(attempt)
    }

    /// An attempt ended without an answer: another one, if that is harmless and there is something left of the budget.
    fn broke(&mut self, attempt: u32) -> Checked {
        let index = self.attempts[attempt as usize].request;
        self.finish(attempt, if self.plant == Some(Plant::Deaf) { Outcome::Ok } else { Outcome::Broken })?;
        let request = &mut self.requests[index as usize];
        request.current = None;
        let sent = Sent {
            idempotent: request.repeatable,
            bytes_sent: true,
            idempotency_key: false,
            replay_buffered: request.repeatable,
            unanswered: request.tried.len() as u32,
        };
        if request.tried.len() >= ATTEMPTS || !may_repeat(sent) {
            self.fail(index);
            return Ok(());
        }
        if !self.pool.may_retry(self.now()) && self.plant != Some(Plant::BoundlessRetries) {
            self.coverage.met(Met::RetriesRefused);
            self.fail(index);
            return Ok(());
        }
        self.coverage.met(Met::Retries);
        self.ledger.retry(self.now_us)?;
        self.send(index)
    }

    fn fail(&mut self, index: u32) {
        self.requests[index as usize].over = true;
        self.coverage.met(Met::Failed);
        self.record(index, End::Failed);
    }

    fn finish(&mut self, index: u32, outcome: Outcome) -> Checked {
        let lost = self.plant == Some(Plant::LostProbes) && self.is_probe(index);
        let attempt = &mut self.attempts[index as usize];
        if let Some(ticket) = attempt.ticket.take() {
            self.workers[attempt.worker as usize].in_flight -= 1;
            if !lost {
                self.pool.finish(Duration::from_micros(self.now_us), ticket, outcome);
            }
            self.watch_end(index, outcome)?;
        }
        Ok(())
    }

    fn is_probe(&self, attempt: u32) -> bool {
        self.attempts[attempt as usize].ticket.as_ref().is_some_and(|ticket| ticket.probe)
    }

    // --- Workers -----------------------------------------------------------------------------------------------------

    /// An attempt reaches its worker.
    fn reach(&mut self, attempt: u32) {
        let Attempt { request, worker: at, .. } = self.attempts[attempt as usize];
        let worker = &mut self.workers[at as usize];
        let broken_route = self.requests[request as usize].route < self.broken_route;
        if self.requests[request as usize].route < self.hung_route {
            return;
        }
        let at_once = match worker.mode {
            Mode::Dead => Some(Outcome::Broken),
            Mode::Hanging => return,
            Mode::Refusing => Some(Outcome::Refused { retry_after: None }),
            Mode::Failing { percent } if self.luck.percent(percent) => Some(Outcome::AppError),
            _ if broken_route => Some(Outcome::AppError),
            _ => None,
        };
        if let Some(outcome) = at_once {
            self.after(AT_ONCE_US, Event::Answer { attempt, outcome });
        } else if worker.take(attempt, self.shape.concurrency) {
            self.serve(at, attempt);
        }
    }

    fn serve(&mut self, worker: u32, attempt: u32) {
        let service_us = self.requests[self.attempts[attempt as usize].request as usize].service_us;
        self.after(service_us, Event::Served { worker, attempt });
    }

    fn served(&mut self, at: u32, attempt: u32) -> Checked {
        if let Some(next) = self.workers[at as usize].next() {
            self.serve(at, next);
        }
        let late_us = match self.workers[at as usize].mode {
            Mode::Hanging | Mode::Dead => return Ok(()),
            Mode::Slow => SLOW_US,
            _ => 0,
        };
        self.after(HOP_US + late_us, Event::Answer { attempt, outcome: Outcome::Ok });
        Ok(())
    }

    // --- What happens ------------------------------------------------------------------------------------------------

    fn step(&mut self, action: Action) -> Checked {
        self.trace.say(self.now_us / 1_000, format_args!("{action:?}"));
        match action {
            Action::Slow(slot) => self.change(slot, Mode::Slow, Met::Slow),
            Action::Fail(slot, percent) => self.change(slot, Mode::Failing { percent }, Met::Failing),
            Action::Hang(slot) => self.change(slot, Mode::Hanging, Met::Hanging),
            Action::Refuse(slot) => self.change(slot, Mode::Refusing, Met::Refusing),
            Action::Die(slot) => {
                let Some(at) = self.current(slot) else { return Ok(()) };
                self.change(slot, Mode::Dead, Met::Dead);
                self.workers[at].crash();
                let lost =
                    |attempt: &Attempt| attempt.worker == at as u32 && attempt.ticket.is_some() && !attempt.answered;
                let lost: Vec<u32> =
                    (0..self.attempts.len() as u32).filter(|index| lost(&self.attempts[*index as usize])).collect();
                for attempt in lost {
                    self.after(HOP_US, Event::Answer { attempt, outcome: Outcome::Broken });
                }
            }
            Action::Heal(slot) => {
                let Some(at) = self.current(slot) else { return Ok(()) };
                self.workers[at].mode = Mode::Well;
                self.workers[at].member.ready = true;
                self.publish();
            }
            Action::Unready(slot) => {
                let Some(at) = self.current(slot) else { return Ok(()) };
                self.coverage.met(Met::Unready);
                self.workers[at].member.ready = false;
                self.publish();
            }
            Action::Replace(slot) => {
                let Some(at) = self.current(slot) else { return Ok(()) };
                self.coverage.met(Met::Replaced);
                self.workers[at].member.draining = true;
                self.add_worker(slot);
                self.publish();
            }
            Action::Leave(slot) => {
                let Some(at) = self.current(slot) else { return Ok(()) };
                self.coverage.met(Met::Left);
                self.workers[at].member.draining = true;
                self.publish();
            }
            Action::Add => {
                self.coverage.met(Met::Added);
                let newest = self.workers.iter().map(|worker| worker.member.slot).max();
                self.add_worker(newest.map_or(0, |slot| slot + 1));
                self.publish();
            }
            Action::BreakRoute(percent) => {
                self.broken_route = percent;
                self.coverage.add(Met::BuggyRoutes, u64::from(percent > 0));
            }
            Action::HangRoute(percent) => {
                self.hung_route = percent;
                self.coverage.add(Met::HangingRoutes, u64::from(percent > 0));
            }
            Action::Burst(count) => {
                self.coverage.met(Met::Bursts);
                for _ in 0..count {
                    self.arrive()?;
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, slot: u16, mode: Mode, met: Met) {
        if let Some(at) = self.current(slot) {
            self.coverage.met(met);
            self.workers[at].mode = mode;
        }
    }

    /// The worker that a slot has now.
    fn current(&self, slot: u16) -> Option<usize> {
        self.workers.iter().rposition(|worker| worker.member.slot == slot && worker.listed && !worker.member.draining)
    }

    fn add_worker(&mut self, slot: u16) {
        self.lives += 1;
        self.workers.push(Worker::new(self.lives, slot));
    }

    /// Tells the pool who is there. A worker that drained and has nothing under way any more is gone.
    fn publish(&mut self) {
        for worker in &mut self.workers {
            worker.listed &= !(worker.member.draining && worker.in_flight == 0);
        }
        let mut members: Vec<Member> =
            self.workers.iter().filter(|worker| worker.listed).map(|worker| worker.member).collect();
        match self.plant {
            Some(Plant::OldList) if self.now_us > 0 => self.after(OLD_LIST_US, Event::Publish(members)),
            plant => {
                if plant == Some(Plant::Phantoms) {
                    members.extend(members.clone().iter().map(phantom));
                }
                self.pool.set_members(self.now(), &members);
            }
        }
    }

    // --- The oracle's eyes -------------------------------------------------------------------------------------------

    /// What the pool has to tell.
    fn hear(&mut self) -> Checked {
        while let Some(told) = self.pool.next_event() {
            self.trace.say(self.now_us / 1_000, format_args!("{told:?}"));
            match told {
                Told::Ejected { life, cause, open, .. } => {
                    self.is_out(life, open)?;
                    self.ejected(life, cause)?;
                }
                Told::Readmitted { life, .. } => {
                    self.coverage.met(Met::Readmitted);
                    if let Some(worker) = self.workers.iter_mut().find(|worker| worker.member.life == life) {
                        worker.out_until = None;
                    }
                }
                Told::UpstreamOpened => self.coverage.met(Met::UpstreamOpened),
                Told::PanicBegan => {
                    self.panic = true;
                    self.coverage.met(Met::Panics);
                }
                Told::PanicEnded => self.panic = false,
                _ => {}
            }
        }
        Ok(())
    }

    fn ejected(&mut self, life: u64, cause: Cause) -> Checked {
        let snapshot = self.pool.snapshot(self.now());
        let again =
            snapshot.members.iter().any(|member| member.life == life && member.ejections == self.known_ejections(life));
        if again {
            self.coverage.met(Met::FailedProbes);
            return Ok(());
        }
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.member.life == life) {
            worker.ejections += 1;
        }
        self.coverage.met(match cause {
            Cause::Broken => Met::EjectedBroken,
            Cause::Failing => Met::EjectedFailing,
        });
        // A member whose last three requests all hang, and that is asked nothing more because of that, cannot be told
        // from one that hangs.
        let hangs =
            cause == Cause::Broken && self.scenario.steps.iter().any(|s| matches!(s.action, Action::HangRoute(_)));
        if self.shape.kind == Kind::BuggyRoute && !hangs {
            return Err(Violation::new(Rule::NobodyIsBlamedForARoute, format!("life {life} was ejected")));
        }
        let real = |life: u64| self.workers.iter().any(|worker| worker.member.life == life);
        let counted =
            |wanted: &[State]| snapshot.members.iter().filter(|m| real(m.life) && wanted.contains(&m.state)).count();
        let left = counted(&[State::Available, State::Ramping]);
        let all = left + counted(&[State::Ejected, State::Probing, State::NotReady]);
        if left < all.div_ceil(2).max(1) {
            return Err(Violation::new(Rule::NeverTheLast, format!("{left} of {all} are left")));
        }
        Ok(())
    }

    fn known_ejections(&self, life: u64) -> u64 {
        self.workers.iter().find(|worker| worker.member.life == life).map_or(0, |worker| worker.ejections)
    }

    fn is_out(&mut self, life: u64, open: Duration) -> Checked {
        if open < Duration::from_secs(1) {
            return broken(Rule::LeftOutIsLeftOut, format!("life {life} is out for {open:?}"));
        }
        let until = self.now() + open;
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.member.life == life) {
            worker.out_until = Some(until);
        }
        Ok(())
    }

    fn check_pick(&self, at: usize, panic: bool, probe: bool) -> Checked {
        let worker = &self.workers[at];
        let Member { life, ready, draining, .. } = worker.member;
        if let Some(until) = worker.out_until
            && !panic
            && (!probe || self.now() < until)
        {
            let what = format!("life {life} is out until {until:?}, and was picked; as a probe: {probe}");
            return broken(Rule::LeftOutIsLeftOut, what);
        }
        if worker.listed && worker.was_ready && !draining && (ready || panic) {
            return Ok(());
        }
        let what = format!("life {life}: listed {}, ready {ready}, draining {draining}, panic {panic}", worker.listed);
        Err(Violation::new(Rule::NobodyWhoMustNotBe, what))
    }

    /// The slot of a client's cookie, as the pool is told of it.
    fn cookie(&self, client: usize) -> Option<u16> {
        let slot = self.cookies.slot(client);
        match self.plant {
            Some(Plant::OtherCookies) => slot.map(|slot| (slot + 1) % self.shape.workers),
            Some(Plant::ForgottenCookies) if self.now_us.is_multiple_of(8) => None,
            _ => slot,
        }
    }

    /// A request whose cookie names a slot that can be used went there. (Whether the one it went to can be used is
    /// looked at for all.)
    fn check_cookie(&mut self, request: u32, at: usize, panic: bool) -> Checked {
        let request = &self.requests[request as usize];
        let Some(slot) = request.client.and_then(|client| self.cookies.slot(client)) else { return Ok(()) };
        self.coverage.met(Met::Cookies);
        let mut of_slot = self.workers.iter().filter(|worker| worker.member.slot == slot && worker.is_usable(panic));
        let got = &self.workers[at].member;
        match of_slot.find(|worker| !request.tried.contains(&worker.member.life)) {
            Some(wanted) if wanted.member.life != got.life => {
                let what = format!("the cookie says slot {slot}, which is usable; it went to slot {}", got.slot);
                broken(Rule::CookiesAreKept, what)
            }
            Some(_) => {
                self.coverage.met(Met::CookiesKept);
                Ok(())
            }
            None => {
                self.coverage.met(Met::CookiesMoved);
                Ok(())
            }
        }
    }

    // --- The breaker's watch -----------------------------------------------------------------------------------------

    fn watch_pick(&mut self, why: Option<NoPick>) -> Checked {
        let (now, state) = (self.now(), self.breaker_if_watched());
        let (Some(watch), Some(state)) = (&mut self.watch, state) else { return Ok(()) };
        let why = match why {
            Some(NoPick::Open { retry_after }) if self.plant == Some(Plant::HalfRetryAfter) => {
                Some(NoPick::Open { retry_after: retry_after / 2 })
            }
            why => why,
        };
        self.coverage.add(Met::UpstreamRefused, u64::from(matches!(why, Some(NoPick::Open { .. }))));
        let ramps = watch.ramps();
        watch.asked(now, why.map_or(Ok(()), Err), state)?;
        self.coverage.add(Met::UpstreamBack, watch.ramps() - ramps);
        self.coverage.add(Met::UpstreamProbes, u64::from(why.is_none() && watch.is_trying()));
        Ok(())
    }

    /// An answer has begun: a failure is one from now on, and a probe has succeeded.
    fn watch_answer(&mut self, attempt: u32, outcome: Outcome) -> Checked {
        let trying = self.watch.as_ref().is_some_and(Watch::is_trying);
        let now_period = self.watch.as_ref().map_or(0, Watch::period);
        if outcome != Outcome::Ok || trying && self.attempts[attempt as usize].period == now_period {
            self.watch_told(attempt, outcome)?;
        }
        Ok(())
    }

    fn watch_end(&mut self, attempt: u32, outcome: Outcome) -> Checked {
        let answered = self.attempts[attempt as usize].answered;
        // Who goes away in the middle of an answer had one.
        let outcome = if answered && outcome == Outcome::Cancelled { Outcome::Ok } else { outcome };
        self.watch_told(attempt, outcome)
    }

    fn watch_told(&mut self, attempt: u32, outcome: Outcome) -> Checked {
        let (now, state) = (self.now(), self.breaker_if_watched());
        let (Some(watch), Some(state)) = (&mut self.watch, state) else { return Ok(()) };
        let attempt = &mut self.attempts[attempt as usize];
        if std::mem::replace(&mut attempt.watched, true) {
            return Ok(());
        }
        let verdict = match outcome {
            Outcome::Ok => Verdict::Succeeded,
            Outcome::Cancelled => Verdict::Unknown,
            Outcome::AppError | Outcome::Refused { .. } | Outcome::Broken => Verdict::Failed,
        };
        watch.told(now, attempt.period, verdict, state)
    }

    fn breaker_if_watched(&self) -> Option<UpstreamState> {
        self.watch.as_ref().and_then(|_| self.pool.snapshot(self.now()).upstream)
    }

    /// At the end the pool's counts are the gateway's.
    fn check_counts(&self) -> Checked {
        for worker in &self.workers {
            let (life, expected) = (worker.member.life, worker.in_flight);
            let got = self.pool.in_flight(life);
            if got != expected {
                return Err(Violation::new(
                    Rule::CountsAreTrue,
                    format!("life {life} has {expected} under way, not {got}"),
                ));
            }
        }
        Ok(())
    }

    /// The new worker's share, at first and in the end; after a storm everybody's.
    fn check_shares(&self) -> Checked {
        let share = |worker: &Worker, from_ms: u64, to_ms: u64| {
            let range = from_ms * 1_000..to_ms * 1_000;
            let count = |worker: &Worker| worker.picks.iter().filter(|at| range.contains(at)).count() as f64;
            let all: f64 = self.workers.iter().map(count).sum();
            let takes = self.workers.iter().filter(|worker| worker.listed && !worker.member.draining).count() as f64;
            (count(worker), all / takes)
        };
        let by_turns = matches!(self.shape.policy, Policy::RoundRobin | Policy::LeastConnections);
        match self.shape.kind {
            Kind::Added if !self.scenario.steps.is_empty() && (by_turns || self.shape.policy == Policy::Ewma) => {
                let Some(new) = self.workers.last() else { return Ok(()) };
                let (first, fair) = share(new, FAULT_AT_MS, FAULT_AT_MS + 2_000);
                let (later, whole) = share(new, self.shape.lasts_ms - 6_000, self.shape.lasts_ms);
                if first > 0.4 * fair + 8.0 || (self.shape.policy == Policy::RoundRobin && later < 0.5 * whole - 8.0) {
                    let what = format!("{first} of {fair} in its first 2 s, {later} of {whole} in the last 6 s");
                    return Err(Violation::new(Rule::RampIsKept, what));
                }
            }
            Kind::Storm => {
                // Shares wander where answers differ by much: one long answer is a peak, and for half a minute others are asked. Who
                // has recovered comes back from that, so that a second look finds it.
                let looks_ms = [80_000, 110_000].map(|after_ms| STORM_ENDS_MS + after_ms);
                for worker in self.workers.iter().filter(|worker| worker.listed && !worker.member.draining) {
                    let looks = looks_ms.map(|from_ms| share(worker, from_ms, from_ms + 30_000));
                    if looks.iter().all(|(count, fair)| *count < 0.05 * fair - 8.0) {
                        let what = format!("life {}: {looks:?} of what would be fair", worker.member.life);
                        return Err(Violation::new(Rule::Recovers, what));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn phantom(member: &Member) -> Member {
    Member { life: member.life + 1_000_000, slot: member.slot + 100, ..*member }
}

fn exponential(rng: &mut Rng, mean_us: f64) -> u64 {
    // In (0, 1], so the logarithm is finite.
    let unit = ((rng.word() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    (-unit.ln() * mean_us) as u64
}
