//! The workers' output, kept and passed on: the last lines of each worker in memory, a live tail for whoever listens.
//!
//! Everything is bounded: a line by 8 KiB (longer ones come in pieces), a worker's memory by lines and bytes, a slow listener
//! by how far it may lag; it is told how many lines it lost.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use tokio::sync::{broadcast, mpsc};

use crate::{log_file, spec::LogSpec};

/// Lines that a listener may lag behind.
const TAIL_LAG: usize = 1024;
/// Bytes of lines kept per worker.
const KEEP_BYTES: usize = 1 << 20;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line of a worker's output, or a piece of a longer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub time: SystemTime,
    /// The worker's slot.
    pub slot: u16,
    /// The start of the process that wrote it.
    pub life: u64,
    /// Where it was written to.
    pub stream: Stream,
    /// The text, without its end of line, with its colours.
    pub text: String,
    /// The line goes on in the next piece.
    pub partial: bool,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// At most so many, the last ones; 0 for all that are kept.
    pub lines: usize,
    /// Of this slot only.
    pub slot: Option<u16>,
}

/// What a live tail brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A line.
    Line(Arc<LogLine>),
    /// The listener was too slow: so many lines are missing here.
    Lost(u64),
}

/// A live tail of an app's output, from the moment of `subscribe` on.
pub struct LogTail(broadcast::Receiver<Arc<LogLine>>);

impl LogTail {
    /// The next line; `None` when the app is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<LogEvent> {
        match self.0.recv().await {
            Ok(line) => Some(LogEvent::Line(line)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(LogEvent::Lost(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The last lines of one worker.
#[derive(Default)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, line: Arc<LogLine>, keep_lines: usize) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > keep_lines.max(1) || self.bytes > KEEP_BYTES {
            let Some(old) = self.lines.pop_front() else { break };
            self.bytes -= old.text.len();
        }
    }
}

/// The output of an app's workers.
pub(crate) struct Logs {
    keep_lines: usize,
    rings: Mutex<BTreeMap<u16, Ring>>,
    live: broadcast::Sender<Arc<LogLine>>,
    file: Option<mpsc::Sender<Arc<LogLine>>>,
}

impl Logs {
    /// Opens the log file, if the spec wants one.
    pub(crate) fn start(app: &str, spec: &LogSpec) -> io::Result<Self> {
        let file = spec.file.as_ref().map(|file| log_file::start(app, file)).transpose()?;
        let live = broadcast::channel(TAIL_LAG).0;
        Ok(Self { keep_lines: spec.keep_lines, rings: Mutex::default(), live, file })
    }

    /// Waits for the log file's disk, if there is one and it is slow.
    pub(crate) async fn push(&self, line: LogLine) {
        let line = Arc::new(line);
        self.keep(&line);
        if let Some(file) = &self.file {
            // An error means that its thread is gone, which it said.
            let _ = file.send(line).await;
        }
    }

    fn keep(&self, line: &Arc<LogLine>) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.entry(line.slot).or_default().push(Arc::clone(line), self.keep_lines);
        // Under the lock, so that listeners see lines in the order in which they are kept. Nobody listening is no error.
        let _ = self.live.send(Arc::clone(line));
    }

    pub(crate) fn query(&self, query: &LogQuery) -> Vec<Arc<LogLine>> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = rings.iter().filter(|(slot, _)| query.slot.is_none_or(|wanted| wanted == **slot));
        let mut lines: Vec<Arc<LogLine>> = wanted.flat_map(|(_, ring)| ring.lines.iter().cloned()).collect();
        lines.sort_by_key(|line| line.time);
        let skip = if query.lines == 0 { 0 } else { lines.len().saturating_sub(query.lines) };
        lines.split_off(skip)
    }

    /// The last lines of one life, at most `count`.
    pub(crate) fn last_of(&self, slot: u16, life: u64, count: usize) -> Vec<String> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ring) = rings.get(&slot) else { return Vec::new() };
        let mut lines: Vec<String> = ring
            .lines
            .iter()
            .rev()
            .filter(|line| line.life == life)
            .take(count)
            .map(|line| line.text.clone())
            .collect();
        lines.reverse();
        lines
    }

    pub(crate) fn subscribe(&self) -> LogTail {
        LogTail(self.live.subscribe())
    }

    /// A slot is no more.
    pub(crate) fn forget(&self, slot: u16) {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
    }
}
