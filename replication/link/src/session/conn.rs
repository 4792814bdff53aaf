//! One connection: hello first, then frames to whom they concern, and work for as long as it lasts.

use std::collections::BTreeSet;

use replication_core::{PARTITIONS, TooNew, VersionVector};
use replication_storage::WriteMark;

use super::{
    Context, Input,
    assembly::Assembly,
    audit::Audit,
    catch_up::{CatchUps, Pending},
    guard::Guard,
    intake::Intake,
    lanes::{Lane, Lanes},
    live::Live,
    trust::{End, Fault},
};
use crate::{
    columns::{self, Said},
    frame::{Frame, FrameBuffer, Hello, Packer},
    status::add,
};

/// How long a peer may take to say hello, in milliseconds.
const HELLO_DEADLINE_MS: u64 = 5_000;
/// What may come on other lanes before the hello that overtakes nothing.
const BEFORE_HELLO_BYTES: usize = 32 << 20;

/// One connection.
pub(super) struct Conn {
    pub(super) version: u16,
    /// When the peer must have said hello; `None` once it has.
    pub(super) greeting_until: Option<u64>,
    pub(super) inbound: [FrameBuffer; 3],
    pub(super) lanes: Lanes,
    pub(super) packer: Packer,
    /// Bytes that packing has spared and that are not counted yet.
    pub(super) saved: usize,
    pub(super) pending: Pending,
    pub(super) live: Live,
    pub(super) catch_ups: CatchUps,
    pub(super) intake: Intake,
    pub(super) assembly: Assembly,
    pub(super) guard: Guard,
    pub(super) audit: Audit,
    /// What our hello said of closed replicas.
    pub(super) closed: Said,
    /// What the peer cannot read, if there is such a thing.
    pub(super) held_off: Option<TooNew>,
    pub(super) rtt_ms: Option<f64>,
}

impl Conn {
    /// Says hello. The position is taken before the vectors are read: a change made in between is sent twice rather
    /// than not at all.
    pub(super) fn greet(cx: &Context<'_>, version: u16) -> Self {
        let store = cx.store;
        let position = store.position();
        let changes = store.changes();
        let mut seen = Vec::new();
        store.changed_partitions(&mut seen);
        let mut vectors: Vec<(u16, VersionVector)> = (0..PARTITIONS).zip(store.version_vectors()).collect();
        let begun = vectors.iter().filter(|(_, vv)| !vv.is_empty()).map(|(partition, _)| *partition).collect();
        let audit = Audit::new(cx.now_ms, seen.clone(), begun);
        // Peers of the versions before read vectors only.
        let closed = if version >= 3 { store.closed() } else { BTreeSet::new() };
        let said = Said::new(&vectors, closed.clone());
        let closed = columns::take_out(&mut vectors, &closed);
        let (world, replica, now_ms) = (store.world().to_owned(), store.replica(), store.now_ms());
        let heard = store.heard(cx.peer.id);
        let hello = Hello { version, world, replica, now_ms, vectors, closed, heard };
        let mut conn = Self {
            version,
            greeting_until: Some(cx.now_ms + HELLO_DEADLINE_MS),
            inbound: Default::default(),
            lanes: Lanes::default(),
            packer: Packer::default(),
            saved: 0,
            pending: Pending::all(),
            live: Live::new(position, seen, changes),
            catch_ups: CatchUps::new(cx.now_ms),
            intake: Intake::new(),
            assembly: Assembly::default(),
            guard: Guard::default(),
            audit,
            closed: said,
            held_off: None,
            rtt_ms: None,
        };
        conn.say(Lane::Control, &Frame::Hello(hello), Some(store.pending_mark()));
        conn
    }

    /// Queues a frame; says how many bytes it has. Version 1 has no control lane.
    pub(super) fn say(&mut self, lane: Lane, frame: &Frame, needs: Option<WriteMark>) -> usize {
        let lane = if self.version == 1 && lane == Lane::Control { Lane::Live } else { lane };
        let (bytes, plain) = self.packer.pack(frame, self.version);
        let length = bytes.len();
        self.saved += plain - length;
        self.lanes.push(lane, bytes, needs);
        length
    }

    pub(super) fn wake_at(&self) -> u64 {
        let (live, catch_ups) = (self.live.wake_at(), self.catch_ups.wake_at());
        live.min(catch_ups).min(self.guard.wake_at()).min(self.audit.wake_at())
    }

    pub(super) fn take_notice(&mut self, cx: &Context<'_>, input: Input) -> Result<(), End> {
        match input {
            Input::Frame { lane, bytes } => {
                add(&cx.gauges.received_bytes, bytes.len());
                self.inbound[lane as usize].feed(&bytes);
                self.read(cx)?;
            }
            Input::Wrote { lane, bytes } => self.lanes.wrote(lane, bytes),
            Input::Persisted(mark) => self.lanes.persisted(mark),
            Input::NotPersisted(why) => return Err(End::Plain(why)),
            Input::RoundTrip(us) => self.rtt_ms = Some(us as f64 / 1e3),
            Input::Tick | Input::Opened { .. } | Input::Closed { .. } => {}
        }
        match self.greeting_until {
            Some(until_ms) if cx.now_ms >= until_ms => {
                Err(End::Plain(format!("the peer did not say hello within {} s", HELLO_DEADLINE_MS / 1000)))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn work(&mut self, cx: &Context<'_>) -> Result<(), End> {
        if self.greeting_until.is_none() {
            self.work_live(cx);
            self.work_guard(cx);
            self.work_catch_up(cx);
            self.work_audit(cx);
        }
        add(&cx.gauges.spared_bytes, std::mem::take(&mut self.saved));
        cx.gauges.waiting(self.lanes.held());
        Ok(())
    }

    /// Reads whatever frames are whole: the hello first, whichever lane came first.
    pub(super) fn read(&mut self, cx: &Context<'_>) -> Result<(), End> {
        if self.greeting_until.is_some() {
            let first = if self.version == 1 { Lane::Live } else { Lane::Control };
            let Some(frame) = self.inbound[first as usize].next(self.version)? else {
                let early: usize = self.inbound.iter().map(FrameBuffer::len).sum();
                return if early <= BEFORE_HELLO_BYTES { Ok(()) } else { Err(End::garbage("much, but no hello")) };
            };
            let Frame::Hello(hello) = frame else { return Err(End::garbage("something else than hello")) };
            self.welcome(cx, &hello)?;
        }
        for lane in Lane::ALL {
            while let Some(frame) = self.inbound[lane as usize].next(self.version)? {
                self.on_frame(cx, lane, frame)?;
            }
        }
        Ok(())
    }

    pub(super) fn welcome(&mut self, cx: &Context<'_>, hello: &Hello) -> Result<(), End> {
        let Context { store, peer, .. } = cx;
        if hello.world != store.world() {
            return Err(End::Plain(format!("the peer belongs to world `{}`, not to this one", hello.world)));
        }
        if hello.replica.region != peer.id {
            let why =
                format!("the peer says it is region {}, but its certificate is of another one", hello.replica.region);
            return Err(End::Plain(why));
        }
        // Before anything is written under whatever name: it shall not be stamped below what was called complete.
        store.resume_after(hello.heard);
        keep_or_leave_name(cx, hello)?;
        let ours: Vec<(u16, VersionVector)> = (0..PARTITIONS).zip(store.version_vectors()).collect();
        let mut theirs = hello.vectors.clone();
        let told_all = columns::put_back(&mut theirs, &hello.closed, &ours);
        store.set_acked(peer.id, &theirs);
        let closed = hello.closed.iter().map(|column| column.replica).filter(|closed| *closed != hello.replica);
        store.note_closed(peer.id, closed.filter(|closed| closed.region == peer.id));
        self.greeting_until = None;
        if !told_all {
            self.say(Lane::Control, &Frame::AskAll, None);
        }
        let clock_ahead_ms = hello.now_ms as i64 - store.now_ms() as i64;
        cx.gauges.up(clock_ahead_ms, self.version);
        tracing::info!(peer = %peer.name, replica = %hello.replica, clock_ahead_ms, version = self.version, "link up");
        Ok(())
    }

    pub(super) fn on_frame(&mut self, cx: &Context<'_>, lane: Lane, frame: Frame) -> Result<(), End> {
        let belongs = match &frame {
            Frame::Batch(_) | Frame::Mark(_) | Frame::Begin(_) => Lane::Live,
            Frame::CatchUp(_) | Frame::Done(_) | Frame::Piece(_) | Frame::Sums(_) | Frame::Live(_) => Lane::CatchUp,
            _ if self.version == 1 => Lane::Live,
            _ => Lane::Control,
        };
        if lane != belongs {
            return Err(End::garbage("a frame on a lane where it does not belong"));
        }
        match frame {
            Frame::Hello(_) => return Err(End::garbage("a second hello")),
            Frame::Batch(body) => return self.on_batch(cx, &body),
            Frame::CatchUp(body) => return self.on_catch_up(cx, &body),
            Frame::Piece(body) => return self.on_piece(cx, &body),
            Frame::Mark(mark) => self.on_mark(cx, mark),
            Frame::Begin(round) => self.intake.begin(round),
            Frame::Done(round) => self.on_done(cx, round),
            Frame::Ack(vectors) => {
                claims_nothing_of_ours(cx, &vectors)?;
                self.on_ack(cx, &vectors);
            }
            Frame::Want(vectors) => {
                claims_nothing_of_ours(cx, &vectors)?;
                vectors.into_iter().for_each(|(partition, vv)| self.catch_ups.want(partition, vv));
            }
            Frame::Sums(sums) => self.on_sums(cx, &sums),
            Frame::Differing(differing) => self.on_differing(cx, &differing),
            Frame::Live(live) => self.on_live(cx, &live),
            Frame::Digests(digests) => self.on_digests(cx, digests),
            Frame::AskBuckets(partition) => self.on_ask_buckets(cx, partition),
            Frame::Buckets(sums) => self.on_buckets(cx, &sums),
            Frame::AskKeys(ask) => self.on_ask_keys(cx, ask),
            Frame::Keys(keys) => self.on_keys(cx, keys),
            Frame::AskAll => self.live.ack_all(cx.now_ms),
        }
        Ok(())
    }

    pub(super) fn on_ack(&mut self, cx: &Context<'_>, vectors: &[(u16, VersionVector)]) {
        for (partition, vv) in vectors {
            cx.store.note_acked(cx.peer.id, *partition, vv);
            // What the hello said, an ack need not say again.
            self.catch_ups.acked(*partition, &cx.store.acked(cx.peer.id, *partition));
        }
    }
}

/// Takes a new name if the peer knows that ours is not ours any more: it has seen more of it than we have, or has heard
/// that our region left it.
fn keep_or_leave_name(cx: &Context<'_>, hello: &Hello) -> Result<(), End> {
    let Context { store, peer, .. } = cx;
    let me = store.replica();
    let ahead_of_us = |(id, vv): &(u16, VersionVector)| vv.get(me) > store.version_vector(*id).get(me);
    let why = if hello.vectors.iter().any(ahead_of_us) {
        format!("{} has seen changes of {me} that are not here", peer.name)
    } else if hello.closed.iter().any(|column| column.replica == me) {
        format!("{} has heard that the region left the name {me}", peer.name)
    } else {
        return Ok(());
    };
    let renamed = store.begin_new_incarnation(&why);
    renamed.map(drop).map_err(|e| End::Plain(format!("no new name could be taken: {e}")))
}

/// The hello has settled what the peer has of ours. If it comes to have more than we ever made, it lies, or it heard from
/// a third region of a past that we have lost: which of the two, nobody can tell, so both are met. We go on under a
/// new name, and no number can mean two things; the link is quarantined, for a moment only if that was all.
pub(super) fn claims_nothing_of_ours(cx: &Context<'_>, vectors: &[(u16, VersionVector)]) -> Result<(), End> {
    let me = cx.store.replica();
    let ours = |partition: u16| cx.store.look(partition, |state| state.vv().get(me));
    let Some((partition, vv)) = vectors.iter().find(|(partition, vv)| vv.get(me) > ours(*partition)) else {
        return Ok(());
    };
    let (claimed, made) = (vv.get(me), ours(*partition));
    let why = format!("{} has {claimed} changes of {me} in partition {partition}, {made} were made", cx.peer.name);
    let renamed = cx.store.begin_new_incarnation(&why);
    renamed.map_err(|e| End::Plain(format!("no new name could be taken: {e}")))?;
    Err(End::Fault(Fault::ForeignDots, why))
}
