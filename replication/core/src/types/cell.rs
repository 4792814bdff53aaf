//! The cell: a register that can be counted on. A string key is one; so is each hash field, with a text in its register, and
//! each member of a sorted set, with a score in it (`register.rs`).
//!
//! A cell holds three kinds of elements:
//!
//! - **registers**: what SET (HSET, ZADD) wrote. Siblings are concurrent SETs; the one with the greatest (stamp, replica) shows.
//! - **counts**: for each replica, the running sum of its increments. Only its owner writes it: each INCR replaces the
//!   owner's count by one with a greater sum and a new dot, and leaves the register alone.
//! - **floors**: for a replica, how far its count had been observed by somebody who reset the cell.
//!
//! The cell reads as: the winning register, if nothing counts or it is no number that can be counted on; else
//!
//! ```text
//! number of the winning register (0 without one)  +  Σ over owners: sum(owner) − floor(owner)
//! ```
//!
//! **Law: an increment is in the sum if and only if no reset observed it.** A reset is a SET, DEL, HDEL, HSET or the purge of an
//! expired key.
//!
//! Take one owner. Its increments are numbered by the sequence numbers of its own deltas, so they are totally ordered, and a
//! count is a *prefix sum*: `sum` over all increments up to `last`. What a reset observed is a prefix too. So the increments
//! that some reset observed are exactly those up to the furthest observed one, and it is enough to know, of all resets, the
//! furthest `(seq, sum)`: the floor. `max by seq` is commutative, associative and idempotent, and the furthest one wins
//! whatever the order of arrival, also where sums go down (negative increments). Hence:
//!
//! 1. A reset removes the count it observed, and writes a floor `(last, sum)` for its owner, in case the owner has gone on
//!    meanwhile. It removes only floors that are not beyond its own. For its own count a reset needs no floor: nobody else
//!    increments it, so nothing can be concurrent.
//! 2. Only the owner may fold a floor away: it writes its count anew with the floor inside (`base`), and removes the floor. `sum`
//!    and `last` stay absolute, so a floor from another reset, still under way, compares with `base` as it would have with
//!    the floor: no information is lost by folding. (Were `sum` reduced instead, that late floor would be subtracted from
//!    the wrong number.)
//! 3. A count whose `last` is not beyond its floor is dead: it adds nothing and does not make the key exist. So a fold that
//!    is concurrent with a DEL does not bring the key back as "0".
//! 4. When the owner holds no live count it starts anew with `sum = by`, and `base_seq` just below its own new dot. Floors for
//!    what it counted before have smaller `seq`, are below that base, and are ignored for ever, even if they arrive later.
//!    So the owner may also simply remove floors for counts that are gone.
//!
//! A floor for a replica that is gone for good stays: some 60 bytes for each counter that was deleted after that replica had
//! counted in it. Dropping it would need proof that no increment of that replica is still under way.
//!
//! Sums are exact decimals in 128 bits (`decimal.rs`): integers and fractions add up in any order to the same. Concurrent
//! increments may leave the 64-bit range; such a value reads as the nearest 64-bit integer, and increments that would leave
//! the range are refused where they are made. INCRBYFLOAT beyond that range, or of what is no such decimal, writes a text instead.

use smallvec::SmallVec;

use crate::blob::Blob;
use crate::delta::{Count, Floor, Part, Value};
use crate::dots::{PackedDot, Rank, Replicas, Siblings, Tagged, rank, take, winner};
use crate::plan::{Clearing, Plan};
use crate::types::register::Register;
use crate::types::{Element, Held, HeldRef, PartRef, decimal};
use crate::{Dot, Hlc, OpError, ReplicaId};

#[derive(Clone, Debug)]
pub(crate) struct Cell<R = Blob> {
    pub(crate) registers: Siblings<R>,
    pub(crate) tally: Option<Box<Tally>>,
}

/// The counting half of a cell; absent until somebody counts. Mostly one region does, and its count lies inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: SmallVec<[Tagged<Count>; 1]>,
    pub(crate) floors: Vec<Tagged<Floor>>,
}

/// What a visible cell reads as.
#[derive(Debug)]
pub(crate) enum Reading<'a, R = Blob> {
    /// A register as it was written.
    Text(&'a R),
    /// In units of 10^-17, see `decimal.rs`.
    Number(i128),
}

impl<R> Clone for Reading<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Reading<'_, R> {}

impl<R> Default for Cell<R> {
    fn default() -> Self {
        Self { registers: Siblings::new(), tally: None }
    }
}

impl<R: Register> Cell<R> {
    /// Adds an element; tells whether two registers are siblings now.
    pub(crate) fn insert(&mut self, new: Tagged<Held>) -> bool {
        let Tagged { dot, hlc, value } = new;
        match R::take(value) {
            Ok(value) => {
                self.registers.push(Tagged { dot, hlc, value });
                return self.registers.len() > 1;
            }
            Err(Held::Count(value)) => self.tally.get_or_insert_default().counts.push(Tagged { dot, hlc, value }),
            Err(Held::Floor(value)) => self.tally.get_or_insert_default().floors.push(Tagged { dot, hlc, value }),
            Err(_) => {} // The decoder lets no other value into a cell (`Value::fits`).
        }
        false
    }

    pub(crate) fn take(&mut self, dot: PackedDot) -> Option<Held> {
        if let Some(register) = take(&mut self.registers, dot) {
            return Some(register.into_held());
        }
        let tally = self.tally.as_mut()?;
        let taken = tally.take(dot);
        if tally.counts.is_empty() && tally.floors.is_empty() {
            self.tally = None;
        }
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.registers.is_empty() && self.tally.is_none()
    }

    /// The one count, where there is nothing else.
    pub(crate) fn only_count(&self) -> Option<&Tagged<Count>> {
        match (&self.registers[..], self.tally.as_deref()) {
            ([], Some(Tally { counts, floors })) if floors.is_empty() && counts.len() == 1 => counts.first(),
            _ => None,
        }
    }

    /// The one register, where there is nothing else.
    pub(crate) fn only_register(&self) -> Option<(PackedDot, Hlc)> {
        match (&self.registers[..], &self.tally) {
            ([only], None) => Some((only.dot, only.hlc)),
            _ => None,
        }
    }

    pub(crate) fn for_each<'a>(&'a self, part: PartRef<'a>, visit: &mut dyn FnMut(Element<'_>)) {
        for Tagged { dot, hlc, value } in &self.registers {
            visit(Element { part, dot: *dot, hlc: *hlc, value: value.show() });
        }
        let Some(tally) = &self.tally else { return };
        for Tagged { dot, hlc, value } in &tally.counts {
            visit(Element { part, dot: *dot, hlc: *hlc, value: HeldRef::Count(value) });
        }
        for Tagged { dot, hlc, value } in &tally.floors {
            visit(Element { part, dot: *dot, hlc: *hlc, value: HeldRef::Floor(value) });
        }
    }

    /// Whether clients see anything here.
    pub(crate) fn is_visible(&self, replicas: &Replicas) -> bool {
        !self.registers.is_empty() || self.live_counts(replicas).next().is_some()
    }

    /// The greatest stamp among what clients see.
    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        let registers = self.registers.iter().map(|tagged| rank(tagged, replicas));
        registers.chain(self.live_counts(replicas).map(|tagged| rank(tagged, replicas))).max()
    }

    pub(crate) fn read(&self, replicas: &Replicas) -> Option<Reading<'_, R>> {
        let register = winner(&self.registers, replicas).map(|tagged| &tagged.value);
        let counted = self.live_counts(replicas).next().is_some();
        match register {
            Some(register) if !counted => Some(Reading::Text(register)),
            Some(register) => Some(match register.number() {
                Some(base) => Reading::Number(R::clamp(base.saturating_add(self.counted(replicas)))),
                None => Reading::Text(register),
            }),
            None => counted.then(|| Reading::Number(R::clamp(self.counted(replicas)))),
        }
    }

    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.tally.as_deref()
    }

    /// Whether a floor waits for `me` to fold it away.
    pub(crate) fn unsettled(&self, me: ReplicaId) -> bool {
        self.tally.as_deref().is_some_and(|tally| tally.floors.iter().any(|floor| floor.value.owner == me))
    }

    /// Plans to fold away the floors that others have written for `me`.
    pub(crate) fn plan_settle(&self, plan: &mut Plan<'_>, part: Part) {
        let tally = self.tally.as_deref();
        let removes: SmallVec<[Dot; 1]> =
            own_dots(tally, plan.replicas, plan.me).map(|dot| plan.replicas.unpack(dot)).collect();
        let own = tally.and_then(|t| t.own_count(plan.replicas, plan.me));
        match own.map(|own| own.value.folded(tally, plan.me)) {
            Some(folded) if folded.is_live() => {
                plan.put(part, removes, Value::Count(Box::new(folded)));
            }
            _ => plan.remove(part, removes),
        }
    }

    /// Notes what a reset by `me` removes here, and the floors it must leave.
    pub(crate) fn clear(&self, replicas: &Replicas, me: ReplicaId, part: &Part, clearing: &mut Clearing) {
        clearing.removes.extend(self.registers.iter().map(|tagged| replicas.unpack(tagged.dot)));
        let Some(tally) = &self.tally else { return };
        let own_floors = tally.floors.iter().filter(|floor| floor.value.owner == me);
        clearing.removes.extend(own_floors.map(|floor| replicas.unpack(floor.dot)));
        for count in &tally.counts {
            clearing.removes.push(replicas.unpack(count.dot));
            let owner = replicas.id(count.dot.replica());
            if owner == me {
                continue;
            }
            let Count { last, sum, .. } = count.value;
            let mut floors = tally.floors.iter().filter(|floor| floor.value.owner == owner);
            if floors.clone().any(|floor| floor.value.seq >= last) {
                continue; // another reset had seen as much: its floor stays
            }
            clearing.removes.extend(floors.by_ref().map(|floor| replicas.unpack(floor.dot)));
            clearing.floors.push((part.clone(), Floor { owner, seq: last, sum }));
        }
    }

    fn live_counts<'a>(&'a self, replicas: &'a Replicas) -> impl Iterator<Item = &'a Tagged<Count>> {
        let tally = self.tally.as_deref();
        tally.into_iter().flat_map(move |tally| {
            let has_floors = !tally.floors.is_empty();
            tally.counts.iter().filter(move |count| match has_floors {
                true => count.value.folded(Some(tally), replicas.id(count.dot.replica())).is_live(),
                false => count.value.is_live(),
            })
        })
    }

    fn counted(&self, replicas: &Replicas) -> i128 {
        let tally = self.tally.as_deref();
        let net = |count: &Tagged<Count>| {
            let folded = count.value.folded(tally, replicas.id(count.dot.replica()));
            folded.sum.saturating_sub(folded.base_sum)
        };
        self.live_counts(replicas).map(net).fold(0, i128::saturating_add)
    }
}

impl Tally {
    fn take(&mut self, dot: PackedDot) -> Option<Held> {
        if let Some(at) = self.counts.iter().position(|tagged| tagged.dot == dot) {
            return Some(Held::Count(self.counts.swap_remove(at).value));
        }
        let at = self.floors.iter().position(|tagged| tagged.dot == dot)?;
        Some(Held::Floor(self.floors.swap_remove(at).value))
    }

    /// The sum of all that `me` has counted since it started, resets or not.
    pub(crate) fn own_sum(&self, replicas: &Replicas, me: ReplicaId) -> i128 {
        self.own_count(replicas, me).map_or(0, |count| count.value.sum)
    }

    fn own_count(&self, replicas: &Replicas, me: ReplicaId) -> Option<&Tagged<Count>> {
        self.counts.iter().find(|count| replicas.id(count.dot.replica()) == me)
    }
}

impl Count {
    /// Whether it has gone on since the last reset that it knows of.
    fn is_live(&self) -> bool {
        self.last > self.base_seq
    }

    /// The count with the furthest floor of its owner as its base.
    pub(crate) fn folded(self, tally: Option<&Tally>, owner: ReplicaId) -> Self {
        let floors = tally.into_iter().flat_map(|tally| &tally.floors).map(|tagged| &tagged.value);
        let furthest = floors.filter(|floor| floor.owner == owner && floor.seq > self.base_seq);
        match furthest.max_by_key(|floor| floor.seq) {
            Some(floor) => Self { base_seq: floor.seq, base_sum: floor.sum, ..self },
            None => self,
        }
    }
}

/// Plans one more increment of what reads as `reading`; gives the new value.
pub(crate) fn plan_incr(
    reading: Option<Reading<'_>>,
    tally: Option<&Tally>,
    plan: &mut Plan<'_>,
    part: Part,
    by: i64,
    not_integer: OpError,
) -> Result<i64, OpError> {
    let (after, by) = add_integer(reading, by, not_integer)?;
    plan_count(tally, plan, part, by);
    Ok(after)
}

/// What reads as `reading` and `by` more, and `by` as a decimal.
pub(crate) fn add_integer(reading: Option<Reading<'_>>, by: i64, not_integer: OpError) -> Result<(i64, i128), OpError> {
    let before = match reading {
        Some(Reading::Text(text)) => parse_integer(text.as_slice()).ok_or(not_integer)?,
        Some(Reading::Number(number)) => decimal::to_integer(number).ok_or(not_integer)?,
        None => 0,
    };
    let after = before.checked_add(by).ok_or(OpError::Overflow)?;
    Ok((after, decimal::whole(by)))
}

/// Plans another `by`, in units of 10^-17, on what `me` has counted in a cell.
pub(crate) fn plan_count(tally: Option<&Tally>, plan: &mut Plan<'_>, part: Part, by: i128) {
    let seq = plan.next_seq;
    let count = match tally.and_then(|tally| tally.own_count(plan.replicas, plan.me)) {
        Some(own) => {
            let own = own.value.folded(tally, plan.me);
            Count { sum: own.sum.saturating_add(by), last: seq, ..own }
        }
        None => Count { sum: by, last: seq, base_seq: seq - 1, base_sum: 0 },
    };
    let removes = own_dots(tally, plan.replicas, plan.me).map(|dot| plan.replicas.unpack(dot)).collect();
    plan.put(part, removes, Value::Count(Box::new(count)));
}

/// The dots of what `me` alone may rewrite: its count and the floors that others left for it.
fn own_dots<'a>(
    tally: Option<&'a Tally>,
    replicas: &'a Replicas,
    me: ReplicaId,
) -> impl Iterator<Item = PackedDot> + 'a {
    tally.into_iter().flat_map(move |tally| {
        let count = tally.own_count(replicas, me).map(|count| count.dot);
        let floors = tally.floors.iter().filter(move |floor| floor.value.owner == me);
        count.into_iter().chain(floors.map(|floor| floor.dot))
    })
}

/// An integer in the only spelling Redis takes: no plus sign, no blanks, no leading zeros.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut n = 0i128;
    for digit in digits {
        n = n * 10 + i128::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
    }
    i64::try_from(if negative { -n } else { n }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_spelled_as_redis_spells_them() {
        let good = ["0", "7", "-7", "9223372036854775807", "-9223372036854775808"];
        for text in good {
            assert_eq!(parse_integer(text.as_bytes()).map(|n| n.to_string()).as_deref(), Some(text));
        }
        let bad =
            ["", "-", "-0", "00", "07", "+7", " 7", "7 ", "7.0", "9223372036854775808", "99999999999999999999", "x"];
        for text in bad {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
