//! Commands on all keys at once: walking through them, counting them, deleting them.
//!
//! They look at every partition, one after the other, and hold up nobody: between two steps other commands run.

use bytes::Bytes;
use replication_core::{KeyOp, Reply, partition_of};

use super::scan::{self, LARGEST_PAGE, ScanOptions};
use crate::{
    call::{Answer, Call, Refusal},
    resp::parse_i64,
    table::{Command, flag::*},
};

const KEYSPACE: &[&str] = &["keyspace"];
const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

pub(super) const COMMANDS: &[Command] = &[
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
    Command::new("randomkey", 1, READONLY | WIDE, "generic", random_key)
        .categories(KEYSPACE)
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .about("1.0.0", "Return a random key from the keyspace"),
    Command::new("flushall", -1, WRITE | WIDE, "server", flush)
        .categories(&["keyspace", "dangerous"])
        .tips(EVERYWHERE)
        .about("1.0.0", "Delete every key that this region sees, here and in all regions, key by key")
        .complexity("O(N) where N is the number of keys and of the elements they hold")
        .usage("[ASYNC|SYNC]"),
    Command::new("flushdb", -1, WRITE | WIDE, "server", flush)
        .categories(&["keyspace", "dangerous"])
        .tips(EVERYWHERE)
        .about("1.0.0", "Delete every key that this region sees, here and in all regions, key by key")
        .complexity("O(N) where N is the number of keys and of the elements they hold")
        .usage("[ASYNC|SYNC]"),
    Command::new("swapdb", 3, WRITE | FAST, "server", swapdb)
        .categories(&["keyspace", "dangerous"])
        .about("4.0.0", "Swaps two Redis databases; there is only one")
        .usage("index1 index2"),
];

impl ScanOptions {
    fn shows(&self, call: &mut Call<'_>, key: &Bytes) -> bool {
        self.matches(key)
            && self.kind.as_ref().is_none_or(|kind| match call.execute(&KeyOp::Type.on(key.clone())) {
                Ok(Reply::Status(word)) => word.as_bytes().eq_ignore_ascii_case(kind),
                _ => false,
            })
    }
}

fn scan(call: &mut Call<'_>) -> Answer {
    let cursor = scan::cursor(&call.args[1])?;
    let options = ScanOptions::parse(&call.args[2..], call.command.name)?;
    let (next, mut page) = call.store()?.scan(cursor, options.count);
    page.retain(|key| options.shows(call, key));
    call.out.array(2);
    call.out.bulk(next.to_string().as_bytes());
    call.out.array(page.len());
    page.iter().for_each(|key| call.out.bulk(key));
    Ok(())
}

fn keys(call: &mut Call<'_>) -> Answer {
    let options = ScanOptions { pattern: Some(call.arg(1)), ..ScanOptions::ALL };
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

fn random_key(call: &mut Call<'_>) -> Answer {
    match call.store()?.random_key() {
        Some(key) => call.out.bulk(&key),
        None => call.out.null(),
    }
    Ok(())
}

/// An observed delete of every key, a page at a time: what another region writes meanwhile stays, as with `DEL`. `SYNC` and `ASYNC`
/// are the same, since nothing is held up.
fn flush(call: &mut Call<'_>) -> Answer {
    match &call.args[1..] {
        [] => {}
        [how] if how.eq_ignore_ascii_case(b"async") || how.eq_ignore_ascii_case(b"sync") => {}
        _ => return Err(Refusal::SYNTAX),
    }
    let mut cursor = 0;
    loop {
        let (next, page) = call.store()?.scan(cursor, LARGEST_PAGE);
        for keys in page.chunk_by(|a, b| partition_of(a) == partition_of(b)) {
            call.atomically(partition_of(&keys[0]), |call| {
                keys.iter().try_for_each(|key| call.execute(&KeyOp::Del.on(key.clone())).map(drop))
            })?;
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    call.out.status("OK");
    Ok(())
}

fn swapdb(call: &mut Call<'_>) -> Answer {
    let index = |at: usize, refusal: &'static str| parse_i64(&call.args[at]).ok_or(Refusal::from(refusal));
    let (a, b) = (index(1, "ERR invalid first DB index")?, index(2, "ERR invalid second DB index")?);
    if (a, b) != (0, 0) {
        return Err("ERR DB index is out of range".into());
    }
    call.out.status("OK");
    Ok(())
}
