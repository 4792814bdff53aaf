//! Strings by parts: `APPEND`, `STRLEN`, ranges, and what two strings have in common.
//!
//! Between regions a string is one value: of two concurrent changes in place, one wins entirely.

use replication_core::{Reply, TextOp};

use super::lcs::{Common, Match};
use crate::{
    call::{Answer, Call, Refusal},
    resp::parse_i64,
    table::{Command, Keys, flag::*},
};

const STRING: &[&str] = &["string"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("append", 3, WRITE | DENYOOM | FAST, "string", |call| {
        call.answer(&TextOp::Append { value: call.arg(2) }.on(call.key()))
    })
    .keys(Keys::one(&["RW", "insert"]))
    .categories(STRING)
    .about("2.0.0", "Append a value to a key")
    .complexity("O(N) where N is the length of the string: it is written as a whole.")
    .usage("key value"),
    Command::new("strlen", 2, READONLY | FAST, "string", |call| call.answer(&TextOp::StrLen.on(call.key())))
        .keys(Keys::one(&["RO"]))
        .categories(STRING)
        .about("2.2.0", "Get the length of the value stored in a key")
        .usage("key"),
    Command::new("setrange", 4, WRITE | DENYOOM, "string", set_range)
        .keys(Keys::one(&["RW", "update"]))
        .categories(STRING)
        .about("2.2.0", "Overwrite part of a string at key starting at the specified offset")
        .complexity("O(N) where N is the length of the string: it is written as a whole.")
        .usage("key offset value"),
    Command::new("getrange", 4, READONLY, "string", get_range)
        .keys(Keys::one(&["RO", "access"]))
        .categories(STRING)
        .about("2.4.0", "Get a substring of the string stored at a key")
        .complexity("O(N) where N is the length of the returned string.")
        .usage("key start end"),
    Command::new("substr", 4, READONLY, "string", get_range)
        .keys(Keys::one(&["RO", "access"]))
        .categories(STRING)
        .about("1.0.0", "Get a substring of the string stored at a key. The same as GETRANGE.")
        .complexity("O(N) where N is the length of the returned string.")
        .usage("key start end"),
    Command::new("lcs", -3, READONLY, "string", lcs)
        .keys(Keys::range(1, 2, &["RO", "access"]))
        .categories(STRING)
        .about("7.0.0", "Find longest common substring")
        .complexity("O(N*M) where N and M are the lengths of s1 and s2, respectively")
        .usage("key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]"),
];

fn set_range(call: &mut Call<'_>) -> Answer {
    let offset = u64::try_from(call.int(2)?).map_err(|_| Refusal::from("ERR offset is out of range"))?;
    call.answer(&TextOp::SetRange { offset, value: call.arg(3) }.on(call.key()))
}

fn get_range(call: &mut Call<'_>) -> Answer {
    let (start, end) = (call.int(2)?, call.int(3)?);
    call.answer(&TextOp::GetRange { start, end }.on(call.key()))
}

/// What `LCS` is to show.
#[derive(Default)]
struct LcsOptions {
    len: bool,
    idx: bool,
    least: i64,
    with_len: bool,
}

impl LcsOptions {
    fn parse(call: &Call<'_>) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut rest = &call.args[3..];
        while let [name, after @ ..] = rest {
            rest = after;
            match (name.to_ascii_lowercase().as_slice(), rest) {
                (b"len", _) => options.len = true,
                (b"idx", _) => options.idx = true,
                (b"withmatchlen", _) => options.with_len = true,
                (b"minmatchlen", [least, after @ ..]) => {
                    options.least = parse_i64(least).ok_or(Refusal::NOT_AN_INTEGER)?.max(0);
                    rest = after;
                }
                _ => return Err(Refusal::SYNTAX),
            }
        }
        if options.len && options.idx {
            return Err("ERR If you want both the length and indexes, please just use IDX.".into());
        }
        Ok(options)
    }
}

/// The strings are read at one moment and compared without holding anybody up.
fn lcs(call: &mut Call<'_>) -> Answer {
    let mut strings = Vec::with_capacity(2);
    let partition = call.same_partition()?;
    call.atomically(partition, |call| {
        for at in [1, 2] {
            strings.push(match call.execute(&TextOp::Get.on(call.arg(at))) {
                Ok(Reply::Bulk(text)) => text,
                Ok(_) => Default::default(),
                Err(_) => return Err("ERR The specified keys must contain string values".into()),
            });
        }
        Ok(())
    })?;
    let options = LcsOptions::parse(call)?;
    let [one, other] = &strings[..] else { return Err(Refusal::SYNTAX) };
    let common = Common::of(one, other)
        .ok_or(Refusal::from("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"))?;
    if options.len {
        call.out.count(common.len());
    } else if options.idx {
        show_matches(call, &common, &options);
    } else {
        call.out.bulk(&common.text(one));
    }
    Ok(())
}

fn show_matches(call: &mut Call<'_>, common: &Common, options: &LcsOptions) {
    let long_enough = |found: &&Match| found.len as i64 >= options.least;
    let matches: Vec<&Match> = common.matches().iter().filter(long_enough).collect();
    call.out.map(2);
    call.out.bulk(b"matches");
    call.out.array(matches.len());
    for found in matches {
        call.out.array(2 + usize::from(options.with_len));
        for start in [found.one, found.other] {
            call.out.array(2);
            call.out.count(start);
            call.out.count(start + found.len - 1);
        }
        if options.with_len {
            call.out.count(found.len);
        }
    }
    call.out.bulk(b"len");
    call.out.count(common.len());
}
