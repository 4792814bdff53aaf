//! The set: members, each there while any of its adds is live. Add wins: SREM removes the adds it observed, and a concurrent
//! SADD survives it. That is why SADD of a member that is there already is a change too.

use crate::dots::{PackedDot, Rank, Replicas, Siblings, Tagged, rank, take};
use crate::types::submap::SubMap;
use crate::types::{Element, HeldRef, PartRef};

#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    members: SubMap<Siblings<()>>,
}

impl Members {
    pub(crate) fn insert(&mut self, member: &[u8], new: Tagged<()>) {
        self.members.get_or_insert(member).push(new);
    }

    pub(crate) fn take(&mut self, member: &[u8], dot: PackedDot) -> bool {
        let Some(adds) = self.members.get_mut(member) else { return false };
        let taken = take(adds, dot).is_some();
        if adds.is_empty() {
            self.members.remove(member);
        }
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The live adds of a member; none means it is not in the set.
    pub(crate) fn adds(&self, member: &[u8]) -> &[Tagged<()>] {
        self.members.get(member).map_or(&[], |adds| &adds[..])
    }

    /// Whether clients see the member.
    pub(crate) fn has(&self, member: &[u8]) -> bool {
        !self.adds(member).is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.members.iter().map(|(member, _)| member)
    }

    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        self.members.iter().flat_map(|(_, adds)| adds).map(|add| rank(add, replicas)).max()
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        for (member, adds) in self.members.iter() {
            for Tagged { dot, hlc, .. } in adds {
                let part = PartRef::Member(member);
                visit(Element { part, dot: *dot, hlc: *hlc, value: HeldRef::Member });
            }
        }
    }
}
