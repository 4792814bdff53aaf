//! The query log: a line of JSON for one query in N, off unless it is asked for.
//!
//! ```text
//! threads ── 1 in N ──▸ queue of QUEUE ──▸ writer thread ──▸ file, file.1 │ the process's own log
//!                        full: dropped and counted
//! ```
//!
//! Who answers never waits for the log: a line that finds the queue full is dropped and counted. Of a client its network is
//! told, an IPv4 /24 or an IPv6 /48, never its address. A file that has grown to its limit becomes `FILE.1`, in place of the one
//! before it, so that the log takes twice the limit at most.

use std::{
    io,
    net::IpAddr,
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rotating_log::RotatingLog;
use serde::Serialize;
use steering::{Outcome, Transport, question_of};

use crate::Network;

/// Lines that wait to be written, at most.
const QUEUE: usize = 1024;

/// Where the query log goes, and how much of it there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryLogConfig {
    /// Where.
    pub to: LogTo,
    /// One query in so many, chosen at random.
    pub sample: NonZeroU32,
}

/// Where the query log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// To a file.
    File {
        /// The file. It is appended to.
        path: PathBuf,
        /// Size at which it becomes `FILE.1` and a new one is begun, bytes.
        max_bytes: u64,
    },
    /// To the log of the process, at level INFO, target `dns_query`.
    Tracing,
}

/// The log of a running server; the writer ends with the last one of its clones and samplers.
#[derive(Debug, Clone)]
pub(crate) struct QueryLog {
    queue: SyncSender<Entry>,
    sample: NonZeroU32,
    stats: Arc<Stats>,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Lines that found the queue full.
    pub(crate) dropped: AtomicU64,
    /// Lines that could not be written.
    pub(crate) failed: AtomicU64,
}

impl QueryLog {
    /// Opens the file and starts the writer.
    pub(crate) fn start(config: &QueryLogConfig) -> io::Result<(Self, JoinHandle<()>)> {
        let mut target = match &config.to {
            LogTo::Tracing => Target::Tracing,
            LogTo::File { path, max_bytes } => Target::File(RotatingLog::open(path, *max_bytes, 1)?),
        };
        let (queue, entries) = sync_channel(QUEUE);
        let stats = Arc::new(Stats::default());
        let log = Self { queue, sample: config.sample, stats: stats.clone() };
        let work = move || write_all(&entries, &mut target, &stats);
        Ok((log, thread::Builder::new().name("dns-query-log".into()).spawn(work)?))
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// For one who answers.
    pub(crate) fn sampler(&self) -> Sampler {
        Sampler { left: gap(self.sample), log: self.clone() }
    }
}

/// Chooses queries.
pub(crate) struct Sampler {
    /// Queries until the next one that is logged.
    left: u32,
    log: QueryLog,
}

/// Queries from one that is logged to the next: `sample` on average, drawn, so that clients with a rhythm do not hide in it.
fn gap(sample: NonZeroU32) -> u32 {
    fastrand::u32(1..=sample.get().saturating_mul(2).saturating_sub(1))
}

impl Sampler {
    /// Counts a query; says whether it is to be logged.
    pub(crate) fn is_due(&mut self) -> bool {
        self.left -= 1;
        if self.left == 0 {
            self.left = gap(self.log.sample);
            return true;
        }
        false
    }

    pub(crate) fn log(
        &self,
        transport: Transport,
        outcome: &Outcome<'_>,
        (query, client): (&[u8], IpAddr),
        size: usize,
        took: Duration,
    ) {
        let (name, rtype) = question_of(query).unzip();
        let entry = Entry {
            unix_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
            client: network(client).to_string(),
            transport: transport.as_str(),
            name,
            rtype: rtype.map(|rtype| rtype.to_string()),
            rcode: outcome.rcode.map(steering::Rcode::as_str),
            zone: outcome.zone.map(str::to_owned),
            region: outcome.region.map(ToString::to_string),
            ttl: outcome.ttl,
            scope: outcome.scope,
            size,
            us: took.as_micros() as u64,
        };
        if self.log.queue.try_send(entry).is_err() {
            self.log.stats.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// A line of the log.
#[derive(Debug, Serialize)]
struct Entry {
    /// When it was answered.
    unix_ms: u64,
    /// The network it came from.
    client: String,
    transport: &'static str,
    /// What was asked; null if it could not be read.
    name: Option<String>,
    #[serde(rename = "type")]
    rtype: Option<String>,
    /// Null if nothing was said.
    rcode: Option<&'static str>,
    /// Null outside of all zones.
    zone: Option<String>,
    /// The region named first in a steered answer.
    region: Option<String>,
    /// Seconds.
    ttl: Option<u32>,
    /// Null if no client subnet was given.
    scope: Option<u8>,
    /// Bytes of the answer.
    size: usize,
    /// Microseconds from reading the query's batch to this answer.
    us: u64,
}

/// What is told of a client.
fn network(client: IpAddr) -> Network {
    Network::around(client, if client.to_canonical().is_ipv4() { 24 } else { 48 })
}

/// Writes what comes until nobody is left who could send; flushes whenever nothing is waiting.
fn write_all(entries: &Receiver<Entry>, target: &mut Target, stats: &Stats) {
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
        tracing::error!(%error, "the DNS query log cannot be written; further failures are only counted");
    }
}

enum Target {
    Tracing,
    File(RotatingLog),
}

impl Target {
    fn write(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Tracing => tracing::info!(target: "dns_query", "{}", line.trim_end()),
            Self::File(file) => file.write(line)?,
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tracing => Ok(()),
            Self::File(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, entries) = sync_channel(1);
        let log = QueryLog { queue, sample: NonZeroU32::MIN, stats: Arc::default() };
        let sampler = log.sampler();
        let outcome = steering::refuse(&[0; 12], Transport::Udp, &mut Vec::new());
        for _ in 0..3 {
            sampler.log(Transport::Udp, &outcome, (&[0; 12], [192, 0, 2, 77].into()), 12, Duration::from_micros(5));
        }
        assert_eq!(log.stats.dropped.load(Relaxed), 2);
        let line = serde_json::to_value(entries.recv().unwrap()).unwrap();
        assert_eq!((&line["client"], &line["name"]), (&"192.0.2.0/24".into(), &serde_json::Value::Null));
    }

    #[test]
    fn one_in_so_many_is_chosen() {
        let (queue, _entries) = sync_channel(1);
        for sample in [1, 2, 100] {
            let log =
                QueryLog { queue: queue.clone(), sample: NonZeroU32::new(sample).unwrap(), stats: Arc::default() };
            let mut sampler = log.sampler();
            let chosen = (0..100 * 1000).filter(|_| sampler.is_due()).count() as u32;
            let wanted = 100 * 1000 / sample;
            assert!(chosen.abs_diff(wanted) <= wanted / 5, "{chosen} of {wanted}");
        }
    }

    #[test]
    fn no_address_is_told_whole() {
        for (client, told) in [
            ("203.0.113.9", "203.0.113.0/24"),
            ("::ffff:203.0.113.9", "203.0.113.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ] {
            assert_eq!(network(client.parse().unwrap()).to_string(), told);
        }
    }
}
