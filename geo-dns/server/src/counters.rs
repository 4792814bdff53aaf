//! What was answered.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64, atomic::Ordering::Relaxed},
};

use model::RegionName;
use steering::{Outcome, Rcode, Transport};

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsCounters {
    /// Answers by transport and response code.
    pub answers: BTreeMap<(Transport, Rcode), u64>,
    /// Packets that got no answer: too short for a header, or responses.
    pub silent: u64,
    /// Answers that did not fit UDP.
    pub truncated: u64,
    /// Answers by zone; queries outside all zones are in none.
    pub zones: BTreeMap<String, u64>,
    /// Steered answers by the region they name first.
    pub regions: BTreeMap<RegionName, u64>,
    /// TCP connections that were taken.
    pub connections: u64,
    /// TCP connections that were closed at once, since a bound was reached.
    pub connections_refused: u64,
    /// Failures of the sockets: receiving, accepting.
    pub receive_errors: u64,
    /// Answers that could not be sent.
    pub send_errors: u64,
}

/// The counters of a running server. Each transport has its own, so that its lock is never waited for by the other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    udp: Mutex<Answers>,
    tcp: Mutex<Answers>,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) receive_errors: AtomicU64,
    pub(crate) send_errors: AtomicU64,
}

#[derive(Debug, Default)]
struct Answers {
    rcodes: [u64; Rcode::ALL.len()],
    silent: u64,
    truncated: u64,
    /// As many as Views have had zones.
    zones: HashMap<String, u64>,
    /// As many as Views have had regions.
    regions: HashMap<RegionName, u64>,
}

impl Shared {
    fn answers(&self, transport: Transport) -> MutexGuard<'_, Answers> {
        let answers = match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        };
        // Counts cannot be half done in a way that matters.
        answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, transport: Transport, outcome: &Outcome<'_>) {
        let mut answers = self.answers(transport);
        match outcome.rcode.and_then(|rcode| Rcode::ALL.iter().position(|r| *r == rcode)) {
            Some(i) => answers.rcodes[i] += 1,
            None => answers.silent += 1,
        }
        answers.truncated += u64::from(outcome.truncated);
        if let Some(zone) = outcome.zone {
            match answers.zones.get_mut(zone) {
                Some(count) => *count += 1,
                None => _ = answers.zones.insert(zone.to_owned(), 1),
            }
        }
        if let Some(region) = outcome.region {
            match answers.regions.get_mut(region) {
                Some(count) => *count += 1,
                None => _ = answers.regions.insert(region.clone(), 1),
            }
        }
    }

    pub(crate) fn snapshot(&self) -> DnsCounters {
        let mut out = DnsCounters {
            connections: self.connections.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            receive_errors: self.receive_errors.load(Relaxed),
            send_errors: self.send_errors.load(Relaxed),
            ..DnsCounters::default()
        };
        for transport in [Transport::Udp, Transport::Tcp] {
            let answers = self.answers(transport);
            for (rcode, count) in Rcode::ALL.into_iter().zip(answers.rcodes).filter(|(_, count)| *count > 0) {
                out.answers.insert((transport, rcode), count);
            }
            out.silent += answers.silent;
            out.truncated += answers.truncated;
            answers.zones.iter().for_each(|(zone, count)| *out.zones.entry(zone.clone()).or_default() += count);
            answers.regions.iter().for_each(|(region, count)| *out.regions.entry(region.clone()).or_default() += count);
        }
        out
    }
}
