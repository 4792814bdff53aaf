//! Commands that one reply from each side does not settle: choices of luck, and cursors.

use super::{
    grammar::{Command, Mode},
    replies::Value,
};
use crate::wire::Wire;

/// What each side said, where they do not agree.
pub(crate) type Disagreement = Box<[Value; 2]>;

fn ask(server: &mut Wire, words: &[impl AsRef<[u8]>]) -> Value {
    Value::parse(&server.ask(words))
}

/// Follows a cursor to its end; `at` is where it stands among the words. An error is given as it is.
fn walk(server: &mut Wire, words: &[Vec<u8>], at: usize) -> Result<Vec<Value>, Value> {
    let (mut words, mut seen) = (words.to_vec(), Vec::new());
    for _ in 0..10_000 {
        let reply = ask(server, &words);
        let Value::Many(_, parts) = &reply else { return Err(reply) };
        let [cursor, Value::Many(_, items)] = &parts[..] else { return Err(reply) };
        seen.extend(items.iter().cloned());
        if cursor.bytes() == b"0" {
            return Ok(seen);
        }
        words[at] = cursor.bytes().to_vec();
    }
    panic!("the cursor of {} never ends", words[0].escape_ascii())
}

pub(crate) fn check(command: &Command, ours: &mut Wire, theirs: &mut Wire) -> Result<(), Disagreement> {
    match command.mode {
        Mode::Scan => scan(command, ours, theirs, 1),
        Mode::ScanPairs => scan(command, ours, theirs, 2),
        _ => choice(command, ours, theirs),
    }
}

fn disagreement(ours: Value, theirs: Value) -> Result<(), Disagreement> {
    Err(Box::new([ours, theirs]))
}

/// A sentence in place of a reply.
fn said(text: String) -> Value {
    Value::Line(text.into_bytes())
}

fn scan(command: &Command, ours: &mut Wire, theirs: &mut Wire, row: usize) -> Result<(), Disagreement> {
    let at = if command.name() == "SCAN" { 1 } else { 2 };
    let cursor = command.words.get(at).map(Vec::as_slice);
    if !matches!(cursor, Some(b"0" | b"abc" | b"")) && command.words.len() > at {
        // A cursor that nobody gave out: each may begin where it likes.
        let (ours, theirs) = (ask(ours, &command.words), ask(theirs, &command.words));
        return if ours.is_error() == theirs.is_error() { Ok(()) } else { disagreement(ours, theirs) };
    }
    let (ours, theirs) = (walk(ours, &command.words, at), walk(theirs, &command.words, at));
    let (ours, theirs) = (rows(ours, row), rows(theirs, row));
    if ours == theirs { Ok(()) } else { disagreement(ours, theirs) }
}

/// What was seen, once each and in order; or the error.
fn rows(seen: Result<Vec<Value>, Value>, row: usize) -> Value {
    match seen {
        Err(error) => error,
        Ok(seen) => {
            let mut rows: Vec<&[Value]> = seen.chunks(row).collect();
            rows.sort_unstable();
            rows.dedup();
            Value::Many(b'*', rows.concat())
        }
    }
}

/// What a command chooses from: how to ask for it, in rows of how many leaves, and how to put it back.
struct Container {
    question: Vec<Vec<u8>>,
    row: usize,
    restore: &'static [u8],
}

impl Container {
    fn of(command: &Command) -> Self {
        let key = command.words.get(1).cloned().unwrap_or_default();
        let question = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
        match command.name().as_str() {
            "RANDOMKEY" => Self { question: question(&[b"KEYS", b"*"]), row: 1, restore: b"" },
            "HRANDFIELD" => Self { question: question(&[b"HGETALL", &key]), row: 2, restore: b"HSET" },
            "ZRANDMEMBER" => {
                Self { question: question(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]), row: 2, restore: b"ZADD" }
            }
            _ => Self { question: question(&[b"SMEMBERS", &key]), row: 1, restore: b"SADD" },
        }
    }

    fn rows(&self, side: &mut Wire) -> Vec<Vec<Vec<u8>>> {
        let mut rows: Vec<Vec<Vec<u8>>> =
            ask(side, &self.question).leaves().chunks(self.row).map(<[Vec<u8>]>::to_vec).collect();
        rows.sort();
        rows
    }
}

fn choice(command: &Command, ours: &mut Wire, theirs: &mut Wire) -> Result<(), Disagreement> {
    let container = Container::of(command);
    let (before, theirs_before) = (container.rows(ours), container.rows(theirs));
    if before != theirs_before {
        return disagreement(said(format!("before it: {before:?}")), said(format!("before it: {theirs_before:?}")));
    }
    let (our_reply, their_reply) = (ask(ours, &command.words), ask(theirs, &command.words));
    if our_reply.shape() != their_reply.shape() {
        return disagreement(our_reply, their_reply);
    }
    if our_reply.is_error() || command.words.len() < 2 && command.name() != "RANDOMKEY" {
        return Ok(());
    }
    // With values only where they were asked for; else the first leaf of a row is the name.
    let with_values = container.row == 2 && command.words.len() > 3;
    let leaves = our_reply.leaves();
    let chosen: Vec<&[Vec<u8>]> = leaves.chunks(if with_values { 2 } else { 1 }).collect();
    let there = chosen.iter().all(|row| before.iter().any(|known| known.starts_with(row)));
    let repeats = command.words.get(2).is_some_and(|count| count.starts_with(b"-"));
    let mut names: Vec<&Vec<u8>> = chosen.iter().map(|row| &row[0]).collect();
    names.sort_unstable();
    let distinct = names.windows(2).all(|pair| pair[0] != pair[1]);
    if !there || !(distinct || repeats) {
        return disagreement(our_reply, their_reply);
    }
    if command.mode == Mode::Pop {
        let gone: Vec<Vec<u8>> = names.into_iter().cloned().collect();
        return settle(command, &container, &before, &gone, ours, theirs);
    }
    Ok(())
}

/// After a removal by luck: ours must have lost what it said, and both get the same content again.
fn settle(
    command: &Command,
    container: &Container,
    before: &[Vec<Vec<u8>>],
    gone: &[Vec<u8>],
    ours: &mut Wire,
    theirs: &mut Wire,
) -> Result<(), Disagreement> {
    let left: Vec<&Vec<Vec<u8>>> = before.iter().filter(|row| !gone.contains(&row[0])).collect();
    let after = container.rows(ours);
    if !after.iter().eq(left.iter().copied()) {
        let ours = said(format!("popped {gone:?}, and then there was {after:?}"));
        return disagreement(ours, said(format!("{left:?} should be there")));
    }
    let key = &command.words[1];
    let mut restore = vec![container.restore.to_vec(), key.clone()];
    restore.extend(after.into_iter().flatten());
    for side in [ours, theirs] {
        ask(side, &[b"DEL", key.as_slice()]);
        if restore.len() > 2 {
            ask(side, &restore);
        }
    }
    Ok(())
}
