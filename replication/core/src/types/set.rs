//! The set: members, each there while any of its adds is live and no mark hides it (see `mark.rs`). Without marks, add wins: SREM
//! removes the adds it observed, and a concurrent SADD survives it. That is why SADD of a member that is there already is a
//! change too.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::Dot;
use crate::dots::{PackedDot, Rank, Replicas, Siblings, Tagged, rank, take};
use crate::types::mark::Marks;
use crate::types::submap::SubMap;
use crate::types::{Element, Held, HeldRef, PartRef};

#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    members: SubMap<Siblings<()>>,
    marks: Option<Box<Marks>>,
    /// How many members a mark hides. Kept up to date, so that SCARD counts nothing.
    hidden: usize,
}

impl Members {
    /// Adds an add or a mark; tells whether a mark hides an add now. (Two adds agree.)
    pub(crate) fn insert(&mut self, member: &[u8], new: Tagged<Held>) -> bool {
        let Tagged { dot, hlc, value } = new;
        let before = self.is_hidden(member);
        let is_mark = matches!(value, Held::Revoked);
        if is_mark {
            self.marks.get_or_insert_default().insert(member, Tagged { dot, hlc, value: () });
            self.tidy(member);
        } else {
            self.members.get_or_insert(member).push(Tagged { dot, hlc, value: () });
        }
        self.recount(member, before);
        if is_mark { self.is_hidden(member) } else { self.is_marked(member) }
    }

    /// Takes an add or a mark out. `keep`: another one follows at once, so the member keeps its place.
    pub(crate) fn take(&mut self, member: &[u8], dot: PackedDot, keep: bool) -> Option<Held> {
        let before = self.is_hidden(member);
        let taken = match self.members.get_mut(member).and_then(|adds| take(adds, dot)) {
            Some(()) => Some(Held::Member),
            None => self.marks.as_mut().and_then(|marks| marks.take(member, dot)).map(|()| Held::Revoked),
        };
        self.recount(member, before);
        if !keep {
            self.tidy(member);
        }
        taken
    }

    /// Forgets a member of which nothing is left.
    pub(crate) fn tidy(&mut self, member: &[u8]) {
        if self.members.get(member).is_some_and(SmallVec::is_empty) {
            self.members.remove(member);
        }
        self.marks.take_if(|marks| marks.is_empty());
    }

    fn recount(&mut self, member: &[u8], before: bool) {
        self.hidden = self.hidden + usize::from(self.is_hidden(member)) - usize::from(before);
    }

    fn is_hidden(&self, member: &[u8]) -> bool {
        let marked = self.marks.as_ref().is_some_and(|marks| marks.has(member));
        marked && self.members.get(member).is_some_and(|adds| !adds.is_empty())
    }

    /// Nothing at all is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.marks.is_none()
    }

    /// Whether clients see any member; then the key exists.
    pub(crate) fn has_visible(&self) -> bool {
        self.members.len() > self.hidden
    }

    /// How many members clients see.
    pub(crate) fn len(&self) -> usize {
        self.members.len() - self.hidden
    }

    /// Whether clients see a member.
    pub(crate) fn has(&self, member: &[u8]) -> bool {
        !self.adds(member).is_empty() && !self.is_marked(member)
    }

    /// Whether a mark hides whatever is held of the member.
    pub(crate) fn is_marked(&self, member: &[u8]) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.has(member))
    }

    fn adds(&self, member: &[u8]) -> &[Tagged<()>] {
        self.members.get(member).map_or(&[], |adds| &adds[..])
    }

    /// Everything that is held of a member: its adds and its marks.
    pub(crate) fn dots<'a>(&'a self, member: &[u8], replicas: &'a Replicas) -> impl Iterator<Item = Dot> + 'a {
        let marks = self.marks.as_ref().map_or(&[][..], |marks| marks.of(member));
        self.adds(member).iter().chain(marks).map(|held| replicas.unpack(held.dot))
    }

    /// The members that clients see.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.members.iter().map(|(member, _)| member).filter(|member| !self.is_marked(member))
    }

    /// The members that clients see, to be chosen from by number.
    pub(crate) fn choice(&self) -> Vec<&[u8]> {
        self.iter().collect()
    }

    /// A page of members; see [`SubMap::page`].
    pub(crate) fn page(&self, cursor: u64, count: usize) -> (u64, impl Iterator<Item = &[u8]>) {
        let (next, page) = self.members.page(cursor, count);
        (next, page.map(|(member, _)| member).filter(|member| !self.is_marked(member)))
    }

    /// The member at a place, if nothing is hidden: then places are as good as numbers.
    pub(crate) fn at(&self, place: usize) -> Option<&[u8]> {
        if self.hidden > 0 { None } else { self.members.at(place).map(|(member, _)| member) }
    }

    /// Shows the adds and the marks of a member.
    pub(crate) fn each_sibling(&self, member: &[u8], visit: &mut dyn FnMut(Element<'_>)) {
        let marks = self.marks.as_ref().map_or(&[][..], |marks| marks.of(member));
        let adds = self.adds(member).iter().map(|add| (add, HeldRef::Member));
        for (Tagged { dot, hlc, .. }, value) in adds.chain(marks.iter().map(|mark| (mark, HeldRef::Revoked))) {
            visit(Element { part: PartRef::Member(member), dot: *dot, hlc: *hlc, value });
        }
    }

    pub(crate) fn rank(&self, replicas: &Replicas) -> Option<Rank> {
        let shown = self.members.iter().filter(|(member, _)| !self.is_marked(member));
        shown.flat_map(|(_, adds)| adds).map(|add| rank(add, replicas)).max()
    }

    pub(crate) fn marks(&self) -> Option<&Marks> {
        self.marks.as_deref()
    }

    /// The next marked members, `count` at most; see [`Marks::sweep`].
    pub(crate) fn sweep(&mut self, count: usize) -> Vec<Bytes> {
        self.marks.as_mut().map(|marks| marks.sweep(count)).unwrap_or_default()
    }

    /// How many entries its tables have.
    pub(crate) fn entries(&self) -> usize {
        self.members.len() + self.marks.as_ref().map_or(0, |marks| marks.len())
    }

    /// A page of the adds; see [`SubMap::page`].
    pub(crate) fn walk(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Element<'_>)) -> u64 {
        let (next, page) = self.members.page(cursor, count);
        for (member, adds) in page {
            for Tagged { dot, hlc, .. } in adds {
                visit(Element { part: PartRef::Member(member), dot: *dot, hlc: *hlc, value: HeldRef::Member });
            }
        }
        next
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Element<'_>)) {
        for (member, adds) in self.members.iter() {
            for Tagged { dot, hlc, .. } in adds {
                let part = PartRef::Member(member);
                visit(Element { part, dot: *dot, hlc: *hlc, value: HeldRef::Member });
            }
        }
        if let Some(marks) = &self.marks {
            marks.for_each(PartRef::Member, visit);
        }
    }
}
