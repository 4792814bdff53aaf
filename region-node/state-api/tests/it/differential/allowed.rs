//! Where Atoll answers otherwise than Redis, and means to. `docs/state.md` lists the same, for users.

use super::{grammar::Command, replies::Value};

/// One documented difference.
pub(crate) struct Difference {
    /// As the documentation says it.
    pub(crate) what: &'static str,
    /// Whether these replies differ for that reason.
    applies: fn(&Command, &Value, &Value) -> bool,
}

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "one command, or one `MULTI`, over keys of several partitions",
        applies: |_, ours, _| matches!(ours, Value::Line(line) if line.starts_with(b"-CROSSSLOT ")),
    },
    Difference {
        what: "`KEYS`, `SCAN`, `DBSIZE`, `RANDOMKEY`, `FLUSHALL`, `INFO` inside `MULTI`",
        applies: |_, ours, _| {
            let line = ours.to_string();
            let command = ["keys", "scan", "dbsize", "randomkey", "flush", "info"]
                .into_iter()
                .find(|command| line.contains(command));
            command.is_some() && line.ends_with("is not allowed inside a transaction")
        },
    },
    Difference {
        what: "`EXEC` after writes that left a `WATCH`ed key as it was: `SADD` of a member, a key made and deleted",
        applies: |command, ours, theirs| {
            let ran = |reply: &Value| matches!(reply, Value::Many(..));
            command.name() == "EXEC" && ran(ours) != ran(theirs) && !ours.is_error() && !theirs.is_error()
        },
    },
    Difference {
        what: "`INCRBYFLOAT` and `HINCRBYFLOAT` of numbers that an 80-bit float does not hold",
        applies: |command, ours, theirs| {
            command.name().ends_with("INCRBYFLOAT") && are_one_number(ours.bytes(), theirs.bytes())
        },
    },
    Difference {
        what: "`ZINCRBY` to a score that needs more than 17 digits behind the point",
        applies: |command, ours, theirs| {
            let (ours, theirs) = (ours.leaves(), theirs.leaves());
            let same = |(ours, theirs): (&Vec<u8>, &Vec<u8>)| ours == theirs || are_one_number(ours, theirs);
            let is_scored = command.name().trim_start_matches('B').starts_with('Z');
            is_scored && ours.len() == theirs.len() && ours.iter().zip(&theirs).all(same)
        },
    },
    Difference {
        what: "the bytes of a HyperLogLog after `PFCOUNT`",
        applies: |_, ours, theirs| {
            let (ours, theirs) = (ours.leaves(), theirs.leaves());
            let differ = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs);
            ours.len() == theirs.len()
                && differ.into_iter().all(|(ours, theirs)| ours.starts_with(b"HYLL") && theirs.starts_with(b"HYLL"))
        },
    },
    Difference {
        what: "`PFADD` to a string that is a damaged HyperLogLog",
        applies: |command, ours, _| command.name() == "PFADD" && ours.is("-INVALIDOBJ Corrupted HLL object detected"),
    },
    Difference {
        what: "`SCAN` and its kin from a cursor that the server never gave",
        applies: |command, _, _| {
            let cursor = if command.name() == "SCAN" { 1 } else { 2 };
            command.name().ends_with("SCAN") && command.words.get(cursor).is_some_and(|word| word != b"0")
        },
    },
    Difference {
        what: "`ZRANK` and `ZREVRANK` with a third argument",
        applies: |command, _, theirs| {
            let refused = theirs.to_string().contains("wrong number of arguments");
            refused && command.words.len() == 4 && ["ZRANK", "ZREVRANK"].contains(&command.name().as_str())
        },
    },
    Difference {
        what: "`OBJECT ENCODING` of what was larger once",
        applies: |command, ours, theirs| {
            let (small, large) = (["int", "embstr", "listpack", "intset"], ["embstr", "raw", "hashtable", "skiplist"]);
            command.form.starts_with("OBJECT ENCODING") && ours.is_one_of(&small) && theirs.is_one_of(&large)
        },
    },
];

/// Whether two texts are floats that only the last digits of a sum tell apart.
fn are_one_number(ours: &[u8], theirs: &[u8]) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    number(ours).zip(number(theirs)).is_some_and(|(a, b)| (a - b).abs() <= a.abs() * 1e-15)
}

/// The difference that explains these replies.
pub(crate) fn find(command: &Command, ours: &Value, theirs: &Value) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|difference| (difference.applies)(command, ours, theirs))
}

/// The manual, and where in it the list stands.
const MANUAL: &str = include_str!("../../../../../docs/state.md");
const HEADING: &str = "## Replies that differ from Redis's";

#[test]
fn the_manual_lists_the_same_differences() {
    let section = MANUAL.split(HEADING).nth(1).expect("the manual has the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).skip(1);
    let listed: Vec<&str> = rows.collect();
    let allowed: Vec<&str> = DIFFERENCES.iter().map(|difference| difference.what).collect();
    assert_eq!(listed, allowed);
}
