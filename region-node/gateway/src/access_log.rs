//! The access log: a line of JSON for one request in N, off unless it is asked for.
//!
//! ```text
//! connections ── request ended, 1 in N ──▸ queue of QUEUE ──▸ writer thread ──▸ file, file.1 │ standard output
//!                                          full: dropped and counted
//! ```
//!
//! Who answers never waits for the log: a line that finds the queue full is dropped and counted. A file that has grown to its
//! limit becomes `FILE.1`, in place of the one before it, so that the log takes twice the limit at most. What only the data path
//! knows of a request (its app, worker, retries) it tells through a [`Note`] in the request's extensions.

use std::{
    io::{self, Write},
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::{Instant, SystemTime},
};

use http::{Extensions, HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use rotating_log::RotatingLog;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Lines that wait to be written, at most. One is some 500 bytes.
const QUEUE: usize = 4096;
/// Of a host or a path, so much is told at most, bytes.
const TEXT_MAX: usize = 2048;

/// Where the access log goes, and how much of it there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// Where.
    pub to: AccessLogTo,
    /// One request in so many, chosen at random.
    pub sample: NonZeroU32,
    /// Whether a path is told with its query. Queries carry what should not be kept more often than paths do.
    pub query: bool,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogTo {
    /// To a file.
    File {
        /// The file. It is appended to.
        path: PathBuf,
        /// Size at which it becomes `FILE.1` and a new one is begun, bytes.
        max_bytes: u64,
    },
    /// To the standard output of the process.
    Stdout,
}

/// What the data path knows of a request that is logged.
#[derive(Debug, Default)]
pub(crate) struct Note {
    bytes_in: AtomicU64,
    retries: AtomicU32,
    /// One more than the slot; 0 for none.
    worker: AtomicU32,
    app: OnceLock<Arc<str>>,
    refused: OnceLock<String>,
    trace_id: OnceLock<String>,
}

impl Note {
    /// The note of a request, if it is logged. To be taken before extensions are cleared.
    pub(crate) fn of(extensions: &Extensions) -> Option<Arc<Self>> {
        extensions.get::<Arc<Self>>().cloned()
    }

    /// Bytes of its body came.
    pub(crate) fn received(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Relaxed);
    }

    /// It was sent to a worker a second time, or a third.
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// It was sent to this worker, which was not the first one if there was a retry.
    pub(crate) fn sent_to(&self, slot: u16) {
        self.worker.store(u32::from(slot) + 1, Relaxed);
    }

    /// It is for this app.
    pub(crate) fn for_app(&self, app: &str) {
        self.app.get_or_init(|| app.into());
    }

    /// It was refused; the first reason counts.
    pub(crate) fn refused(&self, why: &str) {
        self.refused.get_or_init(|| why.to_owned());
    }

    /// It belongs to this trace.
    pub(crate) fn in_trace(&self, id: &str) {
        self.trace_id.get_or_init(|| id.to_owned());
    }
}

/// The log of a running gateway; the writer ends with the last one that could write.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    queue: SyncSender<Box<Entry>>,
    sample: NonZeroU32,
    query: bool,
    stats: Arc<Stats>,
}

#[derive(Debug, Default)]
struct Stats {
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// What a connection knows of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) client: std::net::IpAddr,
    pub(crate) tls: Option<&'a str>,
}

/// A request under way that will be logged.
#[derive(Debug)]
pub(crate) struct Record {
    log: AccessLog,
    note: Arc<Note>,
    begun: Instant,
    entry: Box<Entry>,
}

/// A line of the log.
#[derive(Debug, Serialize)]
struct Entry {
    /// When the request's head was complete, RFC 3339.
    #[serde(serialize_with = "as_rfc3339")]
    time: SystemTime,
    request_id: Option<String>,
    trace_id: Option<String>,
    client: String,
    method: String,
    host: Option<String>,
    path: String,
    protocol: &'static str,
    /// 499 if the client left before the answer began.
    status: u16,
    /// Bytes of the request's body that were read.
    bytes_in: u64,
    /// Bytes of the answer's body that were handed out.
    bytes_out: u64,
    duration_ms: f64,
    /// Until the answer's head; null if there was none.
    first_byte_ms: Option<f64>,
    app: Option<String>,
    /// The worker's slot.
    worker: Option<u32>,
    retries: u32,
    /// Why the gateway answered itself.
    refused: Option<String>,
    /// TLS version; null for plain HTTP.
    tls: Option<String>,
}

fn as_rfc3339<S: serde::Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&OffsetDateTime::from(*time).format(&Rfc3339).unwrap_or_default())
}

impl AccessLog {
    /// Opens the file and starts the writer.
    pub(crate) fn start(config: &AccessLogConfig) -> io::Result<Self> {
        let mut target = match &config.to {
            AccessLogTo::Stdout => Target::Stdout,
            AccessLogTo::File { path, max_bytes } => Target::File(RotatingLog::open(path, *max_bytes, 1)?),
        };
        let (queue, entries) = sync_channel(QUEUE);
        let stats = Arc::new(Stats::default());
        let log = Self { queue, sample: config.sample, query: config.query, stats: Arc::clone(&stats) };
        // It ends by itself when the last sender is gone, having written what was queued.
        thread::Builder::new().name("access-log".into()).spawn(move || write_all(&entries, &mut target, &stats))?;
        Ok(log)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.stats.dropped.load(Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.stats.failed.load(Relaxed)
    }

    /// Begins the record of a request, if the draw is on it, and lays its note into the request.
    pub(crate) fn begin<B>(&self, request: &mut Request<B>, from: From<'_>) -> Option<Record> {
        if self.sample.get() > 1 && fastrand::u32(..self.sample.get()) != 0 {
            return None;
        }
        let note = Arc::new(Note::default());
        request.extensions_mut().insert(Arc::clone(&note));
        let headers = request.headers();
        let uri = request.uri();
        let host = uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = host.or_else(|| headers.get(header::HOST).map(HeaderValue::as_bytes));
        let target = if self.query { uri.path_and_query().map_or("*", |both| both.as_str()) } else { uri.path() };
        let entry = Entry {
            time: SystemTime::now(),
            request_id: None,
            trace_id: trace_of(headers),
            client: from.client.to_canonical().to_string(),
            method: request.method().to_string(),
            host: host.map(shown),
            path: shown(target.as_bytes()),
            protocol: match request.version() {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            status: 499,
            bytes_in: 0,
            bytes_out: 0,
            duration_ms: 0.0,
            first_byte_ms: None,
            app: None,
            worker: None,
            retries: 0,
            refused: None,
            tls: from.tls.map(str::to_owned),
        };
        Some(Record { log: self.clone(), note, begun: Instant::now(), entry: Box::new(entry) })
    }
}

/// Text that strangers chose, bounded.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]).into_owned()
}

/// The id in the client's `traceparent` (W3C): `00-32 hex digits-…`.
fn trace_of(headers: &HeaderMap) -> Option<String> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let id = parent.get(3..35).filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(id.to_owned())
}

impl Record {
    /// The answer has begun.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.entry.status = status.as_u16();
        self.entry.first_byte_ms = Some(self.elapsed_ms());
        self.entry.request_id =
            headers.get(crate::headers::REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    }

    /// The edge refused it.
    pub(crate) fn refused(&self, why: &str) {
        self.note.refused(why);
    }

    fn elapsed_ms(&self) -> f64 {
        self.begun.elapsed().as_micros() as f64 / 1e3
    }

    /// Its answer has ended, or nobody waits for it any more; `bytes` of a body were handed out.
    pub(crate) fn end(mut self, bytes: u64) {
        self.entry.duration_ms = self.elapsed_ms();
        self.entry.bytes_out = bytes;
        let (note, entry) = (&self.note, &mut self.entry);
        entry.bytes_in = note.bytes_in.load(Relaxed);
        entry.retries = note.retries.load(Relaxed);
        entry.worker = note.worker.load(Relaxed).checked_sub(1);
        entry.app = note.app.get().map(ToString::to_string);
        entry.refused = note.refused.get().cloned();
        if let Some(id) = note.trace_id.get() {
            entry.trace_id = Some(id.clone());
        }
        if self.log.queue.try_send(self.entry).is_err() {
            self.log.stats.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Writes what comes until nobody is left who could send; flushes whenever nothing is waiting.
fn write_all(entries: &Receiver<Box<Entry>>, target: &mut Target, stats: &Stats) {
    loop {
        let entry = match entries.try_recv() {
            Ok(entry) => entry,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                note(target.flush(), stats);
                let Ok(entry) = entries.recv() else { break };
                entry
            }
        };
        // Nothing in an entry could fail to be JSON.
        let mut line = serde_json::to_string(&entry).unwrap_or_default();
        line.push('\n');
        note(target.write(&line), stats);
    }
    note(target.flush(), stats);
}

fn note(written: io::Result<()>, stats: &Stats) {
    if let Err(error) = written
        && stats.failed.fetch_add(1, Relaxed) == 0
    {
        tracing::error!(%error, "the access log cannot be written; further failures are only counted");
    }
}

enum Target {
    Stdout,
    File(RotatingLog),
}

impl Target {
    fn write(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().write_all(line.as_bytes()),
            Self::File(file) => file.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().flush(),
            Self::File(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(sample: u32, queue: SyncSender<Box<Entry>>) -> AccessLog {
        AccessLog { queue, sample: NonZeroU32::new(sample).unwrap(), query: false, stats: Arc::default() }
    }

    const FROM: From<'_> = From { client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), tls: Some("TLSv1.3") };

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, entries) = sync_channel(1);
        let log = log(1, queue);
        for _ in 0..3 {
            let mut request = Request::get("/a?secret=1").header("host", "shop.test").body(()).unwrap();
            log.begin(&mut request, FROM).unwrap().end(7);
        }
        assert_eq!(log.dropped(), 2);
        let line = serde_json::to_value(entries.recv().unwrap()).unwrap();
        assert_eq!((&line["path"], &line["status"], &line["bytes_out"]), (&"/a".into(), &499.into(), &7.into()));
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    }

    #[test]
    fn one_in_so_many_is_chosen() {
        let (queue, _entries) = sync_channel(1);
        let log = log(10, queue);
        let begin = || log.begin(&mut Request::get("/").body(()).unwrap(), FROM).is_some();
        let chosen = (0..100_000).filter(|_| begin()).count();
        assert!(chosen.abs_diff(10_000) < 1000, "{chosen} of 100000");
    }
}
