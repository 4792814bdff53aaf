//! Lists: elements in order under a key. The commands that wait for elements are in `blocked.rs`.

use replication_core::{ListEnd, ListOp, Op, Reply};

use super::multi_pop::MultiPop;
use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    resp::parse_i64,
    table::{Command, Keys, flag::*},
};

const LIST: &[&str] = &["list"];
const PUSHED: &str =
    "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.";
const POPPED: &str = "O(N) where N is the number of elements returned";
/// The list that is popped from, and the one that is pushed to.
pub(super) const FROM_AND_TO: &[KeySpec] =
    &[KeySpec::at(1, &["RW", "access", "delete"]), KeySpec::at(2, &["RW", "insert"])];

pub(super) const COMMANDS: &[Command] = &[
    pushing("lpush", |call| push(call, ListEnd::Left, false), "1.0.0", "Prepend one or multiple elements to a list"),
    pushing("rpush", |call| push(call, ListEnd::Right, false), "1.0.0", "Append one or multiple elements to a list"),
    pushing(
        "lpushx",
        |call| push(call, ListEnd::Left, true),
        "2.2.0",
        "Prepend an element to a list, only if the list exists",
    ),
    pushing(
        "rpushx",
        |call| push(call, ListEnd::Right, true),
        "2.2.0",
        "Append an element to a list, only if the list exists",
    ),
    Command::new("lpop", -2, WRITE | FAST, "list", |call| pop(call, ListEnd::Left))
        .keys(Keys::one(&["RW", "access", "delete"]))
        .categories(LIST)
        .about("1.0.0", "Remove and get the first elements in a list")
        .complexity(POPPED)
        .usage("key [count]"),
    Command::new("rpop", -2, WRITE | FAST, "list", |call| pop(call, ListEnd::Right))
        .keys(Keys::one(&["RW", "access", "delete"]))
        .categories(LIST)
        .about("1.0.0", "Remove and get the last elements in a list")
        .complexity(POPPED)
        .usage("key [count]"),
    Command::new("llen", 2, READONLY | FAST, "list", |call| call.answer(&ListOp::Len.on(call.key())))
        .keys(Keys::one(&["RO"]))
        .categories(LIST)
        .about("1.0.0", "Get the length of a list")
        .usage("key"),
    Command::new("lrange", 4, READONLY, "list", |call| {
        let (start, stop) = (call.int(2)?, call.int(3)?);
        call.answer(&ListOp::Range { start, stop }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(LIST)
    .about("1.0.0", "Get a range of elements from a list")
    .complexity("O(log(N)+M) where N is the length of the list and M the number of elements in the specified range.")
    .usage("key start stop"),
    Command::new("lindex", 3, READONLY, "list", index)
        .keys(Keys::one(&["RO", "access"]))
        .categories(LIST)
        .about("1.0.0", "Get an element from a list by its index")
        .complexity("O(log(N)) where N is the length of the list.")
        .usage("key index"),
    Command::new("lset", 4, WRITE | DENYOOM, "list", set)
        .keys(Keys::one(&["RW", "update"]))
        .categories(LIST)
        .about("1.0.0", "Set the value of an element in a list by its index")
        .complexity("O(log(N)) where N is the length of the list.")
        .usage("key index element"),
    Command::new("linsert", 5, WRITE | DENYOOM, "list", insert)
        .keys(Keys::one(&["RW", "insert"]))
        .categories(LIST)
        .about("2.2.0", "Insert an element before or after another element in a list")
        .complexity("O(N) where N is the number of elements to traverse before seeing the value pivot.")
        .usage("key BEFORE|AFTER pivot element"),
    Command::new("lrem", 4, WRITE, "list", |call| {
        let count = call.int(2)?;
        call.answer(&ListOp::Rem { count, value: call.arg(3) }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "delete"]))
    .categories(LIST)
    .about("1.0.0", "Remove elements from a list")
    .complexity("O(N+M) where N is the length of the list and M is the number of elements removed.")
    .usage("key count element"),
    Command::new("ltrim", 4, WRITE, "list", |call| {
        let (start, stop) = (call.int(2)?, call.int(3)?);
        call.answer(&ListOp::Trim { start, stop }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "delete"]))
    .categories(LIST)
    .about("1.0.0", "Trim a list to the specified range")
    .complexity("O(N) where N is the number of elements to be removed by the operation.")
    .usage("key start stop"),
    Command::new("lpos", -3, READONLY, "list", |call| call.answer(&pos(call)?))
        .keys(Keys::one(&["RO", "access"]))
        .categories(LIST)
        .about("6.0.6", "Return the index of matching elements on a list")
        .complexity("O(N) where N is the number of elements in the list, for the average case.")
        .usage("key element [RANK rank] [COUNT num-matches] [MAXLEN len]"),
    Command::new("lmove", 5, WRITE | DENYOOM, "list", |call| {
        let (pop, push) = (end(&call.args[3])?, end(&call.args[4])?);
        shift(call, pop, push)
    })
    .keys(Keys::range(1, 2, &[]))
    .specs(FROM_AND_TO)
    .categories(LIST)
    .about("6.2.0", "Pop an element from a list, push it to another list and return it")
    .usage("source destination LEFT|RIGHT LEFT|RIGHT"),
    Command::new("rpoplpush", 3, WRITE | DENYOOM, "list", |call| shift(call, ListEnd::Right, ListEnd::Left))
        .keys(Keys::range(1, 2, &[]))
        .specs(FROM_AND_TO)
        .categories(LIST)
        .about("1.2.0", "Remove the last element in a list, prepend it to another list and return it")
        .usage("source destination"),
    Command::new("lmpop", -4, WRITE, "list", multi_pop)
        .keys(Keys::counted(1, &["RW", "access", "delete"]))
        .categories(LIST)
        .about("7.0.0", "Pop elements from a list")
        .complexity("O(N+M) where N is the number of provided keys and M is the number of elements returned.")
        .usage("numkeys key [key ...] LEFT|RIGHT [COUNT count]"),
];

const fn pushing(
    name: &'static str,
    handler: crate::table::Handler,
    since: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(name, -3, WRITE | DENYOOM | FAST, "list", handler)
        .keys(Keys::one(&["RW", "insert"]))
        .categories(LIST)
        .about(since, summary)
        .complexity(PUSHED)
        .usage("key element [element ...]")
}

/// `LEFT` or `RIGHT`.
pub(super) fn end(word: &[u8]) -> Result<ListEnd, Refusal> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(ListEnd::Left)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(ListEnd::Right)
    } else {
        Err(Refusal::SYNTAX)
    }
}

fn push(call: &mut Call<'_>, end: ListEnd, existing: bool) -> Answer {
    call.answer(&ListOp::Push { end, values: call.rest(2), existing }.on(call.key()))
}

fn pop(call: &mut Call<'_>, end: ListEnd) -> Answer {
    let count = match call.args {
        [_, _] => return call.answer(&ListOp::Pop { end, count: None }.on(call.key())),
        [_, _, count] => parse_i64(count).and_then(|count| u64::try_from(count).ok()),
        _ => return Err(Refusal::arity(call.command.name)),
    };
    let count = count.ok_or(Refusal::from("ERR value is out of range, must be positive"))?;
    match call.execute(&ListOp::Pop { end, count: Some(count) }.on(call.key()))? {
        Reply::Nil => call.out.null_array(),
        reply => call.out.reply(&reply),
    }
    Ok(())
}

fn index(call: &mut Call<'_>) -> Answer {
    match call.int(2) {
        Ok(index) => call.answer(&ListOp::Index { index }.on(call.key())),
        // The key is asked first, as in Redis: where there is none, there is nothing at any index.
        Err(refusal) => match call.execute(&ListOp::Len.on(call.key()))? {
            Reply::Int(0) => {
                call.out.null();
                Ok(())
            }
            _ => Err(refusal),
        },
    }
}

fn set(call: &mut Call<'_>) -> Answer {
    let value = call.arg(3);
    match call.int(2) {
        Ok(index) => call.answer(&ListOp::Set { index, value }.on(call.key())),
        Err(refusal) => match call.execute(&ListOp::Len.on(call.key()))? {
            Reply::Int(0) => Err(Refusal(replication_core::OpError::NoSuchKey.to_string().into())),
            _ => Err(refusal),
        },
    }
}

fn insert(call: &mut Call<'_>) -> Answer {
    let before = match &call.args[2] {
        word if word.eq_ignore_ascii_case(b"before") => true,
        word if word.eq_ignore_ascii_case(b"after") => false,
        _ => return Err(Refusal::SYNTAX),
    };
    call.answer(&ListOp::Insert { before, pivot: call.arg(3), value: call.arg(4) }.on(call.key()))
}

fn pos(call: &Call<'_>) -> Result<Op, Refusal> {
    let (mut rank, mut count, mut max_len) = (1, None, 0);
    let natural = |value: &[u8], refusal: &'static str| {
        parse_i64(value).and_then(|n| u64::try_from(n).ok()).ok_or(Refusal::from(refusal))
    };
    let mut options = &call.args[3..];
    while let [name, value, rest @ ..] = options {
        match name.to_ascii_lowercase().as_slice() {
            b"rank" => rank = parse_rank(value)?,
            b"count" => count = Some(natural(value, "ERR COUNT can't be negative")?),
            b"maxlen" => max_len = natural(value, "ERR MAXLEN can't be negative")?,
            _ => return Err(Refusal::SYNTAX),
        }
        options = rest;
    }
    if !options.is_empty() {
        return Err(Refusal::SYNTAX);
    }
    Ok(ListOp::Pos { value: call.arg(2), rank, count, max_len }.on(call.key()))
}

fn parse_rank(value: &[u8]) -> Result<i64, Refusal> {
    match parse_i64(value) {
        None => Err(Refusal::NOT_AN_INTEGER),
        Some(0) => Err("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                        negative to start from the end of the list"
            .into()),
        Some(rank) => super::signed(rank),
    }
}

fn shift(call: &mut Call<'_>, pop: ListEnd, push: ListEnd) -> Answer {
    call.same_partition()?;
    call.answer(&ListOp::Move { to: call.arg(2), pop, push }.on(call.key()))
}

/// The first of the lists that has any elements gives them; each list by itself, so the keys may lie anywhere.
fn multi_pop(call: &mut Call<'_>) -> Answer {
    let MultiPop { keys, from, count } = MultiPop::parse(&call.args[1..], end)?;
    for key in keys {
        let popped = call.execute(&ListOp::Pop { end: from, count: Some(count) }.on(key.clone()))?;
        if popped != Reply::Nil {
            call.out.array(2);
            call.out.bulk(key);
            call.out.reply(&popped);
            return Ok(());
        }
    }
    call.out.null_array();
    Ok(())
}
