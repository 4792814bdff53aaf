//! Commands on keys of any type: existence, deadlines, walking the key space.
//!
//! `DEL`, `UNLINK`, `EXISTS` and `TOUCH` with several keys are carried out key by key: keys live in different partitions, and
//! only within one is anything atomic.

use bytes::Bytes;
use replication_core::{ExpireIf, KeyOp, Reply, TimeUnit, When};

use super::SUM_OVER_SHARDS;
use crate::{
    call::{Answer, Call, Refusal, shown},
    glob,
    resp::parse_i64,
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
    Command::new("scan", -2, READONLY | WIDE, "generic", scan)
        .categories(KEYSPACE)
        .tips(&["nondeterministic_output", "request_policy:special"])
        .about("2.8.0", "Incrementally iterate the keys space")
        .complexity(
            "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return \
             back to 0. N is the number of elements inside the collection.",
        )
        .usage("cursor [MATCH pattern] [COUNT count] [TYPE type]"),
    Command::new("keys", 2, READONLY | WIDE, "generic", keys)
        .categories(&["keyspace", "dangerous"])
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .about("1.0.0", "Find all keys matching the given pattern")
        .complexity("O(N) with N being the number of keys in the database: SCAN does the same in steps")
        .usage("pattern"),
    Command::new("dbsize", 1, READONLY | FAST | WIDE, "server", dbsize)
        .categories(KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .about("1.0.0", "Return the number of keys in the selected database"),
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

fn expire_condition(options: &[Bytes]) -> Result<ExpireIf, Refusal> {
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

/// What `SCAN` is asked to show.
struct ScanOptions {
    pattern: Option<Bytes>,
    count: usize,
    kind: Option<Bytes>,
}

/// A page is a page: `COUNT` is a hint, and nobody is kept waiting while a million keys are listed.
const LARGEST_PAGE: usize = 10_000;

impl ScanOptions {
    fn parse(mut rest: &[Bytes]) -> Result<Self, Refusal> {
        let mut options = Self { pattern: None, count: 10, kind: None };
        while let [name, value, after @ ..] = rest {
            match name.to_ascii_lowercase().as_slice() {
                b"match" => options.pattern = Some(value.clone()),
                b"type" => options.kind = Some(value.clone()),
                b"count" => {
                    let count = parse_i64(value).ok_or(Refusal::NOT_AN_INTEGER)?;
                    let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Refusal::SYNTAX)?;
                    options.count = count.min(LARGEST_PAGE);
                }
                _ => return Err(Refusal::SYNTAX),
            }
            rest = after;
        }
        if rest.is_empty() { Ok(options) } else { Err(Refusal::SYNTAX) }
    }

    fn shows(&self, call: &mut Call<'_>, key: &Bytes) -> bool {
        let matching = self.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, key, false));
        matching
            && self.kind.as_ref().is_none_or(|kind| match call.execute(&KeyOp::Type.on(key.clone())) {
                Ok(Reply::Status(word)) => word.as_bytes().eq_ignore_ascii_case(kind),
                _ => false,
            })
    }
}

fn scan(call: &mut Call<'_>) -> Answer {
    let cursor = std::str::from_utf8(&call.args[1]).ok().and_then(|text| text.parse::<u64>().ok());
    let cursor = cursor.ok_or(Refusal::from("ERR invalid cursor"))?;
    let options = ScanOptions::parse(&call.args[2..])?;
    let (next, mut page) = call.store()?.scan(cursor, options.count);
    page.retain(|key| options.shows(call, key));
    call.out.array(2);
    call.out.bulk(next.to_string().as_bytes());
    call.out.array(page.len());
    page.iter().for_each(|key| call.out.bulk(key));
    Ok(())
}

fn keys(call: &mut Call<'_>) -> Answer {
    let options = ScanOptions { pattern: Some(call.arg(1)), count: LARGEST_PAGE, kind: None };
    let (mut cursor, mut found) = (0, Vec::new());
    loop {
        let (next, mut page) = call.store()?.scan(cursor, options.count);
        page.retain(|key| options.shows(call, key));
        found.append(&mut page);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    call.out.array(found.len());
    found.iter().for_each(|key| call.out.bulk(key));
    Ok(())
}

fn dbsize(call: &mut Call<'_>) -> Answer {
    call.out.count(call.store()?.dbsize());
    Ok(())
}
