//! The arithmetic of a wire: when does a packet that enters now come out? Pure; time and luck are arguments.
//!
//! ```text
//! out = max(now, wire free) + size / rate + delay + jitter · luck
//! ```

use std::time::{Duration, Instant};

use crate::LinkShape;

/// A sender's retransmission time-out on a lossy path: the floor that Linux uses (RFC 6298 says 1 s, Linux 200 ms).
const RETRANSMIT: Duration = Duration::from_millis(200);

/// One direction of one path.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// When the wire has sent what it was given so far (rate limit).
    free_at: Option<Instant>,
    /// When the last byte of a stream comes out; a stream never overtakes itself.
    last_out: Option<Instant>,
}

/// Two numbers in 0..1 drawn by the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Luck {
    pub(crate) loss: f64,
    pub(crate) jitter: f64,
}

impl Luck {
    pub(crate) fn draw() -> Self {
        Self { loss: fastrand::f64(), jitter: fastrand::f64() }
    }
}

impl Line {
    /// When a datagram comes out, or `None` if it is lost.
    pub(crate) fn datagram(&mut self, now: Instant, shape: &LinkShape, size: usize, luck: Luck) -> Option<Instant> {
        if shape.cut || luck.loss < shape.loss {
            return None;
        }
        Some(self.enter(now, shape, size, luck))
    }

    /// When a chunk of a byte stream comes out, and whether an emulated loss made it late.
    pub(crate) fn chunk(&mut self, now: Instant, shape: &LinkShape, size: usize, luck: Luck) -> (Instant, bool) {
        let lost = luck.loss < shape.loss;
        let mut out = self.enter(now, shape, size, luck);
        if lost {
            out += RETRANSMIT + millis(2.0 * shape.delay_ms);
        }
        let out = self.last_out.map_or(out, |last| out.max(last));
        self.last_out = Some(out);
        (out, lost)
    }

    fn enter(&mut self, now: Instant, shape: &LinkShape, size: usize, luck: Luck) -> Instant {
        let mut start = now;
        if let Some(rate) = shape.rate_bps {
            start = self.free_at.map_or(now, |free| free.max(now));
            start += Duration::from_secs_f64(size as f64 * 8.0 / rate as f64);
            self.free_at = Some(start);
        }
        start + millis(shape.delay_ms + shape.jitter_ms * luck.jitter)
    }
}

pub(crate) fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LUCK: Luck = Luck { loss: 0.5, jitter: 0.0 };

    /// Sends datagrams of 1000 bytes at the given milliseconds; says when each comes out.
    fn check(shape: LinkShape, luck: Luck, sent_ms: &[u64], want_ms: &[Option<u64>]) {
        let start = Instant::now();
        let mut line = Line::default();
        let out: Vec<Option<u64>> = sent_ms
            .iter()
            .map(|ms| line.datagram(start + Duration::from_millis(*ms), &shape, 1000, luck))
            .map(|out| out.map(|at| u64::try_from((at - start).as_millis()).unwrap()))
            .collect();
        assert_eq!(out, want_ms, "{shape:?}");
    }

    #[test]
    fn datagrams_are_late_lost_or_queued_as_the_shape_says() {
        let wire = LinkShape::default();
        check(wire, NO_LUCK, &[0, 7], &[Some(0), Some(7)]);
        check(LinkShape { delay_ms: 40.0, ..wire }, NO_LUCK, &[0, 7], &[Some(40), Some(47)]);
        check(LinkShape { jitter_ms: 10.0, ..wire }, Luck { jitter: 0.5, ..NO_LUCK }, &[1], &[Some(6)]);
        check(LinkShape { loss: 0.6, ..wire }, NO_LUCK, &[0], &[None]);
        check(LinkShape { loss: 0.4, ..wire }, NO_LUCK, &[0], &[Some(0)]);
        check(LinkShape { cut: true, ..wire }, NO_LUCK, &[0], &[None]);
        // 8000 bits at 80 kbit/s are 100 ms on the wire, one after the other.
        check(LinkShape { rate_bps: Some(80_000), ..wire }, NO_LUCK, &[0, 0, 500], &[Some(100), Some(200), Some(600)]);
    }

    #[test]
    fn a_stream_waits_for_its_lost_chunk_and_never_overtakes_itself() {
        let start = Instant::now();
        let mut line = Line::default();
        let shape = LinkShape { delay_ms: 10.0, loss: 0.5, ..LinkShape::default() };
        let (first, lost) = line.chunk(start, &shape, 1, Luck { loss: 0.1, jitter: 0.0 });
        assert!(lost);
        assert_eq!((first - start).as_millis(), 10 + 200 + 20);
        let (second, lost) = line.chunk(start, &shape, 1, Luck { loss: 0.9, jitter: 0.0 });
        assert!(!lost);
        assert_eq!(second, first);
    }

    #[test]
    fn shapes_outside_their_ranges_are_refused_by_name() {
        let text = |shape: LinkShape| shape.checked().unwrap_err().to_string();
        assert_eq!(
            text(LinkShape { loss: 5.0, ..LinkShape::default() }),
            "link shape: loss is 5, but must be a share from 0 to 1"
        );
        assert!(text(LinkShape { delay_ms: -1.0, ..LinkShape::default() }).contains("delay_ms"));
        assert!(text(LinkShape { jitter_ms: f64::NAN, ..LinkShape::default() }).contains("jitter_ms"));
        assert!(text(LinkShape { rate_bps: Some(1), ..LinkShape::default() }).contains("rate_bps"));
    }
}
