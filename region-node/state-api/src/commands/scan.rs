//! Walking through keys, fields and members in pages: what `SCAN`, `HSCAN`, `SSCAN` and `ZSCAN` have in common.

use bytes::Bytes;
use replication_core::{KeyOp, Op, Reply};

use crate::{
    call::{Answer, Call, Refusal},
    glob,
    resp::parse_i64,
};

/// What a walk is asked to show.
pub(super) struct ScanOptions {
    pub(super) pattern: Option<Bytes>,
    /// About how many entries a page has.
    pub(super) count: usize,
    /// Only keys of this type; `SCAN` alone.
    pub(super) kind: Option<Bytes>,
    /// Without the values; `HSCAN` alone.
    pub(super) bare: bool,
}

/// A page is a page: `COUNT` is a hint, and nobody is kept waiting while a million keys are listed.
pub(super) const LARGEST_PAGE: usize = 10_000;

impl ScanOptions {
    pub(super) const ALL: Self = Self { pattern: None, count: LARGEST_PAGE, kind: None, bare: false };

    /// `[MATCH pattern] [COUNT count]`, and `TYPE type` or `NOVALUES` where the command has them.
    pub(super) fn parse(mut rest: &[Bytes], command: &str) -> Result<Self, Refusal> {
        let mut options = Self { count: 10, ..Self::ALL };
        while let [name, after @ ..] = rest {
            rest = match (name.to_ascii_lowercase().as_slice(), after) {
                (b"match", [pattern, after @ ..]) => {
                    options.pattern = Some(pattern.clone());
                    after
                }
                (b"count", [count, after @ ..]) => {
                    let count = parse_i64(count).ok_or(Refusal::NOT_AN_INTEGER)?;
                    let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Refusal::SYNTAX)?;
                    options.count = count.min(LARGEST_PAGE);
                    after
                }
                (b"type", [kind, after @ ..]) if command == "scan" => {
                    options.kind = Some(kind.clone());
                    after
                }
                (b"novalues", after) if command == "hscan" => {
                    options.bare = true;
                    after
                }
                _ => return Err(Refusal::SYNTAX),
            };
        }
        Ok(options)
    }

    /// Whether a name is to be shown.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, name, false))
    }
}

/// Reads a cursor, as an earlier page gave it.
pub(super) fn cursor(text: &[u8]) -> Result<u64, Refusal> {
    let cursor = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
    cursor.ok_or(Refusal::from("ERR invalid cursor"))
}

/// Answers a command `*SCAN key cursor …` on a collection: `page(cursor, count)` is the op that answers the next cursor and a list, in
/// which every `step`th item is a name (1: members; 2: names and what belongs to them).
pub(super) fn collection(call: &mut Call<'_>, step: usize, page: impl Fn(u64, usize) -> Op) -> Answer {
    let cursor = cursor(&call.args[2])?;
    let options = match ScanOptions::parse(&call.args[3..], call.command.name) {
        Ok(options) => options,
        Err(refusal) => {
            // As in Redis: nothing is asked of the options where there is nothing to scan.
            let there = call.execute(&KeyOp::Exists.on(call.key()))? == Reply::Int(1);
            call.execute(&page(0, 1))?;
            if there {
                return Err(refusal);
            }
            ScanOptions::ALL
        }
    };
    let reply = call.execute(&page(cursor, options.count))?;
    let Reply::Array(parts) = &reply else { return Ok(()) };
    let [Reply::Int(next), Reply::Array(items)] = &parts[..] else { return Ok(()) };
    let named = |entry: &&[Reply]| matches!(entry.first(), Some(Reply::Bulk(name)) if options.matches(name));
    let shown: Vec<&[Reply]> = items.chunks(step).filter(named).collect();
    let each = if options.bare { 1 } else { step };
    call.out.array(2);
    call.out.bulk(next.to_string().as_bytes());
    call.out.array(shown.len() * each);
    shown.iter().flat_map(|entry| entry.iter().take(each)).for_each(|item| call.out.reply(item));
    Ok(())
}
