//! Sorted sets by stretches: of ranks, of scores, of names.

use bytes::Bytes;
use replication_core::{NameBound, Reply, Score, ScoreBound, Select, Span, ZsetOp};

use super::{
    multi_pop::MultiPop,
    zsets::{DELETE, READ, SORTED_SET},
};
use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    resp::{Protocol, parse_bound, parse_i64},
    table::{Command, Keys, flag::*},
    wanted::Wanted,
};

const LOGARITHMIC: &str = "O(log(N)) with N being the number of elements in the sorted set.";
const RETURNED: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements \
                        returned.";
const REMOVED: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements \
                       removed by the operation.";
const POPPED: &str = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements \
                      popped.";

pub(super) const COMMANDS: &[Command] = &[
    reading("zrange", |call| range(call, Order::Told, None))
        .about("1.2.0", "Return a range of members in a sorted set")
        .usage("key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]"),
    reading("zrevrange", |call| range(call, Order::Backwards, Some(By::Rank)))
        .about("1.2.0", "Return a range of members in a sorted set, by index, with scores ordered from high to low")
        .usage("key start stop [WITHSCORES]"),
    reading("zrangebyscore", |call| range(call, Order::Forwards, Some(By::Score)))
        .about("1.0.5", "Return a range of members in a sorted set, by score")
        .usage("key min max [WITHSCORES] [LIMIT offset count]"),
    reading("zrevrangebyscore", |call| range(call, Order::Backwards, Some(By::Score)))
        .about("2.2.0", "Return a range of members in a sorted set, by score, with scores ordered from high to low")
        .usage("key max min [WITHSCORES] [LIMIT offset count]"),
    reading("zrangebylex", |call| range(call, Order::Forwards, Some(By::Name)))
        .about("2.8.9", "Return a range of members in a sorted set, by lexicographical range")
        .usage("key min max [LIMIT offset count]"),
    reading("zrevrangebylex", |call| range(call, Order::Backwards, Some(By::Name)))
        .about(
            "2.8.9",
            "Return a range of members in a sorted set, by lexicographical range, ordered from higher to lower strings.",
        )
        .usage("key max min [LIMIT offset count]"),
    Command::new("zrangestore", -5, WRITE | DENYOOM, "sorted-set", store)
        .keys(Keys::range(1, 2, &["OW", "update"]))
        .specs(&[KeySpec::at(1, &["OW", "update"]), KeySpec::at(2, READ)])
        .categories(SORTED_SET)
        .about("6.2.0", "Store a range of members from sorted set into another key")
        .complexity(
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the \
             destination key.",
        )
        .usage("dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]"),
    Command::new("zcount", 4, READONLY | FAST, "sorted-set", |call| count(call, By::Score))
        .keys(Keys::one(READ))
        .categories(SORTED_SET)
        .about("2.0.0", "Count the members in a sorted set with scores within the given values")
        .complexity(LOGARITHMIC)
        .usage("key min max"),
    Command::new("zlexcount", 4, READONLY | FAST, "sorted-set", |call| count(call, By::Name))
        .keys(Keys::one(READ))
        .categories(SORTED_SET)
        .about("2.8.9", "Count the number of members in a sorted set between a given lexicographical range")
        .complexity(LOGARITHMIC)
        .usage("key min max"),
    removing("zremrangebyrank", |call| remove(call, By::Rank))
        .about("2.0.0", "Remove all members in a sorted set within the given indexes")
        .usage("key start stop"),
    removing("zremrangebyscore", |call| remove(call, By::Score))
        .about("1.2.0", "Remove all members in a sorted set within the given scores")
        .usage("key min max"),
    removing("zremrangebylex", |call| remove(call, By::Name))
        .about("2.8.9", "Remove all members in a sorted set between the given lexicographical range")
        .usage("key min max"),
    popping("zpopmin", |call| pop(call, false))
        .about("5.0.0", "Remove and return members with the lowest scores in a sorted set"),
    popping("zpopmax", |call| pop(call, true))
        .about("5.0.0", "Remove and return members with the highest scores in a sorted set"),
    Command::new("zmpop", -4, WRITE, "sorted-set", pop_first)
        .keys(Keys::counted(1, &["RW", "access", "delete"]))
        .categories(SORTED_SET)
        .about("7.0.0", "Remove and return members with scores in a sorted set")
        .complexity(
            "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, \
             and M being the number of elements popped.",
        )
        .usage("numkeys key [key ...] MIN|MAX [COUNT count]"),
];

const fn reading(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, -4, READONLY, "sorted-set", handler)
        .keys(Keys::one(READ))
        .categories(SORTED_SET)
        .complexity(RETURNED)
}

const fn removing(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, 4, WRITE, "sorted-set", handler)
        .keys(Keys::one(DELETE))
        .categories(SORTED_SET)
        .complexity(REMOVED)
}

const fn popping(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, -2, WRITE | FAST, "sorted-set", handler)
        .keys(Keys::one(&["RW", "access", "delete"]))
        .categories(SORTED_SET)
        .complexity(POPPED)
        .usage("key [count]")
}

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Name,
}

/// Which way a range goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As the options say.
    Told,
    Forwards,
    Backwards,
}

impl By {
    fn span(self, low: &[u8], high: &[u8]) -> Result<Span, Refusal> {
        let rank = |text| parse_i64(text).ok_or(Refusal::NOT_AN_INTEGER);
        let score = |text| score_bound(text).ok_or(Refusal::from("ERR min or max is not a float"));
        let name = |text| name_bound(text).ok_or(Refusal::from("ERR min or max not valid string range item"));
        Ok(match self {
            Self::Rank => Span::Ranks(rank(low)?, rank(high)?),
            Self::Score => Span::Scores(score(low)?, score(high)?),
            Self::Name => Span::Names(name(low)?, name(high)?),
        })
    }
}

fn score_bound(text: &[u8]) -> Option<ScoreBound> {
    let (open, text) = text.strip_prefix(b"(").map_or((false, text), |text| (true, text));
    parse_bound(text).map(|score| ScoreBound { score: Score(score), open })
}

fn name_bound(text: &[u8]) -> Option<NameBound> {
    Some(match text {
        [b'-'] | [b'-', 0, ..] => NameBound::Lowest,
        [b'+'] | [b'+', 0, ..] => NameBound::Highest,
        [b'[', name @ ..] => NameBound::With(Bytes::copy_from_slice(name)),
        [b'(', name @ ..] => NameBound::Without(Bytes::copy_from_slice(name)),
        _ => return None,
    })
}

/// What a range command asks for.
struct Asked {
    select: Select,
    with_scores: bool,
}

/// `min max [options]`, from `args` on. `by` and `order` are given where the command's name says them.
fn asked(args: &[Bytes], mut order: Order, by: Option<By>, storing: bool) -> Result<Asked, Refusal> {
    let (mut told, mut limit, mut with_scores) = (by, (0, -1), false);
    let mut rest = &args[2..];
    while let [option, after @ ..] = rest {
        rest = after;
        match (option.to_ascii_lowercase().as_slice(), after) {
            (b"withscores", _) if !storing => with_scores = true,
            (b"limit", [skip, take, after @ ..]) => {
                let number = |text| parse_i64(text).ok_or(Refusal::NOT_AN_INTEGER);
                limit = (number(skip)?, number(take)?);
                rest = after;
            }
            (b"rev", _) if order == Order::Told => order = Order::Backwards,
            (b"bylex", _) if told.is_none() => told = Some(By::Name),
            (b"byscore", _) if told.is_none() => told = Some(By::Score),
            _ => return Err(Refusal::SYNTAX),
        }
    }
    let (by, rev) = (told.unwrap_or(By::Rank), order == Order::Backwards);
    if limit.1 != -1 && by == By::Rank {
        return Err("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX".into());
    }
    if with_scores && by == By::Name {
        return Err("ERR syntax error, WITHSCORES not supported in combination with BYLEX".into());
    }
    let (low, high) = if rev && by != By::Rank { (&args[1], &args[0]) } else { (&args[0], &args[1]) };
    let limit = (by != By::Rank).then_some(limit);
    Ok(Asked { select: Select { span: by.span(low, high)?, rev, limit }, with_scores })
}

fn range(call: &mut Call<'_>, order: Order, by: Option<By>) -> Answer {
    let Asked { select, with_scores } = asked(&call.args[2..], order, by, false)?;
    if let Reply::Scored(rows) = call.execute(&ZsetOp::Range { select }.on(call.key()))? {
        call.out.members(&rows, with_scores);
    }
    Ok(())
}

fn store(call: &mut Call<'_>) -> Answer {
    let Asked { select, .. } = asked(&call.args[3..], Order::Told, None, true)?;
    call.same_partition()?;
    call.answer(&ZsetOp::RangeStore { source: call.arg(2), select }.on(call.key()))
}

fn count(call: &mut Call<'_>, by: By) -> Answer {
    let span = by.span(&call.args[2], &call.args[3])?;
    call.answer(&ZsetOp::Count { span }.on(call.key()))
}

fn remove(call: &mut Call<'_>, by: By) -> Answer {
    let span = by.span(&call.args[2], &call.args[3])?;
    call.answer(&ZsetOp::RemRange { span }.on(call.key()))
}

fn pop(call: &mut Call<'_>, max: bool) -> Answer {
    if call.args.len() > 3 {
        return Err(Refusal::SYNTAX);
    }
    let single = call.args.len() == 2;
    let count = if single { Some(1) } else { parse_i64(&call.args[2]).and_then(|count| u64::try_from(count).ok()) };
    let count = count.ok_or(Refusal::from("ERR value is out of range, must be positive"))?;
    let Reply::Scored(rows) = call.execute(&ZsetOp::Pop { max, count }.on(call.key()))? else { return Ok(()) };
    if single && call.out.protocol() == Protocol::Resp3 {
        call.out.array(rows.len() * 2); // one member and its score, without a list around them
        for (member, score) in &rows {
            call.out.bulk(member);
            call.out.score(score.0);
        }
    } else {
        call.out.scored(&rows);
    }
    Ok(())
}

/// ZMPOP: pops from the first of several sorted sets that is there.
fn pop_first(call: &mut Call<'_>) -> Answer {
    let MultiPop { keys, from: max, count } = MultiPop::parse(&call.args[1..], max)?;
    let (partition, wanted) = (call.same_partition()?, Wanted::Members { max, count });
    call.atomically(partition, |call| {
        for key in keys {
            let reply = call.execute(&wanted.op(key))?;
            if wanted.is_in(&reply) {
                wanted.write(key, &reply, call.out);
                return Ok(());
            }
        }
        wanted.write_nothing(call.out);
        Ok(())
    })
}

/// `MIN` or `MAX`.
pub(super) fn max(word: &[u8]) -> Result<bool, Refusal> {
    if word.eq_ignore_ascii_case(b"min") {
        Ok(false)
    } else if word.eq_ignore_ascii_case(b"max") {
        Ok(true)
    } else {
        Err(Refusal::SYNTAX)
    }
}
