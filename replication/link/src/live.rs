//! The live stream, outgoing: own changes as soon as they are written, marks, acks, and what the receiver wants to say.
//!
//! A first change goes out at once; while changes keep coming they go out together every two milliseconds, or when a
//! quarter of a megabyte has come together. Marks follow changes within 50 ms and are rare when nothing happens.

use std::{convert::Infallible, time::Duration};

use quinn::SendStream;
use replication_storage::Tail;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    frame::{self, Mark},
    session::{Lack, Session, SessionError, Start},
    status::add,
};

/// The number of the catch-up round that every connection begins with.
pub(crate) const FIRST_ROUND: u64 = 1;

const FLUSH_EVERY: Duration = Duration::from_millis(2);
const BATCH_BYTES: usize = 256 << 10;
const MARK_EVERY: Duration = Duration::from_millis(50);
const MARK_EVERY_IDLE: Duration = Duration::from_millis(500);
const ACK_EVERY: Duration = Duration::from_millis(100);

struct Live<'a> {
    session: &'a Session,
    stream: SendStream,
    lacks: mpsc::Sender<Lack>,
    /// Everything before this ring position is sent, or left to a catch-up.
    position: u64,
    round: u64,
    seen: Vec<u32>,
    flushed_at: Instant,
    marked_at: Instant,
}

/// Runs until the connection fails.
pub(crate) async fn run(
    session: &Session,
    start: Start,
    mut said: mpsc::Receiver<Vec<u8>>,
    lacks: mpsc::Sender<Lack>,
) -> Result<Infallible, SessionError> {
    let store = &session.link.store;
    let now = Instant::now();
    let Start { position, seen, stream } = start;
    let mut live = Live { session, stream, lacks, position, round: FIRST_ROUND, seen, flushed_at: now, marked_at: now };
    let mut written = store.watch_position();
    written.mark_changed();
    let (mut flush_at, mut mark_at, mut ack_at) = (None, now, None);
    loop {
        let wake = [flush_at, Some(mark_at), ack_at].into_iter().flatten().min().unwrap_or(mark_at);
        tokio::select! {
            // While a flush is due anyway, further writes need not wake anybody.
            changed = written.changed(), if flush_at.is_none() => {
                changed.map_err(|_| SessionError::Gone)?;
                let now = Instant::now();
                flush_at = Some((live.flushed_at + FLUSH_EVERY).max(now));
                mark_at = mark_at.min((live.marked_at + MARK_EVERY).max(now));
                ack_at = ack_at.or(Some(now + ACK_EVERY));
            }
            frame = said.recv() => live.say(&frame.ok_or(SessionError::Gone)?).await?,
            () = sleep_until(wake) => {}
        }
        let now = Instant::now();
        if flush_at.is_some_and(|at| at <= now) {
            flush_at = None;
            live.flush().await?;
        }
        if mark_at <= now {
            live.mark().await?;
            mark_at = live.marked_at + MARK_EVERY_IDLE;
        }
        if ack_at.is_some_and(|at| at <= now) {
            ack_at = None;
            live.ack().await?;
        }
    }
}

impl Live<'_> {
    async fn say(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        self.stream.write_all(frame).await?;
        add(&self.session.link.gauges.sent_bytes, frame.len());
        Ok(())
    }

    /// Sends what the ring has. Waits while the peer takes nothing more; what falls off the ring meanwhile is left to
    /// a new catch-up round.
    async fn flush(&mut self) -> Result<(), SessionError> {
        loop {
            match self.session.link.store.tail(self.position, BATCH_BYTES) {
                Tail::Deltas { deltas, next } => {
                    let more = !deltas.is_empty();
                    let ready = || deltas.iter().filter(|delta| !self.session.pending.has(delta.partition));
                    let count = ready().count();
                    if count > 0 {
                        let frame = frame::batch(ready().map(|delta| delta.bytes.clone()));
                        self.say(&frame).await?;
                        add(&self.session.link.gauges.sent_deltas, count);
                    }
                    self.position = next;
                    self.flushed_at = Instant::now();
                    if !more {
                        return Ok(());
                    }
                }
                Tail::FellOff { .. } => self.start_over().await?,
            }
        }
    }

    async fn start_over(&mut self) -> Result<(), SessionError> {
        self.round += 1;
        tracing::info!(peer = %self.session.link.peer.name, "the link fell behind and catches up");
        // From now on the peer believes no mark until the round is done.
        self.say(&frame::begin(self.round)).await?;
        self.session.pending.set_all();
        self.position = self.session.link.store.position();
        self.lacks.send(Lack::Round(self.round)).await.map_err(|_| SessionError::Gone)
    }

    /// Says up to which stamp everything has been sent.
    async fn mark(&mut self) -> Result<(), SessionError> {
        let taken = Instant::now();
        let (hlc, position) = self.session.link.store.tick_watermark();
        if self.position < position {
            self.session.link.store.persist_pending().await?;
            self.flush().await?;
        }
        let age_ms = taken.elapsed().as_millis() as u64;
        self.say(&frame::mark(Mark { hlc, age_ms, next_ms: MARK_EVERY_IDLE.as_millis() as u64 })).await?;
        self.marked_at = Instant::now();
        Ok(())
    }

    /// Confirms what is durable here and has not been confirmed.
    async fn ack(&mut self) -> Result<(), SessionError> {
        let store = &self.session.link.store;
        let changed = store.changed_partitions(&mut self.seen);
        if changed.is_empty() {
            return Ok(());
        }
        let vectors: Vec<_> = changed.into_iter().map(|id| (id, store.version_vector(id))).collect();
        store.persist_pending().await?;
        self.say(&frame::ack(&vectors)).await
    }
}
