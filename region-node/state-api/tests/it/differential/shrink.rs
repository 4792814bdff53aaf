//! Makes a failing sequence short: leaves out ever smaller pieces as long as the same command still fails.

use super::{play::Pair, steps::Step};

/// Attempts before the shortest sequence so far is shown.
const ATTEMPTS: usize = 400;

/// The shortest part of `steps` found that still ends in a disagreement over `command`; `steps` itself if it happens only once.
pub(crate) fn shrink(pair: &mut Pair, command: &str, steps: Vec<Step>) -> Vec<Step> {
    let mut fails = |candidate: &[Step]| {
        pair.clear();
        matches!(pair.play(candidate), Err(mismatch) if mismatch.command.name() == command)
    };
    let (mut shortest, mut piece, mut attempts) = (steps, usize::MAX, 0);
    piece = piece.min(shortest.len().div_ceil(2));
    while attempts < ATTEMPTS {
        let mut at = 0;
        let before = shortest.len();
        while at < shortest.len() && attempts < ATTEMPTS {
            let mut candidate = shortest.clone();
            candidate.drain(at..(at + piece).min(shortest.len()));
            attempts += 1;
            if fails(&candidate) {
                shortest = candidate;
            } else {
                at += piece;
            }
        }
        if piece == 1 && shortest.len() == before {
            break;
        }
        piece = piece.div_ceil(2);
    }
    shortest
}
