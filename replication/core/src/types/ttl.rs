//! The deadline of a key.
//!
//! Each EXPIRE, `SET … EX` or PERSIST writes a deadline and removes the ones it observed. Of concurrent ones the latest counts,
//! and PERSIST is later than all.
//!
//! A deadline belongs to the register it was given to (`bound`): it is in force only while that register shows. Otherwise a
//! plain SET, acknowledged as persistent, would die of a deadline that was given to another value at the same time elsewhere.
//! On keys that are no register (counters, hashes, sets) a deadline is in force whatever the elements are.
//!
//! A deadline is never a value: it makes no key exist, so DEL beats a concurrent EXPIRE, and a session that was logged out is
//! not brought back by a sliding refresh. Expiry itself is a read rule, `now >= deadline`, and needs no message.

use crate::Dot;
use crate::delta::Deadline;
use crate::dots::Tagged;

/// The deadline in force for a key whose showing register is `anchor`, in milliseconds since 1970; `None` if it persists.
pub(crate) fn in_force(deadlines: &[Tagged<Deadline>], anchor: Option<Dot>) -> Option<&Tagged<Deadline>> {
    let given = deadlines.iter().filter(|tagged| tagged.value.bound == anchor);
    given
        .max_by_key(|tagged| (tagged.value.at_ms, tagged.dot.seq()))
        .filter(|tagged| tagged.value.at_ms != Deadline::NEVER)
}
