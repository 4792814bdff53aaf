//! Steps as people read them.

use std::fmt;

use super::{Action, Rogue, Step, Word};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8} ms  {}", self.at_ms, self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { region, refuses: true, ms } => write!(f, "region {region} is killed for {ms} ms"),
            Self::Kill { region, refuses: false, ms } => write!(f, "region {region} is gone for {ms} ms"),
            Self::Gateway { region, ms } => write!(f, "region {region}'s gateway is dead for {ms} ms"),
            Self::Member { region, is_poor, ms } => {
                let how = if *is_poor { "serves badly" } else { "fails" };
                write!(f, "region {region}'s member of the second pool {how} for {ms} ms")
            }
            Self::Cut { from, to, both: false, ms } => write!(f, "nothing passes from {from} to {to} for {ms} ms"),
            Self::Cut { from, to, both: true, ms } => write!(f, "nothing passes between {from} and {to} for {ms} ms"),
            Self::Isolate { region, ms } => write!(f, "region {region} is cut off for {ms} ms"),
            Self::Lossy { from, to, ms } => write!(f, "four of five packets from {from} to {to} are lost for {ms} ms"),
            Self::Firewall { from, to, ms } => write!(f, "probes of {to} by {from} are dropped for {ms} ms"),
            Self::Mute { region, ms } => write!(f, "the observer of region {region} is silent for {ms} ms"),
            Self::Lie { region, about: None, ms } => {
                write!(f, "the observer of region {region} calls all Down for {ms} ms")
            }
            Self::Lie { region, about: Some(about), ms } => {
                write!(f, "the observer of region {region} calls {about} Down for {ms} ms")
            }
            Self::ClockStep { region, by_ms, ms } => {
                write!(f, "region {region}'s clock steps by {by_ms} ms, and is set right after {ms} ms")
            }
            Self::HandOver => write!(f, "the leader hands over"),
            Self::Fog { ms } => write!(f, "answers get lost and requests come twice for {ms} ms"),
            Self::Override { region, word, ms } => {
                let word = match word {
                    Word::Drain => "drained",
                    Word::Staged => "drained in stages",
                    Word::Keep => "kept in",
                };
                write!(f, "region {region} is {word} by hand for {ms} ms")
            }
            Self::Clear { region } => write!(f, "the word on region {region} is taken back"),
            Self::Rogue(rogue) => f.write_str(match rogue {
                Rogue::Stale => "the last decision is proposed once more, under a new name",
                Rogue::Again => "the last requests are proposed once more, under their old names",
                Rogue::TooFew => "a region is proposed Down by the votes of too few",
                Rogue::All => "all regions are proposed Down by everybody's votes",
            }),
            Self::Follow { region, member } => write!(f, "region {region}'s follower is told by member {member}"),
        }
    }
}
