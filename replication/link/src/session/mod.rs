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
mod conn;
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
use replication_storage::{StateStore, WriteMark};

use self::{
    conn::Conn,
    ladder::FEW,
    lanes::{Lane, Next},
    trust::{End, Trust},
};
use crate::{
    Peer, PeerStatus,
    frame::{NEWEST, OLDEST},
    status::{Gauges, add},
};

pub use trust::Fault;

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
    few: u64,
    conn: Option<Conn>,
    closing: VecDeque<String>,
}

/// What the parts of a connection look at but do not own.
struct Context<'a> {
    store: &'a StateStore,
    peer: &'a Peer,
    gauges: &'a Gauges,
    /// Live elements up to which they are listed, and no sums compared.
    few: u64,
    now_ms: u64,
}

impl Session {
    /// The link from the region of `store` to `peer`, without a connection so far. The store must know its peers
    /// ([`StateStore::set_peers`]).
    pub fn new(store: StateStore, peer: Peer) -> Self {
        let (gauges, trust) = (Arc::default(), Trust::default());
        Self { store, peer, gauges, trust, few: FEW, conn: None, closing: VecDeque::new() }
    }

    /// Where removals are forgotten, compares sums from the first live element on, not only where there are many: the way of
    /// large partitions, for tests of small ones.
    #[must_use]
    pub fn comparing_at_once(self) -> Self {
        Self { few: 0, ..self }
    }

    /// Takes notice of something. `now_ms` counts from anywhere, never falls, and need not be wall time.
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Opened { version } => self.open(now_ms, version),
            Input::Closed { why } => self.down(why),
            input => {
                let Self { store, peer, gauges, conn, few, .. } = self;
                let Some(conn) = conn else { return };
                let cx = Context { store, peer, gauges, few: *few, now_ms };
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
        let Self { store, peer, gauges, few, .. } = self;
        let cx = Context { store, peer, gauges, few: *few, now_ms };
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
