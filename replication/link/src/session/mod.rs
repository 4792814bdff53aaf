//! One link as a machine: what came in goes in, what shall be sent comes out. No socket, no clock, no luck.
//!
//! ```text
//! transport ──► handle(now, Opened | Frame | Wrote | Persisted | RoundTrip | Tick | Closed)
//!                     │   hello → round of catch-ups, live changes, marks, acks
//!                     ▼
//! transport ◄── next_output(): Send on a lane | Persist, then say so | Close          wake_at(): when to Tick
//! ```
//! The same machine runs over QUIC (`shell.rs`) and over a simulated network. It outlives its connections: what it must
//! remember of a peer between two of them is its faults, nothing else, since every connection begins with what both
//! have.
//!
//! Laws:
//! - nothing is said before what it speaks of is persisted (`Output::Persist`, lanes.rs);
//! - what a slow or dead peer costs is bounded: the lanes' windows, 4 MiB of deltas put by, and one frame in the making;
//! - the machine never waits: it does what it can and says what would let it do more.

mod assembly;
mod audit;
mod catch_up;
mod guard;
mod intake;
mod lacks;
mod ladder;
pub(crate) mod lanes;
mod live;
mod old_peer;
mod trust;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use replication_core::{PARTITIONS, TooNew, VersionVector};
use replication_storage::{StateStore, WriteMark};

use self::{
    assembly::Assembly,
    audit::Audit,
    catch_up::{CatchUps, Pending},
    guard::Guard,
    intake::Intake,
    lanes::{Lane, Lanes, Next},
    live::Live,
    trust::{End, Trust},
};
use crate::{
    Peer, PeerStatus,
    frame::{Frame, FrameBuffer, Hello, NEWEST, OLDEST, Packer},
    status::{Gauges, add},
};

pub use trust::Fault;

/// How long a peer may take to say hello, in milliseconds.
const HELLO_DEADLINE_MS: u64 = 5_000;
/// What may come on other lanes before the hello that overtakes nothing.
const BEFORE_HELLO_BYTES: usize = 32 << 20;

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A connection stands.
    Opened {
        /// The newest version of the protocol that both transports know.
        version: u16,
    },
    /// Bytes of a lane, in the order in which they were sent. Frames may be cut anywhere.
    Frame {
        /// The lane.
        lane: Lane,
        /// The bytes.
        bytes: Bytes,
    },
    /// The transport has taken so many bytes of a lane, and can take more.
    Wrote {
        /// The lane.
        lane: Lane,
        /// How many.
        bytes: usize,
    },
    /// Everything up to the mark is persisted, as [`Output::Persist`] asked.
    Persisted(WriteMark),
    /// It could not be.
    NotPersisted(String),
    /// The round trip was measured, in microseconds.
    RoundTrip(u64),
    /// [`Session::wake_at`] has come, or the store has written more.
    Tick,
    /// The connection is gone.
    Closed {
        /// Why, for people.
        why: String,
    },
}

/// Something to do.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes on that lane, after everything before them on it.
    Send {
        /// The lane.
        lane: Lane,
        /// One whole frame.
        bytes: Bytes,
    },
    /// Persist everything up to the mark, then say [`Input::Persisted`].
    Persist(WriteMark),
    /// Close the connection and tell the peer why; [`Input::Closed`] need not follow.
    Close {
        /// Why, for people.
        reason: String,
    },
}

/// The link to one peer.
pub struct Session {
    store: StateStore,
    peer: Peer,
    gauges: Arc<Gauges>,
    trust: Trust,
    conn: Option<Conn>,
    closing: VecDeque<String>,
}

/// What the parts of a connection look at but do not own.
struct Context<'a> {
    store: &'a StateStore,
    peer: &'a Peer,
    gauges: &'a Gauges,
    now_ms: u64,
}

/// One connection.
struct Conn {
    version: u16,
    /// When the peer must have said hello; `None` once it has.
    greeting_until: Option<u64>,
    inbound: [FrameBuffer; 3],
    lanes: Lanes,
    packer: Packer,
    /// Bytes that packing has spared and that are not counted yet.
    saved: usize,
    pending: Pending,
    live: Live,
    catch_ups: CatchUps,
    intake: Intake,
    assembly: Assembly,
    guard: Guard,
    audit: Audit,
    /// What the peer cannot read, if there is such a thing.
    held_off: Option<TooNew>,
    rtt_ms: Option<f64>,
}

impl Session {
    /// The link from the region of `store` to `peer`, without a connection so far. The store must know its peers
    /// ([`StateStore::set_peers`]).
    pub fn new(store: StateStore, peer: Peer) -> Self {
        let (gauges, trust) = (Arc::default(), Trust::default());
        Self { store, peer, gauges, trust, conn: None, closing: VecDeque::new() }
    }

    /// Takes notice of something. `now_ms` counts from anywhere, never falls, and need not be wall time.
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Opened { version } => self.open(now_ms, version),
            Input::Closed { why } => self.down(why),
            input => {
                let Self { store, peer, gauges, conn, .. } = self;
                let Some(conn) = conn else { return };
                let cx = Context { store, peer, gauges, now_ms };
                if let Err(end) = conn.take_notice(&cx, input).and_then(|()| conn.work(&cx)) {
                    self.end(now_ms, &end);
                }
            }
        }
    }

    /// The next thing to do, if any. Call until there is none.
    pub fn next_output(&mut self) -> Option<Output> {
        if let Some(reason) = self.closing.pop_front() {
            return Some(Output::Close { reason });
        }
        Some(match self.conn.as_mut()?.lanes.next()? {
            Next::Persist(mark) => Output::Persist(mark),
            Next::Send(lane, bytes) => {
                add(&self.gauges.sent_bytes, bytes.len());
                Output::Send { lane, bytes }
            }
        })
    }

    /// When to say [`Input::Tick`] though nothing happens; in the milliseconds of [`handle`](Self::handle).
    pub fn wake_at(&self) -> Option<u64> {
        let conn = self.conn.as_ref()?;
        Some(conn.greeting_until.unwrap_or_else(|| conn.wake_at()))
    }

    /// Whether a [`Input::Tick`] is welcome when the store has written more; if not, one is due soon anyway.
    pub fn heeds_writes(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.greeting_until.is_none() && conn.live.heeds_writes())
    }

    /// Until when the link is quarantined: a connection that opens earlier is closed at once. 0 if it is not.
    pub fn quarantined_until(&self) -> u64 {
        self.trust.closed_until()
    }

    /// Whether both have said hello on the present connection.
    pub fn is_up(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.greeting_until.is_none())
    }

    /// Bytes that wait to be sent: bounded, whatever the peer does.
    pub fn held_bytes(&self) -> usize {
        self.conn.as_ref().map_or(0, |conn| conn.lanes.held())
    }

    /// What can be seen of the link from outside.
    pub fn status(&self, now_ms: u64) -> PeerStatus {
        self.gauges.status(&self.peer, self.store.unconfirmed(self.peer.id), now_ms)
    }

    pub(crate) fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    fn open(&mut self, now_ms: u64, version: u16) {
        if let Err(why) = self.trust.opened(now_ms) {
            self.closing.push_back(why);
            return;
        }
        if !(OLDEST..=NEWEST).contains(&version) {
            self.closing.push_back(format!("version {version} of the protocol is not spoken here"));
            return;
        }
        let Self { store, peer, gauges, .. } = self;
        let cx = Context { store, peer, gauges, now_ms };
        self.conn = Some(Conn::greet(&cx, version));
    }

    fn end(&mut self, now_ms: u64, end: &End) {
        let why = end.to_string();
        if let End::Fault(fault, _) = end {
            tracing::warn!(peer = %self.peer.name, fault = fault.name(), %why, "the link is quarantined");
            self.gauges.fault(*fault);
            self.trust.fault(now_ms, why.clone());
        }
        self.down(why.clone());
        self.closing.push_back(why);
    }

    fn down(&mut self, why: String) {
        self.conn = None;
        let text = why.clone();
        if self.gauges.down(why) {
            tracing::warn!(peer = %self.peer.name, why = %text, "link down");
        }
    }
}

impl Conn {
    /// Says hello. The position is taken before the vectors are read: a change made in between is sent twice rather
    /// than not at all.
    fn greet(cx: &Context<'_>, version: u16) -> Self {
        let store = cx.store;
        let position = store.position();
        let changes = store.changes();
        let mut seen = Vec::new();
        store.changed_partitions(&mut seen);
        let vectors: Vec<(u16, VersionVector)> = (0..PARTITIONS).zip(store.version_vectors()).collect();
        let begun = vectors.iter().filter(|(_, vv)| !vv.is_empty()).map(|(partition, _)| *partition).collect();
        let audit = Audit::new(cx.now_ms, seen.clone(), begun);
        let newest = if version == 1 { 1 } else { NEWEST };
        let (world, now_ms) = (store.world().to_owned(), store.now_ms());
        let hello = Hello { version: newest, world, replica: store.replica(), now_ms, vectors };
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
            held_off: None,
            rtt_ms: None,
        };
        conn.say(Lane::Control, &Frame::Hello(hello), Some(store.pending_mark()));
        conn
    }

    /// Queues a frame; says how many bytes it has. Version 1 has no control lane.
    fn say(&mut self, lane: Lane, frame: &Frame, needs: Option<WriteMark>) -> usize {
        let lane = if self.version == 1 && lane == Lane::Control { Lane::Live } else { lane };
        let (bytes, plain) = self.packer.pack(frame, self.version);
        let length = bytes.len();
        self.saved += plain - length;
        self.lanes.push(lane, bytes, needs);
        length
    }

    fn wake_at(&self) -> u64 {
        let (live, catch_ups) = (self.live.wake_at(), self.catch_ups.wake_at());
        live.min(catch_ups).min(self.guard.wake_at()).min(self.audit.wake_at())
    }

    fn take_notice(&mut self, cx: &Context<'_>, input: Input) -> Result<(), End> {
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

    fn work(&mut self, cx: &Context<'_>) -> Result<(), End> {
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
    fn read(&mut self, cx: &Context<'_>) -> Result<(), End> {
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

    fn welcome(&mut self, cx: &Context<'_>, hello: &Hello) -> Result<(), End> {
        let Context { store, peer, .. } = cx;
        if hello.world != store.world() {
            return Err(End::Plain(format!("the peer belongs to world `{}`, not to this one", hello.world)));
        }
        if hello.replica.region != peer.id {
            let why =
                format!("the peer says it is region {}, but its certificate is of another one", hello.replica.region);
            return Err(End::Plain(why));
        }
        let me = store.replica();
        let ahead_of_us = |(id, vv): &(u16, VersionVector)| vv.get(me) > store.version_vector(*id).get(me);
        if hello.vectors.iter().any(ahead_of_us) {
            let why = format!("{} has seen changes of {me} that are not here", peer.name);
            let renamed = store.begin_new_incarnation(&why);
            renamed.map_err(|e| End::Plain(format!("no new name could be taken: {e}")))?;
        }
        store.set_acked(peer.id, &hello.vectors);
        self.version = self.version.max(hello.version.min(NEWEST));
        self.greeting_until = None;
        let clock_ahead_ms = hello.now_ms as i64 - store.now_ms() as i64;
        cx.gauges.up(clock_ahead_ms, self.version);
        tracing::info!(peer = %peer.name, replica = %hello.replica, clock_ahead_ms, version = self.version, "link up");
        Ok(())
    }

    fn on_frame(&mut self, cx: &Context<'_>, lane: Lane, frame: Frame) -> Result<(), End> {
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
            Frame::Ack(vectors) => self.on_ack(cx, &vectors),
            Frame::Want(vectors) => {
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
        }
        Ok(())
    }

    fn on_ack(&mut self, cx: &Context<'_>, vectors: &[(u16, VersionVector)]) {
        for (partition, vv) in vectors {
            cx.store.note_acked(cx.peer.id, *partition, vv);
            self.catch_ups.acked(*partition, vv);
        }
    }
}
