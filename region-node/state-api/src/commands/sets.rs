//! Sets: members under a key.

use replication_core::SetOp;

use super::scan;
use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    resp::parse_i64,
    table::{Command, Keys, flag::*},
};

const SET: &[&str] = &["set"];
const AT_RANDOM: &[&str] = &["nondeterministic_output"];

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
    Command::new("smismember", -3, READONLY | FAST, "set", |call| {
        call.answer(&SetOp::MIsMember { members: call.rest(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(SET)
    .about("6.2.0", "Returns the membership associated with the given elements for a set")
    .complexity("O(N) where N is the number of elements being checked for membership")
    .usage("key member [member ...]"),
    Command::new("scard", 2, READONLY | FAST, "set", |call| call.answer(&SetOp::Card.on(call.key())))
        .keys(Keys::one(&["RO"]))
        .categories(SET)
        .about("1.0.0", "Get the number of members in a set")
        .usage("key"),
    Command::new("spop", -2, WRITE | FAST, "set", spop)
        .keys(Keys::one(&["RW", "access", "delete"]))
        .categories(SET)
        .tips(AT_RANDOM)
        .about("1.0.0", "Remove and return one or multiple random members from a set")
        .complexity("Without the count argument O(1), otherwise O(N) where N is the value of the passed count.")
        .usage("key [count]"),
    Command::new("srandmember", -2, READONLY, "set", srandmember)
        .keys(Keys::one(&["RO", "access"]))
        .categories(SET)
        .tips(AT_RANDOM)
        .about("1.0.0", "Get one or multiple random members from a set")
        .complexity(
            "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
        )
        .usage("key [count]"),
    Command::new("smove", 4, WRITE | FAST, "set", |call| {
        call.same_partition()?;
        call.answer(&SetOp::Move { to: call.arg(2), member: call.arg(3) }.on(call.key()))
    })
    .keys(Keys::range(1, 2, &["RW", "insert"]))
    .specs(&[KeySpec::at(1, &["RW", "access", "delete"]), KeySpec::at(2, &["RW", "insert"])])
    .categories(SET)
    .about("1.0.0", "Move a member from one set to another")
    .usage("source destination member"),
    Command::new("sscan", -3, READONLY, "set", |call| {
        let key = call.key();
        scan::collection(call, 1, |cursor, count| SetOp::Scan { cursor, count }.on(key.clone()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(SET)
    .tips(AT_RANDOM)
    .about("2.8.0", "Incrementally iterate Set elements")
    .complexity(
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return \
         back to 0. N is the number of elements inside the collection..",
    )
    .usage("key cursor [MATCH pattern] [COUNT count]"),
];

/// `[count]`, behind the key; more than that is a syntax error.
fn count(call: &Call<'_>, wrong: &Refusal) -> Result<Option<i64>, Refusal> {
    match &call.args[2..] {
        [] => Ok(None),
        [count] => parse_i64(count).map(Some).ok_or_else(|| wrong.clone()),
        _ => Err(Refusal::SYNTAX),
    }
}

fn spop(call: &mut Call<'_>) -> Answer {
    let wrong = Refusal::from("ERR value is out of range, must be positive");
    let count = match count(call, &wrong)? {
        None => None,
        Some(count) => Some(u64::try_from(count).map_err(|_| wrong)?),
    };
    call.answer(&SetOp::Pop { count }.on(call.key()))
}

fn srandmember(call: &mut Call<'_>) -> Answer {
    let count = count(call, &Refusal::NOT_AN_INTEGER)?.map(super::signed).transpose()?;
    call.answer(&SetOp::RandMember { count }.on(call.key()))
}
