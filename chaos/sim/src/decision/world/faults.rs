//! What breaks, when it is mended, and what the truth has to know of it.

use decision::Input;

use super::{Event, World};
use crate::decision::{coverage::Met, oracle::Violation, scenario::Action};

/// One region's life.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// Which process it is.
    pub(crate) number: u64,
    pub(crate) is_alive: bool,
    /// The host of the dead one refuses connections.
    pub(crate) refuses: bool,
    kills: u32,
    pub(crate) gateway_faults: u32,
    pub(crate) member_faults: u32,
    pub(crate) member_poor: u32,
}

/// What a proposer has to wait at most after lost answers, milliseconds: the judge's longest pause.
const FOG_ECHO_MS: u64 = 35_000;
/// From here on a step of a clock counts as long, milliseconds: the judge comes to believe it.
const LONG_STEP_MS: u64 = 600_000;

impl World<'_> {
    /// A step begins, or what it began ends.
    pub(super) fn turn_fault(&mut self, action: Action, begins: bool) -> Result<(), Violation> {
        let index = |region: u16| usize::from(region) - 1;
        let met = |coverage: &mut crate::decision::coverage::Coverage, what| {
            if begins {
                coverage.met(what);
            }
        };
        match action {
            Action::Kill { region, refuses, .. } => return self.turn_life(index(region), refuses, begins),
            Action::Gateway { region, .. } => {
                met(&mut self.coverage, Met::GatewayDeaths);
                let region = index(region);
                turn(&mut self.lives[region].gateway_faults, begins);
                self.truth.silence_all(self.now_ms, region, begins);
                self.fail_region(region, begins);
            }
            Action::Member { region, is_poor, .. } => self.turn_member(index(region), is_poor, begins),
            Action::Cut { from, to, both, .. } => {
                met(&mut self.coverage, if both { Met::Cuts } else { Met::OneWayCuts });
                self.turn_path(index(from), index(to), begins);
                if both {
                    self.turn_path(index(to), index(from), begins);
                }
            }
            Action::Isolate { region, .. } => {
                met(&mut self.coverage, Met::Isolations);
                for other in (0..self.lives.len()).filter(|other| *other != index(region)) {
                    self.turn_path(index(region), other, begins);
                    self.turn_path(other, index(region), begins);
                }
            }
            Action::Lossy { from, to, .. } => {
                met(&mut self.coverage, Met::LossyPaths);
                let (from, to) = (index(from), index(to));
                self.paths.lose(from, to, begins);
                self.hide_both(from, to, begins);
            }
            Action::Firewall { from, to, .. } => {
                met(&mut self.coverage, Met::Firewalls);
                self.paths.firewall(index(from), index(to), begins);
                self.truth.hide(self.now_ms, index(from), index(to), begins);
            }
            Action::Mute { region, .. } => {
                met(&mut self.coverage, Met::Mutes);
                let region = index(region);
                self.truth.silence_all(self.now_ms, region, begins);
                if let Some(eye) = &mut self.eyes[region] {
                    turn(&mut eye.mutes, begins);
                }
            }
            Action::Lie { region, about, .. } => self.turn_lie(index(region), about.map(index), begins),
            Action::ClockStep { region, by_ms, .. } => self.turn_clock(index(region), by_ms, begins),
            Action::Fog { .. } => {
                turn(&mut self.fogs, begins);
                if !begins {
                    self.truth.trouble.turn(self.now_ms, false);
                    self.truth.trouble.touch(self.now_ms + FOG_ECHO_MS);
                    self.truth.upset.turn(self.now_ms, false);
                    return Ok(());
                }
            }
            Action::HandOver
            | Action::Override { .. }
            | Action::Clear { .. }
            | Action::Rogue(_)
            | Action::Follow { .. } => {}
        }
        if !matches!(action, Action::Gateway { .. } | Action::Member { .. }) {
            self.truth.trouble.turn(self.now_ms, begins);
            self.truth.upset.turn(self.now_ms, begins);
        }
        self.look_at_lead()
    }

    fn turn_path(&mut self, from: usize, to: usize, begins: bool) {
        self.paths.cut(from, to, begins);
        self.hide_both(from, to, begins);
    }

    /// A probe needs both directions, and in the end so do votes.
    fn hide_both(&mut self, from: usize, to: usize, begins: bool) {
        for (a, b) in [(from, to), (to, from)] {
            self.truth.hide(self.now_ms, a, b, begins);
            self.truth.silence(self.now_ms, a, b, begins);
        }
    }

    fn turn_member(&mut self, region: usize, is_poor: bool, begins: bool) {
        let met = if is_poor { Met::MemberWeakness } else { Met::MemberDeaths };
        self.coverage.add(met, u64::from(begins));
        let life = &mut self.lives[region];
        turn(if is_poor { &mut life.member_poor } else { &mut life.member_faults }, begins);
        let Some(subject) = self.member_subject(region) else { return };
        if is_poor {
            self.truth.is_poor[subject].turn(self.now_ms, begins);
            self.truth.trouble.touch(self.now_ms);
        } else {
            self.fail(subject, false, begins);
        }
    }

    fn turn_lie(&mut self, region: usize, about: Option<usize>, begins: bool) {
        self.coverage.add(Met::Liars, u64::from(begins));
        self.truth.lies[region].turn(self.now_ms, begins);
        let Some(eye) = &mut self.eyes[region] else { return };
        if begins {
            eye.lies.push(about);
        } else if let Some(at) = eye.lies.iter().position(|lie| *lie == about) {
            eye.lies.remove(at);
        }
        eye.forget_vector();
    }

    fn turn_clock(&mut self, region: usize, by_ms: i64, begins: bool) {
        self.coverage.add(Met::ClockSteps, u64::from(begins));
        self.coverage.add(Met::LongSteps, u64::from(begins && by_ms.unsigned_abs() >= LONG_STEP_MS));
        self.unsettle(region);
        self.clocks[region].step(if begins { by_ms } else { -by_ms });
        self.ledger.clocks_stepped = true;
    }

    fn turn_life(&mut self, region: usize, refuses: bool, begins: bool) -> Result<(), Violation> {
        turn(&mut self.lives[region].kills, begins);
        if begins && self.lives[region].is_alive {
            self.coverage.met(if refuses { Met::Kills } else { Met::Crashes });
            self.catch_up(region);
            let led = self.log.leader == Some(region);
            let life = &mut self.lives[region];
            (life.is_alive, life.refuses) = (false, refuses);
            life.number += 1;
            self.members[region].leads = false;
            if led {
                self.doubt_lead();
                // A leader that starts again asks for votes like everybody else.
                self.log.leader = None;
            }
            self.truth.silence_all(self.now_ms, region, true);
            self.fell_as_leader = led;
            self.fail_region(region, true);
            self.fell_as_leader = false;
        } else if !begins && self.lives[region].kills == 0 {
            self.truth.silence_all(self.now_ms, region, false);
            self.fail_region(region, false);
            self.start(region)?;
        }
        self.look_at_lead()
    }

    /// A region's process starts on what the one before left.
    pub(super) fn start(&mut self, region: usize) -> Result<(), Violation> {
        self.lives[region].is_alive = true;
        let first_ms = self.scenario.shape.regions[region].phase_ms;
        if self.members[region].applied > 0 {
            let state = self.state_on_disk(region);
            self.members[region].restarted(state);
            if let Some(plan) = self.members[region].published.clone() {
                self.tell(region, Input::Plan(plan))?;
            }
        }
        self.open_eye(region, first_ms);
        self.follow_again(region);
        Ok(())
    }

    /// A region and all of its memberships stop to serve, or serve again.
    fn fail_region(&mut self, region: usize, begins: bool) {
        self.fail(region, self.fell_as_leader, begins);
        if let Some(member) = self.member_subject(region) {
            self.fail(member, false, begins);
        }
    }

    fn fail(&mut self, subject: usize, led: bool, begins: bool) {
        let was = self.truth.fails[subject].is_active();
        self.truth.fails[subject].turn(self.now_ms, begins);
        let is = self.truth.fails[subject].is_active();
        if is && !was {
            self.coverage.add(Met::FallsOfTwo, u64::from(self.falls_beside(subject)));
            let look_ms = self.falls.begin(self.now_ms, subject, led);
            self.queue.plan(look_ms, Event::LookAtFall { subject, at_ms: self.now_ms });
        } else if was && !is {
            self.coverage.met(Met::Returns);
            self.truth.trouble.touch(self.now_ms);
            let undecided = self.falls.end(subject);
            self.coverage.add(Met::Outlived, u64::from(undecided));
        }
    }

    /// Whether another region fell within half a minute and is still down.
    pub(super) fn falls_beside(&self, subject: usize) -> bool {
        let own = self.subjects[subject].region;
        let fell_lately =
            |region: usize| self.truth.fails[region].since_ms().is_some_and(|since| self.now_ms - since <= 30_000);
        (0..self.lives.len()).any(|region| region != own && fell_lately(region))
    }
}

fn turn(faults: &mut u32, begins: bool) {
    *faults = if begins { *faults + 1 } else { faults.saturating_sub(1) };
}
