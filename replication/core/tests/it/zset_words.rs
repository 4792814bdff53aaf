//! The words of sorted set commands.

use bytes::Bytes;
use replication_core::{AddIf, Aggregate, Combine, NameBound, Op, Recipe, Score, ScoreBound, Select, Span, ZsetOp};

/// A command on a sorted set; `None` for other commands.
pub(crate) fn parse(words: &[&str]) -> Option<Op> {
    let bytes = |at: usize| Bytes::copy_from_slice(words[at].as_bytes());
    let rest = |from: usize| (from..words.len()).map(bytes).collect::<Vec<Bytes>>();
    let score = |at: usize| Score(words[at].parse().unwrap());
    let has = |word: &str| words.contains(&word);
    let op = match words[0] {
        "ZADD" => return Some(add(words)),
        "ZINCRBY" => ZsetOp::Incr { member: bytes(3), by: score(2), condition: AddIf::default() },
        "ZREM" => ZsetOp::Rem { members: rest(2) },
        "ZCARD" => ZsetOp::Card,
        "ZSCORE" => ZsetOp::Score { member: bytes(2) },
        "ZMSCORE" => ZsetOp::MScore { members: rest(2) },
        "ZRANK" | "ZREVRANK" => ZsetOp::Rank { member: bytes(2), rev: words[0] == "ZREVRANK" },
        "ZPOPMIN" | "ZPOPMAX" => {
            let count = words.get(2).map_or(1, |count| count.parse().unwrap());
            ZsetOp::Pop { max: words[0] == "ZPOPMAX", count }
        }
        "ZCOUNT" | "ZLEXCOUNT" => ZsetOp::Count { span: span(words[0] == "ZCOUNT", false, words[2], words[3]) },
        "ZREMRANGEBYSCORE" => ZsetOp::RemRange { span: span(true, false, words[2], words[3]) },
        "ZREMRANGEBYLEX" => ZsetOp::RemRange { span: span(false, true, words[2], words[3]) },
        "ZREMRANGEBYRANK" => ZsetOp::RemRange { span: span(false, false, words[2], words[3]) },
        "ZRANGE" => ZsetOp::Range { select: select(&words[2..]) },
        "ZRANGESTORE" => ZsetOp::RangeStore { source: bytes(2), select: select(&words[3..]) },
        "ZRANDMEMBER" => ZsetOp::RandMember { count: words[2].parse().unwrap() },
        "ZUNION" | "ZINTER" | "ZDIFF" => {
            let recipe = recipe(words[0], &words[1..]);
            let first = recipe.sources[0].clone();
            return Some(ZsetOp::Combine { recipe }.on(first));
        }
        "ZUNIONSTORE" | "ZINTERSTORE" | "ZDIFFSTORE" => ZsetOp::CombineStore { recipe: recipe(words[0], &words[2..]) },
        "ZINTERCARD" => {
            let limit = if has("LIMIT") { words[words.len() - 1].parse().unwrap() } else { 0 };
            let recipe = recipe(words[0], &words[1..]);
            let first = recipe.sources[0].clone();
            return Some(ZsetOp::InterCard { sources: recipe.sources, limit }.on(first));
        }
        _ => return None,
    };
    Some(op.on(bytes(1)))
}

fn add(words: &[&str]) -> Op {
    let flags = words[2..].iter().take_while(|word| word.parse::<f64>().is_err()).count();
    let has = |flag: &str| words[2..2 + flags].contains(&flag);
    let condition = AddIf { nx: has("NX"), xx: has("XX"), gt: has("GT"), lt: has("LT") };
    let pair = |pair: &[&str]| (Score(pair[0].parse().unwrap()), Bytes::copy_from_slice(pair[1].as_bytes()));
    let mut pairs: Vec<(Score, Bytes)> = words[2 + flags..].chunks(2).map(pair).collect();
    let op = if has("INCR") {
        let (by, member) = pairs.remove(0);
        ZsetOp::Incr { member, by, condition }
    } else {
        ZsetOp::Add { pairs, condition, changed: has("CH") }
    };
    op.on(Bytes::copy_from_slice(words[1].as_bytes()))
}

fn select(words: &[&str]) -> Select {
    let has = |word: &str| words.contains(&word);
    let rev = has("REV");
    let (low, high) = if rev && (has("BYSCORE") || has("BYLEX")) { (words[1], words[0]) } else { (words[0], words[1]) };
    let limit = words.iter().position(|word| *word == "LIMIT");
    let limit = limit.map(|at| (words[at + 1].parse().unwrap(), words[at + 2].parse().unwrap()));
    let span = if has("BYSCORE") || has("BYLEX") {
        span(has("BYSCORE"), has("BYLEX"), low, high)
    } else {
        Span::Ranks(low.parse().unwrap(), high.parse().unwrap())
    };
    Select { span, rev, limit }
}

fn span(scores: bool, names: bool, low: &str, high: &str) -> Span {
    if scores {
        Span::Scores(score_bound(low), score_bound(high))
    } else if names || low.parse::<i64>().is_err() {
        Span::Names(name_bound(low), name_bound(high))
    } else {
        Span::Ranks(low.parse().unwrap(), high.parse().unwrap())
    }
}

fn score_bound(word: &str) -> ScoreBound {
    let (open, number) = word.strip_prefix('(').map_or((false, word), |number| (true, number));
    ScoreBound { score: Score(number.parse().unwrap()), open }
}

fn name_bound(word: &str) -> NameBound {
    let name = || Bytes::copy_from_slice(&word.as_bytes()[1..]);
    match word.as_bytes()[0] {
        b'-' => NameBound::Lowest,
        b'+' => NameBound::Highest,
        b'[' => NameBound::With(name()),
        _ => NameBound::Without(name()),
    }
}

/// `numkeys key … [WEIGHTS w …] [AGGREGATE word]`
fn recipe(command: &str, words: &[&str]) -> Recipe {
    let how = match &command[1..3] {
        "UN" => Combine::Union,
        "IN" => Combine::Inter,
        _ => Combine::Diff,
    };
    let count: usize = words[0].parse().unwrap();
    let behind = |name: &str| words.iter().position(|word| *word == name).map(|at| at + 1);
    let sources = words[1..=count].iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
    let weights = behind("WEIGHTS")
        .map_or_else(Vec::new, |at| words[at..at + count].iter().map(|weight| weight.parse().unwrap()).collect());
    let aggregate = match behind("AGGREGATE").map(|at| words[at]) {
        Some("MIN") => Aggregate::Min,
        Some("MAX") => Aggregate::Max,
        _ => Aggregate::Sum,
    };
    Recipe { how, sources, weights, aggregate }
}
