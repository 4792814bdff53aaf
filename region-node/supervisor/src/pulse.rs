//! Signs of life: whether an event loop lags, or has stopped telling of itself. Pure: words and ticks come in, a verdict comes out.
//!
//! Silence is counted in ticks of the watch, not in time: when the whole machine is stopped for a minute and goes on, nobody
//! was silent.

use std::time::Duration;

/// How often the watch ticks.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// So many of the last ten seconds must lag.
const LAGGING: u32 = 5;
const WINDOW: u16 = 0x3ff;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    /// No report of the preload.
    EventLoop,
    /// No `WATCHDOG=1`.
    Watchdog,
}

pub(crate) struct Pulse {
    lag_max: Option<Duration>,
    heartbeat: Option<Duration>,
    watchdog: Option<Duration>,
    /// Ticks since the last report; `None` while none is expected.
    unreported: Option<u32>,
    /// Ticks since the last `WATCHDOG=1`; `None` before the worker is ready.
    unfed: Option<u32>,
    /// One bit a report, the newest lowest: it lagged.
    lags: u16,
}

impl Pulse {
    pub(crate) fn new(lag_max: Option<Duration>, heartbeat: Option<Duration>, watchdog: Option<Duration>) -> Self {
        Self { lag_max, heartbeat, watchdog, unreported: None, unfed: None, lags: 0 }
    }

    /// A report came; `true` if the event loop has lagged for so many seconds that the worker should be replaced.
    pub(crate) fn report(&mut self, delay_p99_ms: f64) -> bool {
        self.unreported = Some(0);
        let lagged = self.lag_max.is_some_and(|max| delay_p99_ms > max.as_secs_f64() * 1000.0);
        self.lags = (self.lags << 1 | u16::from(lagged)) & WINDOW;
        lagged && self.lags.count_ones() >= LAGGING
    }

    /// Reports are no longer to be expected.
    pub(crate) fn mute(&mut self) {
        self.unreported = None;
    }

    /// The worker is ready, or has fed its watchdog.
    pub(crate) fn fed(&mut self) {
        self.unfed = Some(0);
    }

    /// A tick has passed.
    pub(crate) fn tick(&mut self) -> Option<Silent> {
        let over = |ticks: &mut Option<u32>, limit: Option<Duration>| {
            let (Some(ticks), Some(limit)) = (ticks.as_mut(), limit) else { return false };
            *ticks += 1;
            TICK * *ticks > limit
        };
        if over(&mut self.unreported, self.heartbeat) {
            return Some(Silent::EventLoop);
        }
        over(&mut self.unfed, self.watchdog).then_some(Silent::Watchdog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ticks_until_silent(pulse: &mut Pulse) -> Option<(usize, Silent)> {
        (1..100).find_map(|tick| pulse.tick().map(|silent| (tick, silent)))
    }

    #[test]
    fn silence_counts_from_the_first_word_on() {
        let mut pulse = Pulse::new(None, Some(SECOND), None);
        assert_eq!(ticks_until_silent(&mut pulse), None);
        pulse.report(1.0);
        assert_eq!(ticks_until_silent(&mut pulse), Some((5, Silent::EventLoop)));
        pulse.mute();
        assert_eq!(ticks_until_silent(&mut pulse), None);

        let mut pulse = Pulse::new(None, None, Some(SECOND * 2));
        pulse.report(1.0);
        pulse.fed();
        assert_eq!(ticks_until_silent(&mut pulse), Some((9, Silent::Watchdog)));
    }

    #[test]
    fn five_lagging_seconds_of_ten_are_too_many() {
        let verdicts = |reports: &str| -> String {
            let mut pulse = Pulse::new(Some(SECOND / 2), None, None);
            reports
                .chars()
                .map(|c| if pulse.report(if c == 'L' { 501.0 } else { 500.0 }) { '!' } else { '.' })
                .collect()
        };
        assert_eq!(verdicts("LLLLLL"), "....!!");
        assert_eq!(verdicts("L.L.L.L.L."), "........!.");
        assert_eq!(verdicts("L..L..L..L..L"), ".............");
    }
}
