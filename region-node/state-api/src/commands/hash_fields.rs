//! Fields of hashes one by one: their deadlines, and reading or writing them together with those.
//!
//! `… FIELDS n field …` is how all of these name their fields; each is answered by itself.

use bytes::Bytes;
use replication_core::{GetExpiry, HashOp, SetExpiry, SetIf, TimeUnit, When};

use super::{keys::expire_condition, strings::Time};
use crate::{
    call::{Answer, Call, Refusal},
    resp::parse_i64,
    table::{Command, Handler, Keys, flag::*},
};

const HASH: &[&str] = &["hash"];
const CHANGING: &[&str] = &["RW", "update"];
const BY_FIELDS: &str = "O(N) where N is the number of specified fields";

pub(super) const COMMANDS: &[Command] = &[
    giving("hexpire", |call| expire(call, |n| When::In(n, TimeUnit::Seconds)))
        .about("7.4.0", "Set expiry for hash field using relative time to expire (seconds)")
        .usage("key seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]"),
    giving("hpexpire", |call| expire(call, |n| When::In(n, TimeUnit::Millis)))
        .about("7.4.0", "Set expiry for hash field using relative time to expire (milliseconds)")
        .usage("key milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]"),
    giving("hexpireat", |call| expire(call, |n| When::At(n, TimeUnit::Seconds)))
        .about("7.4.0", "Set expiry for hash field using an absolute Unix timestamp (seconds)")
        .usage("key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]"),
    giving("hpexpireat", |call| expire(call, |n| When::At(n, TimeUnit::Millis)))
        .about("7.4.0", "Set expiry for hash field using an absolute Unix timestamp (milliseconds)")
        .usage("key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]"),
    Command::new("hpersist", -5, WRITE | FAST, "hash", |call| {
        let fields = fields(call, 2)?;
        call.answer(&HashOp::Persist { fields }.on(call.key()))
    })
    .keys(Keys::one(CHANGING))
    .categories(HASH)
    .about("7.4.0", "Removes the expiration time for each specified field")
    .complexity(BY_FIELDS)
    .usage("key FIELDS numfields field [field ...]"),
    telling("httl", |call| ttl(call, TimeUnit::Seconds, false))
        .about("7.4.0", "Returns the TTL in seconds of a hash field."),
    telling("hpttl", |call| ttl(call, TimeUnit::Millis, false))
        .about("7.4.0", "Returns the TTL in milliseconds of a hash field."),
    telling("hexpiretime", |call| ttl(call, TimeUnit::Seconds, true))
        .about("7.4.0", "Returns the expiration time of a hash field as a Unix timestamp, in seconds."),
    telling("hpexpiretime", |call| ttl(call, TimeUnit::Millis, true))
        .about("7.4.0", "Returns the expiration time of a hash field as a Unix timestamp, in msec."),
    Command::new("hgetdel", -5, WRITE | FAST, "hash", |call| {
        let fields = fields(call, 2)?;
        call.answer(&HashOp::GetDel { fields }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "access", "delete"]))
    .categories(HASH)
    .about("8.0.0", "Returns the value of a field and deletes it from the hash.")
    .complexity(BY_FIELDS)
    .usage("key FIELDS numfields field [field ...]"),
    Command::new("hgetex", -5, WRITE | FAST, "hash", hgetex)
        .keys(Keys::one(&["RW", "access", "update"]))
        .categories(HASH)
        .about("8.0.0", "Get the value of one or more fields of a given hash key, and optionally set their expiration.")
        .complexity(BY_FIELDS)
        .usage("key [EX s|PX ms|EXAT unix-s|PXAT unix-ms|PERSIST] FIELDS numfields field [field ...]"),
    Command::new("hsetex", -6, WRITE | DENYOOM | FAST, "hash", hsetex)
        .keys(Keys::one(CHANGING))
        .categories(HASH)
        .about("8.0.0", "Set the value of one or more fields of a given hash key, and optionally set their expiration.")
        .complexity("O(N) where N is the number of fields being set.")
        .usage("key [FNX|FXX] [EX s|PX ms|EXAT unix-s|PXAT unix-ms|KEEPTTL] FIELDS numfields field value [...]"),
];

const fn giving(name: &'static str, handler: Handler) -> Command {
    Command::new(name, -6, WRITE | DENYOOM | FAST, "hash", handler)
        .keys(Keys::one(CHANGING))
        .categories(HASH)
        .complexity(BY_FIELDS)
}

const fn telling(name: &'static str, handler: Handler) -> Command {
    Command::new(name, -5, READONLY | FAST, "hash", handler)
        .keys(Keys::one(&["RO", "access"]))
        .categories(HASH)
        .complexity(BY_FIELDS)
        .usage("key FIELDS numfields field [field ...]")
}

const NO_FIELDS: &str = "ERR Mandatory argument FIELDS is missing or not at the right position";

/// `FIELDS n` and `n` groups of `size` arguments, from `at` to the end.
fn groups<'a>(call: &'a Call<'_>, at: usize, size: usize) -> Result<&'a [Bytes], Refusal> {
    let [word, count, rest @ ..] = &call.args[at.min(call.args.len())..] else { return Err(NO_FIELDS.into()) };
    if !word.eq_ignore_ascii_case(b"fields") {
        return Err(NO_FIELDS.into());
    }
    let count = parse_i64(count).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(Refusal::from("ERR Parameter `numFields` should be greater than 0"))?;
    if count.checked_mul(size) != Some(rest.len()) {
        return Err("ERR The `numfields` parameter must match the number of arguments".into());
    }
    Ok(rest)
}

fn fields(call: &Call<'_>, at: usize) -> Result<Vec<Bytes>, Refusal> {
    groups(call, at, 1).map(<[Bytes]>::to_vec)
}

fn expire(call: &mut Call<'_>, when: fn(i64) -> When) -> Answer {
    let when = when(call.int(2)?);
    let conditional = [b"nx", b"xx", b"gt", b"lt"].iter().any(|word| call.args[3].eq_ignore_ascii_case(*word));
    let start = if conditional { 4 } else { 3 };
    let condition = expire_condition(&call.args[3..start])?;
    let fields = fields(call, start)?;
    call.answer(&HashOp::Expire { when, condition, fields }.on(call.key()))
}

fn ttl(call: &mut Call<'_>, unit: TimeUnit, absolute: bool) -> Answer {
    let fields = fields(call, 2)?;
    call.answer(&HashOp::Ttl { unit, absolute, fields }.on(call.key()))
}

fn hgetex(call: &mut Call<'_>) -> Answer {
    let time = Time::parse(&call.args[2], &call.args[3]);
    let (expiry, start) = match &time {
        _ if call.args[2].eq_ignore_ascii_case(b"persist") => (GetExpiry::Persist, 3),
        Some(time) => (GetExpiry::Deadline(time.when()?), 4),
        None => (GetExpiry::Keep, 2),
    };
    let fields = fields(call, start)?;
    call.answer(&HashOp::GetEx { expiry, fields }.on(call.key()))
}

fn hsetex(call: &mut Call<'_>) -> Answer {
    let (mut condition, mut expiry, mut at) = (SetIf::Always, SetExpiry::Clear, 2);
    while let [word, next, ..] = &call.args[at..] {
        let time = Time::parse(word, next);
        at += match (word.to_ascii_lowercase().as_slice(), time) {
            (b"fnx", _) if condition == SetIf::Always => {
                condition = SetIf::Absent;
                1
            }
            (b"fxx", _) if condition == SetIf::Always => {
                condition = SetIf::Present;
                1
            }
            (b"keepttl", _) if expiry == SetExpiry::Clear => {
                expiry = SetExpiry::Keep;
                1
            }
            (_, Some(time)) if expiry == SetExpiry::Clear => {
                expiry = SetExpiry::Deadline(time.when()?);
                2
            }
            (b"fields", _) => break,
            (b"fnx" | b"fxx", _) => return Err("ERR Only one of FXX or FNX arguments can be specified".into()),
            (b"keepttl", _) | (_, Some(_)) => return Err(ONE_EXPIRY.into()),
            _ => return Err(NO_FIELDS.into()),
        };
    }
    let pairs = groups(call, at, 2)?;
    let fields = pairs.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    call.answer(&HashOp::SetEx { fields, expiry, condition }.on(call.key()))
}

const ONE_EXPIRY: &str = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
