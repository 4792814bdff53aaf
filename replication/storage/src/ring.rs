//! The ring: recent local deltas that are written, by position, for the links. Bounded in bytes; a link that was away
//! for longer than the ring remembers falls off and catches up by version vector instead.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

/// Bytes that a chunk costs besides its records.
const CHUNK_COST: usize = 128;

/// One local delta inside a chunk.
#[derive(Debug, Clone)]
pub(crate) struct Shipped {
    pub(crate) position: u64,
    pub(crate) partition: u16,
    pub(crate) range: Range<usize>,
}

/// One written batch.
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) entries: Vec<Shipped>,
    pub(crate) end: u64,
}

impl Chunk {
    fn cost(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Shipped>() + CHUNK_COST
    }
}

/// A local delta as a link sends it.
#[derive(Debug, Clone)]
pub struct LocalDelta {
    /// The partition that it changes.
    pub partition: u16,
    /// The encoded delta.
    pub bytes: Bytes,
}

/// Local deltas from a position on.
#[derive(Debug)]
pub enum Tail {
    /// The deltas between the position asked for and `next`, in order; where to go on.
    Deltas {
        /// The deltas, oldest first; none if nothing new is written.
        deltas: Vec<LocalDelta>,
        /// The position to ask for next.
        next: u64,
    },
    /// The ring does not reach back to the position any more: catch up by version vector, then go on from `from`.
    FellOff {
        /// Where the ring begins now.
        from: u64,
    },
}

pub(crate) struct Ring {
    chunks: VecDeque<Chunk>,
    /// Every local delta at or behind this position and before `end` is in `chunks`.
    start: u64,
    end: u64,
    cost: usize,
    max_cost: usize,
}

impl Ring {
    pub(crate) fn new(max_cost: usize, position: u64) -> Self {
        Self { chunks: VecDeque::new(), start: position, end: position, cost: 0, max_cost }
    }

    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.end = chunk.end;
        self.cost += chunk.cost();
        self.chunks.push_back(chunk);
        while self.cost > self.max_cost
            && let Some(oldest) = self.chunks.pop_front()
        {
            self.cost -= oldest.cost();
            self.start = oldest.end;
        }
    }

    /// Deltas from `position` on, at most about `max_bytes` of them. `written` is where the journal stands: positions
    /// between the ring's end and there hold nothing local.
    pub(crate) fn tail(&self, position: u64, max_bytes: usize, written: u64) -> Tail {
        if position < self.start {
            return Tail::FellOff { from: self.start };
        }
        let (mut deltas, mut bytes) = (Vec::new(), 0);
        let begin = self.chunks.partition_point(|chunk| chunk.end <= position);
        for chunk in self.chunks.range(begin..) {
            for entry in chunk.entries.iter().filter(|entry| entry.position >= position) {
                if bytes >= max_bytes {
                    return Tail::Deltas { deltas, next: entry.position };
                }
                bytes += entry.range.len();
                deltas.push(LocalDelta { partition: entry.partition, bytes: chunk.bytes.slice(entry.range.clone()) });
            }
        }
        Tail::Deltas { deltas, next: written.max(self.end).max(position) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: u64, texts: &[&str]) -> Chunk {
        let (mut bytes, mut entries) = (Vec::new(), Vec::new());
        for (i, text) in texts.iter().enumerate() {
            let start = bytes.len();
            bytes.extend_from_slice(text.as_bytes());
            entries.push(Shipped { position: first + i as u64, partition: 7, range: start..bytes.len() });
        }
        Chunk { bytes: bytes.into(), entries, end: first + texts.len() as u64 }
    }

    fn texts(tail: &Tail) -> String {
        match tail {
            Tail::Deltas { deltas, next } => {
                let texts: Vec<_> = deltas.iter().map(|d| String::from_utf8_lossy(&d.bytes).into_owned()).collect();
                format!("{} →{next}", texts.join(","))
            }
            Tail::FellOff { from } => format!("fell off, from {from}"),
        }
    }

    #[test]
    fn a_reader_gets_what_is_new_to_it() {
        let mut ring = Ring::new(1 << 20, 10);
        ring.push(chunk(10, &["a", "b"]));
        ring.push(chunk(14, &["c"]));
        let check =
            |position, max, want: &str| assert_eq!(texts(&ring.tail(position, max, 16)), want, "from {position}");
        check(10, 99, "a,b,c →16");
        check(11, 99, "b,c →16");
        check(12, 99, "c →16");
        check(16, 99, " →16");
        check(10, 1, "a →11");
        check(9, 99, "fell off, from 10");
    }

    #[test]
    fn a_full_ring_forgets_the_oldest() {
        let mut ring = Ring::new(3 * CHUNK_COST + 200, 0);
        for position in 0..50 {
            ring.push(chunk(position, &["x"]));
        }
        assert!(ring.chunks.len() <= 3);
        assert!(matches!(ring.tail(0, 99, 50), Tail::FellOff { from } if from >= 47));
    }
}
