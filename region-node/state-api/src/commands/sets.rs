//! Sets: members under a key.

use replication_core::SetOp;

use crate::table::{Command, Keys, flag::*};

const SET: &[&str] = &["set"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("sadd", -3, WRITE | DENYOOM | FAST, "set", |call| {
        call.answer(&SetOp::Add { members: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "insert"]))
    .categories(SET)
    .about("1.0.0", "Add one or more members to a set")
    .complexity(
        "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    )
    .usage("key member [member ...]"),
    Command::new("srem", -3, WRITE | FAST, "set", |call| {
        call.answer(&SetOp::Rem { members: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "delete"]))
    .categories(SET)
    .about("1.0.0", "Remove one or more members from a set")
    .complexity("O(N) where N is the number of members to be removed.")
    .usage("key member [member ...]"),
    Command::new("smembers", 2, READONLY, "set", |call| call.answer(&SetOp::Members.on(call.key())))
        .keys(Keys::one(&["RO", "access"]))
        .categories(SET)
        .tips(&["nondeterministic_output_order"])
        .about("1.0.0", "Get all the members in a set")
        .complexity("O(N) where N is the set cardinality.")
        .usage("key"),
    Command::new("sismember", 3, READONLY | FAST, "set", |call| {
        call.answer(&SetOp::IsMember { member: call.arg(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RO"]))
    .categories(SET)
    .about("1.0.0", "Determine if a given value is a member of a set")
    .usage("key member"),
    Command::new("scard", 2, READONLY | FAST, "set", |call| call.answer(&SetOp::Card.on(call.key())))
        .keys(Keys::one(&["RO"]))
        .categories(SET)
        .about("1.0.0", "Get the number of members in a set")
        .usage("key"),
];
