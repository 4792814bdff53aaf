//! Links: the regions' link machines, joined by the simulated network instead of QUIC.

use replication_core::{Hlc, RemoteStamp};
use replication_link::{Input, NEWEST, Output};
use replication_storage::WriteMark;

use super::{Event, World};
use crate::state::{coverage::Met, net::Packet, oracle::Violation};

/// One connection in so many is made in the version before the newest, as while regions are upgraded.
const OLD_ONE_IN: u64 = 6;
/// From this version on a hello tells what its speaker has heard of the hearer.
const TELLS_HEARD: u16 = 3;
/// Between two attempts to connect, in milliseconds: at least, and spread over so much more.
const REDIAL_MS: (u64, u64) = (100, 400);
/// A receiver hears of a peer's sudden end at last after so long, in milliseconds.
const NOTICE_MS: u64 = 3_000;

impl World<'_> {
    /// Tries to connect two regions, now and until it succeeds.
    pub(super) fn dial(&mut self, a: u16, b: u16) {
        if self.net.connection(a, b).is_some() {
            return;
        }
        let alive = self.region(a).life.is_some() && self.region(b).life.is_some();
        if !alive {
            return; // whoever starts dials
        }
        if self.net.is_open(a, b) && self.net.is_open(b, a) {
            self.queue.plan(self.now_ms + self.net.round_trip_ms(a, b), Event::Connected { a, b });
        } else {
            self.redial(a, b);
        }
    }

    pub(super) fn redial(&mut self, a: u16, b: u16) {
        let pause_ms = REDIAL_MS.0 + self.net.weather_ms(REDIAL_MS.1);
        self.queue.plan(self.now_ms + pause_ms, Event::Dial { a: a.min(b), b: a.max(b) });
    }

    pub(super) fn connected(&mut self, a: u16, b: u16) -> Result<(), Violation> {
        let ready = self.region(a).life.is_some() && self.region(b).life.is_some();
        let open = self.net.is_open(a, b) && self.net.is_open(b, a);
        if !ready || !open || self.net.connection(a, b).is_some() {
            self.dial(a, b);
            return Ok(());
        }
        self.tamper_with_catch_up(a, b);
        let connection = self.net.connect(a, b);
        let old = self.net.weather_ms(OLD_ONE_IN) == 0;
        let version = if old { NEWEST - 1 } else { NEWEST };
        self.coverage.met(if old { Met::OldVersions } else { Met::Connections });
        self.trace.say(self.now_ms, format_args!("{a} – {b} connected ({connection})"));
        for (region, peer) in [(a, b), (b, a)] {
            // An end that has not noticed the end of the last connection learns of it by the new one.
            self.hand_in(region, peer, Input::Closed { why: "replaced by a newer connection".to_owned() });
            self.hand_in(region, peer, Input::Opened { version });
            self.work(region, peer)?;
        }
        Ok(())
    }

    pub(super) fn arrive(&mut self, packet: Packet) -> Result<(), Violation> {
        let Packet { from, to, lane, .. } = packet;
        if !self.net.is_open(from, to) {
            self.coverage.met(Met::HeldPackets);
        }
        let Some(packet) = self.net.arrive(packet) else { return Ok(()) };
        self.trace.say(self.now_ms, format_args!("{from} → {to} {lane:?} {} bytes", packet.bytes.len()));
        self.hand_in(to, from, Input::Frame { lane, bytes: packet.bytes });
        self.work(to, from)
    }

    pub(super) fn wrote(&mut self, packet: &Packet, life: u64) -> Result<(), Violation> {
        let Packet { from, to, lane, connection, .. } = *packet;
        if !self.is_current(from, life) || self.net.connection(from, to) != Some(connection) {
            return Ok(());
        }
        self.hand_in(from, to, Input::Wrote { lane, bytes: packet.bytes.len() });
        self.work(from, to)
    }

    pub(super) fn wake(&mut self, region: u16, life: u64, peer: u16) -> Result<(), Violation> {
        if !self.is_current(region, life) {
            return Ok(());
        }
        let now_ms = self.now_ms;
        let due = self.region_mut(region).life.as_mut().is_some_and(|life| {
            let due = life.wakes.get(&peer).is_some_and(|at| *at <= now_ms);
            if due {
                life.wakes.remove(&peer);
            }
            due
        });
        if !due {
            return Ok(());
        }
        self.hand_in(region, peer, Input::Tick);
        self.work(region, peer)
    }

    /// Tells the link machines of a region that the store has written something.
    pub(super) fn tell_sessions(&mut self, region: u16) -> Result<(), Violation> {
        for peer in (1..=self.count()).filter(|peer| *peer != region) {
            let heeds = |world: &Self| {
                let life = world.region(region).life.as_ref();
                life.and_then(|life| life.sessions.get(&peer)).is_some_and(replication_link::Session::heeds_writes)
            };
            if heeds(self) {
                self.hand_in(region, peer, Input::Tick);
                self.work(region, peer)?;
            }
        }
        Ok(())
    }

    /// One end of a connection learns that it is gone.
    pub(super) fn gone(
        &mut self,
        region: u16,
        life: u64,
        peer: u16,
        connection: u64,
        why: &'static str,
    ) -> Result<(), Violation> {
        // A newer connection has told it already.
        if !self.is_current(region, life) || self.net.connection(region, peer).is_some_and(|now| now != connection) {
            return Ok(());
        }
        self.hand_in(region, peer, Input::Closed { why: why.to_owned() });
        self.work(region, peer)
    }

    /// Ends a connection, tells both ends in their own time, and lets them try again.
    pub(super) fn break_connection(&mut self, a: u16, b: u16, why: &'static str) {
        let Some(connection) = self.net.connection(a, b) else { return };
        self.net.disconnect(a, b);
        self.trace.say(self.now_ms, format_args!("{a} – {b} down: {why}"));
        for (region, peer) in [(a, b), (b, a)] {
            let notices_at = self.now_ms + self.net.weather_ms(NOTICE_MS);
            if let Some(life) = self.region(region).life.as_ref().map(|life| life.number) {
                self.queue.plan(notices_at, Event::Gone { region, life, peer, connection, why });
            }
        }
        self.redial(a, b);
    }

    pub(super) fn cut_timeout(&mut self, from: u16, to: u16, connection: u64) -> Result<(), Violation> {
        if !self.net.is_open(from, to) && self.net.connection(from, to) == Some(connection) {
            self.coverage.met(Met::TimedOut);
            self.break_connection(from, to, "timed out");
        }
        Ok(())
    }

    fn hand_in(&mut self, region: u16, peer: u16, input: Input) {
        let now_ms = self.now_ms;
        let Some(session) = self.region_mut(region).life.as_mut().and_then(|life| life.sessions.get_mut(&peer)) else {
            return;
        };
        let was_up = session.is_up();
        session.handle(now_ms, input);
        if !was_up && session.is_up() && session.status(now_ms).version >= TELLS_HEARD {
            self.note_told(region, peer);
        }
    }

    /// A peer's hello has told a region up to which stamp it once said that nothing of its remains.
    fn note_told(&mut self, region: u16, peer: u16) {
        let heard = self.region(peer).life.as_ref().map_or(Hlc::ZERO, |life| life.store.heard(region));
        let Some(life) = &mut self.region_mut(region).life else { return };
        if !matches!(heard.judge(life.store.now_ms()), RemoteStamp::FarAhead { .. }) {
            life.told = life.told.max(heard);
        }
    }

    /// Does what a machine asks for until it asks for nothing more.
    fn work(&mut self, region: u16, peer: u16) -> Result<(), Violation> {
        while !self.region(region).disk.is_crashed() {
            let session = self.region_mut(region).life.as_mut().and_then(|life| life.sessions.get_mut(&peer));
            match session.and_then(replication_link::Session::next_output) {
                None => break,
                Some(Output::Send { lane, bytes }) => self.send(region, peer, lane, bytes),
                Some(Output::Persist(mark)) => {
                    let input = self.persist(region, mark);
                    self.hand_in(region, peer, input);
                }
                Some(Output::Close { reason }) => {
                    self.coverage.met(Met::Quarantines);
                    self.trace.say(self.now_ms, format_args!("region {region} closes the link to {peer}: {reason}"));
                    self.break_connection(region, peer, "closed by an end");
                }
            }
        }
        self.plan_wake(region, peer);
        self.after(region)
    }

    fn send(&mut self, from: u16, to: u16, lane: replication_link::Lane, bytes: bytes::Bytes) {
        let (Some(connection), Some(life)) =
            (self.net.connection(from, to), self.region(from).life.as_ref().map(|life| life.number))
        else {
            return;
        };
        let packet = Packet { connection, from, to, lane, bytes };
        let Some((left_ms, arrives_ms)) = self.net.send(&packet, self.now_ms) else { return };
        // The transport's own buffers spare the simulation an event for each packet on a fast path.
        self.queue.plan(left_ms, Event::Wrote { packet: packet.clone(), life });
        self.queue.plan(arrives_ms, Event::Arrive(packet));
    }

    fn persist(&mut self, region: u16, mark: WriteMark) -> Input {
        let partitions = self.partitions.clone();
        let it = self.region_mut(region);
        let Some(life) = &it.life else { return Input::Tick };
        match life.store.persist_now(mark) {
            Ok(()) => {
                if mark >= life.store.pending_mark() {
                    it.note_written(&partitions);
                }
                Input::Persisted(mark)
            }
            Err(error) => Input::NotPersisted(error.to_string()),
        }
    }

    fn plan_wake(&mut self, region: u16, peer: u16) {
        let now_ms = self.now_ms;
        let Some(life) = &mut self.region_mut(region).life else { return };
        let number = life.number;
        let Some(at_ms) = life.sessions.get(&peer).and_then(replication_link::Session::wake_at) else { return };
        let at_ms = at_ms.max(now_ms + 1);
        if life.wakes.get(&peer).is_some_and(|planned| *planned <= at_ms) {
            return;
        }
        life.wakes.insert(peer, at_ms);
        self.queue.plan(at_ms, Event::Wake { region, life: number, peer });
    }
}
