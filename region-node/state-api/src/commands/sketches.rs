//! HyperLogLogs: what several regions count is counted once.
//!
//! `PFCOUNT` over keys of several partitions unites what it finds key by key; it only reads.

use bytes::Bytes;
use replication_core::{Reply, SketchOp, count_sketches};

use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    table::{Command, Keys, flag::*},
};

const HYPERLOGLOG: &[&str] = &["hyperloglog"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("pfadd", -2, WRITE | DENYOOM | FAST, "hyperloglog", |call| {
        call.answer(&SketchOp::Add { elements: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "insert"]))
    .categories(HYPERLOGLOG)
    .about("2.8.9", "Adds the specified elements to the specified HyperLogLog.")
    .complexity("O(1) to add every element.")
    .usage("key [element [element ...]]"),
    Command::new("pfcount", -2, READONLY, "hyperloglog", pfcount)
        .keys(Some(Keys {
            first: 1,
            last: -1,
            step: 1,
            counted: None,
            flags: &["RW", "access"],
            notes: Some("RW because it may change the internal representation of the key, and propagate to replicas"),
        }))
        .categories(HYPERLOGLOG)
        .about("2.8.9", "Return the approximated cardinality of the set(s) observed by the HyperLogLog at key(s).")
        .complexity("O(N) with N being the number of keys, each with a large constant time.")
        .usage("key [key ...]"),
    Command::new("pfmerge", -2, WRITE | DENYOOM, "hyperloglog", |call| {
        call.same_partition()?;
        call.answer(&SketchOp::Merge { sources: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::many(1, &[]))
    .specs(&[KeySpec::at(1, &["RW", "access", "insert"]), KeySpec::from(2, &["RO", "access"])])
    .categories(HYPERLOGLOG)
    .about("2.8.9", "Merge N different HyperLogLogs into a single one.")
    .complexity("O(N) to merge N HyperLogLogs, but with high constant times.")
    .usage("destkey [sourcekey [sourcekey ...]]"),
];

fn pfcount(call: &mut Call<'_>) -> Answer {
    if call.same_partition().is_ok() {
        return call.answer(&SketchOp::Count { others: call.rest(2) }.on(call.key()));
    }
    let mut sketches: Vec<Bytes> = Vec::new();
    for at in 1..call.args.len() {
        if let Reply::Bulk(sketch) = call.execute(&SketchOp::Read.on(call.arg(at)))? {
            sketches.push(sketch);
        }
    }
    let count = count_sketches(sketches.iter().map(|sketch| &sketch[..]));
    let count = count.map_err(|error| Refusal(error.to_string().into()))?;
    call.out.int(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}
