//! Hashes: fields under a key.

use bytes::Bytes;
use replication_core::{HashOp, Op, Reply};

use crate::{
    call::{Answer, Call, Refusal},
    table::{Command, Keys, flag::*},
};

const HASH: &[&str] = &["hash"];
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
