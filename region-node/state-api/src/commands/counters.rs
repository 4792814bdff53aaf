//! Counters: strings that regions add to at the same time, and every increment counts.

use replication_core::TextOp;

use crate::{
    call::{Answer, Call, Refusal},
    table::{Command, Keys, flag::*},
};

const STRING: &[&str] = &["string"];
const COUNTER: &[&str] = &["RW", "access", "update"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("incr", 2, WRITE | DENYOOM | FAST, "string", |call| add(call, 1))
        .keys(Keys::one(COUNTER))
        .categories(STRING)
        .about("1.0.0", "Increment the integer value of a key by one")
        .usage("key"),
    Command::new("decr", 2, WRITE | DENYOOM | FAST, "string", |call| add(call, -1))
        .keys(Keys::one(COUNTER))
        .categories(STRING)
        .about("1.0.0", "Decrement the integer value of a key by one")
        .usage("key"),
    Command::new("incrby", 3, WRITE | DENYOOM | FAST, "string", |call| {
        let by = call.int(2)?;
        add(call, by)
    })
    .keys(Keys::one(COUNTER))
    .categories(STRING)
    .about("1.0.0", "Increment the integer value of a key by the given amount")
    .usage("key increment"),
    Command::new("decrby", 3, WRITE | DENYOOM | FAST, "string", decrby)
        .keys(Keys::one(COUNTER))
        .categories(STRING)
        .about("1.0.0", "Decrement the integer value of a key by the given number")
        .usage("key decrement"),
    Command::new("incrbyfloat", 3, WRITE | DENYOOM | FAST, "string", |call| {
        call.answer(&TextOp::IncrByFloat { by: call.arg(2) }.on(call.key()))
    })
    .keys(Keys::one(COUNTER))
    .categories(STRING)
    .about("2.6.0", "Increment the float value of a key by the given amount")
    .usage("key increment"),
];

fn add(call: &mut Call<'_>, by: i64) -> Answer {
    call.answer(&TextOp::Incr { by }.on(call.key()))
}

fn decrby(call: &mut Call<'_>) -> Answer {
    let by = call.int(2)?.checked_neg().ok_or(Refusal::from("ERR decrement would overflow"))?;
    add(call, by)
}
