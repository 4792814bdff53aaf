//! Commands on sorted sets.

use bytes::Bytes;

use super::Combine;
use crate::Score;

/// Conditions of ZADD; the caller has refused the combinations that Redis refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddIf {
    /// `NX`: only members that are not there.
    pub nx: bool,
    /// `XX`: only members that are there.
    pub xx: bool,
    /// `GT`: of members that are there, only to a greater score.
    pub gt: bool,
    /// `LT`: of members that are there, only to a smaller score.
    pub lt: bool,
}

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreBound {
    /// The score at the end.
    pub score: Score,
    /// `(5`: that score is out.
    pub open: bool,
}

/// One end of a range of names, which are ordered as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameBound {
    /// `-`: before every name.
    Lowest,
    /// `+`: behind every name.
    Highest,
    /// `[name`: with that name.
    With(Bytes),
    /// `(name`: without it.
    Without(Bytes),
}

/// A stretch of a sorted set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// From one rank to another, both included; negative ones count from the end.
    Ranks(i64, i64),
    /// From one score to another.
    Scores(ScoreBound, ScoreBound),
    /// From one name to another, where all scores are equal; otherwise the result is some stretch, as in Redis.
    Names(NameBound, NameBound),
}

/// What ZRANGE selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// The stretch; ranks count from the side that `rev` begins at.
    pub span: Span,
    /// From the greatest to the smallest.
    pub rev: bool,
    /// `LIMIT`: how many to pass over and how many to take; all if that is negative.
    pub limit: Option<(i64, i64)>,
}

/// What becomes of a member's scores in several sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the word behind AGGREGATE")]
pub enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
}

/// What ZUNION, ZINTER and ZDIFF make of which sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Which of the three.
    pub how: Combine,
    /// The sets, sorted or not (then every score is 1).
    pub sources: Vec<Bytes>,
    /// What the scores of each source are multiplied by; empty: 1.
    pub weights: Vec<f64>,
    /// What becomes of several scores of one member.
    pub aggregate: Aggregate,
}

/// What can be asked of a sorted set.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "each variant is the Redis command of its name, without the Z; the fields are its arguments"
)]
pub enum ZsetOp {
    /// `changed` (CH): count updates too. No score is NaN.
    Add {
        pairs: Vec<(Score, Bytes)>,
        condition: AddIf,
        changed: bool,
    },
    /// ZINCRBY, and ZADD with INCR; `Nil` where a condition does not hold.
    Incr {
        member: Bytes,
        by: Score,
        condition: AddIf,
    },
    Rem {
        members: Vec<Bytes>,
    },
    RemRange {
        span: Span,
    },
    /// ZPOPMIN, or ZPOPMAX (`max`): at most `count` members, as `Scored`.
    Pop {
        max: bool,
        count: u64,
    },
    Card,
    /// ZCOUNT, ZLEXCOUNT.
    Count {
        span: Span,
    },
    Score {
        member: Bytes,
    },
    MScore {
        members: Vec<Bytes>,
    },
    /// The rank and the score, or `Nil`.
    Rank {
        member: Bytes,
        rev: bool,
    },
    /// ZRANGE and its kin, as `Scored`.
    Range {
        select: Select,
    },
    /// ZRANGE of `source` into this key.
    RangeStore {
        source: Bytes,
        select: Select,
    },
    /// As `Scored`; a negative count may name a member twice.
    RandMember {
        count: i64,
    },
    /// Everything, in order; of a set too, with scores of 1. As `Scored`.
    Rows,
    /// ZUNION, ZINTER, ZDIFF, whose first source is this key. As `Scored`.
    Combine {
        recipe: Recipe,
    },
    /// ZINTERCARD, whose first source is this key; a limit of 0 is none.
    InterCard {
        sources: Vec<Bytes>,
        limit: u64,
    },
    /// ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE into this key.
    CombineStore {
        recipe: Recipe,
    },
    /// A page of members: answers the next cursor (0 ends) and the page as `Scored`.
    Scan {
        cursor: u64,
        count: usize,
    },
}

impl ZsetOp {
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Add { .. } | Self::Incr { .. } | Self::Rem { .. } | Self::RemRange { .. } | Self::Pop { .. } => true,
            Self::RangeStore { .. } | Self::CombineStore { .. } => true,
            Self::Card | Self::Count { .. } | Self::Score { .. } | Self::MScore { .. } | Self::Rank { .. } => false,
            Self::Range { .. } | Self::RandMember { .. } | Self::Rows | Self::Combine { .. } => false,
            Self::InterCard { .. } | Self::Scan { .. } => false,
        }
    }

    pub(super) fn other_keys(&self) -> &[Bytes] {
        match self {
            Self::RangeStore { source, .. } => std::slice::from_ref(source),
            Self::Combine { recipe } | Self::CombineStore { recipe } => &recipe.sources,
            Self::InterCard { sources, .. } => sources,
            _ => &[],
        }
    }

    pub(super) fn each_argument(&self, visit: &mut dyn FnMut(&Bytes)) {
        match self {
            Self::Add { pairs, .. } => pairs.iter().for_each(|(_, member)| visit(member)),
            Self::Incr { member, .. } => visit(member),
            Self::Rem { members } => members.iter().for_each(visit),
            _ => {}
        }
    }
}
