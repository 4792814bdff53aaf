//! Deadlines that travel: whoever is asked knows how long the one who asks still waits.
//!
//! A deadline is a moment here and a remaining time on the wire, so clocks need not agree.

use std::time::Duration;

/// When a request must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// The earlier one of the own limit and what the caller still has (`carried`), from now on.
    pub fn from(now: Duration, limit: Duration, carried: Option<Duration>) -> Self {
        Self(now.saturating_add(carried.map_or(limit, |carried| carried.min(limit))))
    }

    /// The moment.
    pub fn at(self) -> Duration {
        self.0
    }

    /// What is left; `None` when it is over, and nothing should be begun any more.
    pub fn left(self, now: Duration) -> Option<Duration> {
        self.0.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// What an `x-request-deadline` to the member says: whole milliseconds that are left, at least 1. `None` when it is over.
    pub fn header(self, now: Duration) -> Option<u64> {
        self.left(now).map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1))
    }
}

/// What an `x-request-deadline` says: milliseconds, digits only, at most a day. Anything else counts as not said.
pub fn parse_header(value: &str) -> Option<Duration> {
    let millis = digits(value, 9)?;
    (millis <= 86_400_000).then(|| Duration::from_millis(millis))
}

/// What a `grpc-timeout` says: one to eight digits and a unit (gRPC over HTTP/2, "Timeout").
pub fn parse_grpc_timeout(value: &str) -> Option<Duration> {
    let (amount, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let amount = digits(amount, 8)?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

fn digits(text: &str, max_len: usize) -> Option<u64> {
    let sound = (1..=max_len).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if sound { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_earlier_one_counts_and_runs_down() {
        let own = Deadline::from(ms(1000), ms(500), None);
        assert_eq!(own.at(), ms(1500));
        assert_eq!(Deadline::from(ms(1000), ms(500), Some(ms(200))).at(), ms(1200));
        assert_eq!(Deadline::from(ms(1000), ms(500), Some(ms(900))), own);
        assert_eq!(own.left(ms(1499)), Some(ms(1)));
        assert_eq!(own.left(ms(1500)), None);
        assert_eq!(own.left(ms(9000)), None);
        assert_eq!(own.header(ms(1200)), Some(300));
        assert_eq!(own.header(Duration::from_micros(1_499_999)), Some(1), "a header never says that nothing is left");
        assert_eq!(own.header(ms(1500)), None);
    }

    #[test]
    fn headers_are_read_strictly() {
        assert_eq!(parse_header("250"), Some(ms(250)));
        assert_eq!(parse_header("0"), Some(ms(0)));
        for bad in ["", "-1", "+1", " 1", "1s", "1.5", "86400001", "1234567890", "٣"] {
            assert_eq!(parse_header(bad), None, "{bad}");
        }
        assert_eq!(parse_grpc_timeout("100m"), Some(ms(100)));
        assert_eq!(parse_grpc_timeout("2S"), Some(ms(2000)));
        assert_eq!(parse_grpc_timeout("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(parse_grpc_timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "S", "100", "123456789m", "1s", "-1S", "1é", "1 S"] {
            assert_eq!(parse_grpc_timeout(bad), None, "{bad}");
        }
    }
}
