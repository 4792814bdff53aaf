//! The pool: who is in it, who takes the next request, what became of the last one.
//!
//! Seats are places in a vector that members keep while they are listed or have requests under way; `listed` has the seats of the
//! list in the order of slots. What changes rarely (who is listed, who is out) is summed up when it changes, so that a pick only
//! looks at each seat once.

mod choose;
mod counts;
mod outcome;
mod seat;
mod snapshot;
mod under_way;

use std::{collections::VecDeque, time::Duration};

pub use snapshot::{MemberSnapshot, Snapshot, State};

use self::{counts::Counts, seat::Seat, under_way::UnderWay};
use crate::{Ask, Cause, Member, NoPick, PoolConfig, RetryBudget, Ticket, UpstreamBreaker, hash::mix, upstream::unit};

/// So many untold events are kept.
const EVENTS: usize = 64;

/// The members of an app, or of an upstream.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    seats: Vec<Seat>,
    free: Vec<usize>,
    listed: Vec<usize>,
    requests: UnderWay,
    budget: RetryBudget,
    upstream: Option<UpstreamBreaker>,
    /// How many members of the list are ejected or being tried.
    ejected: usize,
    panic: bool,
    /// What became of all requests that were ever counted.
    counts: Counts,
    /// When the last ramp is over.
    ramps_end: Duration,
    /// Where in the list the last choice was.
    turn: usize,
    /// The number of the next request.
    order: u64,
    /// Stirred by each draw: luck for what nobody brings luck to.
    luck: u64,
    events: VecDeque<Event>,
}

/// Something that people should know of.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A member was ejected, or a probe failed and it stays out.
    Ejected {
        /// Its life.
        life: u64,
        /// Its slot.
        slot: u16,
        /// Why.
        cause: Cause,
        /// For how long.
        open: Duration,
    },
    /// A member came back.
    Readmitted {
        /// Its life.
        life: u64,
        /// Its slot.
        slot: u16,
    },
    /// Too few are usable: all are used.
    PanicBegan,
    /// Enough are usable again.
    PanicEnded,
    /// The upstream's breaker opened.
    UpstreamOpened,
}

impl Pool {
    /// A pool without members.
    pub fn new(config: PoolConfig) -> Self {
        Self {
            seats: Vec::new(),
            free: Vec::new(),
            listed: Vec::new(),
            requests: UnderWay::default(),
            budget: RetryBudget::new(&config.budget),
            upstream: config.upstream.map(UpstreamBreaker::new),
            ejected: 0,
            panic: false,
            counts: Counts::default(),
            ramps_end: Duration::ZERO,
            turn: 0,
            order: 0,
            luck: 0,
            events: VecDeque::with_capacity(EVENTS),
            config,
        }
    }

    /// How it balances and protects.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Balances and protects otherwise from now on. Members, requests under way and estimates stay; what a breaker or a budget has
    /// counted stays too unless its own settings changed.
    pub fn set_config(&mut self, now: Duration, config: PoolConfig) {
        if config.budget != self.config.budget {
            self.budget = RetryBudget::new(&config.budget);
        }
        if config.upstream != self.config.upstream {
            self.upstream = config.upstream.map(UpstreamBreaker::new);
        }
        if config.ejection.window != self.config.ejection.window {
            for seat in &mut self.seats {
                seat.window = crate::window::Window::new(config.ejection.window);
            }
        }
        self.config = config;
        if !self.config.ejection.enabled {
            self.seats.iter_mut().for_each(|seat| seat.health.close(now));
        }
        self.sum_up();
    }

    /// Replaces the list of members. Who stays, by life, keeps what was learnt; who left is kept while requests are under way. Of
    /// two with the same life the later one counts.
    pub fn set_members(&mut self, now: Duration, members: &[Member]) {
        // Others than the new ones: a pool whose members are all new has nobody who could carry their share meanwhile.
        let mut established = 0;
        for seat in &mut self.seats {
            let stays = members.iter().rev().find(|member| member.life == seat.member.life);
            let takes = |member: &Member| member.takes_requests() && seat.is_available();
            established += usize::from(stays.is_some_and(takes));
            seat.listed = false;
        }
        for member in members {
            let index = self.seat_for(now, *member);
            let seat = &mut self.seats[index];
            let becomes_ready = member.ready && !(seat.was_ready && seat.member.ready);
            seat.listed = true;
            seat.member = *member;
            seat.was_ready |= member.ready;
            if becomes_ready && established > 0 && seat.health.is_closed() {
                self.begin_ramp(now, index);
            }
        }
        for index in 0..self.seats.len() {
            self.free_if_gone(index);
        }
        self.listed.clear();
        let listed = self.seats.iter().enumerate().filter(|(_, seat)| seat.listed).map(|(index, _)| index);
        self.listed.extend(listed);
        self.listed.sort_unstable_by_key(|index| {
            let Member { slot, life, .. } = self.seats[*index].member;
            (slot, life)
        });
        self.sum_up();
    }

    /// The member that takes a request.
    ///
    /// # Errors
    /// [`NoPick`] says why nobody does, and what would help.
    pub fn pick(&mut self, now: Duration, ask: &Ask<'_>) -> Result<Ticket, NoPick> {
        self.luck = mix(self.luck ^ ask.draw);
        if self.config.in_flight.total.is_some_and(|limit| self.requests.count() >= limit) {
            return Err(NoPick::PoolFull);
        }
        let (index, probe) = self.choose(now, ask)?;
        let permit = match &mut self.upstream {
            Some(breaker) => Some(breaker.admit(now, self.luck).map_err(|retry_after| NoPick::Open { retry_after })?),
            None => None,
        };
        self.order += 1;
        let (seat, order) = (&mut self.seats[index], self.order);
        if probe {
            seat.health.probe(order);
        }
        seat.in_flight += 1;
        seat.picks += 1;
        let request = self.requests.send(&mut seat.waiting, index as u32, order, now, permit);
        Ok(Ticket { life: seat.member.life, slot: seat.member.slot, probe, request, order })
    }

    /// Counts a request that came in, once whatever is tried for it: it adds to the budget of retries.
    pub fn deposit(&mut self, now: Duration) {
        self.budget.deposit(now);
    }

    /// Whether something may be tried again now; if so, it is taken from the budget. Ask last, when everything else is for it.
    pub fn may_retry(&mut self, now: Duration) -> bool {
        self.budget.withdraw(now)
    }

    /// Requests under way at a member: 0 means that nothing holds it back from ending.
    pub fn in_flight(&self, life: u64) -> u32 {
        self.seats.iter().find(|seat| seat.kept && seat.member.life == life).map_or(0, |seat| seat.in_flight)
    }

    /// The next moment at which more may be possible than now although nothing was told: an ejected member may be tried, or the
    /// upstream. A moment that is over means that it has been so since.
    pub fn wake_at(&self) -> Option<Duration> {
        let seats = self.listed.iter().filter_map(|index| match self.seats[*index].health {
            crate::health::Health::Open { until, .. } => Some(until),
            _ => None,
        });
        seats.chain(self.upstream.as_ref().and_then(UpstreamBreaker::wake_at)).min()
    }

    /// What happened since it was asked last, oldest first; more than 64 untold events drop the oldest.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn seat_for(&mut self, now: Duration, member: Member) -> usize {
        // A free seat keeps its last member, who must not be taken for this one.
        let known = |seat: &Seat| seat.kept && seat.member.life == member.life;
        if let Some(index) = self.seats.iter().position(known) {
            return index;
        }
        let mut seat = Seat::new(now, member, &self.config);
        // Not yet: whether it has just become ready is found out by whoever asks for the seat.
        seat.was_ready = false;
        match self.free.pop() {
            Some(index) => {
                self.seats[index] = seat;
                index
            }
            None => {
                self.seats.push(seat);
                self.seats.len() - 1
            }
        }
    }

    fn free_if_gone(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        if seat.kept && !seat.listed && seat.in_flight == 0 {
            seat.kept = false;
            self.free.push(index);
        }
    }

    fn begin_ramp(&mut self, now: Duration, index: usize) {
        let window = self.config.slow_start.window;
        if !window.is_zero() {
            self.seats[index].ramp_from = Some(now);
            self.ramps_end = self.ramps_end.max(now.saturating_add(window));
        }
    }

    /// Sums up who can be used, after something about it has changed.
    fn sum_up(&mut self) {
        let listed = || self.listed.iter().map(|index| &self.seats[*index]);
        let all = listed().filter(|seat| seat.counts()).count();
        let available = listed().filter(|seat| seat.is_available()).count();
        self.ejected = listed().filter(|seat| !seat.health.is_closed()).count();
        let panic = (available as f64) < self.config.ejection.panic * all as f64;
        if panic != self.panic {
            self.panic = panic;
            self.tell(if panic { Event::PanicBegan } else { Event::PanicEnded });
        }
    }

    /// 1/τ, per second.
    fn decay_rate(&self) -> f64 {
        1.0 / self.config.ewma.tau.as_secs_f64().max(0.001)
    }

    /// Luck in 0..1 for a time out.
    fn some_luck(&mut self) -> f64 {
        self.luck = mix(self.luck);
        unit(self.luck)
    }
}
