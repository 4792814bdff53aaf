//! Which member takes a request: the cookie's, then one that is due for a probe, then the policy's.

use std::time::Duration;

use super::{Pool, seat::Seat};
use crate::{Ask, NoPick, Policy, hash::mix, upstream::unit};

/// How often two members are drawn before all are looked at: with half of them out of use, one draw in 65 000 needs more.
const DRAWS: u32 = 16;

/// What a member is to a request.
enum Use {
    Yes,
    /// It cannot be used, for this reason.
    No(NoPick),
}

impl Pool {
    /// The seat for a request, and whether it is a probe.
    pub(super) fn choose(&mut self, now: Duration, ask: &Ask<'_>) -> Result<(usize, bool), NoPick> {
        if let Some(slot) = ask.sticky_slot
            && let Some(seat) = self.sticky(now, ask, slot)
        {
            return Ok((seat, !self.panic && !self.seats[seat].health.is_closed()));
        }
        if self.ejected > 0
            && !self.panic
            && let Some(seat) = self.due(now, ask)
        {
            return Ok((seat, true));
        }
        let seat = match self.config.policy {
            Policy::Ewma => self.least_cost(now, ask),
            Policy::RoundRobin => self.round_robin(now, ask),
            Policy::LeastConnections => {
                let ramp = self.ramp(now);
                self.least(ask, |seat, _| f64::from(seat.in_flight + 1) / seat.weight(now, ramp))
            }
            Policy::IpHash => self.hash(now, ask, None),
            Policy::Rendezvous => self.hash(now, ask, Some(self.config.bounded_load.factor.max(1.0))),
        }?;
        Ok((seat, false))
    }

    /// The member of a slot, if it can be used, or tried.
    fn sticky(&self, now: Duration, ask: &Ask<'_>, slot: u16) -> Option<usize> {
        self.listed.iter().copied().find(|index| {
            let seat = &self.seats[*index];
            seat.member.slot == slot
                && !ask.tried.contains(&seat.member.life)
                && !self.is_full(seat)
                && (seat.is_usable(self.panic) || self.is_due(seat, now, ask))
        })
    }

    /// An ejected member whose time is over.
    fn due(&self, now: Duration, ask: &Ask<'_>) -> Option<usize> {
        self.listed.iter().copied().find(|index| {
            let seat = &self.seats[*index];
            self.is_due(seat, now, ask) && !ask.tried.contains(&seat.member.life) && !self.is_full(seat)
        })
    }

    fn is_due(&self, seat: &Seat, now: Duration, ask: &Ask<'_>) -> bool {
        seat.member.takes_requests() && seat.health.probe_due(now, ask.repeatable)
    }

    fn is_full(&self, seat: &Seat) -> bool {
        self.config.in_flight.per_member.is_some_and(|limit| seat.in_flight >= limit)
    }

    fn usable(&self, seat: &Seat, ask: &Ask<'_>) -> Use {
        if !seat.is_usable(self.panic) {
            Use::No(NoPick::NoMember)
        } else if ask.tried.contains(&seat.member.life) {
            Use::No(NoPick::AllTried)
        } else if self.is_full(seat) {
            Use::No(NoPick::MembersFull)
        } else {
            Use::Yes
        }
    }

    /// The window of ramps, if any counts now: not if more than half of the members are new, since the few others could not bear it.
    pub(super) fn ramp(&self, now: Duration) -> Option<Duration> {
        let window = self.config.slow_start.window;
        if now >= self.ramps_end {
            return None;
        }
        let available = || self.listed.iter().map(|index| &self.seats[*index]).filter(|seat| seat.is_available());
        let (all, ramping) = (available().count(), available().filter(|seat| seat.is_ramping(now, window)).count());
        (2 * ramping <= all).then_some(window)
    }

    /// The seat of the smallest key. Ties go round: the scan begins behind the last one that was chosen.
    fn least(&mut self, ask: &Ask<'_>, key: impl Fn(&Seat, &Self) -> f64) -> Result<usize, NoPick> {
        let (mut best, mut why) = (None, NoPick::NoMember);
        let count = self.listed.len();
        let mut place = self.turn;
        for _ in 0..count {
            place = if place + 1 < count { place + 1 } else { 0 };
            let index = self.listed[place];
            let seat = &self.seats[index];
            match self.usable(seat, ask) {
                Use::Yes => {
                    let key = key(seat, self);
                    if best.is_none_or(|(_, _, least)| key < least) {
                        best = Some((place, index, key));
                    }
                }
                Use::No(reason) => why = worse(why, reason),
            }
        }
        let (place, index, _) = best.ok_or(why)?;
        self.turn = place;
        Ok(index)
    }

    /// Peak-EWMA: the least of all, or of two that are drawn.
    fn least_cost(&mut self, now: Duration, ask: &Ask<'_>) -> Result<usize, NoPick> {
        let (rate, ramp) = (self.decay_rate(), self.ramp(now));
        let count = self.listed.len();
        if count > self.config.ewma.full_scan.max(2) {
            let (mut luck, mut first) = (ask.draw, None);
            for _ in 0..DRAWS {
                luck = mix(luck);
                let index = self.listed[((u128::from(luck) * count as u128) >> 64) as usize];
                if first == Some(index) || !matches!(self.usable(&self.seats[index], ask), Use::Yes) {
                    continue;
                }
                let Some(other) = first else {
                    first = Some(index);
                    continue;
                };
                let cost = |index: usize| self.seats[index].cost(now, rate, ramp, &self.requests);
                return Ok(if cost(index) < cost(other) { index } else { other });
            }
        }
        self.least(ask, |seat, pool| seat.cost(now, rate, ramp, &pool.requests))
    }

    /// nginx's smooth weighted round robin: everybody earns its weight, the richest takes the request and pays for all.
    fn round_robin(&mut self, now: Duration, ask: &Ask<'_>) -> Result<usize, NoPick> {
        let ramp = self.ramp(now);
        let (mut best, mut why, mut total) = (None, NoPick::NoMember, 0.0);
        for place in 0..self.listed.len() {
            let index = self.listed[place];
            if let Use::No(reason) = self.usable(&self.seats[index], ask) {
                why = worse(why, reason);
                continue;
            }
            let seat = &mut self.seats[index];
            let weight = seat.weight(now, ramp);
            seat.credit += weight;
            total += weight;
            if best.is_none_or(|(_, most)| seat.credit > most) {
                best = Some((index, seat.credit));
            }
        }
        let (index, _) = best.ok_or(why)?;
        self.seats[index].credit -= total;
        Ok(index)
    }

    /// Rendezvous hashing: each slot draws a number from the hash and itself, the largest wins, so that a slot that goes takes only its
    /// own requests along. With a factor, a member that carries so much more than its share passes on to the next one.
    fn hash(&self, now: Duration, ask: &Ask<'_>, factor: Option<f64>) -> Result<usize, NoPick> {
        let ramp = self.ramp(now);
        let mut why = NoPick::NoMember;
        let (mut in_flight, mut weights, mut first, mut equal) = (0, 0.0, None, true);
        for index in &self.listed {
            let seat = &self.seats[*index];
            match self.usable(seat, ask) {
                Use::Yes => {
                    let weight = seat.weight(now, ramp);
                    in_flight += seat.in_flight;
                    weights += weight;
                    equal &= *first.get_or_insert(weight) == weight;
                }
                Use::No(reason) => why = worse(why, reason),
            }
        }
        let mut best = None;
        for index in &self.listed {
            let seat = &self.seats[*index];
            if !matches!(self.usable(seat, ask), Use::Yes) {
                continue;
            }
            let weight = seat.weight(now, ramp);
            if let Some(factor) = factor
                && f64::from(seat.in_flight + 1) > (factor * f64::from(in_flight + 1) * weight / weights).ceil()
            {
                continue;
            }
            let luck = unit(mix(ask.hash ^ mix(u64::from(seat.member.slot) + 1)));
            // The logarithm gives each slot a share by its weight (Schindelhauer and Schomaker 2005); of equal weights the order is the same without.
            let score = if equal { luck } else { weight / -luck.max(f64::EPSILON).ln() };
            if best.is_none_or(|(_, most)| score > most) {
                best = Some((*index, score));
            }
        }
        best.map(|(index, _)| index).ok_or(why)
    }
}

/// The reason that says most: full, since it passes; tried; nobody.
fn worse(one: NoPick, other: NoPick) -> NoPick {
    match (one, other) {
        (NoPick::MembersFull, _) | (_, NoPick::MembersFull) => NoPick::MembersFull,
        (NoPick::AllTried, _) | (_, NoPick::AllTried) => NoPick::AllTried,
        _ => NoPick::NoMember,
    }
}
