//! What a gateway makes of its own traffic, told to whoever probes it: the one witness of faults that probes do not meet.
//!
//! `atoll-traffic: rps=120, errors=3` on `/healthz` and `/readyz`: requests per second, and how many of a hundred ended in 5xx, over
//! the last ten seconds. It is read from counters that exist anyway, when somebody asks: a request pays nothing for it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header's name.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("atoll-traffic");

/// How far back it looks.
const SPAN: Duration = Duration::from_secs(10);
/// Counters are remembered at most this often.
const STEP: Duration = Duration::from_secs(1);

/// What a gateway carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests per second.
    pub rps: u32,
    /// How many of a hundred ended in 5xx, rounded down.
    pub errors_percent: u32,
}

impl Traffic {
    /// What a gateway told; none if it told nothing, or nothing that makes sense.
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(&HEADER)?.to_str().ok()?;
        let (rps, errors) = text.strip_prefix("rps=")?.split_once(", errors=")?;
        let errors_percent = errors.parse().ok().filter(|percent| *percent <= 100)?;
        Some(Self { rps: rps.parse().ok()?, errors_percent })
    }

    pub(crate) fn header(self) -> HeaderValue {
        let text = format!("rps={}, errors={}", self.rps, self.errors_percent);
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("rps=0, errors=0"))
    }
}

/// What the counters were at moments of the last ten seconds, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Recently(Mutex<VecDeque<(Instant, u64, u64)>>);

impl Recently {
    /// The traffic up to `now`, from counters of all requests and of those that failed.
    pub(crate) fn read(&self, now: Instant, requests: u64, failed: u64) -> Traffic {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while moments.get(1).is_some_and(|(at, ..)| now.duration_since(*at) >= SPAN) {
            moments.pop_front();
        }
        if moments.back().is_none_or(|(at, ..)| now.duration_since(*at) >= STEP) {
            moments.push_back((now, requests, failed));
        }
        let Some((since, requests_then, failed_then)) = moments.front().copied() else { return Traffic::default() };
        let (requests, failed) = (requests.saturating_sub(requests_then), failed.saturating_sub(failed_then));
        let millis = u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX).max(1000);
        Traffic {
            rps: u32::try_from(requests.saturating_mul(1000) / millis).unwrap_or(u32::MAX),
            errors_percent: u32::try_from((failed * 100).checked_div(requests).unwrap_or(0).min(100)).unwrap_or(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_the_last_ten_seconds_and_no_more() {
        let (recently, start) = (Recently::default(), Instant::now());
        let read = |second, requests, failed| recently.read(start + Duration::from_secs(second), requests, failed);
        let traffic = |rps, errors_percent| Traffic { rps, errors_percent };
        assert_eq!(read(0, 500, 100), traffic(0, 0), "what was before it first looked is not told");
        assert_eq!(read(1, 600, 110), traffic(100, 10));
        assert_eq!(read(5, 1000, 200), traffic(100, 20));
        assert_eq!(read(11, 1000, 200), traffic(40, 22), "400 requests since the first second");
        assert_eq!(read(15, 1000, 200), traffic(0, 0), "everything is older than ten seconds");
        assert_eq!(read(60, 1000, 200), traffic(0, 0));
    }

    #[test]
    fn the_header_reads_back_and_nonsense_is_nothing() {
        let told = Traffic { rps: 120, errors_percent: 3 };
        let of = |value: HeaderValue| Traffic::of_headers(&HeaderMap::from_iter([(HEADER, value)]));
        assert_eq!(of(told.header()), Some(told));
        for nonsense in ["", "rps=1", "rps=x, errors=1", "rps=1, errors=101", "rps=-1, errors=1"] {
            assert_eq!(of(HeaderValue::from_static(nonsense)), None, "{nonsense}");
        }
    }
}
