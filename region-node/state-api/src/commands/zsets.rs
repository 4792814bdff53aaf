//! Sorted sets: members under a key, each with a score. Single members here; stretches in `zset_ranges.rs`, several sets in
//! `zset_algebra.rs`.

use bytes::Bytes;
use replication_core::{AddIf, Op, Reply, Score, ZsetOp};

use super::scan::{self, ScanOptions};
use crate::{
    call::{Answer, Call, Refusal},
    resp::{Double, parse_f64},
    table::{Command, Keys, flag::*},
};

pub(super) const SORTED_SET: &[&str] = &["sortedset"];
pub(super) const READ: &[&str] = &["RO", "access"];
pub(super) const DELETE: &[&str] = &["RW", "delete"];
pub(super) const NOT_A_FLOAT: Refusal = Refusal(std::borrow::Cow::Borrowed("ERR value is not a valid float"));

pub(super) const COMMANDS: &[Command] = &[
    Command::new("zadd", -4, WRITE | DENYOOM | FAST, "sorted-set", zadd)
        .keys(Keys::one(&["RW", "update"]))
        .categories(SORTED_SET)
        .about("1.2.0", "Add one or more members to a sorted set, or update its score if it already exists")
        .complexity("O(log(N)) for each item added, where N is the number of elements in the sorted set.")
        .usage("key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]"),
    Command::new("zincrby", 4, WRITE | DENYOOM | FAST, "sorted-set", zadd)
        .keys(Keys::one(&["RW", "access", "update"]))
        .categories(SORTED_SET)
        .about("1.2.0", "Increment the score of a member in a sorted set")
        .complexity("O(log(N)) where N is the number of elements in the sorted set.")
        .usage("key increment member"),
    Command::new("zrem", -3, WRITE | FAST, "sorted-set", |call| {
        call.answer(&ZsetOp::Rem { members: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(DELETE))
    .categories(SORTED_SET)
    .about("1.2.0", "Remove one or more members from a sorted set")
    .complexity(
        "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
    )
    .usage("key member [member ...]"),
    Command::new("zcard", 2, READONLY | FAST, "sorted-set", |call| call.answer(&ZsetOp::Card.on(call.key())))
        .keys(Keys::one(&["RO"]))
        .categories(SORTED_SET)
        .about("1.2.0", "Get the number of members in a sorted set")
        .usage("key"),
    Command::new("zscore", 3, READONLY | FAST, "sorted-set", |call| {
        call.answer(&ZsetOp::Score { member: call.arg(2) }.on(call.key()))
    })
    .keys(Keys::one(READ))
    .categories(SORTED_SET)
    .about("1.2.0", "Get the score associated with the given member in a sorted set")
    .usage("key member"),
    Command::new("zmscore", -3, READONLY | FAST, "sorted-set", |call| {
        call.answer(&ZsetOp::MScore { members: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(READ))
    .categories(SORTED_SET)
    .about("6.2.0", "Get the score associated with the given members in a sorted set")
    .complexity("O(N) where N is the number of members being requested.")
    .usage("key member [member ...]"),
    Command::new("zrank", -3, READONLY | FAST, "sorted-set", |call| rank(call, false))
        .keys(Keys::one(READ))
        .categories(SORTED_SET)
        .about("2.0.0", "Determine the index of a member in a sorted set")
        .complexity("O(log(N))")
        .usage("key member [WITHSCORE]"),
    Command::new("zrevrank", -3, READONLY | FAST, "sorted-set", |call| rank(call, true))
        .keys(Keys::one(READ))
        .categories(SORTED_SET)
        .about("2.0.0", "Determine the index of a member in a sorted set, with scores ordered from high to low")
        .complexity("O(log(N))")
        .usage("key member [WITHSCORE]"),
    Command::new("zrandmember", -2, READONLY, "sorted-set", random)
        .keys(Keys::one(READ))
        .categories(SORTED_SET)
        .tips(&["nondeterministic_output"])
        .about("6.2.0", "Get one or multiple random elements from a sorted set")
        .complexity("O(N) where N is the number of elements returned")
        .usage("key [count [WITHSCORES]]"),
    Command::new("zscan", -3, READONLY, "sorted-set", scan)
        .keys(Keys::one(READ))
        .categories(SORTED_SET)
        .tips(&["nondeterministic_output"])
        .about("2.8.0", "Incrementally iterate sorted sets elements and associated scores")
        .complexity(
            "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return \
             back to 0. N is the number of elements inside the collection.",
        )
        .usage("key cursor [MATCH pattern] [COUNT count]"),
];

/// The options of ZADD.
#[derive(Default)]
struct AddOptions {
    condition: AddIf,
    changed: bool,
    incr: bool,
}

impl AddOptions {
    /// Reads the options, and gives how many there are.
    fn parse(args: &[Bytes]) -> (Self, usize) {
        let mut options = Self::default();
        for (at, arg) in args.iter().enumerate() {
            let flag = match arg.to_ascii_lowercase().as_slice() {
                b"nx" => &mut options.condition.nx,
                b"xx" => &mut options.condition.xx,
                b"gt" => &mut options.condition.gt,
                b"lt" => &mut options.condition.lt,
                b"ch" => &mut options.changed,
                b"incr" => &mut options.incr,
                _ => return (options, at),
            };
            *flag = true;
        }
        (options, args.len())
    }

    fn check(&self, pairs: usize) -> Answer {
        let AddIf { nx, xx, gt, lt } = self.condition;
        if nx && xx {
            return Err("ERR XX and NX options at the same time are not compatible".into());
        }
        if nx && (gt || lt) || gt && lt {
            return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
        }
        if self.incr && pairs > 1 {
            return Err("ERR INCR option supports a single increment-element pair".into());
        }
        Ok(())
    }
}

fn zadd(call: &mut Call<'_>) -> Answer {
    let op = adding(call)?;
    call.answer(&op)
}

/// `key [options] score member [score member …]`, and ZINCRBY, which is ZADD with INCR in fewer words.
fn adding(call: &Call<'_>) -> Result<Op, Refusal> {
    let (mut options, count) = AddOptions::parse(&call.args[2..]);
    options.incr |= call.command.name == "zincrby";
    let pairs = &call.args[2 + count..];
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(Refusal::SYNTAX);
    }
    options.check(pairs.len() / 2)?;
    let score = |text: &[u8]| parse_f64(text).map(Score).ok_or(NOT_A_FLOAT);
    let AddOptions { condition, changed, incr } = options;
    if incr {
        let (by, member) = (score(&pairs[0])?, pairs[1].clone());
        return Ok(ZsetOp::Incr { member, by, condition }.on(call.key()));
    }
    let pair = |pair: &[Bytes]| Ok((score(&pair[0])?, pair[1].clone()));
    let pairs = pairs.chunks_exact(2).map(pair).collect::<Result<Vec<_>, Refusal>>()?;
    Ok(ZsetOp::Add { pairs, condition, changed }.on(call.key()))
}

fn rank(call: &mut Call<'_>, rev: bool) -> Answer {
    if call.args.len() > 4 {
        return Err(Refusal::arity(call.command.name));
    }
    let with_score = call.args.len() == 4;
    if with_score && !call.args[3].eq_ignore_ascii_case(b"withscore") {
        return Err(Refusal::SYNTAX);
    }
    match call.execute(&ZsetOp::Rank { member: call.arg(2), rev }.on(call.key()))? {
        Reply::Array(both) if with_score => call.out.reply(&Reply::Array(both)),
        Reply::Array(both) => both.iter().take(1).for_each(|rank| call.out.reply(rank)),
        _ if with_score => call.out.null_array(),
        _ => call.out.null(),
    }
    Ok(())
}

fn random(call: &mut Call<'_>) -> Answer {
    if call.args.len() == 2 {
        match call.execute(&ZsetOp::RandMember { count: 1 }.on(call.key()))? {
            Reply::Scored(rows) if !rows.is_empty() => call.out.bulk(&rows[0].0),
            _ => call.out.null(),
        }
        return Ok(());
    }
    let count = super::signed(call.int(2)?)?;
    let with_scores = call.args.len() == 4 && call.args[3].eq_ignore_ascii_case(b"withscores");
    if call.args.len() > 3 && !with_scores {
        return Err(Refusal::SYNTAX);
    }
    if with_scores && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err("ERR value is out of range".into());
    }
    if let Reply::Scored(rows) = call.execute(&ZsetOp::RandMember { count }.on(call.key()))? {
        call.out.members(&rows, with_scores);
    }
    Ok(())
}

/// Scores are bulk strings here in every version of the protocol.
fn scan(call: &mut Call<'_>) -> Answer {
    let cursor = scan::cursor(&call.args[2])?;
    let options = ScanOptions::parse(&call.args[3..], call.command.name);
    let count = options.as_ref().map_or(1, |options| options.count);
    let Reply::Array(parts) = call.execute(&ZsetOp::Scan { cursor, count }.on(call.key()))? else { return Ok(()) };
    let [Reply::Int(next), Reply::Scored(page)] = &parts[..] else { return Ok(()) };
    // As in Redis: nothing is asked of the options where there is nothing to scan.
    let there = options.is_ok() || call.execute(&ZsetOp::Card.on(call.key()))? != Reply::Int(0);
    let options = if there { options? } else { ScanOptions::ALL };
    let page: Vec<_> = page.iter().filter(|(member, _)| options.matches(member)).collect();
    call.out.array(2);
    call.out.bulk(next.to_string().as_bytes());
    call.out.array(page.len() * 2);
    for (member, score) in page {
        call.out.bulk(member);
        call.out.bulk(Double::new(score.0).as_bytes());
    }
    Ok(())
}
