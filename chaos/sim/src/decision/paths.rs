//! The network between regions: what becomes of a probe, and of a message on a connection that stands.
//!
//! ```text
//! probe     a new connection each time: SYN, SYN+ACK, request, response; each packet lost or late by itself. What is lost of the
//!           handshake is sent again after a second, which is too late; what is lost after it, after three round trips.
//!           So a probe tries another connection each `redial_ms`, until one of them has answered or the timeout is over; the first
//!           three that stand are asked.
//! message   lost packets are sent again, later each time, until the sender gives up.
//! ```
//! Every path has luck of its own, so that work that is skipped on one changes nothing on another.

use decision::Timing;

use crate::rng::Rng;

/// One direction between two regions.
#[derive(Debug)]
struct Path {
    delay_ms: u64,
    jitter_ms: u64,
    /// Of 65 536.
    loss: u64,
    /// How many faults hold it shut.
    cuts: u32,
    /// How many faults make it lose four of five.
    lossy: u32,
    /// How many faults drop the probes that are sent this way.
    firewalls: u32,
}

/// Luck of what goes from one region to another and back.
#[derive(Debug)]
struct Luck {
    probes: Rng,
    messages: Rng,
}

/// All paths.
#[derive(Debug)]
pub(crate) struct Paths {
    count: usize,
    paths: Vec<Path>,
    luck: Vec<Luck>,
}

/// What a probe is up against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    /// Somebody listens there.
    pub(crate) listens: bool,
    /// Who does not listen refuses at least.
    pub(crate) refuses: bool,
    /// A probe without an answer after this long has failed, milliseconds.
    pub(crate) timeout_ms: u64,
    /// From one attempt to connect to the next one, milliseconds.
    pub(crate) redial_ms: u64,
}

/// When a probe ended, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probed {
    /// Milliseconds after its start.
    pub(crate) after_ms: u64,
    pub(crate) is_answered: bool,
    pub(crate) dials: u32,
}

const LOSSY: u64 = 65_536 * 4 / 5;
/// A sender does not send again before this, milliseconds (Linux).
const RETRANSMIT_MIN_MS: u64 = 200;
/// From one retransmission to the next one at most, milliseconds.
const RETRANSMIT_MAX_MS: u64 = 2_000;

impl Path {
    fn loss(&self) -> u64 {
        if self.lossy > 0 { LOSSY } else { self.loss }
    }

    fn transit(&self, luck: u64) -> u64 {
        self.delay_ms + (((luck & 0xffff) * self.jitter_ms) >> 16)
    }
}

impl Paths {
    pub(crate) fn new(seed: u64, delay_ms: &[Vec<u64>], jitter_ms: u64, loss_permille: u64) -> Self {
        let count = delay_ms.len();
        let pairs = || (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
        let path = |(a, b): (usize, usize)| Path {
            delay_ms: delay_ms[a][b],
            jitter_ms,
            loss: loss_permille * 65_536 / 1000,
            cuts: 0,
            lossy: 0,
            firewalls: 0,
        };
        let luck = |(a, b): (usize, usize)| Luck {
            probes: Rng::of(seed, &format!("probes {a} {b}")),
            messages: Rng::of(seed, &format!("messages {a} {b}")),
        };
        Self { count, paths: pairs().map(path).collect(), luck: pairs().map(luck).collect() }
    }

    fn at(&self, from: usize, to: usize) -> usize {
        from * self.count + to
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, begins: bool) {
        let at = self.at(from, to);
        count(&mut self.paths[at].cuts, begins);
    }

    pub(crate) fn lose(&mut self, from: usize, to: usize, begins: bool) {
        let at = self.at(from, to);
        count(&mut self.paths[at].lossy, begins);
    }

    pub(crate) fn firewall(&mut self, from: usize, to: usize, begins: bool) {
        let at = self.at(from, to);
        count(&mut self.paths[at].firewalls, begins);
    }

    /// Whether anything passes that way.
    pub(crate) fn is_open(&self, from: usize, to: usize) -> bool {
        from == to || self.paths[self.at(from, to)].cuts == 0
    }

    /// Whether two regions can talk.
    pub(crate) fn are_joined(&self, a: usize, b: usize) -> bool {
        self.is_open(a, b) && self.is_open(b, a)
    }

    /// The round trip between two regions at most, milliseconds.
    pub(crate) fn round_trip_ms(&self, a: usize, b: usize) -> u64 {
        if a == b { 0 } else { 2 * (self.paths[self.at(a, b)].delay_ms + self.paths[self.at(a, b)].jitter_ms) }
    }

    /// A probe of a gateway.
    pub(crate) fn probe(&mut self, from: usize, to: usize, host: Host) -> Probed {
        let failed = Probed { after_ms: host.timeout_ms, is_answered: false, dials: 1 };
        if from == to {
            return if host.listens || host.refuses {
                Probed { after_ms: 1, is_answered: host.listens, ..failed }
            } else {
                failed
            };
        }
        let (at, back_at) = (self.at(from, to), self.at(to, from));
        let (forth, back) = (&self.paths[at], &self.paths[back_at]);
        let is_shut = forth.cuts > 0 || back.cuts > 0 || forth.firewalls > 0;
        if is_shut || !(host.listens || host.refuses) {
            return failed;
        }
        let luck = &mut self.luck[at].probes;
        let mut asked = Asked::default();
        let mut best: Option<u64> = None;
        let (mut began_ms, mut dials) = (0, 0);
        while began_ms < host.timeout_ms && best.is_none_or(|best| best > began_ms) {
            dials += 1;
            asked.add(attempt(luck, forth, back, host, began_ms));
            best = asked.first_answer_ms();
            began_ms += host.redial_ms;
        }
        match best.filter(|best| *best <= host.timeout_ms) {
            Some(after_ms) => Probed { after_ms, is_answered: host.listens, dials },
            None => Probed { dials, ..failed },
        }
    }

    /// When a message on a connection that stands arrives, milliseconds from now; none if it does not.
    pub(crate) fn message(&mut self, from: usize, to: usize) -> Option<u64> {
        if from == to {
            return Some(0);
        }
        let (at, back_at) = (self.at(from, to), self.at(to, from));
        let path = &self.paths[at];
        if path.cuts > 0 {
            return None;
        }
        let luck = &mut self.luck[at].messages;
        let mut word = luck.word();
        let mut after_ms = path.transit(word);
        let round_trip_ms = 2 * path.delay_ms + path.jitter_ms;
        let mut again_ms = (3 * round_trip_ms).max(RETRANSMIT_MIN_MS);
        let loss = path.loss().max(if self.paths[back_at].lossy > 0 { path.loss } else { 0 });
        while (word >> 16) & 0xffff < loss {
            after_ms += again_ms;
            again_ms = (2 * again_ms).min(RETRANSMIT_MAX_MS);
            word = luck.word();
        }
        Some(after_ms)
    }
}

fn count(faults: &mut u32, begins: bool) {
    *faults = if begins { *faults + 1 } else { faults.saturating_sub(1) };
}

/// When an attempt stands, and when it would be answered if it asked.
type Attempt = (u64, Option<u64>);

/// The attempts that ask: the first to stand, in order.
#[derive(Default)]
struct Asked([Option<Attempt>; Timing::ASKS as usize]);

impl Asked {
    fn add(&mut self, attempt: Option<Attempt>) {
        let mut next = attempt;
        for place in &mut self.0 {
            if next.is_some_and(|(stands_ms, _)| place.is_none_or(|(other_ms, _)| stands_ms < other_ms)) {
                std::mem::swap(place, &mut next);
            }
        }
    }

    fn first_answer_ms(&self) -> Option<u64> {
        self.0.iter().filter_map(|asked| (*asked)?.1).min()
    }
}

/// One attempt that begins at `began_ms`; none if its handshake is lost.
fn attempt(luck: &mut Rng, forth: &Path, back: &Path, host: Host, began_ms: u64) -> Option<Attempt> {
    let (word, late) = (luck.word(), luck.word());
    let (there, here) = (forth.loss(), back.loss());
    let lane = |n: u32| (word >> (16 * n)) & 0xffff;
    if lane(0) < there || lane(1) < here {
        return None;
    }
    let stands_ms = began_ms + forth.transit(late) + back.transit(late >> 16);
    let mut at_ms = stands_ms;
    if !host.listens {
        return Some((stands_ms, Some(stands_ms)));
    }
    let mut again_ms = (3 * (at_ms - began_ms)).max(RETRANSMIT_MIN_MS);
    let mut lost = (lane(2) < there, lane(3) < here);
    // The request first, then the response; whoever misses the acknowledgement sends again.
    while lost.0 || lost.1 {
        at_ms += again_ms;
        if at_ms > host.timeout_ms {
            return Some((stands_ms, None));
        }
        again_ms *= 2;
        let word = luck.word();
        lost = if lost.0 { (word & 0xffff < there, lost.1) } else { (false, word & 0xffff < here) };
    }
    Some((stands_ms, Some(at_ms + forth.transit(late >> 32) + back.transit(late >> 48))))
}
