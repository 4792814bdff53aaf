//! Strings and counters.
//!
//! `MGET` and `MSET` are carried out key by key: keys live in different partitions, and only within one is anything atomic.

use bytes::Bytes;
use replication_core::{Op, Reply, SetExpiry, SetIf, TextOp, TimeUnit, When};

use crate::{
    call::{Answer, Call, Refusal},
    resp::parse_i64,
    table::{Command, Keys, flag::*},
};

const STRING: &[&str] = &["string"];
const COUNTER: &[&str] = &["RW", "access", "update"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("get", 2, READONLY | FAST, "string", get)
        .keys(Keys::one(&["RO", "access"]))
        .categories(STRING)
        .about("1.0.0", "Get the value of a key")
        .usage("key"),
    Command::new("set", -3, WRITE | DENYOOM, "string", set)
        .keys(Some(Keys {
            first: 1,
            last: 1,
            step: 1,
            counted: None,
            flags: &["RW", "access", "update", "variable_flags"],
            notes: Some("RW and ACCESS due to the optional `GET` argument"),
        }))
        .categories(STRING)
        .about("1.0.0", "Set the string value of a key")
        .usage(
            "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
        ),
    Command::new("setnx", 3, WRITE | DENYOOM | FAST, "string", setnx)
        .keys(Keys::one(&["OW", "insert"]))
        .categories(STRING)
        .about("1.0.0", "Set the value of a key, only if the key does not exist")
        .usage("key value"),
    Command::new("setex", 4, WRITE | DENYOOM, "string", |call| set_for(call, TimeUnit::Seconds))
        .keys(Keys::one(&["OW", "update"]))
        .categories(STRING)
        .about("2.0.0", "Set the value and expiration of a key")
        .usage("key seconds value"),
    Command::new("psetex", 4, WRITE | DENYOOM, "string", |call| set_for(call, TimeUnit::Millis))
        .keys(Keys::one(&["OW", "update"]))
        .categories(STRING)
        .about("2.6.0", "Set the value and expiration in milliseconds of a key")
        .usage("key milliseconds value"),
    Command::new("getset", 3, WRITE | DENYOOM | FAST, "string", getset)
        .keys(Keys::one(&["RW", "access", "update"]))
        .categories(STRING)
        .about("1.0.0", "Set the string value of a key and return its old value")
        .usage("key value"),
    Command::new("getdel", 2, WRITE | FAST, "string", |call| call.answer(&TextOp::GetDel.on(call.key())))
        .keys(Keys::one(&["RW", "access", "delete"]))
        .categories(STRING)
        .about("6.2.0", "Get the value of a key and delete the key")
        .usage("key"),
    Command::new("strlen", 2, READONLY | FAST, "string", strlen)
        .keys(Keys::one(&["RO"]))
        .categories(STRING)
        .about("2.2.0", "Get the length of the value stored in a key")
        .usage("key"),
    Command::new("mget", -2, READONLY | FAST, "string", mget)
        .keys(Keys::many(1, &["RO", "access"]))
        .categories(STRING)
        .tips(&["request_policy:multi_shard"])
        .about("1.0.0", "Get the values of all the given keys")
        .complexity("O(N) where N is the number of keys to retrieve.")
        .usage("key [key ...]"),
    Command::new("mset", -3, WRITE | DENYOOM, "string", mset)
        .keys(Keys::many(2, &["OW", "update"]))
        .categories(STRING)
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .about("1.0.1", "Set multiple keys to multiple values")
        .complexity("O(N) where N is the number of keys to set.")
        .usage("key value [key value ...]"),
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
];

fn get(call: &mut Call<'_>) -> Answer {
    call.answer(&TextOp::Get.on(call.key()))
}

/// A plain `SET`, without options.
fn set_op(key: Bytes, value: Bytes) -> Op {
    TextOp::Set { value, expiry: SetExpiry::Clear, condition: SetIf::Always, get: false }.on(key)
}

fn set(call: &mut Call<'_>) -> Answer {
    let (key, value) = (call.key(), call.arg(2));
    let SetOptions { expiry, condition, get } = SetOptions::parse(&call.args[3..])?;
    call.answer(&TextOp::Set { value, expiry, condition, get }.on(key))
}

/// What may follow `SET key value`.
#[derive(Default)]
struct SetOptions {
    expiry: SetExpiry,
    condition: SetIf,
    get: bool,
}

impl SetOptions {
    fn parse(mut rest: &[Bytes]) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut time = None;
        while let [name, after @ ..] = rest {
            rest = after;
            let fresh_time = time.is_none() && options.expiry == SetExpiry::Clear;
            match name.to_ascii_lowercase().as_slice() {
                b"nx" if options.condition != SetIf::Present => options.condition = SetIf::Absent,
                b"xx" if options.condition != SetIf::Absent => options.condition = SetIf::Present,
                b"get" => options.get = true,
                b"keepttl" if time.is_none() => options.expiry = SetExpiry::Keep,
                unit @ (b"ex" | b"px" | b"exat" | b"pxat") if fresh_time => {
                    let [number, after @ ..] = rest else { return Err(Refusal::SYNTAX) };
                    rest = after;
                    let relative = unit.len() == 2;
                    let unit = if unit[0] == b'e' { TimeUnit::Seconds } else { TimeUnit::Millis };
                    time = Some((number, unit, relative));
                }
                _ => return Err(Refusal::SYNTAX),
            }
        }
        // The number is looked at last: an option that is wrong is told first.
        if let Some((number, unit, relative)) = time {
            let number = parse_i64(number).ok_or(Refusal::NOT_AN_INTEGER)?;
            let when = if relative { When::In(number, unit) } else { When::At(number, unit) };
            options.expiry = SetExpiry::Deadline(when);
        }
        Ok(options)
    }
}

fn setnx(call: &mut Call<'_>) -> Answer {
    let (key, value) = (call.key(), call.arg(2));
    let op = TextOp::Set { value, expiry: SetExpiry::Clear, condition: SetIf::Absent, get: false }.on(key);
    let written = call.execute(&op)? == Reply::Ok;
    call.out.int(written.into());
    Ok(())
}

fn set_for(call: &mut Call<'_>, unit: TimeUnit) -> Answer {
    let expiry = SetExpiry::Deadline(When::In(call.int(2)?, unit));
    let (key, value) = (call.key(), call.arg(3));
    call.answer(&TextOp::Set { value, expiry, condition: SetIf::Always, get: false }.on(key))
}

fn getset(call: &mut Call<'_>) -> Answer {
    let (key, value) = (call.key(), call.arg(2));
    call.answer(&TextOp::Set { value, expiry: SetExpiry::Clear, condition: SetIf::Always, get: true }.on(key))
}

fn strlen(call: &mut Call<'_>) -> Answer {
    let length = match call.execute(&TextOp::Get.on(call.key()))? {
        Reply::Bulk(value) => value.len(),
        _ => 0,
    };
    call.out.count(length);
    Ok(())
}

fn mget(call: &mut Call<'_>) -> Answer {
    call.together(|call| {
        call.out.array(call.args.len() - 1);
        for at in 1..call.args.len() {
            // A key of another type reads as no string, as in Redis.
            match call.execute(&TextOp::Get.on(call.arg(at))) {
                Ok(Reply::Bulk(value)) => call.out.bulk(&value),
                _ => call.out.null(),
            }
            if call.is_too_large() {
                break;
            }
        }
        Ok(())
    })
}

fn mset(call: &mut Call<'_>) -> Answer {
    if call.args.len().is_multiple_of(2) {
        return Err(Refusal::arity(call.command.name));
    }
    call.together(|call| {
        for at in (1..call.args.len()).step_by(2) {
            call.execute(&set_op(call.arg(at), call.arg(at + 1)))?;
        }
        call.out.status("OK");
        Ok(())
    })
}

fn add(call: &mut Call<'_>, by: i64) -> Answer {
    call.answer(&TextOp::Incr { by }.on(call.key()))
}

fn decrby(call: &mut Call<'_>) -> Answer {
    let by = call.int(2)?.checked_neg().ok_or(Refusal::from("ERR decrement would overflow"))?;
    add(call, by)
}
