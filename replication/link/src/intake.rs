//! What comes in, applied: deltas through the store's inbox, catch-ups into the state, marks if they can be believed.
//!
//! The two streams may overtake each other. A delta that comes before the catch-up it builds on is put by (bounded) and
//! tried again when the catch-up is there; where that is not enough, the partition is asked for. While anything is put
//! by or asked for, or a round is not done, marks are not believed: they would promise what is not here.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use replication_core::{CatchUp, Delta, VersionVector};
use replication_storage::{CatchUpError, Offer};
use tokio::sync::mpsc;

use crate::{
    frame::{self, Mark},
    live::FIRST_ROUND,
    session::{Link, SessionError},
    status::add,
};

/// How much may be put by, in bytes over all partitions.
const PUT_BY_BYTES: usize = 4 << 20;
/// A want that was not answered in this time is said again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Deltas of one partition that came too early.
#[derive(Default)]
struct PutBy {
    deltas: Vec<Bytes>,
    /// There was no room for some, so the next catch-up may not be enough either.
    dropped: bool,
}

/// The receiving side's state for one connection.
pub(crate) struct Intake {
    link: Arc<Link>,
    says: mpsc::Sender<Vec<u8>>,
    put_by: BTreeMap<u16, PutBy>,
    put_by_bytes: usize,
    asked: BTreeMap<u16, Instant>,
    begun: u64,
    done: u64,
}

impl Intake {
    pub(crate) fn new(link: Arc<Link>, says: mpsc::Sender<Vec<u8>>) -> Self {
        let (put_by, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { link, says, put_by, put_by_bytes: 0, asked, begun: FIRST_ROUND, done: 0 }
    }

    pub(crate) fn batch(&mut self, body: &Bytes) -> Result<(), SessionError> {
        let mut at = 0;
        while at < body.len() {
            let Some((delta, length)) = Delta::decode(&body[at..])? else {
                return Err(SessionError::Malformed("a batch ends inside a delta"));
            };
            if delta.replica.region != self.link.peer.id {
                return Err(SessionError::Malformed("a third region's change on the live stream"));
            }
            add(&self.link.gauges.received_deltas, 1);
            self.take(delta, || body.slice(at..at + length))?;
            at += length;
        }
        Ok(())
    }

    fn take(&mut self, delta: Delta, bytes: impl FnOnce() -> Bytes) -> Result<(), SessionError> {
        let partition = delta.partition;
        match self.link.store.offer(delta) {
            Offer::Applied | Offer::Held | Offer::Duplicate => {}
            Offer::Gap | Offer::Full => self.put_by(partition, &bytes()),
            Offer::Refused(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn put_by(&mut self, partition: u16, bytes: &Bytes) {
        let put_by = self.put_by.entry(partition).or_default();
        if self.put_by_bytes + bytes.len() > PUT_BY_BYTES {
            put_by.dropped = true;
        } else {
            self.put_by_bytes += bytes.len();
            // A copy: a slice would keep the whole batch in memory.
            put_by.deltas.push(Bytes::copy_from_slice(bytes));
        }
        if self.done >= self.begun {
            self.ask(partition);
        }
    }

    pub(crate) fn begin(&mut self, round: u64) {
        self.begun = self.begun.max(round);
    }

    pub(crate) fn done(&mut self, round: u64) {
        self.done = self.done.max(round);
        if self.done >= self.begun {
            let waiting: Vec<u16> = self.put_by.keys().copied().collect();
            waiting.into_iter().for_each(|partition| self.ask(partition));
        }
    }

    pub(crate) fn catch_up(&mut self, body: &Bytes) -> Result<(), SessionError> {
        let Some((catch_up, _)) = CatchUp::decode(body)? else {
            return Err(SessionError::Malformed("a catch-up is cut off"));
        };
        let gauges = &self.link.gauges;
        add(&gauges.catch_ups_received, 1);
        add(&gauges.catch_up_bytes_received, body.len());
        match self.link.store.apply_catch_up(&catch_up) {
            Ok(_) => {
                self.asked.remove(&catch_up.partition);
                self.retry(catch_up.partition)
            }
            // Made for what we had before we lost something: asked for again with what we have.
            Err(CatchUpError::Refused(_)) => {
                self.ask(catch_up.partition);
                Ok(())
            }
            Err(CatchUpError::Persist(error)) => Err(error.into()),
        }
    }

    /// Tries what was put by of a partition again, now that more of it is here.
    fn retry(&mut self, partition: u16) -> Result<(), SessionError> {
        let Some(put_by) = self.put_by.remove(&partition) else { return Ok(()) };
        for bytes in put_by.deltas {
            self.put_by_bytes -= bytes.len();
            if let Some((delta, _)) = Delta::decode(&bytes)? {
                self.take(delta, || bytes.clone())?;
            }
        }
        if put_by.dropped {
            self.ask(partition);
        }
        Ok(())
    }

    /// Asks the peer for what is lacking of a partition, unless that was asked just now.
    fn ask(&mut self, partition: u16) {
        let now = Instant::now();
        if self.asked.get(&partition).is_some_and(|at| now.duration_since(*at) < ASK_AGAIN) {
            return;
        }
        self.asked.insert(partition, now);
        let has: VersionVector = self.link.store.version_vector(partition);
        // If the queue is full this one is lost, and asked again with one of the next marks.
        let _ = self.says.try_send(frame::want(&[(partition, has)]));
    }

    pub(crate) fn mark(&mut self, mark: Mark, rtt: Duration) {
        let complete = self.done >= self.begun && self.put_by.is_empty() && self.asked.is_empty();
        self.link.gauges.live.store(complete, Ordering::Release);
        if complete {
            self.link.gauges.marked(mark, rtt, Instant::now());
            self.link.store.note_watermark(self.link.peer.id, mark.hlc);
        } else if self.done >= self.begun {
            let open: Vec<u16> = self.put_by.keys().chain(self.asked.keys()).copied().collect();
            open.into_iter().for_each(|partition| self.ask(partition));
        }
    }
}
