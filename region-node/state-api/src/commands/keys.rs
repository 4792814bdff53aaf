//! Commands on keys of any type: existence, type, deadlines.
//!
//! `DEL`, `UNLINK`, `EXISTS` and `TOUCH` with several keys are carried out key by key: keys live in different partitions, and
//! only within one is anything atomic.

use bytes::Bytes;
use replication_core::{ExpireIf, KeyOp, TimeUnit, When};

use super::SUM_OVER_SHARDS;
use crate::{
    call::{Answer, Call, Refusal, shown},
    table::{Command, Keys, flag::*},
};

const KEYSPACE: &[&str] = &["keyspace"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("del", -2, WRITE, "generic", del)
        .keys(Keys::many(1, &["RM", "delete"]))
        .categories(KEYSPACE)
        .tips(SUM_OVER_SHARDS)
        .about("1.0.0", "Delete a key")
        .complexity("O(N) where N is the number of keys that will be removed and of the elements they hold.")
        .usage("key [key ...]"),
    Command::new("unlink", -2, WRITE | FAST, "generic", del)
        .keys(Keys::many(1, &["RM", "delete"]))
        .categories(KEYSPACE)
        .tips(SUM_OVER_SHARDS)
        .about("4.0.0", "Delete a key. Here it is the same as DEL.")
        .complexity("O(N) where N is the number of keys that will be removed and of the elements they hold.")
        .usage("key [key ...]"),
    Command::new("exists", -2, READONLY | FAST, "generic", exists)
        .keys(Keys::many(1, &["RO"]))
        .categories(KEYSPACE)
        .tips(SUM_OVER_SHARDS)
        .about("1.0.0", "Determine if a key exists")
        .complexity("O(N) where N is the number of keys to check.")
        .usage("key [key ...]"),
    Command::new("touch", -2, READONLY | FAST, "generic", exists)
        .keys(Keys::many(1, &["RO"]))
        .categories(KEYSPACE)
        .tips(SUM_OVER_SHARDS)
        .about("3.2.1", "Alters the last access time of a key(s). Returns the number of existing keys specified.")
        .complexity("O(N) where N is the number of keys that will be touched.")
        .usage("key [key ...]"),
    Command::new("type", 2, READONLY | FAST, "generic", type_of)
        .keys(Keys::one(&["RO"]))
        .categories(KEYSPACE)
        .about("1.0.0", "Determine the type stored at key")
        .usage("key"),
    Command::new("expire", -3, WRITE | FAST, "generic", |call| expire(call, |n| When::In(n, TimeUnit::Seconds)))
        .keys(Keys::one(&["RW", "update"]))
        .categories(KEYSPACE)
        .about("1.0.0", "Set a key's time to live in seconds")
        .usage("key seconds [NX|XX|GT|LT]"),
    Command::new("pexpire", -3, WRITE | FAST, "generic", |call| expire(call, |n| When::In(n, TimeUnit::Millis)))
        .keys(Keys::one(&["RW", "update"]))
        .categories(KEYSPACE)
        .about("2.6.0", "Set a key's time to live in milliseconds")
        .usage("key milliseconds [NX|XX|GT|LT]"),
    Command::new("expireat", -3, WRITE | FAST, "generic", |call| expire(call, |n| When::At(n, TimeUnit::Seconds)))
        .keys(Keys::one(&["RW", "update"]))
        .categories(KEYSPACE)
        .about("1.2.0", "Set the expiration for a key as a UNIX timestamp")
        .usage("key unix-time-seconds [NX|XX|GT|LT]"),
    Command::new("pexpireat", -3, WRITE | FAST, "generic", |call| expire(call, |n| When::At(n, TimeUnit::Millis)))
        .keys(Keys::one(&["RW", "update"]))
        .categories(KEYSPACE)
        .about("2.6.0", "Set the expiration for a key as a UNIX timestamp specified in milliseconds")
        .usage("key unix-time-milliseconds [NX|XX|GT|LT]"),
    Command::new("ttl", 2, READONLY | FAST, "generic", |call| {
        call.answer(&KeyOp::Ttl { unit: TimeUnit::Seconds }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(KEYSPACE)
    .tips(&["nondeterministic_output"])
    .about("1.0.0", "Get the time to live for a key in seconds")
    .usage("key"),
    Command::new("pttl", 2, READONLY | FAST, "generic", |call| {
        call.answer(&KeyOp::Ttl { unit: TimeUnit::Millis }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(KEYSPACE)
    .tips(&["nondeterministic_output"])
    .about("2.6.0", "Get the time to live for a key in milliseconds")
    .usage("key"),
    Command::new("persist", 2, WRITE | FAST, "generic", persist)
        .keys(Keys::one(&["RW", "update"]))
        .categories(KEYSPACE)
        .about("2.2.0", "Remove the expiration from a key")
        .usage("key"),
    Command::new("expiretime", 2, READONLY | FAST, "generic", |call| {
        call.answer(&KeyOp::ExpireTime { unit: TimeUnit::Seconds }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(KEYSPACE)
    .about("7.0.0", "Get the expiration Unix timestamp for a key")
    .usage("key"),
    Command::new("pexpiretime", 2, READONLY | FAST, "generic", |call| {
        call.answer(&KeyOp::ExpireTime { unit: TimeUnit::Millis }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(KEYSPACE)
    .about("7.0.0", "Get the expiration Unix timestamp for a key in milliseconds")
    .usage("key"),
];

fn del(call: &mut Call<'_>) -> Answer {
    call.answer_sum(|key| KeyOp::Del.on(key))
}

fn exists(call: &mut Call<'_>) -> Answer {
    call.answer_sum(|key| KeyOp::Exists.on(key))
}

fn type_of(call: &mut Call<'_>) -> Answer {
    call.answer(&KeyOp::Type.on(call.key()))
}

fn persist(call: &mut Call<'_>) -> Answer {
    call.answer(&KeyOp::Persist.on(call.key()))
}

fn expire(call: &mut Call<'_>, when: fn(i64) -> When) -> Answer {
    let condition = expire_condition(&call.args[3..])?;
    let when = when(call.int(2)?);
    call.answer(&KeyOp::Expire { when, condition }.on(call.key()))
}

pub(super) fn expire_condition(options: &[Bytes]) -> Result<ExpireIf, Refusal> {
    let mut condition = ExpireIf::default();
    for option in options {
        let flag = match option.to_ascii_lowercase().as_slice() {
            b"nx" => &mut condition.nx,
            b"xx" => &mut condition.xx,
            b"gt" => &mut condition.gt,
            b"lt" => &mut condition.lt,
            _ => return Err(Refusal(format!("ERR Unsupported option {}", shown(option, 128)).into())),
        };
        *flag = true;
    }
    let ExpireIf { nx, xx, gt, lt } = condition;
    if nx && (xx || gt || lt) {
        return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
    }
    if gt && lt {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    Ok(condition)
}
