//! The catch-up lane, outgoing: what the peer lacks, partition by partition, by version vector. The cost is that of
//! the changed elements, however long the peer was away and however much there is in all.
//!
//! This file decides which partition is next and how many may be under way; `ladder.rs` makes what is sent of one. A
//! peer that comes back is asked to bear a bounded amount at a time, beside its clients and ours: so many partitions
//! and bytes that it has not confirmed, one partition in pieces, and a share of the link (lanes.rs).

use std::collections::BTreeMap;

use replication_core::{PARTITIONS, VersionVector};

use super::{Context, conn::Conn, lacks::Lacks, ladder::Ladder, lanes::Lane, live::FIRST_ROUND};
use crate::frame::Frame;

/// What may be on its way to a peer and not confirmed yet: so much a receiver is asked to bear besides its clients. It is the
/// bytes that cost; the number only bounds the list. (With 128, all partitions took eight round trips, however little was in
/// each: 1.6 s of a heal over 200 ms.)
const IN_FLIGHT_PARTITIONS: usize = 512;
const IN_FLIGHT_BYTES: usize = 8 << 20;
/// A catch-up that was not confirmed in this time no longer counts: the peer asks again if it has not come.
const FORGET_AFTER_MS: u64 = 5_000;

/// Partitions of which the peer may lack something that no live delta will bring: their live deltas are left out,
/// since the catch-up to come contains them.
#[derive(Debug)]
pub(crate) struct Pending([u64; PARTITIONS as usize / 64]);

impl Pending {
    pub(crate) fn all() -> Self {
        Self([u64::MAX; PARTITIONS as usize / 64])
    }

    pub(crate) fn clear(&mut self, partition: u16) {
        self.0[usize::from(partition / 64)] &= !(1 << (partition % 64));
    }

    pub(crate) fn has(&self, partition: u16) -> bool {
        self.0[usize::from(partition / 64)] & (1 << (partition % 64)) != 0
    }
}

/// Going through all partitions.
#[derive(Debug, Clone, Copy)]
struct Round {
    number: u64,
    next: u16,
}

/// A catch-up that is sent and not confirmed.
#[derive(Debug)]
struct Sent {
    vv: VersionVector,
    bytes: usize,
    at_ms: u64,
}

/// What there is to catch up.
#[derive(Debug)]
pub(crate) struct CatchUps {
    round: Option<Round>,
    /// What the peer asked for, or was seen to lack: the vector it has.
    wants: BTreeMap<u16, VersionVector>,
    in_flight: BTreeMap<u16, Sent>,
    in_flight_bytes: usize,
    pub(crate) ladder: Ladder,
    lacks: Lacks,
    look_at: u64,
}

impl CatchUps {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            round: Some(Round { number: FIRST_ROUND, next: 0 }),
            wants: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            ladder: Ladder::default(),
            lacks: Lacks::default(),
            look_at: now_ms + Lacks::EVERY_MS,
        }
    }

    /// Goes through all partitions, and says when that is done.
    pub(crate) fn begin_round(&mut self, number: u64) {
        self.round = Some(Round { number, next: 0 });
    }

    /// The peer says that it lacks something of a partition.
    pub(crate) fn want(&mut self, partition: u16, has: VersionVector) {
        self.wants.insert(partition, has);
    }

    /// The peer confirmed so much of a partition.
    pub(crate) fn acked(&mut self, partition: u16, vv: &VersionVector) {
        if self.in_flight.get(&partition).is_some_and(|sent| vv.dominates(&sent.vv)) {
            self.forget(partition);
        }
    }

    fn forget(&mut self, partition: u16) {
        if let Some(sent) = self.in_flight.remove(&partition) {
            self.in_flight_bytes -= sent.bytes;
        }
    }

    /// A catch-up that leads to `vv` is on its way.
    pub(crate) fn sent(&mut self, partition: u16, vv: VersionVector, bytes: usize, now_ms: u64) {
        self.forget(partition);
        self.in_flight_bytes += bytes;
        self.in_flight.insert(partition, Sent { vv, bytes, at_ms: now_ms });
    }

    fn expire(&mut self, now_ms: u64) {
        let old = |sent: &Sent| sent.at_ms + FORGET_AFTER_MS <= now_ms;
        let expired: Vec<u16> = self.in_flight.iter().filter(|(_, sent)| old(sent)).map(|(id, _)| *id).collect();
        expired.into_iter().for_each(|partition| self.forget(partition));
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT_PARTITIONS && self.in_flight_bytes < IN_FLIGHT_BYTES
    }

    fn is_idle(&self) -> bool {
        self.round.is_none() && self.wants.is_empty() && self.ladder.is_idle()
    }

    /// When there is something to do though nothing comes.
    pub(crate) fn wake_at(&self) -> u64 {
        let expires = self.in_flight.values().map(|sent| sent.at_ms + FORGET_AFTER_MS).min();
        self.look_at.min(expires.filter(|_| !self.is_idle()).unwrap_or(u64::MAX)).min(self.ladder.wake_at())
    }
}

impl Conn {
    /// Sends what the peer lacks, as far as lane and peer take it. While nobody asks for anything, it looks now and
    /// then whether the peer lacks something that nobody will send it.
    pub(crate) fn work_catch_up(&mut self, cx: &Context<'_>) {
        self.catch_ups.expire(cx.now_ms);
        if self.is_held_off() {
            return;
        }
        if self.catch_ups.look_at <= cx.now_ms {
            self.catch_ups.look_at = cx.now_ms + Lacks::EVERY_MS;
            if self.catch_ups.is_idle() {
                for partition in self.catch_ups.lacks.look(cx.store, cx.peer.id) {
                    let has = cx.store.acked(cx.peer.id, partition);
                    self.catch_ups.want(partition, has);
                }
            }
        }
        while !self.is_held_off() && self.lanes.room(Lane::CatchUp) && self.step(cx) {}
    }

    /// One partition, or one piece of one; false when there is nothing to do.
    fn step(&mut self, cx: &Context<'_>) -> bool {
        if self.climb(cx) {
            return true;
        }
        if !self.catch_ups.has_room() || !self.catch_ups.ladder.has_room() {
            return false;
        }
        if let Some((partition, has)) = self.catch_ups.wants.pop_first() {
            self.catch_up(cx, partition, &has);
            return true;
        }
        let Some(round) = self.catch_ups.round else { return false };
        if round.next == PARTITIONS {
            if !self.catch_ups.ladder.is_idle() {
                return false;
            }
            self.catch_ups.round = None;
            self.say(Lane::CatchUp, &Frame::Done(round.number), None);
            return true;
        }
        let partition = round.next;
        self.catch_ups.round = Some(Round { next: partition + 1, ..round });
        let has = cx.store.acked(cx.peer.id, partition);
        // Own changes made from here on go out live. Where there is something to catch up, that holds from the moment
        // at which its end is made.
        if has.dominates(&cx.store.version_vector(partition)) {
            self.pending.clear(partition);
        } else {
            self.catch_up(cx, partition, &has);
        }
        true
    }
}
