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

/// How many standard errors a member's success rate must be below the others' to eject it.
const BEYOND_LUCK: f64 = 5.0;
/// And to make its failures dear.
const SUSPICIOUS: f64 = 3.0;
/// A trial that has too few requests goes on for so many windows.
const TRIAL_MAX: u32 = 30;
/// A member that has just come back is judged after so much fewer requests.
const PROBATION: u32 = 4;

/// How long a request waited for its first byte, and whether one that was sent later was answered earlier, or something
/// else says that it is the request's fault.
#[derive(Debug, Clone, Copy, Default)]
struct Waited {
    secs: f64,
    overtaken: bool,
}

impl Pool {
    /// The first byte of the answer is there, with what its head says. To be called once per ticket, and not at all
    /// where there was none.
    pub fn first_byte(&mut self, now: Duration, ticket: &Ticket, outcome: Outcome) {
        let Some(request) = self.requests.get(ticket.request, ticket.order) else { return };
        if request.phase != Phase::Waiting {
            return;
        }
        let seat = request.seat as usize;
        let waited = self.wait_is_over(now, ticket, seat, outcome);
        match outcome {
            // Its end is still to come, and may say otherwise.
            Outcome::Ok | Outcome::Cancelled => {
                self.requests.set_phase(ticket.request, Phase::Answered);
                if outcome == Outcome::Ok {
                    self.probe_was_answered(now, ticket, seat);
                }
            }
            _ => {
                self.count(now, ticket, seat, outcome, waited);
                self.requests.set_phase(ticket.request, Phase::Counted);
            }
        }
    }

    /// A probe brings its member back when its answer begins: the answer may be a stream without an end, and its member would
    /// be out for as long. A bad end still has a word in it.
    fn probe_was_answered(&mut self, now: Duration, ticket: &Ticket, index: usize) {
        if let Some(breaker) = &mut self.upstream
            && let Some(permit) = self.requests.permit(ticket.request)
        {
            breaker.answered(now, permit);
        }
        if let Health::Probing { order, .. } = self.seats[index].health
            && order == ticket.order
        {
            self.readmit(now, index);
        }
    }

    /// The request is over: the answer was read to its end, the tunnel closed, or it broke. `outcome` is the final word
    /// (a gRPC status comes at the end); what `first_byte` was told to have failed is not counted again.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn finish(&mut self, now: Duration, ticket: Ticket, outcome: Outcome) {
        let Some(request) = self.requests.get(ticket.request, ticket.order) else { return };
        let (seat, phase) = (request.seat as usize, request.phase);
        match phase {
            Phase::Waiting => {
                let waited = self.wait_is_over(now, &ticket, seat, outcome);
                self.count(now, &ticket, seat, outcome, waited);
            }
            Phase::Answered => {
                // Who goes away in the middle of an answer had one.
                let outcome = if outcome == Outcome::Cancelled { Outcome::Ok } else { outcome };
                self.count(now, &ticket, seat, outcome, Waited::default());
            }
            Phase::Counted | Phase::Free => {}
        }
        self.requests.end(ticket.request);
        let under_way = &mut self.seats[seat].in_flight;
        *under_way = under_way.saturating_sub(1);
        self.free_if_gone(seat);
    }

    /// A request waits no more: what it tells about how long others would.
    fn wait_is_over(&mut self, now: Duration, ticket: &Ticket, index: usize, outcome: Outcome) -> Waited {
        let Some(request) = self.requests.get(ticket.request, ticket.order) else { return Waited::default() };
        let secs = now.saturating_sub(request.sent).as_secs_f64();
        let answered = matches!(outcome, Outcome::Ok | Outcome::AppError | Outcome::Refused { .. });
        let rate = self.decay_rate();
        let seat = &mut self.seats[index];
        // What broke at two members is more likely to be what is broken.
        let again = request.again && outcome == Outcome::Broken;
        let overtaken = seat.waiting.was_overtaken(ticket.order) || again;
        self.requests.stop_waiting(&mut seat.waiting, ticket.request, answered);
        match outcome {
            Outcome::Ok if overtaken => seat.rtt.average(now, rate, secs),
            Outcome::Ok => seat.rtt.observe(now, rate, secs),
            // It took so long at least. A short time says nothing.
            Outcome::Cancelled if !overtaken => seat.rtt.at_least(now, rate, secs),
            Outcome::Cancelled if secs > seat.rtt.read(now, rate) => seat.rtt.average(now, rate, secs),
            // Failures are learnt when they are counted.
            _ => {}
        }
        if answered {
            seat.broken = 0;
        }
        Waited { secs, overtaken }
    }

    /// A failure is as dear as a very slow answer: else whoever fails fast would look fast. It is believed at once
    /// where connections break, unless others were answered meanwhile. What the app answered is believed at once of a
    /// member that fails more than the others do, else it goes into the average: one error in a hundred anywhere, or a
    /// client that ran into its rate limit, must not cost the others this one's share.
    fn learn_failure(&mut self, now: Duration, index: usize, outcome: Outcome, waited: Waited) {
        let Waited { secs, overtaken } = waited;
        let ewma = &self.config.ewma;
        let asked = match outcome {
            Outcome::Refused { retry_after } => retry_after.unwrap_or_default().min(ewma.retry_after_max),
            _ => Duration::ZERO,
        };
        let dear = ewma.penalty.max(asked).as_secs_f64().max(secs);
        let rate = self.decay_rate();
        let seat = &mut self.seats[index];
        let believed = match outcome {
            Outcome::Broken => !overtaken,
            _ => seat.trial.is_some_and(|trial| trial.is_worse(ewma.suspicion, SUSPICIOUS)),
        };
        if believed {
            seat.rtt.at_least(now, rate, dear);
        } else if dear > seat.rtt.read(now, rate) {
            seat.rtt.average(now, rate, dear);
        }
    }

    /// Counts a request's outcome, once, and draws the conclusions.
    fn count(&mut self, now: Duration, ticket: &Ticket, index: usize, outcome: Outcome, waited: Waited) {
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
            _ => {
                seat.window.add(now, if failed { FAILED } else { SUCCEEDED }, 1);
                self.compare(now, index, ticket.order, failed);
            }
        }
        if failed {
            self.learn_failure(now, index, outcome, waited);
        }
        let seat = &mut self.seats[index];
        // Where later ones were answered meanwhile, the request is what is broken: three calls of a route that hangs,
        // that were sent together, run out of time together.
        if outcome == Outcome::Broken && !waited.overtaken {
            seat.broken = seat.broken.saturating_add(1);
        }
        match self.seats[index].health {
            Health::Closed { before: Some((.., cause)) } if self.ends_badly(now, ticket, index, cause, outcome) => {
                self.eject(now, index, cause);
            }
            Health::Closed { .. } if failed => self.consider(now, index, outcome, waited),
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

    /// Whether this is the end of the answer that brought its member back a moment ago, and the probe has failed after all.
    fn ends_badly(&self, now: Duration, ticket: &Ticket, index: usize, cause: Cause, outcome: Outcome) -> bool {
        let config = &self.config.ejection;
        ticket.probe
            && config.enabled
            && self.seats[index].health.is_on_probation(now, config.window)
            && probe_result(cause, outcome) == ProbeResult::Out
            && self.can_spare_one()
    }

    /// Whether a member that just failed has to go.
    fn consider(&mut self, now: Duration, index: usize, outcome: Outcome, waited: Waited) {
        let config = self.config.ejection;
        let seat = &self.seats[index];
        if !config.enabled || !seat.is_available() {
            return;
        }
        let broken = config.consecutive_broken > 0 && seat.broken >= config.consecutive_broken;
        let cause = if outcome == Outcome::Broken && !waited.overtaken && broken {
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

    /// Counts an outcome in the trials that are going on, and begins one of the member that failed.
    fn compare(&mut self, now: Duration, index: usize, order: u64, failed: bool) {
        if now < self.trials_end {
            for other in &self.listed {
                if let Some(trial) = &mut self.seats[*other].trial
                    && order > trial.begins
                {
                    let counts = if *other == index { &mut trial.own } else { &mut trial.others };
                    counts.add(failed);
                }
            }
        }
        let (span, enough) = (self.config.ejection.window, self.config.ejection.min_requests);
        let is_over = |trial: &Trial| {
            let age = now.saturating_sub(trial.since);
            age >= span * TRIAL_MAX || age >= span && trial.own.total() >= enough.into()
        };
        let trial = &mut self.seats[index].trial;
        if failed && trial.as_ref().is_none_or(is_over) {
            *trial = Some(Trial::new(now, self.order));
            self.trials_end = now.saturating_add(span * TRIAL_MAX);
        }
    }

    /// Whether a member fails a lot, and a lot more than the others did meanwhile: what fails everywhere is no member's
    /// fault. Nor is bad luck: the difference must be five times what luck makes of two samples of one rate, since it
    /// is looked at after every failure.
    fn stands_out(&self, now: Duration, index: usize) -> bool {
        let config = &self.config.ejection;
        let seat = &self.seats[index];
        let on_probation = seat.health.is_on_probation(now, config.window);
        let least = if on_probation { config.min_requests / PROBATION } else { config.min_requests };
        let lately = Counts::from(seat.window.sums(now));
        let Some(trial) = seat.trial else { return false };
        lately.total() >= u64::from(least.max(1))
            && trial.others.total() >= u64::from(config.min_requests.max(1))
            && lately.rate() < config.success_rate
            && trial.is_worse(config.below_others, BEYOND_LUCK)
    }

    /// Whether one more may be out: half of the members stay, and one at least. Those whose health check fails count as
    /// out, so an ejection never is what begins a panic.
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
