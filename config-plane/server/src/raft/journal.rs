//! The journal before raft's file (`file.rs`): what was asked of the file since it was last brought up to date, one sync a batch.
//!
//! ```text
//! page 0                                                     a record begins at a page; the file's length never changes
//! ├─ record 0 ─┬─ again ─┬─ record 1 ─┬─ again ─┬─ …
//! record = magic 8 │ generation 8 │ sequence 8 │ length 4 │ xxh3-64 of all others 8 │ changes │ zeros up to the page's end
//! ```
//!
//! Laws:
//! - A record is durable when [`Journal::append`] returns, after a single sync.
//! - **An unfinished last record is told from a damaged one.** With one copy and one sync nothing can: both are bytes that do not
//!   add up, and a member that drops a damaged record has forgotten a vote. So each record is written twice, in pages of its own,
//!   under the same sync: one whole copy is enough, and only damage to both in the same way looks like a crash.
//! - A record that is missing while a later one of its generation is there is damage, and is refused.
//! - The generation is the file's word: it grows with each transaction that takes the journal's changes in, and records of
//!   another generation count for nothing. So nothing has to be erased.
//!
//! Why not the database alone: a commit of two phases takes two syncs and some six pages, 0.7 to 0.85 ms where one sync of two pages
//! takes 0.2, and a write of the plane waits for it on the leader and on a follower.

use std::io;

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64;

use super::file::{Change, DiskError};

/// What a record begins at.
const PAGE: usize = 4096;
const MAGIC: &[u8; 8] = b"atollpj1";
/// Magic, generation, sequence, length, sum.
const HEAD: usize = 36;

/// The open journal.
pub(crate) struct Journal {
    storage: Box<dyn StorageBackend>,
    generation: u64,
    sequence: u64,
    /// Where the next record begins, bytes.
    at: usize,
    length: usize,
}

impl Journal {
    /// Makes an empty one of so many bytes.
    pub(crate) fn make(storage: Box<dyn StorageBackend>, length: usize) -> io::Result<Self> {
        storage.set_len(0)?;
        storage.set_len(length as u64)?;
        // Written and not only made long: later syncs then have no new block to account for.
        storage.write(0, &vec![0; length])?;
        storage.sync_data()?;
        Ok(Self { storage, generation: 0, sequence: 0, at: 0, length })
    }

    /// Opens the one that was made, and gives what it holds for this generation of the file, in order.
    pub(crate) fn open(storage: Box<dyn StorageBackend>, generation: u64) -> Result<(Self, Vec<Change>), DiskError> {
        let length = storage.len().map_err(redb::Error::Io)? as usize;
        let mut bytes = vec![0; length];
        storage.read(0, &mut bytes).map_err(redb::Error::Io)?;
        if bytes.is_empty() {
            return Err(damaged("it is missing or empty"));
        }
        let mut changes = Vec::new();
        for payload in scan(&bytes, generation)? {
            decode(payload, &mut changes).ok_or_else(|| damaged("a record is whole and makes no sense"))?;
        }
        Ok((Self { storage, generation, sequence: 0, at: 0, length }, changes))
    }

    /// Begins again at the first page. To be called once the file has taken everything in, under this generation.
    pub(crate) fn restart(&mut self, generation: u64) {
        (self.generation, self.sequence, self.at) = (generation, 0, 0);
    }

    /// The generation whose records count.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes the changes as one record. `false`: they do not belong here or have no room, and nothing was written.
    pub(crate) fn append(&mut self, changes: &[&Change]) -> io::Result<bool> {
        let Some(payload) = encode(changes, self.length) else { return Ok(false) };
        let record = frame(self.generation, self.sequence, &payload);
        if self.at + record.len() > self.length {
            return Ok(false);
        }
        self.storage.write(self.at as u64, &record)?;
        self.storage.sync_data()?;
        self.at += record.len();
        self.sequence += 1;
        Ok(true)
    }
}

fn damaged(why: &str) -> DiskError {
    DiskError::Damaged { why: format!("its journal plane.journal: {why}") }
}

/// Both copies of a record.
fn frame(generation: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let pages = (HEAD + payload.len()).div_ceil(PAGE);
    let mut copy = Vec::with_capacity(2 * pages * PAGE);
    copy.extend_from_slice(MAGIC);
    copy.extend_from_slice(&generation.to_le_bytes());
    copy.extend_from_slice(&sequence.to_le_bytes());
    // It fits the journal.
    copy.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    let sum = sum(&copy, payload);
    copy.extend_from_slice(&sum.to_le_bytes());
    copy.extend_from_slice(payload);
    copy.resize(pages * PAGE, 0);
    copy.extend_from_within(..);
    copy
}

fn sum(head: &[u8], payload: &[u8]) -> u64 {
    xxh3_64(&[&xxh3_64(head).to_le_bytes(), payload].concat())
}

/// A record's copy that is whole.
struct Copy<'b> {
    generation: u64,
    sequence: u64,
    payload: &'b [u8],
}

impl<'b> Copy<'b> {
    fn at(bytes: &'b [u8], at: usize) -> Option<Self> {
        let bytes = bytes.get(at..)?;
        let (head, rest) = bytes.split_at_checked(HEAD - 8)?;
        let (own_sum, rest) = rest.split_first_chunk::<8>()?;
        let word = |from: usize| head.get(from..from + 8)?.try_into().ok().map(u64::from_le_bytes);
        let length = u32::from_le_bytes(head.get(24..28)?.try_into().ok()?);
        let payload = rest.get(..length as usize)?;
        let whole = head.starts_with(MAGIC) && sum(head, payload) == u64::from_le_bytes(*own_sum);
        whole.then_some(Self { generation: word(8)?, sequence: word(16)?, payload })
    }

    fn bytes(&self) -> usize {
        (HEAD + self.payload.len()).next_multiple_of(PAGE)
    }
}

/// What the records of a generation hold, in order.
fn scan(bytes: &[u8], generation: u64) -> Result<Vec<&[u8]>, DiskError> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let expected = found.len() as u64;
        let ours = |at: usize| Copy::at(bytes, at).filter(|copy| copy.generation == generation);
        // The first copy, or the second one behind it; or a later record, of which there must be none.
        let next = (at..bytes.len()).step_by(PAGE).find_map(|place| {
            let copy = ours(place)?;
            (copy.sequence >= expected).then_some((place, copy))
        });
        let Some((place, copy)) = next else { break };
        if copy.sequence > expected {
            return Err(damaged(&format!("record {expected} is damaged, and record {} is there", copy.sequence)));
        }
        at = place + copy.bytes();
        found.push(copy.payload);
    }
    Ok(found)
}

const APPEND: u8 = 1;
const TRUNCATE_FROM: u8 = 2;
const PURGE: u8 = 3;
const VOTE: u8 = 4;
const COMMITTED: u8 = 5;
const SETTLED: u8 = 6;

/// The changes as bytes: for each a kind, then its numbers, little-endian, and its records, each after its length. `None`: a
/// snapshot is among them, or it would be longer than `most`.
fn encode(changes: &[&Change], most: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    let record = |out: &mut Vec<u8>, bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).ok()?;
        out.extend_from_slice(&length.to_le_bytes());
        (out.len() + bytes.len() <= most).then(|| out.extend_from_slice(bytes))
    };
    for change in changes {
        match change {
            Change::Append(entries) => {
                out.push(APPEND);
                out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
                for (index, entry) in entries {
                    out.extend_from_slice(&index.to_le_bytes());
                    record(&mut out, entry)?;
                }
            }
            Change::TruncateFrom(first) => {
                out.push(TRUNCATE_FROM);
                out.extend_from_slice(&first.to_le_bytes());
            }
            Change::Purge { upto, purged } => {
                out.push(PURGE);
                out.extend_from_slice(&upto.to_le_bytes());
                record(&mut out, purged)?;
            }
            Change::Vote(vote) => {
                out.push(VOTE);
                record(&mut out, vote)?;
            }
            Change::Committed(committed) => {
                out.push(COMMITTED);
                record(&mut out, committed)?;
            }
            Change::Settled => out.push(SETTLED),
            Change::Snapshot(_) => return None,
        }
    }
    Some(out)
}

/// The reverse of [`encode`]: adds to `changes`.
fn decode(mut bytes: &[u8], changes: &mut Vec<Change>) -> Option<()> {
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        changes.push(match *kind {
            APPEND => {
                let count = number(&mut bytes)?;
                Change::Append(
                    (0..count).map(|_| Some((number(&mut bytes)?, record(&mut bytes)?))).collect::<Option<_>>()?,
                )
            }
            TRUNCATE_FROM => Change::TruncateFrom(number(&mut bytes)?),
            PURGE => Change::Purge { upto: number(&mut bytes)?, purged: record(&mut bytes)? },
            VOTE => Change::Vote(record(&mut bytes)?),
            COMMITTED => Change::Committed(record(&mut bytes)?),
            SETTLED => Change::Settled,
            _ => return None,
        });
    }
    Some(())
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

fn record(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    Some(record.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_kinds() -> Vec<Change> {
        vec![
            Change::Append(vec![(7, b"seven".to_vec()), (8, vec![])]),
            Change::TruncateFrom(8),
            Change::Purge { upto: 3, purged: b"three".to_vec() },
            Change::Vote(b"vote".to_vec()),
            Change::Committed(b"committed".to_vec()),
            Change::Settled,
        ]
    }

    #[test]
    fn changes_come_back_as_they_were_and_no_cut_is_taken_for_a_whole() {
        let changes = all_kinds();
        let bytes = encode(&changes.iter().collect::<Vec<_>>(), 4096).expect("fits");
        let mut found = Vec::new();
        decode(&bytes, &mut found).expect("whole");
        assert_eq!(found, changes);
        for cut in 0..bytes.len() {
            let mut found = Vec::new();
            // A cut between two changes is a shorter list: the sum over the record is what notices it.
            let read = decode(&bytes[..cut], &mut found);
            assert!(read.is_none() || changes.starts_with(&found), "{cut}");
        }
        assert!(decode(&[99], &mut Vec::new()).is_none());
        assert!(encode(&[&Change::Snapshot(vec![])], 4096).is_none());
        assert!(encode(&[&Change::Vote(vec![0; 5000])], 4096).is_none());
    }

    /// Records of one, two and one page, one after the other.
    fn three() -> (Vec<u8>, [Vec<u8>; 3]) {
        let payloads = [vec![1; 10], vec![2; 5000], vec![3; 4060]];
        let mut bytes = Vec::new();
        for (sequence, payload) in payloads.iter().enumerate() {
            bytes.extend(frame(9, sequence as u64, payload));
        }
        assert_eq!(bytes.len(), 8 * PAGE);
        bytes.resize(12 * PAGE, 0);
        (bytes, payloads)
    }

    #[test]
    fn records_are_found_by_their_generation() {
        let (mut bytes, payloads) = three();
        assert_eq!(scan(&bytes, 9).expect("whole"), payloads);
        assert!(scan(&bytes, 8).expect("none of that").is_empty());
        // The next generation over the beginning of the last one.
        let newer = frame(10, 0, b"newer");
        bytes[..newer.len()].copy_from_slice(&newer);
        assert_eq!(scan(&bytes, 10).expect("whole"), [b"newer"]);
        assert!(
            scan(&bytes, 9).is_err(),
            "what comes after the first record of that generation is there, the first is not"
        );
    }

    #[test]
    fn damage_to_one_copy_does_no_harm_and_damage_to_both_is_named_unless_it_looks_like_a_crash() {
        let (bytes, payloads) = three();
        let spoil = |pages: &[usize]| {
            let mut bytes = bytes.clone();
            pages.iter().for_each(|page| bytes[page * PAGE + 30] ^= 4);
            scan(&bytes, 9).map(|found| found.len()).map_err(|e| e.to_string())
        };
        for page in 0..12 {
            assert_eq!(spoil(&[page]), Ok(3), "page {page}");
        }
        assert_eq!(spoil(&[0, 2, 7]), Ok(3), "one copy of each");
        for pages in [[0, 1], [2, 4]] {
            assert!(spoil(&pages).is_err_and(|e| e.contains("is damaged")), "{pages:?}");
        }
        assert_eq!(spoil(&[6, 7]), Ok(2), "the last one was never finished");
        assert_eq!(scan(&bytes, 9).expect("whole"), payloads);
    }
}
