//! A HyperLogLog: one sketch per region, in Redis's stored form (`hll/`), read as their union.
//!
//! A PFADD or PFMERGE that raises a register of the union replaces the region's own sketch by one with that register raised, and
//! leaves the sketches of others alone. One that raises nothing writes nothing.
//!
//! **Law: the union counts every element whose sketch no DEL has observed.** The union is a maximum per register, so it does not
//! depend on order or repetition; and registers that two sketches share do no harm. A DEL removes the sketches it observed. A
//! region that adds at the same time keeps its whole sketch, also what it had added before: registers do not tell which element
//! raised them. (Redis Enterprise drops the new element instead.)

use crate::blob::Blob;
use crate::dots::{PackedDot, Rank, Replicas, Siblings, Tagged, rank, take};
use crate::hll::{Draft, Mark, Registers, Sketch};
use crate::types::{Element, Held, HeldRef, PartRef};

#[derive(Clone, Debug, Default)]
pub(crate) struct Sketches {
    siblings: Siblings<Blob>,
}

impl Sketches {
    pub(crate) fn insert(&mut self, new: Tagged<Blob>) {
        self.siblings.push(new);
    }

    pub(crate) fn take(&mut self, dot: PackedDot) -> Option<Held> {
        take(&mut self.siblings, dot).map(Held::Text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.siblings.is_empty()
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        for Tagged { dot, hlc, value } in &self.siblings {
            visit(Element { part: PartRef::Sketch, dot: *dot, hlc: *hlc, value: HeldRef::Text(value) });
        }
    }

    /// The greatest stamp.
    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        self.siblings.iter().map(|tagged| rank(tagged, replicas)).max()
    }

    pub(crate) fn dots(&self) -> impl Iterator<Item = PackedDot> {
        self.siblings.iter().map(|tagged| tagged.dot)
    }

    /// The sketches of one region: one, or one more for each incarnation that it has not written since.
    pub(crate) fn of_region<'a>(
        &'a self,
        region: u16,
        replicas: &'a Replicas,
    ) -> impl Iterator<Item = &'a Tagged<Blob>> {
        self.siblings.iter().filter(move |tagged| replicas.id(tagged.dot.replica()).region == region)
    }

    /// What the region goes on from: its sketches as one.
    pub(crate) fn draft(&self, region: u16, replicas: &Replicas) -> Draft {
        let mut own = self.of_region(region, replicas).filter_map(|tagged| Sketch::parse(tagged.value.as_slice()).ok());
        let mut draft = own.next().and_then(|first| Draft::from(first).ok()).unwrap_or_else(Draft::empty);
        for earlier in own {
            let mut registers = Registers::new();
            if registers.merge(earlier).is_ok() {
                registers.marks().for_each(|mark| draft.add(mark));
            }
        }
        draft
    }

    /// Each sketch; one that is damaged, which only a peer gone wrong can have sent, counts nothing.
    pub(crate) fn sketches(&self) -> impl Iterator<Item = Sketch<'_>> {
        self.siblings.iter().filter_map(|tagged| Sketch::parse(tagged.value.as_slice()).ok())
    }

    /// Whether the union has it already.
    pub(crate) fn covers(&self, mark: Mark) -> bool {
        self.sketches().any(|sketch| sketch.covers(mark).unwrap_or(false))
    }

    /// The one sketch that all of them are to clients, in stored form.
    pub(crate) fn union(&self) -> Union<'_> {
        if let [only] = &self.siblings[..] {
            return Union::One(&only.value);
        }
        let mut registers = Registers::new();
        // A damaged sketch is left out, whatever of it was read before the damage showed.
        self.sketches().for_each(|sketch| _ = registers.merge(sketch));
        let mut draft = Draft::empty();
        if self.sketches().any(Sketch::is_dense) {
            draft.make_dense();
        }
        registers.marks().for_each(|mark| draft.add(mark));
        Union::Made(draft.finish())
    }
}

/// A sketch as clients read it.
pub(crate) enum Union<'a> {
    One(&'a Blob),
    Made(bytes::Bytes),
}
