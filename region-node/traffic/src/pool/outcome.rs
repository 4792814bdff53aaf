//! What became of requests: the estimate, the success rate, and who is ejected or comes back.

use std::time::Duration;

use super::{
    Event, Pool,
    counts::{Counts, Trial},
    seat::{FAILED, SUCCEEDED},
    under_way::Phase,
};
use crate::{
    Cause, Outcome, Ticket, Verdict,
    health::{Health, ProbeResult, probe_result},
};

/// How many standard errors a member's success rate must be below the others'.
const BEYOND_LUCK: f64 = 5.0;
/// A member that has just come back is judged after so much fewer requests.
const PROBATION: u32 = 4;

impl Pool {
    /// The first byte of the answer is there, with what its head says. To be called once per ticket, and not at all where there
    /// was none.
    pub fn first_byte(&mut self, now: Duration, ticket: &Ticket, outcome: Outcome) {
        let Some(request) = self.requests.get(ticket.request, ticket.order) else { return };
        if request.phase != Phase::Waiting {
            return;
        }
        let seat = request.seat as usize;
        self.wait_is_over(now, ticket, seat, outcome);
        match outcome {
            // Its end is still to come, and may say otherwise.
            Outcome::Ok | Outcome::Cancelled => self.requests.set_phase(ticket.request, Phase::Answered),
            _ => {
                self.count(now, ticket, seat, outcome);
                self.requests.set_phase(ticket.request, Phase::Counted);
            }
        }
    }

    /// The request is over: the answer was read to its end, the tunnel closed, or it broke. `outcome` is the final word (a gRPC
    /// status comes at the end); what `first_byte` was told to have failed is not counted again.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn finish(&mut self, now: Duration, ticket: Ticket, outcome: Outcome) {
        let Some(request) = self.requests.get(ticket.request, ticket.order) else { return };
        let (seat, phase) = (request.seat as usize, request.phase);
        match phase {
            Phase::Waiting => {
                self.wait_is_over(now, &ticket, seat, outcome);
                self.count(now, &ticket, seat, outcome);
            }
            Phase::Answered => {
                // Who goes away in the middle of an answer had one.
                let outcome = if outcome == Outcome::Cancelled { Outcome::Ok } else { outcome };
                if outcome != Outcome::Ok {
                    self.learn_failure(now, seat, outcome, 0.0);
                }
                self.count(now, &ticket, seat, outcome);
            }
            Phase::Counted | Phase::Free => {}
        }
        self.requests.end(ticket.request);
        let seat_ = &mut self.seats[seat];
        seat_.in_flight = seat_.in_flight.saturating_sub(1);
        self.free_if_gone(seat);
    }

    /// A request waits no more: what it tells about how long others would.
    fn wait_is_over(&mut self, now: Duration, ticket: &Ticket, index: usize, outcome: Outcome) {
        let Some(request) = self.requests.get(ticket.request, ticket.order) else { return };
        let secs = now.saturating_sub(request.sent).as_secs_f64();
        let answered = matches!(outcome, Outcome::Ok | Outcome::AppError | Outcome::Refused { .. });
        let rate = self.decay_rate();
        let seat = &mut self.seats[index];
        let overtaken = seat.waiting.was_overtaken(ticket.order);
        self.requests.stop_waiting(&mut seat.waiting, ticket.request, answered);
        match outcome {
            Outcome::Ok if overtaken => seat.rtt.average(now, rate, secs),
            Outcome::Ok => seat.rtt.observe(now, rate, secs),
            // It took so long at least. A short time says nothing.
            Outcome::Cancelled if overtaken => {
                if secs > seat.rtt.read(now, rate) {
                    seat.rtt.average(now, rate, secs);
                }
            }
            Outcome::Cancelled => seat.rtt.at_least(now, rate, secs),
            _ => self.learn_failure(now, index, outcome, secs),
        }
        if answered {
            self.seats[index].broken = 0;
        }
    }

    /// A failure is as dear as a very slow answer: else whoever fails fast would look fast.
    fn learn_failure(&mut self, now: Duration, index: usize, outcome: Outcome, secs: f64) {
        let ewma = &self.config.ewma;
        let asked = match outcome {
            Outcome::Refused { retry_after } => retry_after.unwrap_or_default().min(ewma.retry_after_max),
            _ => Duration::ZERO,
        };
        let penalty = ewma.penalty.max(asked).as_secs_f64();
        let rate = self.decay_rate();
        self.seats[index].rtt.at_least(now, rate, penalty.max(secs));
    }

    /// Counts a request's outcome, once, and draws the conclusions.
    fn count(&mut self, now: Duration, ticket: &Ticket, index: usize, outcome: Outcome) {
        let failed = matches!(outcome, Outcome::AppError | Outcome::Refused { .. } | Outcome::Broken);
        let permit = self.requests.get(ticket.request, ticket.order).and_then(|request| request.permit);
        if let (Some(breaker), Some(permit)) = (&mut self.upstream, permit) {
            let verdict = match outcome {
                Outcome::Cancelled => Verdict::Unknown,
                _ if failed => Verdict::Failed,
                _ => Verdict::Succeeded,
            };
            if breaker.record(now, permit, verdict, self.luck) {
                self.tell(Event::UpstreamOpened);
            }
        }
        let seat = &mut self.seats[index];
        match outcome {
            Outcome::Cancelled => {}
            _ if failed => {
                seat.window.add(now, FAILED, 1);
                seat.counts.failed += 1;
                self.counts.failed += 1;
                // What is compared begins after its first failure, which would count against nobody else.
                if seat
                    .trial
                    .as_ref()
                    .is_none_or(|trial| now.saturating_sub(trial.since) >= self.config.ejection.window)
                {
                    seat.trial = Some(Trial { since: now, own: seat.counts, all: self.counts });
                }
            }
            _ => {
                seat.window.add(now, SUCCEEDED, 1);
                seat.counts.succeeded += 1;
                self.counts.succeeded += 1;
            }
        }
        if outcome == Outcome::Broken {
            seat.broken = seat.broken.saturating_add(1);
        }
        match seat.health {
            Health::Closed { .. } if failed => self.consider(now, index, outcome),
            Health::Probing { cause, order, .. } if order == ticket.order => match probe_result(cause, outcome) {
                ProbeResult::Back => self.readmit(now, index),
                ProbeResult::Out => self.eject(now, index, cause),
                ProbeResult::Unknown => self.seats[index].health.probe_again(now),
            },
            // In panic everybody is asked, which is as good as a probe.
            Health::Open { cause, .. } if self.panic && probe_result(cause, outcome) == ProbeResult::Back => {
                self.readmit(now, index);
            }
            _ => {}
        }
    }

    /// Whether a member that just failed has to go.
    fn consider(&mut self, now: Duration, index: usize, outcome: Outcome) {
        let config = self.config.ejection;
        let seat = &self.seats[index];
        if !config.enabled || !seat.is_available() {
            return;
        }
        let broken = config.consecutive_broken > 0 && seat.broken >= config.consecutive_broken;
        let cause = if outcome == Outcome::Broken && broken {
            Cause::Broken
        } else if self.stands_out(now, index) {
            Cause::Failing
        } else {
            return;
        };
        if self.can_spare_one() {
            self.eject(now, index, cause);
        }
    }

    /// Whether a member fails a lot, and a lot more than the others did meanwhile: what fails everywhere is no member's fault. Nor is
    /// bad luck: the difference must be five times what luck makes of two samples of one rate, since it is looked at after every failure.
    fn stands_out(&self, now: Duration, index: usize) -> bool {
        let config = &self.config.ejection;
        let seat = &self.seats[index];
        let on_probation = seat.health.is_on_probation(now, config.window);
        let least = if on_probation { config.min_requests / PROBATION } else { config.min_requests };
        let lately = seat.window.sums(now).into();
        let Some(trial) = &seat.trial else { return false };
        let own = seat.counts - trial.own;
        let others = self.counts - trial.all - own;
        if Counts::total(lately) < u64::from(least.max(1)) || others.total() < u64::from(config.min_requests.max(1)) {
            return false;
        }
        let difference = others.rate() - own.rate();
        lately.rate() < config.success_rate && difference >= config.below_others.max(BEYOND_LUCK * own.luck(others))
    }

    /// Whether one more may be out: half of the members stay, and one at least. Those whose health check fails count as out, so an
    /// ejection never is what begins a panic.
    fn can_spare_one(&self) -> bool {
        let listed = || self.listed.iter().map(|index| &self.seats[*index]);
        let all = listed().filter(|seat| seat.counts()).count();
        let available = listed().filter(|seat| seat.is_available()).count();
        available > all.div_ceil(2).max(1)
    }

    fn eject(&mut self, now: Duration, index: usize, cause: Cause) {
        let luck = self.some_luck();
        let seat = &mut self.seats[index];
        seat.ejections += u64::from(seat.health.is_closed());
        let open = seat.health.open(now, cause, &self.config.ejection, luck);
        let (life, slot) = (seat.member.life, seat.member.slot);
        self.tell(Event::Ejected { life, slot, cause, open });
        self.sum_up();
    }

    fn readmit(&mut self, now: Duration, index: usize) {
        let others = self.listed.iter().any(|other| *other != index && self.seats[*other].is_available());
        let seat = &mut self.seats[index];
        seat.health.close(now);
        seat.window.clear();
        seat.trial = None;
        seat.broken = 0;
        let (life, slot) = (seat.member.life, seat.member.slot);
        if others {
            self.begin_ramp(now, index);
        }
        self.tell(Event::Readmitted { life, slot });
        self.sum_up();
    }
}
