//! Intersection, union and difference of sets.
//!
//! Sets of one partition are combined there, at one moment; sets of several are read one after the other and combined here. What is
//! stored, is stored beside its sources: those commands keep to one partition.

use bytes::Bytes;
use replication_core::{Combine, Reply, SetOp, combine_sets};

use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    resp::parse_i64,
    table::{Command, Keys, flag::*},
};

const SET: &[&str] = &["set"];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const READ: &[&str] = &["RO", "access"];
const BY_SMALLEST: &str =
    "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.";
const BY_ALL: &str = "O(N) where N is the total number of elements in all given sets.";

pub(super) const COMMANDS: &[Command] = &[
    reading("sinter", |call| read(call, Combine::Inter))
        .about("1.0.0", "Intersect multiple sets")
        .complexity(BY_SMALLEST),
    reading("sunion", |call| read(call, Combine::Union)).about("1.0.0", "Add multiple sets").complexity(BY_ALL),
    reading("sdiff", |call| read(call, Combine::Diff)).about("1.0.0", "Subtract multiple sets").complexity(BY_ALL),
    Command::new("sintercard", -3, READONLY, "set", intercard)
        .keys(Keys::counted(1, READ))
        .categories(SET)
        .about("7.0.0", "Intersect multiple sets and return the cardinality of the result")
        .complexity(BY_SMALLEST)
        .usage("numkeys key [key ...] [LIMIT limit]"),
    storing("sinterstore", |call| store(call, Combine::Inter))
        .specs(&[KeySpec::at(1, &["RW", "update"]), KeySpec::from(2, READ)])
        .about("1.0.0", "Intersect multiple sets and store the resulting set in a key")
        .complexity(BY_SMALLEST),
    storing("sunionstore", |call| store(call, Combine::Union))
        .about("1.0.0", "Add multiple sets and store the resulting set in a key")
        .complexity(BY_ALL),
    storing("sdiffstore", |call| store(call, Combine::Diff))
        .about("1.0.0", "Subtract multiple sets and store the resulting set in a key")
        .complexity(BY_ALL),
];

const fn reading(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, -2, READONLY, "set", handler)
        .keys(Keys::many(1, READ))
        .categories(SET)
        .tips(UNORDERED)
        .usage("key [key ...]")
}

const STORING: &[KeySpec] = &[KeySpec::at(1, &["OW", "update"]), KeySpec::from(2, READ)];

const fn storing(name: &'static str, handler: crate::table::Handler) -> Command {
    Command::new(name, -3, WRITE | DENYOOM, "set", handler)
        .keys(Keys::many(1, READ))
        .specs(STORING)
        .categories(SET)
        .usage("destination key [key ...]")
}

fn read(call: &mut Call<'_>, how: Combine) -> Answer {
    if call.same_partition().is_ok() {
        return call.answer(&SetOp::Combine { how, others: call.rest(2) }.on(call.key()));
    }
    let members = combine_sets(how, &members_of(call, call.rest(1))?, usize::MAX);
    call.out.reply(&Reply::Set(members));
    Ok(())
}

/// Copies of the sets of several partitions, as each of them is when its turn comes.
fn members_of(call: &mut Call<'_>, keys: Vec<Bytes>) -> Result<Vec<Vec<Bytes>>, Refusal> {
    let mut sets = Vec::with_capacity(keys.len());
    for key in keys {
        sets.push(match call.execute(&SetOp::Members.on(key))? {
            Reply::Set(members) => members,
            _ => Vec::new(),
        });
    }
    Ok(sets)
}

fn intercard(call: &mut Call<'_>) -> Answer {
    let count = parse_i64(&call.args[1]).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(Refusal::from("ERR numkeys should be greater than 0"))?;
    if count > call.args.len() - 2 {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let (keys, options) = call.args[2..].split_at(count);
    let limit = limit(options)?;
    if call.same_partition().is_ok() {
        return call.answer(&SetOp::InterCard { others: keys[1..].to_vec(), limit }.on(keys[0].clone()));
    }
    let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let sets = members_of(call, keys.to_vec())?;
    call.out.count(combine_sets(Combine::Inter, &sets, limit).len());
    Ok(())
}

/// `[LIMIT limit]`, the last one counts; 0 for none.
pub(super) fn limit(mut rest: &[Bytes]) -> Result<u64, Refusal> {
    let mut limit = 0;
    while let [name, value, after @ ..] = rest {
        if !name.eq_ignore_ascii_case(b"limit") {
            return Err(Refusal::SYNTAX);
        }
        let value = parse_i64(value).and_then(|limit| u64::try_from(limit).ok());
        limit = value.ok_or(Refusal::from("ERR LIMIT can't be negative"))?;
        rest = after;
    }
    if rest.is_empty() { Ok(limit) } else { Err(Refusal::SYNTAX) }
}

fn store(call: &mut Call<'_>, how: Combine) -> Answer {
    call.same_partition()?;
    call.answer(&SetOp::Store { how, sources: call.rest(2) }.on(call.key()))
}
