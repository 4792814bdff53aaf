//! Hashes: fields under a key.

use bytes::Bytes;
use replication_core::{HashOp, Op, Reply};

use super::scan;
use crate::{
    call::{Answer, Call, Refusal},
    table::{Command, Keys, flag::*},
};

const HASH: &[&str] = &["hash"];
const AT_RANDOM: &[&str] = &["nondeterministic_output"];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("hset", -4, WRITE | DENYOOM | FAST, "hash", |call| call.answer(&pairs(call)?))
        .keys(Keys::one(&["RW", "update"]))
        .categories(HASH)
        .about("2.0.0", "Set the string value of a hash field")
        .complexity(
            "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with \
             multiple field/value pairs.",
        )
        .usage("key field value [field value ...]"),
    Command::new("hmset", -4, WRITE | DENYOOM | FAST, "hash", hmset)
        .keys(Keys::one(&["RW", "update"]))
        .categories(HASH)
        .about("2.0.0", "Set multiple hash fields to multiple values")
        .complexity("O(N) where N is the number of fields being set.")
        .usage("key field value [field value ...]"),
    Command::new("hget", 3, READONLY | FAST, "hash", |call| {
        call.answer(&HashOp::Get { field: call.arg(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(HASH)
    .about("2.0.0", "Get the value of a hash field")
    .usage("key field"),
    Command::new("hmget", -3, READONLY | FAST, "hash", |call| {
        call.answer(&HashOp::MGet { fields: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(HASH)
    .about("2.0.0", "Get the values of all the given hash fields")
    .complexity("O(N) where N is the number of fields being requested.")
    .usage("key field [field ...]"),
    Command::new("hgetall", 2, READONLY, "hash", |call| call.answer(&HashOp::GetAll.on(call.key())))
        .keys(Keys::one(&["RO", "access"]))
        .categories(HASH)
        .tips(UNORDERED)
        .about("2.0.0", "Get all the fields and values in a hash")
        .complexity("O(N) where N is the size of the hash.")
        .usage("key"),
    Command::new("hkeys", 2, READONLY, "hash", |call| column(call, |(field, _)| field))
        .keys(Keys::one(&["RO", "access"]))
        .categories(HASH)
        .tips(UNORDERED)
        .about("2.0.0", "Get all the fields in a hash")
        .complexity("O(N) where N is the size of the hash.")
        .usage("key"),
    Command::new("hvals", 2, READONLY, "hash", |call| column(call, |(_, value)| value))
        .keys(Keys::one(&["RO", "access"]))
        .categories(HASH)
        .tips(UNORDERED)
        .about("2.0.0", "Get all the values in a hash")
        .complexity("O(N) where N is the size of the hash.")
        .usage("key"),
    Command::new("hdel", -3, WRITE | FAST, "hash", |call| {
        call.answer(&HashOp::Del { fields: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "delete"]))
    .categories(HASH)
    .about("2.0.0", "Delete one or more hash fields")
    .complexity("O(N) where N is the number of fields to be removed.")
    .usage("key field [field ...]"),
    Command::new("hexists", 3, READONLY | FAST, "hash", |call| {
        call.answer(&HashOp::Exists { field: call.arg(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RO"]))
    .categories(HASH)
    .about("2.0.0", "Determine if a hash field exists")
    .usage("key field"),
    Command::new("hlen", 2, READONLY | FAST, "hash", |call| call.answer(&HashOp::Len.on(call.key())))
        .keys(Keys::one(&["RO"]))
        .categories(HASH)
        .about("2.0.0", "Get the number of fields in a hash")
        .usage("key"),
    Command::new("hstrlen", 3, READONLY | FAST, "hash", hstrlen)
        .keys(Keys::one(&["RO"]))
        .categories(HASH)
        .about("3.2.0", "Get the length of the value of a hash field")
        .usage("key field"),
    Command::new("hsetnx", 4, WRITE | DENYOOM | FAST, "hash", |call| {
        call.answer(&HashOp::SetNx { field: call.arg(2), value: call.arg(3) }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "insert"]))
    .categories(HASH)
    .about("2.0.0", "Set the value of a hash field, only if the field does not exist")
    .usage("key field value"),
    Command::new("hincrbyfloat", 4, WRITE | DENYOOM | FAST, "hash", hincrbyfloat)
        .keys(Keys::one(&["RW", "access", "update"]))
        .categories(HASH)
        .about("2.6.0", "Increment the float value of a hash field by the given amount")
        .usage("key field increment"),
    Command::new("hrandfield", -2, READONLY, "hash", hrandfield)
        .keys(Keys::one(&["RO", "access"]))
        .categories(HASH)
        .tips(AT_RANDOM)
        .about("6.2.0", "Get one or multiple random fields from a hash")
        .complexity("O(N) where N is the number of fields returned")
        .usage("key [count [WITHVALUES]]"),
    Command::new("hscan", -3, READONLY, "hash", |call| {
        let key = call.key();
        scan::collection(call, 2, |cursor, count| HashOp::Scan { cursor, count }.on(key.clone()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(HASH)
    .tips(AT_RANDOM)
    .about("2.8.0", "Incrementally iterate hash fields and associated values")
    .complexity(
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return \
         back to 0. N is the number of elements inside the collection..",
    )
    .usage("key cursor [MATCH pattern] [COUNT count] [NOVALUES]"),
    Command::new("hincrby", 4, WRITE | DENYOOM | FAST, "hash", hincrby)
        .keys(Keys::one(&["RW", "access", "update"]))
        .categories(HASH)
        .about("2.0.0", "Increment the integer value of a hash field by the given number")
        .usage("key field increment"),
];

/// `key field value [field value …]`
fn pairs(call: &Call<'_>) -> Result<Op, Refusal> {
    if call.args.len() % 2 == 1 {
        return Err(Refusal::arity(call.command.name));
    }
    let fields = call.args[2..].chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    Ok(HashOp::Set { fields }.on(call.key()))
}

fn hmset(call: &mut Call<'_>) -> Answer {
    call.execute(&pairs(call)?)?;
    call.out.status("OK");
    Ok(())
}

fn column(call: &mut Call<'_>, side: fn((Bytes, Bytes)) -> Bytes) -> Answer {
    let rows = match call.execute(&HashOp::GetAll.on(call.key()))? {
        Reply::Map(rows) => rows,
        _ => Vec::new(),
    };
    call.out.array(rows.len());
    rows.into_iter().map(side).for_each(|value| call.out.bulk(&value));
    Ok(())
}

fn hstrlen(call: &mut Call<'_>) -> Answer {
    let length = match call.execute(&HashOp::Get { field: call.arg(2) }.on(call.key()))? {
        Reply::Bulk(value) => value.len(),
        _ => 0,
    };
    call.out.count(length);
    Ok(())
}

fn hincrby(call: &mut Call<'_>) -> Answer {
    let by = call.int(3)?;
    call.answer(&HashOp::Incr { field: call.arg(2), by }.on(call.key()))
}

fn hincrbyfloat(call: &mut Call<'_>) -> Answer {
    let by = call.arg(3);
    let digits = by.strip_prefix(b"-").or(by.strip_prefix(b"+")).unwrap_or(&by);
    if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
        return Err("ERR value is NaN or Infinity".into());
    }
    call.answer(&HashOp::IncrByFloat { field: call.arg(2), by }.on(call.key()))
}

fn hrandfield(call: &mut Call<'_>) -> Answer {
    let count = if call.args.len() > 2 { Some(super::signed(call.int(2)?)?) } else { None };
    let with_values = match &call.args[2..] {
        [] | [_] => false,
        [_, word] if word.eq_ignore_ascii_case(b"withvalues") => true,
        _ => return Err(Refusal::SYNTAX),
    };
    if with_values && count.is_some_and(|count| count.unsigned_abs() > i64::MAX.unsigned_abs() / 2) {
        return Err("ERR value is out of range".into());
    }
    match call.execute(&HashOp::RandField { count, with_values }.on(call.key()))? {
        Reply::Map(pairs) => call.out.pairs(&pairs),
        reply => call.out.reply(&reply),
    }
    Ok(())
}
