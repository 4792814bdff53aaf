//! How much may be under way between two regions: CUBIC, but not as if a link were a download.
//!
//! A download fills its window and so makes it grow. A link sends a little all the time: its window grows only until that
//! little fits, and no further. Then the smallest pause, on either side or in between, leaves a backlog for which there is no
//! room, and everything after it is late by the time that it takes to drain: a round trip or several. So the window begins
//! large enough for what a region writes over the longest cable, and a loss does not take it below a floor. (Measured: with the
//! usual beginning of 14 720 bytes, the first quarter of a second of 5000 writes a second came 60 to 140 ms late over 80 ms.)
//!
//! Nor is every lost packet a full queue. A pause of an eighth of a round trip anywhere on the way makes a few packets count as
//! lost that come after all; CUBIC leaves its quick beginning for good at the first of them, and a region that has much to catch up
//! then does so at a window a round trip. (Measured over 200 ms: three packets of the first 700 were late; eight megabytes took
//! five seconds instead of one.) So up to 2 % of a window in a round trip are borne, the share that BBR bears
//! (draft-ietf-ccwg-bbr, `LossThresh`): a queue that overflows drops much more than that. Marks of congestion (ECN) count at once.
//!
//! Law: where nothing comes through any more (persistent congestion), the floor yields until CUBIC alone has grown past it
//! again: a line that is really too narrow gets what CUBIC would give it.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig};
use quinn_proto::RttEstimator;

/// What may be under way at the beginning, in bytes: 10 000 small changes a second over a round trip of 200 ms.
const INITIAL: u64 = 256 << 10;
/// What may be under way after losses, in bytes: 5 000 small changes a second over a round trip of 80 ms, and as much again.
const FLOOR: u64 = 96 << 10;
/// One part in so many of a window may be lost in a round trip without a reaction.
const BORNE: u64 = 50;

/// Makes the controllers of a region's links.
#[derive(Debug)]
pub(crate) struct LinkCongestion(Arc<CubicConfig>);

impl Default for LinkCongestion {
    fn default() -> Self {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(INITIAL);
        Self(Arc::new(cubic))
    }
}

impl ControllerFactory for LinkCongestion {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let cubic = Cubic::new(self.0.clone(), now, current_mtu);
        Box::new(Tempered { cubic, yields: false, lost: Lost { since: now, bytes: 0 }, round: Duration::ZERO })
    }
}

/// CUBIC with a floor, that bears a few losses.
#[derive(Debug, Clone)]
struct Tempered {
    cubic: Cubic,
    /// Nothing came through, and CUBIC has not grown past the floor since.
    yields: bool,
    lost: Lost,
    /// The round trip, as it was last measured.
    round: Duration,
}

/// What was lost in the present round trip.
#[derive(Debug, Clone)]
struct Lost {
    since: Instant,
    bytes: u64,
}

impl Tempered {
    /// Whether so many more lost bytes are still few.
    fn bears(&mut self, now: Instant, bytes: u64) -> bool {
        if now.saturating_duration_since(self.lost.since) > self.round {
            self.lost = Lost { since: now, bytes: 0 };
        }
        self.lost.bytes += bytes;
        bytes > 0 && self.lost.bytes * BORNE <= self.window()
    }
}

impl Controller for Tempered {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.round = rtt.get();
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
        self.yields &= self.cubic.window() < FLOOR;
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_acked: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        if !is_persistent_congestion && self.bears(now, lost_bytes) {
            return;
        }
        self.cubic.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        self.yields |= is_persistent_congestion;
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.yields { self.cubic.window() } else { self.cubic.window().max(FLOOR) }
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn losses_leave_a_floor_and_a_dead_line_takes_it_away() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut controller = Arc::new(LinkCongestion::default()).build(began, 1200);
        assert_eq!((controller.window(), controller.initial_window()), (INITIAL, INITIAL));
        controller.on_congestion_event(at(100), at(50), false, 1200);
        assert_eq!(controller.window(), INITIAL, "a packet or four of two hundred are borne");
        controller.on_congestion_event(at(100), at(50), false, 0);
        assert!((FLOOR..INITIAL).contains(&controller.window()), "a mark makes it slower: {}", controller.window());
        for n in 2..20 {
            controller.on_congestion_event(at(n * 100), at(n * 100 - 1), false, 12_000);
        }
        assert_eq!(controller.window(), FLOOR, "many losses leave the floor");
        assert_eq!(controller.metrics().congestion_window, FLOOR);
        controller.on_congestion_event(at(3000), at(2999), true, 1200);
        assert!(controller.window() < 4 * 1200, "nothing comes through: {}", controller.window());
        controller.on_congestion_event(at(3100), at(3099), false, 1200);
        assert!(controller.window() < 4 * 1200, "a single loss then does not bring the floor back");
    }

    /// Round trips of 200 ms, each with so many bytes lost in pieces of 1200; whether the window shrank.
    fn shrinks(lost_bytes: u64) -> bool {
        let began = Instant::now();
        let cubic = Cubic::new(LinkCongestion::default().0, began, 1200);
        let (lost, round) = (Lost { since: began, bytes: 0 }, Duration::from_millis(200));
        let mut controller = Tempered { cubic, yields: false, lost, round };
        let mut least = controller.window();
        for n in 1..6 {
            let now = began + n * (round + Duration::from_millis(1));
            for piece in 0..lost_bytes / 1200 {
                let at = now + Duration::from_millis(1 + piece);
                controller.on_congestion_event(at, now, false, 1200);
            }
            least = least.min(controller.window());
        }
        least < INITIAL
    }

    #[test]
    fn a_fiftieth_of_a_window_may_be_lost_in_a_round_trip_and_no_more() {
        for (lost, want) in [(1200, false), (4 * 1200, false), (5 * 1200, true), (100 * 1200, true)] {
            assert_eq!(shrinks(lost), want, "{lost} bytes of a window of {INITIAL} in each round trip");
        }
    }
}
