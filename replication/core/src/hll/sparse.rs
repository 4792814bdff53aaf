//! Registers as runs, for sketches that have counted little.
//!
//! ```text
//! 00llllll            l + 1 registers at zero
//! 01llllll llllllll   l + 1 registers at zero, high bits first
//! 1vvvvvll            l + 1 registers at v + 1
//! ```
//!
//! Raising a register splits its run in up to three and then joins neighbours of equal value near by. Which neighbours are
//! looked at decides the length in the end, which STRLEN shows and which decides when the sketch goes dense, so it is Redis's
//! choice: five runs from the one before the split.

use super::{Mark, REGISTERS};

/// The greatest value that a run can hold.
pub(super) const MAX_VALUE: u8 = 32;
const MAX_SET: usize = 4;
const MAX_SHORT_ZEROS: usize = 64;
const LONG_ZEROS: u8 = 0x40;
const SET: u8 = 0x80;
const JOIN_WINDOW: usize = 5;

/// Some registers in a row that hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Its place in the bytes.
    at: usize,
    /// Its length in bytes.
    bytes: usize,
    /// Its first register.
    first: usize,
    /// How many registers.
    pub(super) len: usize,
    pub(super) value: u8,
    /// Where the run before it lies.
    previous: Option<usize>,
}

/// All runs; ends early where the last one is cut short.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let (mut at, mut first, mut previous) = (0, 0, None);
    std::iter::from_fn(move || {
        let (bytes, len, value) = match bytes[at..] {
            [set, ..] if set & SET != 0 => (1, usize::from(set & 3) + 1, (set >> 2 & 31) + 1),
            [high, low, ..] if high & LONG_ZEROS != 0 => (2, (usize::from(high & 63) << 8 | usize::from(low)) + 1, 0),
            [zeros, ..] if zeros & LONG_ZEROS == 0 => (1, usize::from(zeros) + 1, 0),
            _ => return None,
        };
        let run = Run { at, bytes, first, len, value, previous };
        (at, first, previous) = (at + bytes, first + len, Some(at));
        Some(run)
    })
}

/// Whether the runs cover every register exactly once.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let (taken, registers) =
        runs(bytes).fold((0, 0usize), |(taken, registers), run| (taken + run.bytes, registers + run.len));
    taken == bytes.len() && registers == REGISTERS
}

/// The run that a register lies in; `None` if the runs end before it.
pub(super) fn find(bytes: &[u8], index: usize) -> Option<Run> {
    runs(bytes).find(|run| index < run.first + run.len)
}

/// Raises one register of `run`, which lies in `bytes` behind `header`; false, and nothing done, where that takes more than
/// `room` further bytes.
pub(super) fn raise(bytes: &mut Vec<u8>, header: usize, run: Run, mark: Mark, room: usize) -> bool {
    let before = mark.index - run.first;
    let behind = run.len - before - 1;
    let mut split = Vec::with_capacity(5);
    push(&mut split, run.value, before);
    push(&mut split, mark.count, 1);
    push(&mut split, run.value, behind);
    if split.len() > run.bytes + room {
        return false;
    }
    let at = header + run.at;
    bytes.splice(at..at + run.bytes, split);
    // A register that had a run of its own is changed in place: its neighbours are looked at all the same.
    join(bytes, header + run.previous.unwrap_or(0));
    true
}

/// Joins runs of equal value, from `at` on, as far as the window goes.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_WINDOW {
        match bytes[at.min(bytes.len())..] {
            [one, next, ..] if one & next & SET != 0 && (one ^ next) >> 2 == 0 => {
                let len = usize::from(one & 3) + usize::from(next & 3) + 2;
                if len <= MAX_SET {
                    // The joined run may go on growing: stay.
                    bytes[at + 1] = one & !3 | (len - 1) as u8;
                    bytes.remove(at);
                } else {
                    at += 1;
                }
            }
            [one, ..] => at += if one & (SET | LONG_ZEROS) == LONG_ZEROS { 2 } else { 1 },
            [] => return,
        }
    }
}

fn push(out: &mut Vec<u8>, value: u8, len: usize) {
    match (value, len) {
        (_, 0) => {}
        (0, _) => push_zeros(out, len),
        _ => out.push(SET | (value - 1) << 2 | (len - 1) as u8),
    }
}

/// Appends a run of zeros.
pub(super) fn push_zeros(out: &mut Vec<u8>, len: usize) {
    let coded = len - 1;
    if len <= MAX_SHORT_ZEROS {
        out.push(coded as u8);
    } else {
        out.extend([LONG_ZEROS | (coded >> 8) as u8, coded as u8]);
    }
}
