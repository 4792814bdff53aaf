//! Bugs on purpose: what a checker that has never caught anything must catch.

use std::{str::FromStr, time::Duration};

use traffic::{PoolConfig, Upstream};

use crate::simulation::plant_named;

/// A planted bug. It lies in the pool's settings or in what the world tells it; the code under test stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A failure counts as the time it took: who fails fast looks fast.
    NoPenalty,
    /// What broke or failed is told as well done.
    Deaf,
    /// When most are sick, nobody is asked.
    NoPanic,
    /// A member is blamed for its success rate, whatever the others' is.
    BlameAnyway,
    /// The budget is not asked.
    BoundlessRetries,
    /// Who is new gets a whole share at once.
    NoSlowStart,
    /// The list of members arrives three seconds late.
    OldList,
    /// Requests whose client went away are never finished.
    LostTickets,
    /// The first byte is told when the request is sent.
    HastyFirstByte,
    /// What became of a probe is never told.
    LostProbes,
    /// The pool is told of members that do not exist.
    Phantoms,
    /// Cookies name the slot beside.
    OtherCookies,
    /// A cookie is not looked at when its client's last request was sent a moment ago.
    ForgottenCookies,
    /// Who is ejected is tried at once.
    NoTimeOut,
    /// A breaker wants ten times as many requests before it opens.
    Stubborn,
    /// A breaker opens when one in five failed.
    Touchy,
    /// A breaker lets ten probes through.
    ManyProbes,
    /// A breaker lets all through as soon as its probes succeeded.
    NoRamp,
    /// A breaker tells half of the time that is left.
    HalfRetryAfter,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::NoPenalty,
        Self::Deaf,
        Self::NoPanic,
        Self::BlameAnyway,
        Self::BoundlessRetries,
        Self::NoSlowStart,
        Self::OldList,
        Self::LostTickets,
        Self::HastyFirstByte,
        Self::LostProbes,
        Self::Phantoms,
        Self::OtherCookies,
        Self::ForgottenCookies,
        Self::NoTimeOut,
        Self::Stubborn,
        Self::Touchy,
        Self::ManyProbes,
        Self::NoRamp,
        Self::HalfRetryAfter,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoPenalty => "no-penalty",
            Self::Deaf => "deaf",
            Self::NoPanic => "no-panic",
            Self::BlameAnyway => "blame-anyway",
            Self::BoundlessRetries => "boundless-retries",
            Self::NoSlowStart => "no-slow-start",
            Self::OldList => "old-list",
            Self::LostTickets => "lost-tickets",
            Self::HastyFirstByte => "hasty-first-byte",
            Self::LostProbes => "lost-probes",
            Self::Phantoms => "phantoms",
            Self::OtherCookies => "other-cookies",
            Self::ForgottenCookies => "forgotten-cookies",
            Self::NoTimeOut => "no-time-out",
            Self::Stubborn => "stubborn",
            Self::Touchy => "touchy",
            Self::ManyProbes => "many-probes",
            Self::NoRamp => "no-ramp",
            Self::HalfRetryAfter => "half-retry-after",
        }
    }

    /// Spoils a pool's settings.
    pub(crate) fn spoil(self, config: &mut PoolConfig) {
        match self {
            Self::NoPenalty => config.ewma.penalty = Duration::ZERO,
            Self::NoPanic => config.ejection.panic = 0.0,
            Self::BlameAnyway => config.ejection.below_others = -1.0,
            Self::NoSlowStart => config.slow_start.window = Duration::ZERO,
            Self::NoTimeOut => config.ejection.open = Duration::ZERO,
            _ => {
                if let Some(breaker) = &mut config.upstream {
                    self.spoil_breaker(breaker);
                }
            }
        }
    }
}

impl Plant {
    fn spoil_breaker(self, config: &mut Upstream) {
        match self {
            Self::Stubborn => config.min_requests *= 10,
            Self::Touchy => config.failure_rate = 0.2,
            Self::ManyProbes => config.probes = 10,
            Self::NoRamp => config.ramp = Duration::ZERO,
            _ => {}
        }
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        plant_named(&Self::ALL, Self::name, name)
    }
}
