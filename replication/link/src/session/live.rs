//! The live lane, outgoing: own changes as soon as they are written, marks; and acks of what came.
//!
//! A first change goes out at once; while changes keep coming they go out together every two milliseconds, or when a
//! quarter of a megabyte has come together. Marks follow changes within 50 ms and are rare when nothing happens.

use bytes::{Bytes, BytesMut};
use replication_core::{Hlc, PARTITIONS};
use replication_storage::Tail;

use super::{Context, catch_up::Pending, conn::Conn, lanes::Lane};
use crate::{
    frame::{Frame, Mark},
    status::add,
};

/// The number of the catch-up round that every connection begins with.
pub(crate) const FIRST_ROUND: u64 = 1;

const FLUSH_EVERY_MS: u64 = 2;
const BATCH_BYTES: usize = 256 << 10;
const MARK_EVERY_MS: u64 = 50;
const MARK_EVERY_IDLE_MS: u64 = 500;
const ACK_EVERY_MS: u64 = 100;
/// How soon a catch-up is confirmed: the sender waits for that before it sends much more.
const ACK_CATCH_UP_MS: u64 = 20;

/// A mark that waits until everything before its position is sent.
#[derive(Debug, Clone, Copy)]
struct Making {
    hlc: Hlc,
    position: u64,
    taken_ms: u64,
}

/// Where the live lane stands.
#[derive(Debug)]
pub(crate) struct Live {
    /// Everything before this ring position is sent, or left to a catch-up.
    position: u64,
    round: u64,
    /// The store's change counts at the last ack.
    seen: Vec<u32>,
    changes: u64,
    flushed_ms: u64,
    flush_at: Option<u64>,
    making: Option<Making>,
    marked_ms: u64,
    mark_at: u64,
    ack_at: Option<u64>,
    /// The peer has asked what we have in all partitions, closed replicas included.
    acks_all: bool,
}

impl Live {
    /// Begins at a ring position that was taken before the hello's vectors were read.
    pub(crate) fn new(position: u64, seen: Vec<u32>, changes: u64) -> Self {
        Self {
            position,
            round: FIRST_ROUND,
            seen,
            changes,
            flushed_ms: 0,
            flush_at: None,
            making: None,
            marked_ms: 0,
            mark_at: 0,
            ack_at: None,
            acks_all: false,
        }
    }

    /// Something came: it shall be confirmed soon.
    pub(crate) fn ack_soon(&mut self, now_ms: u64, catch_up: bool) {
        let at = now_ms + if catch_up { ACK_CATCH_UP_MS } else { ACK_EVERY_MS };
        self.ack_at = Some(self.ack_at.map_or(at, |due| due.min(at)));
    }

    /// The peer wants to know everything that we have.
    pub(crate) fn ack_all(&mut self, now_ms: u64) {
        self.acks_all = true;
        self.ack_at = Some(now_ms);
    }

    /// When there is something to do though nothing comes.
    pub(crate) fn wake_at(&self) -> u64 {
        let mark_at = if self.making.is_some() { u64::MAX } else { self.mark_at };
        [self.flush_at, self.ack_at].into_iter().flatten().fold(mark_at, u64::min)
    }

    /// Whether it matters that more has been written: not while a flush is due anyway.
    pub(crate) fn heeds_writes(&self) -> bool {
        self.flush_at.is_none()
    }
}

impl Conn {
    /// Sends what is due and fits.
    pub(crate) fn work_live(&mut self, cx: &Context<'_>) {
        self.schedule(cx);
        if !self.is_held_off() {
            self.work_changes(cx);
        }
        if self.live.ack_at.is_some_and(|at| at <= cx.now_ms) && self.lanes.room(Lane::Control) {
            self.live.ack_at = None;
            self.ack(cx);
        }
    }

    /// Changes and marks.
    fn work_changes(&mut self, cx: &Context<'_>) {
        if self.live.flush_at.is_some_and(|at| at <= cx.now_ms) || self.live.making.is_some() {
            self.flush(cx);
        }
        if self.live.mark_at <= cx.now_ms && self.live.making.is_none() {
            let (hlc, position) = cx.store.tick_watermark();
            self.live.making = Some(Making { hlc, position, taken_ms: cx.now_ms });
            self.flush(cx);
        }
        if !self.is_held_off() {
            self.finish_mark(cx);
        }
    }

    /// Looks whether something new is to be sent or confirmed, and when.
    fn schedule(&mut self, cx: &Context<'_>) {
        let live = &mut self.live;
        let held_off = self.held_off.is_some();
        if held_off {
            (live.flush_at, live.mark_at) = (None, u64::MAX);
        } else if live.flush_at.is_none() && cx.store.position() > live.position && self.lanes.room(Lane::Live) {
            live.flush_at = Some((live.flushed_ms + FLUSH_EVERY_MS).max(cx.now_ms));
            live.mark_at = live.mark_at.min((live.marked_ms + MARK_EVERY_MS).max(cx.now_ms));
        }
        let changes = cx.store.changes();
        if changes != live.changes {
            live.changes = changes;
            live.ack_soon(cx.now_ms, false);
        }
    }

    /// Sends what the ring has, as far as the lane takes it. What falls off the ring while it does not is left to a
    /// new catch-up round.
    fn flush(&mut self, cx: &Context<'_>) {
        self.live.flush_at = None;
        while self.lanes.room(Lane::Live) {
            match cx.store.tail(self.live.position, BATCH_BYTES) {
                Tail::Deltas { deltas, next } => {
                    let more = !deltas.is_empty();
                    let ready = deltas.into_iter().filter(|d| !self.pending.has(d.partition)).map(|d| d.bytes);
                    let Some(ready) = self.readable(cx, ready.collect()) else { return };
                    if !ready.is_empty() {
                        let bytes = self.say(Lane::Live, &Frame::Batch(joined(&ready)), None);
                        add(&cx.gauges.sent_deltas, ready.len());
                        add(&cx.gauges.live_bytes_sent, bytes);
                    }
                    self.live.position = next;
                    self.live.flushed_ms = cx.now_ms;
                    if !more {
                        return;
                    }
                }
                Tail::FellOff { .. } => self.start_over(cx),
            }
        }
    }

    fn start_over(&mut self, cx: &Context<'_>) {
        self.live.round += 1;
        add(&cx.gauges.fell_off, 1);
        tracing::info!(peer = %cx.peer.name, "the link fell behind and catches up");
        // From now on the peer believes no mark until the round is done.
        self.say(Lane::Live, &Frame::Begin(self.live.round), None);
        self.pending = Pending::all();
        self.live.position = cx.store.position();
        self.catch_ups.begin_round(self.live.round);
    }

    /// Says up to which stamp everything has been sent, once it has.
    fn finish_mark(&mut self, cx: &Context<'_>) {
        let Some(making) = self.live.making else { return };
        if self.live.position < making.position {
            if cx.store.position() < making.position {
                self.lanes.want(Some(cx.store.pending_mark()));
            }
            return;
        }
        if !self.lanes.room(Lane::Live) {
            return;
        }
        let (hlc, age_ms) = (making.hlc, cx.now_ms - making.taken_ms);
        self.say(Lane::Live, &Frame::Mark(Mark { hlc, age_ms, next_ms: MARK_EVERY_IDLE_MS }), None);
        self.live.making = None;
        self.live.marked_ms = cx.now_ms;
        self.live.mark_at = cx.now_ms + MARK_EVERY_IDLE_MS;
    }

    /// Confirms what has not been confirmed, once it is durable here.
    fn ack(&mut self, cx: &Context<'_>) {
        let changed = cx.store.changed_partitions(&mut self.live.seen);
        let vectors: Vec<_> = if std::mem::take(&mut self.live.acks_all) {
            (0..PARTITIONS).zip(cx.store.version_vectors()).filter(|(_, vv)| !vv.is_empty()).collect()
        } else {
            changed.into_iter().map(|id| (id, self.closed.news(id, cx.store.version_vector(id)))).collect()
        };
        if vectors.is_empty() {
            return;
        }
        self.say(Lane::Control, &Frame::Ack(vectors), Some(cx.store.pending_mark()));
    }
}

fn joined(parts: &[Bytes]) -> Bytes {
    let mut all = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| all.extend_from_slice(part));
    all.freeze()
}
