//! Do the stored votes carry the decision? Counted here again, from the World's own size: the proposer is not believed.

use model::{Plan, Verdict, Vote};

use crate::{Change, Refusal, quorum::Quorum};

/// How votes for a return are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Only Up speaks for Up.
    Strict,
    /// Degraded speaks for Up as well: generation 0.
    Lenient,
}

pub(super) fn check(plan: &Plan, change: &Change, reading: Reading) -> Result<(), Refusal> {
    let votes = change.evidence.votes.iter();
    let opinions: Vec<Vote> = votes
        .filter(|(observer, vote)| {
            *observer != change.subject.region() && **vote != Vote::Unknown && plan.world.region(observer).is_some()
        })
        .map(|(_, vote)| *vote)
        .collect();
    let speaks_for = |vote: &&Vote| match reading {
        Reading::Strict => agrees(**vote, change.from, change.to),
        Reading::Lenient => match change.to {
            Verdict::Up => matches!(vote, Vote::Up | Vote::Degraded),
            Verdict::Degraded => **vote == Vote::Degraded,
            Verdict::Down => **vote == Vote::Down,
        },
    };
    let agree = opinions.iter().filter(speaks_for).count();
    let (qualified, sight) = (opinions.len(), Quorum::of(plan.world.regions.len()).sight);
    let needed = Quorum::high(qualified.max(sight));
    if qualified >= sight && agree >= needed {
        return Ok(());
    }
    Err(Refusal::WeakEvidence {
        subject: change.subject.clone(),
        to: change.to,
        agree,
        needed,
        qualified,
        qualified_needed: sight,
    })
}

/// Whether a vote speaks for the step from one verdict to another.
///
/// Down and Up need votes of their own name. For Degraded, on the way down, whoever calls it worse agrees as well; on the way back
/// whoever says that it serves at all does: a mixed return is a careful one.
fn agrees(vote: Vote, from: Verdict, to: Verdict) -> bool {
    match (from, to) {
        (_, Verdict::Down) => vote == Vote::Down,
        (_, Verdict::Up) => vote == Vote::Up,
        (Verdict::Down, Verdict::Degraded) => matches!(vote, Vote::Up | Vote::Degraded),
        (_, Verdict::Degraded) => matches!(vote, Vote::Degraded | Vote::Down),
    }
}
