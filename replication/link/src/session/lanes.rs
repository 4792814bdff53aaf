//! The three lanes of a connection, outgoing: what waits, what the transport holds, and whose turn it is.
//!
//! ```text
//! control    hello, acks, wants, audits          always first, small
//! live       batches, marks                      next
//! catch-up   what the peer missed                with the rest; while live changes wait, byte for byte with them
//! ```
//! Laws:
//! - what a lane holds is bounded: whoever fills it asks [`Lanes::room`] first, and what the transport has not taken
//!   counts, so a slow peer costs its windows and no more;
//! - a frame that speaks of things not yet persisted stays until they are, and so does what follows it in its lane;
//! - while live frames wait for the transport, the catch-up lane sends no more bytes than the live lane: at most half
//!   of the link.

use std::collections::VecDeque;

use bytes::Bytes;
use replication_storage::WriteMark;

/// One of the ordered byte streams of a connection. Nothing is ordered between lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Hello, acknowledgements, questions: small, and before everything else.
    Control,
    /// Changes as they are made, and marks.
    Live,
    /// What the peer missed while it was away.
    CatchUp,
}

impl Lane {
    /// All lanes, most urgent first; also the order in which a transport opens its streams.
    pub const ALL: [Self; 3] = [Self::Control, Self::Live, Self::CatchUp];

    /// What a lane may hold before its makers pause, in bytes.
    fn window(self) -> usize {
        match self {
            Self::Control => 256 << 10,
            Self::Live => 1 << 20,
            Self::CatchUp => 512 << 10,
        }
    }
}

/// A frame on its way out.
#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    /// What must be persisted before it may be said.
    needs: Option<WriteMark>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Waiting>,
    /// Bytes in `frames`.
    waiting: usize,
    /// Bytes handed out that the transport has not taken.
    in_flight: usize,
}

/// The outgoing side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    queues: [Queue; 3],
    persisted: Option<WriteMark>,
    /// The furthest that was asked to be persisted.
    asked: Option<WriteMark>,
    /// The furthest that somebody wants persisted.
    wanted: Option<WriteMark>,
    /// How many more bytes the catch-up lane has sent than the live lane since live frames began to wait.
    ahead: i64,
}

/// What [`Lanes::next`] wants done.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Lane, Bytes),
    Persist(WriteMark),
}

impl Lanes {
    /// Queues a frame.
    pub(crate) fn push(&mut self, lane: Lane, bytes: Bytes, needs: Option<WriteMark>) {
        let queue = &mut self.queues[lane as usize];
        queue.waiting += bytes.len();
        queue.frames.push_back(Waiting { bytes, needs });
        self.want(needs);
    }

    /// Asks for persistence, though no frame waits for it.
    pub(crate) fn want(&mut self, mark: Option<WriteMark>) {
        self.wanted = self.wanted.max(mark);
    }

    /// Whether the lane takes more.
    pub(crate) fn room(&self, lane: Lane) -> bool {
        let queue = &self.queues[lane as usize];
        queue.waiting + queue.in_flight < lane.window()
    }

    /// Bytes that wait here or in the transport.
    pub(crate) fn held(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting + queue.in_flight).sum()
    }

    /// The transport has taken so many bytes of a lane.
    pub(crate) fn wrote(&mut self, lane: Lane, bytes: usize) {
        let queue = &mut self.queues[lane as usize];
        queue.in_flight = queue.in_flight.saturating_sub(bytes);
    }

    /// Everything up to `mark` is persisted.
    pub(crate) fn persisted(&mut self, mark: WriteMark) {
        self.persisted = self.persisted.max(Some(mark));
    }

    /// What to do next, if anything can be done.
    pub(crate) fn next(&mut self) -> Option<Next> {
        if self.wanted > self.persisted && self.wanted > self.asked {
            self.asked = self.wanted;
            return self.wanted.map(Next::Persist);
        }
        for lane in Lane::ALL {
            if lane == Lane::CatchUp && !self.may_catch_up() {
                continue;
            }
            if let Some(bytes) = self.take(lane) {
                return Some(Next::Send(lane, bytes));
            }
        }
        None
    }

    fn may_catch_up(&mut self) -> bool {
        let live = &self.queues[Lane::Live as usize];
        if live.in_flight + live.waiting == 0 {
            self.ahead = 0;
        }
        self.ahead <= 0
    }

    fn take(&mut self, lane: Lane) -> Option<Bytes> {
        let persisted = self.persisted;
        let queue = &mut self.queues[lane as usize];
        if queue.frames.front()?.needs > persisted {
            return None;
        }
        let frame = queue.frames.pop_front()?;
        let length = frame.bytes.len();
        queue.waiting -= length;
        queue.in_flight += length;
        match lane {
            Lane::Control => {}
            Lane::Live => self.ahead -= length as i64,
            Lane::CatchUp => self.ahead += length as i64,
        }
        Some(frame.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Bytes {
        vec![0; length].into()
    }

    /// Hands out everything that can go, as `lane × bytes`.
    fn drain(lanes: &mut Lanes) -> Vec<(Lane, usize)> {
        let mut sent = Vec::new();
        while let Some(Next::Send(lane, bytes)) = lanes.next() {
            sent.push((lane, bytes.len()));
        }
        sent
    }

    #[test]
    fn control_goes_first_and_live_before_catch_up() {
        let mut lanes = Lanes::default();
        for lane in [Lane::CatchUp, Lane::Live, Lane::Control] {
            lanes.push(lane, frame(10), None);
        }
        assert_eq!(drain(&mut lanes), [(Lane::Control, 10), (Lane::Live, 10), (Lane::CatchUp, 10)]);
    }

    #[test]
    fn catch_up_gets_at_most_half_while_live_changes_wait() {
        let mut lanes = Lanes::default();
        let (mut live, mut catch_up) = (0, 0);
        // A link that takes one frame of each lane in turn, and makers that fill whatever has room.
        for _ in 0..1000 {
            while lanes.room(Lane::Live) {
                lanes.push(Lane::Live, frame(10_000), None);
            }
            while lanes.room(Lane::CatchUp) {
                lanes.push(Lane::CatchUp, frame(100_000), None);
            }
            for (lane, bytes) in drain(&mut lanes) {
                *if lane == Lane::Live { &mut live } else { &mut catch_up } += bytes;
            }
            lanes.wrote(Lane::Live, 10_000);
            lanes.wrote(Lane::CatchUp, 100_000);
        }
        assert!(catch_up <= live + 100_000 && catch_up > live / 2, "{catch_up} bytes of catch-up, {live} live");
    }

    #[test]
    fn catch_up_has_the_whole_link_while_nothing_live_waits() {
        let mut lanes = Lanes::default();
        for _ in 0..20 {
            lanes.push(Lane::CatchUp, frame(100_000), None);
        }
        lanes.push(Lane::Live, frame(10), None);
        drain(&mut lanes);
        lanes.wrote(Lane::Live, 10);
        drain(&mut lanes);
        assert_eq!(lanes.queues[Lane::CatchUp as usize].waiting, 0);
    }

    #[test]
    fn a_lane_that_the_transport_does_not_drain_takes_no_more() {
        let mut lanes = Lanes::default();
        let mut taken = 0;
        while lanes.room(Lane::Live) {
            lanes.push(Lane::Live, frame(1000), None);
            taken += 1000;
            drain(&mut lanes);
        }
        assert!(taken <= Lane::Live.window() + 1000 && lanes.held() == taken);
        lanes.wrote(Lane::Live, taken);
        assert!(lanes.room(Lane::Live));
    }
}
