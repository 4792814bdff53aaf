//! What comes in, applied: deltas through the store's inbox, catch-ups into the state, marks if they can be believed.
//!
//! The lanes may overtake each other. A delta that comes before the catch-up it builds on is put by (bounded) and
//! tried again when the catch-up is there; where that is not enough, the partition is asked for. While anything is put
//! by or asked for, or a round is not done, marks are not believed: they would promise what is not here.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use bytes::Bytes;
use replication_core::{Delta, Hlc, RemoteStamp};
use replication_storage::Offer;

use super::{
    Context,
    conn::Conn,
    lanes::Lane,
    live::FIRST_ROUND,
    trust::{End, Fault},
};
use crate::{
    frame::{Frame, Mark},
    status::add,
};

/// How much may be put by, in bytes over all partitions.
const PUT_BY_BYTES: usize = 4 << 20;
/// A want that was not answered in this time is said again.
const ASK_AGAIN_MS: u64 = 1_000;
/// So much may have come without being persisted.
const UNPERSISTED_BYTES: usize = 1 << 20;

/// Deltas of one partition that came too early.
#[derive(Debug, Default)]
struct PutBy {
    deltas: Vec<Bytes>,
    /// There was no room for some, so the next catch-up may not be enough either.
    dropped: bool,
}

/// The receiving side's state for one connection.
#[derive(Debug)]
pub(crate) struct Intake {
    put_by: BTreeMap<u16, PutBy>,
    put_by_bytes: usize,
    /// What was asked for, and when.
    asked: BTreeMap<u16, u64>,
    begun: u64,
    done: u64,
    /// The last mark that could not be believed yet, and when it came.
    early: Option<(Mark, u64)>,
    unpersisted: usize,
}

impl Intake {
    pub(crate) fn new() -> Self {
        let (put_by, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { put_by, put_by_bytes: 0, asked, begun: FIRST_ROUND, done: 0, early: None, unpersisted: 0 }
    }

    pub(crate) fn begin(&mut self, round: u64) {
        self.begun = self.begun.max(round);
    }

    fn round_is_done(&self) -> bool {
        self.done >= self.begun
    }

    fn is_complete(&self) -> bool {
        self.round_is_done() && self.put_by.is_empty() && self.asked.is_empty()
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
    }
}

impl Conn {
    pub(crate) fn on_batch(&mut self, cx: &Context<'_>, body: &Bytes) -> Result<(), End> {
        self.took_in(cx, body.len(), false);
        let mut at = 0;
        while at < body.len() {
            let Some((delta, length)) = Delta::decode(&body[at..])? else {
                return Err(End::garbage("a batch ends inside a delta"));
            };
            if delta.replica.region != cx.peer.id {
                let why = format!("a change of {} on the live lane of region {}", delta.replica, cx.peer.id);
                return Err(End::Fault(Fault::ForeignDots, why));
            }
            add(&cx.gauges.received_deltas, 1);
            self.take(cx, delta, || body.slice(at..at + length))?;
            at += length;
        }
        Ok(())
    }

    pub(crate) fn took_in(&mut self, cx: &Context<'_>, bytes: usize, catch_up: bool) {
        self.live.ack_soon(cx.now_ms, catch_up);
        self.intake.unpersisted += bytes;
        if self.intake.unpersisted >= UNPERSISTED_BYTES {
            self.intake.unpersisted = 0;
            self.lanes.want(Some(cx.store.pending_mark()));
        }
    }

    fn take(&mut self, cx: &Context<'_>, delta: Delta, bytes: impl FnOnce() -> Bytes) -> Result<(), End> {
        let partition = delta.partition;
        // What follows on something that was put off is put off with it.
        if self.guard.has(partition) || self.puts_off(cx, partition, [(delta.replica, delta.hlc)].into_iter()) {
            return Ok(());
        }
        match cx.store.offer(delta) {
            Offer::Applied | Offer::Held | Offer::Duplicate => {}
            Offer::Gap | Offer::Full => {
                self.intake.put_by(partition, &bytes());
                if self.intake.round_is_done() {
                    self.ask(cx, partition);
                }
            }
            Offer::Refused(error) => return Err(End::Plain(error.to_string())),
        }
        Ok(())
    }

    pub(crate) fn on_done(&mut self, cx: &Context<'_>, round: u64) {
        self.intake.done = self.intake.done.max(round);
        if self.intake.round_is_done() {
            let waiting: Vec<u16> = self.intake.put_by.keys().copied().collect();
            waiting.into_iter().for_each(|partition| self.ask(cx, partition));
        }
        self.believe(cx);
    }

    /// What was lacking of a partition is here.
    pub(crate) fn caught_up(&mut self, cx: &Context<'_>, partition: u16) -> Result<(), End> {
        self.intake.asked.remove(&partition);
        self.retry(cx, partition)?;
        self.believe(cx);
        Ok(())
    }

    /// Drops what was put by of a partition.
    pub(crate) fn forget_put_by(&mut self, partition: u16) {
        if let Some(put_by) = self.intake.put_by.remove(&partition) {
            self.intake.put_by_bytes -= put_by.deltas.iter().map(Bytes::len).sum::<usize>();
        }
        self.intake.asked.remove(&partition);
    }

    /// Tries what was put by of a partition again, now that more of it is here.
    fn retry(&mut self, cx: &Context<'_>, partition: u16) -> Result<(), End> {
        let Some(put_by) = self.intake.put_by.remove(&partition) else { return Ok(()) };
        self.intake.put_by_bytes -= put_by.deltas.iter().map(Bytes::len).sum::<usize>();
        for bytes in put_by.deltas {
            if let Some((delta, _)) = Delta::decode(&bytes)? {
                self.take(cx, delta, || bytes.clone())?;
            }
        }
        if put_by.dropped {
            self.ask(cx, partition);
        }
        Ok(())
    }

    /// Asks the peer for what is lacking of a partition, unless that was asked just now.
    pub(crate) fn ask(&mut self, cx: &Context<'_>, partition: u16) {
        if self.intake.asked.get(&partition).is_some_and(|at_ms| cx.now_ms < at_ms + ASK_AGAIN_MS) {
            return;
        }
        self.intake.asked.insert(partition, cx.now_ms);
        // If there is no room this one is lost, and asked again with one of the next marks.
        if self.lanes.room(Lane::Control) {
            let has = cx.store.version_vector(partition);
            self.say(Lane::Control, &Frame::Want(vec![(partition, has)]), None);
        }
    }

    /// A mark that cannot be believed is kept: what it promises had been sent when it was said, so it holds as soon as
    /// nothing is open any more.
    pub(crate) fn on_mark(&mut self, cx: &Context<'_>, mark: Mark) {
        self.intake.early = Some((mark, cx.now_ms));
        self.believe(cx);
        if self.intake.early.is_some() && self.intake.round_is_done() {
            let open: Vec<u16> = self.intake.put_by.keys().chain(self.intake.asked.keys()).copied().collect();
            open.into_iter().for_each(|partition| self.ask(cx, partition));
        }
    }

    /// Believes the last mark if nothing is open.
    fn believe(&mut self, cx: &Context<'_>) {
        let complete = self.intake.is_complete() && self.guard.is_clear();
        cx.gauges.live.store(complete, Ordering::Release);
        // A mark from the far future would promise that future.
        let sane = |hlc: Hlc| !matches!(hlc.judge(cx.store.now_ms()), RemoteStamp::FarAhead { .. });
        if complete && let Some((mark, came_ms)) = self.intake.early.take_if(|(mark, _)| sane(mark.hlc)) {
            let mark = Mark { age_ms: mark.age_ms.saturating_add(cx.now_ms - came_ms), ..mark };
            cx.gauges.marked(mark, self.rtt_ms, cx.now_ms);
            cx.store.note_watermark(cx.peer.id, mark.hlc);
        }
    }
}
