//! What can be seen of each link from outside, kept in atomics so that looking disturbs nobody.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{Fault, Peer, frame::Mark};

/// One link, as `atoll status` and the metrics show it.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerStatus {
    /// The other region's number.
    pub id: u16,
    /// The other region's name.
    pub name: String,
    /// Whether the link is up.
    pub connected: bool,
    /// Whether what comes from there is complete: the catch-up that follows each connect is over.
    pub live: bool,
    /// Round trip, in milliseconds; `None` while down.
    pub rtt_ms: Option<f64>,
    /// How old the newest thing is that may be missing here: what the other region acknowledged earlier than this is
    /// visible. In milliseconds; `None` if nothing was ever heard.
    pub lag_ms: Option<u64>,
    /// How the lags of all marks were distributed: what p99 is taken from.
    pub lags: LagHistogram,
    /// By how much the other region's wall clock is ahead of ours, in milliseconds, give or take the round trip.
    pub clock_ahead_ms: i64,
    /// Changes made here that the other region has not confirmed.
    pub unconfirmed: u64,
    /// Bytes sent, since the start; catch-ups included.
    pub sent_bytes: u64,
    /// Bytes received, since the start; catch-ups included.
    pub received_bytes: u64,
    /// Bytes that packing has spared of those sent.
    pub spared_bytes: u64,
    /// Bytes that wait here to be sent; bounded.
    pub waiting_bytes: u64,
    /// Changes sent live.
    pub sent_deltas: u64,
    /// Bytes they took on the wire.
    pub live_bytes_sent: u64,
    /// Changes received live.
    pub received_deltas: u64,
    /// Partitions whose lack was sent.
    pub catch_ups_sent: u64,
    /// Of those begun, the ones for which the dot index and the removal log were enough.
    pub catch_ups_scanned: u64,
    /// Those for which everything alive was named, since little was.
    pub catch_ups_listed: u64,
    /// Those for which sums over what lives were compared.
    pub catch_ups_compared: u64,
    /// How often the live lane fell off the ring of recent changes, and went on behind a round of catch-ups.
    pub fell_off: u64,
    /// Their bytes.
    pub catch_up_bytes_sent: u64,
    /// Partitions whose lack was received.
    pub catch_ups_received: u64,
    /// Their bytes.
    pub catch_up_bytes_received: u64,
    /// Connections made since the start.
    pub connects: u64,
    /// Changes and catch-ups of clocks that ran more than half a second ahead of ours.
    pub clock_alarms: u64,
    /// The furthest that any ran ahead, in milliseconds.
    pub worst_ahead_ms: u64,
    /// Changes and catch-ups put off because they were stamped more than ten seconds ahead of our clock.
    pub put_off: u64,
    /// Partitions of which something is put off at present.
    pub partitions_put_off: u64,
    /// Buckets of keys in which we hold something else than the peer, though both have seen the same. Must be 0.
    pub divergent_buckets: u64,
    /// Which those are, 64 of them at most.
    pub divergent: Vec<Divergence>,
    /// The version of the protocol that is spoken; 0 before the first connection.
    pub version: u16,
    /// Why the peer gets nothing from us though the link is up: `peer too old for …`.
    pub held_off: Option<String>,
    /// How often the peer did what it should not, by what it did; each time its link was quarantined.
    pub faults: Vec<(Fault, u64)>,
    /// Why the last one ended, or why none could be made.
    pub last_error: Option<String>,
}

/// How many keys of a divergent bucket are named, at most.
pub(crate) const MOST_NAMED: usize = 16;
/// How many divergent buckets are listed, at most; all are counted.
const MOST_LISTED: usize = 64;

/// A bucket of keys in which two regions that have seen the same hold different state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The partition.
    pub partition: u16,
    /// The bucket of its keys, of 64.
    pub bucket: u8,
    /// The keys that differ, sixteen of them at most, each by its first 256 bytes; empty while they are being found.
    pub keys: Vec<Vec<u8>>,
}

/// Upper ends of the classes in which lags are counted, in milliseconds; what is above them all makes a class more.
pub const LAG_CLASSES_MS: [u64; 15] = [1, 2, 5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1_000, 5_000];

/// How often a lag fell into each class, since the start: one sample for each mark that could be believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LagHistogram {
    /// Samples up to each of [`LAG_CLASSES_MS`], and beyond.
    pub counts: [u64; LAG_CLASSES_MS.len() + 1],
    /// The sum of all samples, in milliseconds.
    pub sum_ms: u64,
}

impl LagHistogram {
    /// The upper end of the class in which the sample at `share` of all of them lies (0.99 for p99), in milliseconds;
    /// `None` without samples, [`u64::MAX`] beyond all classes.
    pub fn quantile_ms(&self, share: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().sum();
        let rank = (share.clamp(0.0, 1.0) * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let class = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(LAG_CLASSES_MS.get(class).copied().unwrap_or(u64::MAX))
    }
}

#[derive(Debug, Default)]
struct Heard {
    /// When the last mark came that counts, and what it said.
    mark: Option<(u64, Mark)>,
    rtt_ms: Option<f64>,
    version: u16,
    held_off: Option<String>,
    clock_ahead_ms: i64,
    last_error: Option<String>,
    divergent: Vec<Divergence>,
    lags: LagHistogram,
}

/// The live numbers of one link.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) connected: AtomicBool,
    pub(crate) live: AtomicBool,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) received_bytes: AtomicU64,
    pub(crate) spared_bytes: AtomicU64,
    waiting_bytes: AtomicU64,
    pub(crate) live_bytes_sent: AtomicU64,
    pub(crate) sent_deltas: AtomicU64,
    pub(crate) received_deltas: AtomicU64,
    pub(crate) catch_ups_sent: AtomicU64,
    pub(crate) catch_ups_scanned: AtomicU64,
    pub(crate) catch_ups_listed: AtomicU64,
    pub(crate) catch_ups_compared: AtomicU64,
    pub(crate) fell_off: AtomicU64,
    pub(crate) catch_up_bytes_sent: AtomicU64,
    pub(crate) catch_ups_received: AtomicU64,
    pub(crate) catch_up_bytes_received: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) clock_alarms: AtomicU64,
    pub(crate) put_off: AtomicU64,
    partitions_put_off: AtomicU64,
    worst_ahead_ms: AtomicU64,
    divergent_buckets: AtomicU64,
    faults: [AtomicU64; Fault::ALL.len()],
    heard: Mutex<Heard>,
}

pub(crate) fn add(gauge: &AtomicU64, count: usize) {
    gauge.fetch_add(count as u64, Ordering::Relaxed);
}

impl Gauges {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many hellos were heard.
    pub(crate) fn connects(&self) -> u64 {
        self.connects.load(Ordering::Acquire)
    }

    /// A stamp was ahead of our clock; whether it is the first such, or further than any before.
    pub(crate) fn alarm(&self, ahead_ms: u64) -> bool {
        add(&self.clock_alarms, 1);
        self.worst_ahead_ms.fetch_max(ahead_ms, Ordering::Relaxed) < ahead_ms
    }

    /// The peer is too old for what there is.
    pub(crate) fn held_off(&self, why: String) {
        self.heard().held_off = Some(why);
    }

    /// So many bytes wait to be sent.
    pub(crate) fn waiting(&self, bytes: usize) {
        self.waiting_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// So many partitions have something put off.
    pub(crate) fn hold(&self, partitions: usize) {
        self.partitions_put_off.store(partitions as u64, Ordering::Relaxed);
    }

    /// These buckets differ now.
    pub(crate) fn diverge(&self, mut named: Vec<Divergence>) {
        self.divergent_buckets.store(named.len() as u64, Ordering::Release);
        named.truncate(MOST_LISTED);
        self.heard().divergent = named;
    }

    /// The peer did what it should not.
    pub(crate) fn fault(&self, fault: Fault) {
        add(&self.faults[fault as usize], 1);
    }

    pub(crate) fn up(&self, clock_ahead_ms: i64, version: u16) {
        add(&self.connects, 1);
        self.connected.store(true, Ordering::Release);
        let mut heard = self.heard();
        heard.clock_ahead_ms = clock_ahead_ms;
        heard.version = version;
        heard.held_off = None;
        heard.last_error = None;
    }

    /// Notes why the link is down; true if that is news.
    pub(crate) fn down(&self, why: String) -> bool {
        self.connected.store(false, Ordering::Release);
        self.live.store(false, Ordering::Release);
        let mut heard = self.heard();
        heard.rtt_ms = None;
        let news = heard.last_error.as_ref() != Some(&why);
        heard.last_error = Some(why);
        news
    }

    pub(crate) fn marked(&self, mark: Mark, rtt_ms: Option<f64>, now_ms: u64) {
        let mut heard = self.heard();
        heard.mark = Some((now_ms, mark));
        heard.rtt_ms = rtt_ms;
        let lag = lag_ms(mark, 0, rtt_ms.unwrap_or(0.0), true);
        let class = LAG_CLASSES_MS.partition_point(|end_ms| *end_ms < lag);
        heard.lags.counts[class] += 1;
        heard.lags.sum_ms = heard.lags.sum_ms.saturating_add(lag);
    }

    pub(crate) fn status(&self, peer: &Peer, unconfirmed: u64, now_ms: u64) -> PeerStatus {
        let heard = self.heard();
        let read = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        let live = self.live.load(Ordering::Acquire);
        PeerStatus {
            id: peer.id,
            name: peer.name.clone(),
            connected: self.connected.load(Ordering::Acquire),
            live,
            rtt_ms: heard.rtt_ms,
            lag_ms: heard
                .mark
                .map(|(came_ms, mark)| lag_ms(mark, now_ms.saturating_sub(came_ms), heard.rtt_ms.unwrap_or(0.0), live)),
            lags: heard.lags,
            clock_ahead_ms: heard.clock_ahead_ms,
            unconfirmed,
            sent_bytes: read(&self.sent_bytes),
            received_bytes: read(&self.received_bytes),
            spared_bytes: read(&self.spared_bytes),
            waiting_bytes: read(&self.waiting_bytes),
            live_bytes_sent: read(&self.live_bytes_sent),
            sent_deltas: read(&self.sent_deltas),
            received_deltas: read(&self.received_deltas),
            catch_ups_sent: read(&self.catch_ups_sent),
            catch_ups_scanned: read(&self.catch_ups_scanned),
            catch_ups_listed: read(&self.catch_ups_listed),
            catch_ups_compared: read(&self.catch_ups_compared),
            fell_off: read(&self.fell_off),
            catch_up_bytes_sent: read(&self.catch_up_bytes_sent),
            catch_ups_received: read(&self.catch_ups_received),
            catch_up_bytes_received: read(&self.catch_up_bytes_received),
            connects: read(&self.connects),
            clock_alarms: read(&self.clock_alarms),
            worst_ahead_ms: read(&self.worst_ahead_ms),
            put_off: read(&self.put_off),
            partitions_put_off: read(&self.partitions_put_off),
            divergent_buckets: read(&self.divergent_buckets),
            divergent: heard.divergent.clone(),
            version: heard.version,
            held_off: heard.held_off.clone(),
            faults: Fault::ALL.iter().map(|fault| (*fault, read(&self.faults[*fault as usize]))).collect(),
            last_error: heard.last_error.clone(),
        }
    }
}

/// How old the newest thing is that may be missing. As long as marks come when promised, that is the time from taking
/// the stamp to having it here: both ends' own clocks are enough for that, so a wrong wall clock does not show as lag.
fn lag_ms(mark: Mark, since_ms: u64, rtt_ms: f64, live: bool) -> u64 {
    let under_way = mark.age_ms + (rtt_ms / 2.0) as u64;
    let punctual = live && since_ms <= mark.next_ms + under_way;
    if punctual { under_way } else { since_ms + under_way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_ends_of_their_classes() {
        let mut lags = LagHistogram::default();
        assert_eq!(lags.quantile_ms(0.99), None);
        (lags.counts[3], lags.counts[7]) = (99, 1);
        assert_eq!(
            (lags.quantile_ms(0.5), lags.quantile_ms(0.99), lags.quantile_ms(1.0)),
            (Some(10), Some(10), Some(50))
        );
        lags.counts[LAG_CLASSES_MS.len()] = 100;
        assert_eq!(lags.quantile_ms(0.9), Some(u64::MAX));
    }

    #[test]
    fn lag_is_time_under_way_while_marks_are_punctual_and_grows_when_they_are_not() {
        let mark = Mark { hlc: replication_core::Hlc(1), age_ms: 2, next_ms: 500 };
        let check = |since_ms, live, want| {
            assert_eq!(lag_ms(mark, since_ms, 80.0, live), want, "{since_ms} ms after the mark, live {live}");
        };
        check(0, true, 42);
        check(499, true, 42);
        check(3000, true, 3042);
        check(10, false, 52);
    }
}
