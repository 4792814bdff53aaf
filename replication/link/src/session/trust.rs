//! What a peer has done wrong, and for how long its link is quarantined for it.
//!
//! Whoever sends what no sound region sends may be broken in a way that comes again at once. Its link is closed and stays
//! closed, for longer each time; a link that then stands for a minute is forgiven. Nothing that was refused was
//! applied, and no other link notices.

use replication_core::DecodeError;

use crate::vectors::Malformed;

/// What a peer can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Bytes that nobody speaking this protocol sends.
    Garbage,
    /// A version that was not agreed on.
    Version,
    /// Bytes that are not those that were written.
    Checksum,
    /// Changes in the name of a replica that the peer is not.
    ForeignDots,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Garbage, Self::Version, Self::Checksum, Self::ForeignDots];

    /// A word for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Version => "version",
            Self::Checksum => "checksum",
            Self::ForeignDots => "foreign_dots",
        }
    }
}

/// Why the machine ends a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    /// The peer is to blame.
    #[error("{1}")]
    Fault(Fault, String),
    /// Nobody is to blame, or we are.
    #[error("{0}")]
    Plain(String),
}

impl End {
    pub(crate) fn garbage(what: &str) -> Self {
        Self::Fault(Fault::Garbage, format!("the peer sent something unreadable: {what}"))
    }
}

impl From<Malformed> for End {
    fn from(Malformed(what): Malformed) -> Self {
        Self::garbage(what)
    }
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        let fault = match error {
            DecodeError::Checksum { .. } => Fault::Checksum,
            DecodeError::Version(_) => Fault::Version,
            _ => Fault::Garbage,
        };
        Self::Fault(fault, format!("the peer sent something unreadable: {error}"))
    }
}

const FIRST_MS: u64 = 200;
const LONGEST_MS: u64 = 60_000;
/// A link that stands for so long is forgiven.
const FORGIVEN_AFTER_MS: u64 = 60_000;

/// The peer's record.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    next_ms: u64,
    closed: Option<(u64, String)>,
    opened_ms: u64,
}

impl Trust {
    /// A connection begins; the reason if it must not.
    pub(crate) fn opened(&mut self, now_ms: u64) -> Result<(), String> {
        match &self.closed {
            Some((until_ms, why)) if now_ms < *until_ms => {
                Err(format!("the link is quarantined for another {} ms: {why}", until_ms - now_ms))
            }
            _ => {
                self.closed = None;
                self.opened_ms = now_ms;
                Ok(())
            }
        }
    }

    /// The peer did something wrong.
    pub(crate) fn fault(&mut self, now_ms: u64, why: String) {
        if now_ms >= self.opened_ms + FORGIVEN_AFTER_MS {
            self.next_ms = 0;
        }
        let pause_ms = self.next_ms.clamp(FIRST_MS, LONGEST_MS);
        self.next_ms = pause_ms * 2;
        self.closed = Some((now_ms + pause_ms, why));
    }

    /// Until when no connection will be taken; 0 if one will.
    pub(crate) fn closed_until(&self) -> u64 {
        self.closed.as_ref().map_or(0, |(until_ms, _)| *until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarantine_grows_with_each_fault_and_is_forgiven_after_a_good_minute() {
        let mut trust = Trust::default();
        let mut now_ms = 1000;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(trust.opened(now_ms), Ok(()));
            trust.fault(now_ms, "noise".into());
            pauses.push(trust.closed_until() - now_ms);
            let refused = trust.opened(now_ms).unwrap_err();
            assert!(refused.contains("quarantined") && refused.contains("noise"), "{refused}");
            now_ms = trust.closed_until();
        }
        assert_eq!(pauses[..4], [200, 400, 800, 1600]);
        assert_eq!(pauses[11], LONGEST_MS);
        trust.opened(now_ms).unwrap();
        trust.fault(now_ms + FORGIVEN_AFTER_MS, "again".into());
        assert_eq!(trust.closed_until(), now_ms + FORGIVEN_AFTER_MS + FIRST_MS);
    }
}
