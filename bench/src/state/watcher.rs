//! How old the other side's view is: writes carry numbers, and somebody over there looks which one has come.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The key that carries the number of the newest write.
pub(super) const PROBE: &str = "probe";
/// How often the other side is looked at.
const LOOK_EACH: Duration = Duration::from_micros(200);

/// When which number was written. Shared by all who watch one writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(Arc<Mutex<Vec<(u64, Instant)>>>);

impl Sent {
    /// Notes that this number is about to be written.
    pub(super) fn note(&self, number: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((number, Instant::now()));
    }

    /// Adds the age of all numbers up to `seen`, from place `next` on; the place behind them.
    fn seen(&self, seen: u64, mut next: usize, lags_ms: &mut Vec<f64>) -> usize {
        let now = Instant::now();
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, at)) = sent.get(next).filter(|(number, _)| *number <= seen) {
            lags_ms.push((now - *at).as_secs_f64() * 1e3);
            next += 1;
        }
        next
    }
}

/// Looks at the probe on the other side until it is told to stop.
pub(super) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<f64>>,
}

impl Watcher {
    /// `look` reads the probe on the other side; `None`: it could not, or there is none.
    pub(super) fn start(sent: Sent, mut look: impl FnMut() -> Option<u64> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut lags_ms, mut next) = (Vec::new(), 0);
            while !stops.load(Ordering::Acquire) {
                thread::sleep(LOOK_EACH);
                if let Some(seen) = look() {
                    next = sent.seen(seen, next, &mut lags_ms);
                }
            }
            lags_ms
        });
        Self { stop, thread }
    }

    /// The lags of all writes that have come.
    pub(super) fn stop(self) -> Lags {
        self.stop.store(true, Ordering::Release);
        let mut lags_ms = self.thread.join().unwrap_or_default();
        lags_ms.sort_by(f64::total_cmp);
        Lags(lags_ms)
    }
}

/// Lags in milliseconds, from the shortest to the longest.
pub(super) struct Lags(Vec<f64>);

impl Lags {
    /// The lag that this share of all writes does not exceed; not a number if there are none.
    pub(super) fn at(&self, share: f64) -> f64 {
        self.0.get((self.0.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_seen_counts_for_all_before_it_and_each_counts_once() {
        let sent = Sent::default();
        (1..=4).for_each(|number| sent.note(number));
        let mut lags_ms = Vec::new();
        let next = sent.seen(3, 0, &mut lags_ms);
        assert_eq!((next, lags_ms.len()), (3, 3));
        assert_eq!(sent.seen(3, next, &mut lags_ms), 3);
        assert_eq!(sent.seen(9, next, &mut lags_ms), 4);
        assert_eq!(lags_ms.len(), 4);
    }

    #[test]
    fn percentiles_are_of_all_lags() {
        let lags = Lags((1..=200).map(f64::from).collect());
        assert_eq!((lags.at(0.5), lags.at(0.99)), (101.0, 199.0));
        assert!(Lags(Vec::new()).at(0.5).is_nan());
    }
}
