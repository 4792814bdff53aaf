//! Strings and counters.
//!
//! `MGET` and `MSET` are carried out key by key: keys live in different partitions, and only within one is anything atomic.

use bytes::Bytes;
use replication_core::{GetExpiry, Op, Reply, SetExpiry, SetIf, TextOp, TimeUnit, When};

use super::key_first;
use crate::{
    call::{Answer, Call, Refusal},
    resp::{Writer, parse_i64},
    table::{Command, Keys, flag::*},
};

const STRING: &[&str] = &["string"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("get", 2, READONLY | FAST, "string", get)
        .keys(Keys::one(&["RO", "access"]))
        .categories(STRING)
        .about("1.0.0", "Get the value of a key")
        .usage("key"),
    Command::new("set", -3, WRITE | DENYOOM, "string", set)
        .keys(Keys::one_noted(
            &["RW", "access", "update", "variable_flags"],
            "RW and ACCESS due to the optional `GET` argument",
        ))
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
    Command::new("getex", -2, WRITE | FAST, "string", getex)
        .keys(Keys::one_noted(&["RW", "access", "update"], "RW and UPDATE because it changes the TTL"))
        .categories(STRING)
        .about("6.2.0", "Get the value of a key and optionally set its expiration")
        .usage("key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]"),
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
    Command::new("msetnx", -3, WRITE | DENYOOM, "string", msetnx)
        .keys(Keys::many(2, &["OW", "insert"]))
        .categories(STRING)
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
        .about("1.0.1", "Set multiple keys to multiple values, only if none of the keys exist")
        .complexity("O(N) where N is the number of keys to set.")
        .usage("key value [key value ...]"),
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

fn getex(call: &mut Call<'_>) -> Answer {
    let time = match &call.args[2..] {
        [] => return call.answer(&TextOp::GetEx { expiry: GetExpiry::Keep }.on(call.key())),
        [word] if word.eq_ignore_ascii_case(b"persist") => {
            return call.answer(&TextOp::GetEx { expiry: GetExpiry::Persist }.on(call.key()));
        }
        [unit, number] => Time::parse(unit, number),
        _ => None,
    };
    match time.ok_or(Refusal::SYNTAX)?.when() {
        Ok(when) => call.answer(&TextOp::GetEx { expiry: GetExpiry::Deadline(when) }.on(call.key())),
        Err(why) => key_first(call, why, Writer::null),
    }
}

/// `EX 10` and its kin.
pub(super) struct Time<'a> {
    number: &'a [u8],
    unit: TimeUnit,
    relative: bool,
}

impl<'a> Time<'a> {
    pub(super) fn parse(unit: &[u8], number: &'a [u8]) -> Option<Self> {
        let (unit, relative) = match unit.to_ascii_lowercase().as_slice() {
            b"ex" => (TimeUnit::Seconds, true),
            b"px" => (TimeUnit::Millis, true),
            b"exat" => (TimeUnit::Seconds, false),
            b"pxat" => (TimeUnit::Millis, false),
            _ => return None,
        };
        Some(Self { number, unit, relative })
    }

    pub(super) fn when(&self) -> Result<When, Refusal> {
        let number = parse_i64(self.number).ok_or(Refusal::NOT_AN_INTEGER)?;
        Ok(if self.relative { When::In(number, self.unit) } else { When::At(number, self.unit) })
    }
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
                    time = Time::parse(unit, number);
                }
                _ => return Err(Refusal::SYNTAX),
            }
        }
        // The number is looked at last: an option that is wrong is told first.
        if let Some(time) = time {
            options.expiry = SetExpiry::Deadline(time.when()?);
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
    if call.same_partition().is_ok() {
        return call.answer(&mset_op(call, false));
    }
    for at in (1..call.args.len()).step_by(2) {
        call.execute(&set_op(call.arg(at), call.arg(at + 1)))?;
    }
    call.out.status("OK");
    Ok(())
}

fn msetnx(call: &mut Call<'_>) -> Answer {
    if call.args.len().is_multiple_of(2) {
        return Err(Refusal::arity(call.command.name));
    }
    call.same_partition()?;
    call.answer(&mset_op(call, true))
}

/// All keys at once, all or nothing.
fn mset_op(call: &Call<'_>, if_absent: bool) -> Op {
    let others = call.args[3..].iter().step_by(2).cloned().collect();
    let values = call.args[2..].iter().step_by(2).cloned().collect();
    TextOp::MSet { others, values, if_absent }.on(call.key())
}
