//! The pool: who is in it, who takes the next request, what became of the last one.

use std::time::Duration;

use crate::{Ask, Member, NoPick, Outcome, PoolConfig, Ticket};

/// The members of an app, or of an upstream.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    members: Vec<(Member, u32)>,
    turn: usize,
}

/// Something that people should know of.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A member was ejected.
    Ejected {
        /// Its life.
        life: u64,
        /// Its slot.
        slot: u16,
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
}

/// How a member is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes requests.
    Available,
    /// It takes requests, with a growing share.
    Ramping,
    /// It is left out.
    Ejected,
    /// It is left out but for one request that tries it.
    Probing,
    /// Its health check does not pass.
    NotReady,
    /// It is about to end.
    Draining,
    /// It is not listed any more, and has requests under way.
    Leaving,
}

/// A pool at one moment, for metrics and people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// All members, those listed first.
    pub members: Vec<MemberSnapshot>,
    /// Requests under way.
    pub in_flight: u32,
    /// Health is ignored, since too few are healthy.
    pub panic: bool,
    /// How many retries the budget allows right now.
    pub retries_left: u32,
}

/// A member at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemberSnapshot {
    /// Its life.
    pub life: u64,
    /// Its slot.
    pub slot: u16,
    /// How it is doing.
    pub state: State,
    /// Requests under way.
    pub in_flight: u32,
    /// Those of them that wait for a first byte.
    pub waiting: u32,
    /// What it is expected to need until the first byte, by peak-EWMA.
    pub rtt: Duration,
    /// Its success rate in the window, if it had requests.
    pub success_rate: Option<f64>,
}

impl Pool {
    /// A pool without members.
    pub fn new(config: PoolConfig) -> Self {
        Self { config, members: Vec::new(), turn: 0 }
    }

    /// How it balances and protects.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Balances and protects otherwise from now on. Members, requests under way and what was learnt stay.
    pub fn set_config(&mut self, now: Duration, config: PoolConfig) {
        let _ = now;
        self.config = config;
    }

    /// Replaces the list of members. Who stays, by life, keeps what was learnt; who left is kept while requests are under way.
    pub fn set_members(&mut self, now: Duration, members: &[Member]) {
        let _ = now;
        let under_way = |life| self.members.iter().find(|(old, _)| old.life == life).map_or(0, |(_, count)| *count);
        self.members = members.iter().map(|member| (*member, under_way(member.life))).collect();
    }

    /// The member that takes a request.
    ///
    /// # Errors
    /// [`NoPick`] says why nobody does, and what would help.
    pub fn pick(&mut self, now: Duration, ask: &Ask<'_>) -> Result<Ticket, NoPick> {
        let _ = now;
        let count = self.members.len();
        self.turn = self.turn.wrapping_add(1);
        let order = (0..count).map(|step| (self.turn % count + step) % count);
        let mut found = NoPick::NoMember;
        for index in order {
            let (member, in_flight) = &mut self.members[index];
            if !member.takes_requests() {
                continue;
            }
            if ask.tried.contains(&member.life) {
                found = NoPick::AllTried;
                continue;
            }
            *in_flight += 1;
            return Ok(Ticket { life: member.life, slot: member.slot, probe: false, seat: 0, request: 0, order: 0 });
        }
        Err(found)
    }

    /// The first byte of the answer is there, with what its head says. To be called once per ticket, and not at all where there was
    /// none.
    pub fn first_byte(&mut self, now: Duration, ticket: &Ticket, outcome: Outcome) {
        let _ = (now, ticket, outcome);
    }

    /// The request is over: the answer was read to its end, the tunnel closed, or it broke. `outcome` is the final word (a gRPC status comes
    /// at the end); what `first_byte` was told to have failed is not counted again.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn finish(&mut self, now: Duration, ticket: Ticket, outcome: Outcome) {
        let _ = (now, outcome);
        if let Some((_, in_flight)) = self.members.iter_mut().find(|(member, _)| member.life == ticket.life) {
            *in_flight = in_flight.saturating_sub(1);
        }
    }

    /// Counts a request that came in, once whatever is tried for it: it adds to the budget of retries.
    pub fn deposit(&mut self, now: Duration) {
        let _ = now;
    }

    /// Whether something may be tried again now; if so, it is taken from the budget. Ask last, when everything else is for it.
    pub fn may_retry(&mut self, now: Duration) -> bool {
        let _ = now;
        true
    }

    /// Requests under way at a member: 0 means that nothing holds it back from ending.
    pub fn in_flight(&self, life: u64) -> u32 {
        self.members.iter().find(|(member, _)| member.life == life).map_or(0, |(_, count)| *count)
    }

    /// The next moment at which more may be possible than now although nothing was told: a probe is due, a breaker may be tried.
    pub fn wake_at(&self) -> Option<Duration> {
        None
    }

    /// What happened since it was asked last, oldest first; more than 64 untold events drop the oldest.
    pub fn next_event(&mut self) -> Option<Event> {
        None
    }

    /// How the pool is doing.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let _ = now;
        let member = |(member, in_flight): &(Member, u32)| MemberSnapshot {
            life: member.life,
            slot: member.slot,
            state: match () {
                () if member.draining => State::Draining,
                () if member.ready => State::Available,
                () => State::NotReady,
            },
            in_flight: *in_flight,
            waiting: *in_flight,
            rtt: self.config.ewma.default_rtt,
            success_rate: None,
        };
        Snapshot {
            members: self.members.iter().map(member).collect(),
            in_flight: self.members.iter().map(|(_, count)| count).sum(),
            ..Snapshot::default()
        }
    }
}
