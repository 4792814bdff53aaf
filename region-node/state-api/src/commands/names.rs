//! Keys under other names: `RENAME`, `COPY`, and what is not offered because it would need another database or Redis's own files.
//!
//! A copy is a new value made of what shows: concurrent writes to the source never reach it. Both keys are of one partition.

use replication_core::KeyOp;

use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    resp::parse_i64,
    table::{Command, Keys, flag::*},
};

const KEYSPACE: &[&str] = &["keyspace"];
const TO_NEW: &[&str] = &["OW", "insert"];
const TO_ANY: &[&str] = &["OW", "update"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("rename", 3, WRITE, "generic", |call| rename(call, false))
        .keys(Keys::range(1, 2, TO_ANY))
        .specs(&[KeySpec::at(1, &["RW", "access", "delete"]), KeySpec::at(2, TO_ANY)])
        .categories(KEYSPACE)
        .about("1.0.0", "Rename a key")
        .complexity("O(N) where N is the number of elements the key holds")
        .usage("key newkey"),
    Command::new("renamenx", 3, WRITE | FAST, "generic", |call| rename(call, true))
        .keys(Keys::range(1, 2, TO_NEW))
        .specs(&[KeySpec::at(1, &["RW", "access", "delete"]), KeySpec::at(2, TO_NEW)])
        .categories(KEYSPACE)
        .about("1.0.0", "Rename a key, only if the new key does not exist")
        .complexity("O(N) where N is the number of elements the key holds")
        .usage("key newkey"),
    Command::new("copy", -3, WRITE | DENYOOM, "generic", copy)
        .keys(Keys::range(1, 2, TO_ANY))
        .specs(&[KeySpec::at(1, &["RO", "access"]), KeySpec::at(2, TO_ANY)])
        .categories(KEYSPACE)
        .about("6.2.0", "Copy a key")
        .complexity("O(N) worst case for collections, where N is the number of nested items. O(1) for string values.")
        .usage("source destination [DB 0] [REPLACE]"),
    Command::new("move", 3, WRITE | FAST, "generic", move_to)
        .keys(Keys::one(&["RW", "access", "update"]))
        .categories(KEYSPACE)
        .about("1.0.0", "Refused: there is only one database")
        .usage("key db"),
    Command::new("dump", 2, READONLY, "generic", |_| {
        Err("ERR DUMP is not supported: read the value with the commands of its type, or copy it with COPY".into())
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(KEYSPACE)
    .tips(&["nondeterministic_output"])
    .about("2.6.0", "Refused: values have no form in Redis's own files")
    .usage("key"),
    Command::new("restore", -4, WRITE | DENYOOM, "generic", |_| {
        Err("ERR RESTORE is not supported: write the value with the commands of its type".into())
    })
    .keys(Keys::one(TO_ANY))
    .categories(&["keyspace", "dangerous"])
    .about("2.6.0", "Refused: values have no form in Redis's own files")
    .usage("key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]"),
];

fn rename(call: &mut Call<'_>, nx: bool) -> Answer {
    call.same_partition()?;
    call.answer(&KeyOp::Rename { to: call.arg(2), nx }.on(call.key()))
}

/// The one database there is.
fn check_database(text: &[u8]) -> Answer {
    match parse_i64(text).ok_or(Refusal::NOT_AN_INTEGER)? {
        0 => Ok(()),
        _ => Err("ERR DB index is out of range".into()),
    }
}

const SAME: &str = "ERR source and destination objects are the same";

fn copy(call: &mut Call<'_>) -> Answer {
    let (mut rest, mut replace) = (&call.args[3..], false);
    while let [option, after @ ..] = rest {
        rest = match (option.to_ascii_lowercase().as_slice(), after) {
            (b"replace", after) => {
                replace = true;
                after
            }
            (b"db", [database, after @ ..]) => {
                check_database(database)?;
                after
            }
            _ => return Err(Refusal::SYNTAX),
        };
    }
    if call.args[1] == call.args[2] {
        return Err(SAME.into());
    }
    call.same_partition()?;
    call.answer(&KeyOp::Copy { to: call.arg(2), replace }.on(call.key()))
}

fn move_to(call: &mut Call<'_>) -> Answer {
    check_database(&call.args[2])?;
    Err(SAME.into())
}
