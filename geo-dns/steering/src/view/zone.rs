//! A zone's names, and the lookup of RFC 1034 4.3.2 with RFC 4592's wildcards.

use std::sync::Arc;

use crate::{
    name::{MAX_NAME, Name, NameMap, suffixes},
    rr::{RrSet, Rtype},
    steer::Steering,
};

/// A zone.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) origin: Name,
    /// The origin as people write it.
    pub(crate) text: String,
    /// Its number among the View's [`super::Names`].
    pub(crate) index: u32,
    pub(crate) soa: RrSet,
    /// TTL of "there is no such thing", seconds: the lesser of the SOA's own and its MINIMUM (RFC 2308).
    pub(crate) negative_ttl: u32,
    /// What ANY gets (RFC 8482).
    pub(crate) any: RrSet,
    /// Whether there is any name at which the zone ends: nothing has to be looked for on the way to a name if not.
    pub(crate) has_ends: bool,
    /// Whether there is any wildcard: a name that does not exist is not looked for any further if not.
    pub(crate) has_wildcards: bool,
    /// Every name that exists, empty ones between others too (RFC 8020), wildcards under their own names.
    pub(crate) nodes: NameMap<Node>,
}

/// What is known of a name. There are millions of them, most with one record: what few have is kept elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Static records, one set per type.
    pub(crate) sets: Vec<RrSet>,
    /// How it is steered, if it is.
    pub(crate) steering: Option<Arc<Steering>>,
    /// Whose addresses it has, of an ALIAS: then steering says its A and AAAA, and nothing else.
    pub(crate) flattened: Option<Box<Name>>,
    /// What stands for everything below it, and perhaps for the name itself. Apart, since hardly any name has it and a zone may have
    /// a million names.
    pub(crate) end: Option<Box<End>>,
}

/// From here on the zone says nothing itself.
#[derive(Debug)]
pub(crate) enum End {
    /// Other servers do.
    Delegation(Delegation),
    /// Another name does for every name below (RFC 6672): the target, in wire form.
    Dname(Name),
}

/// A part of the zone that other servers answer for.
#[derive(Debug)]
pub(crate) struct Delegation {
    pub(crate) servers: RrSet,
    /// Addresses of servers whose names lie below the cut: nobody else could tell them. With the place of the server's record
    /// in `servers`.
    pub(crate) glue: Vec<(usize, RrSet)>,
    /// Addresses of its servers elsewhere in the zone, in the same form: told as far as there is room.
    pub(crate) siblings: Vec<(usize, RrSet)>,
}

impl Node {
    pub(crate) fn set(&self, rtype: Rtype) -> Option<&RrSet> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    /// The CNAME, and where it points: in wire form, lower case, as all data is here.
    pub(crate) fn alias(&self) -> Option<(&RrSet, &[u8])> {
        let set = self.set(Rtype::CNAME)?;
        Some((set, set.rdata.first()?))
    }

    /// Whether it only stands between other names.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.steering.is_none() && self.flattened.is_none()
    }

    /// How a type is steered here, if it is.
    pub(crate) fn steers(&self, rtype: Rtype) -> Option<&Steering> {
        let is_lent = self.flattened.is_none() || matches!(rtype, Rtype::A | Rtype::AAAA);
        self.steering.as_deref().filter(|steering| is_lent && steering.steers(rtype))
    }
}

/// What a lookup found.
#[derive(Clone, Copy)]
pub(crate) enum Found<'v> {
    /// The name itself.
    Exact(&'v Node),
    /// A wildcard that speaks for it, and the name of that wildcard's parent.
    Wildcard(&'v Node, &'v [u8]),
    /// No such name.
    Nothing,
}

impl<'v> Found<'v> {
    pub(crate) fn node(self) -> Option<&'v Node> {
        match self {
            Self::Exact(node) | Self::Wildcard(node, _) => Some(node),
            Self::Nothing => None,
        }
    }
}

impl Zone {
    /// Looks up a name that lies in this zone.
    pub(crate) fn find(&self, name: &[u8]) -> Found<'_> {
        if let Some(node) = self.nodes.get(name) {
            return Found::Exact(node);
        }
        if !self.has_wildcards {
            return Found::Nothing;
        }
        // The closest name that exists above decides: a wildcard further up does not reach past it.
        let Some((encloser, _)) = suffixes(name).skip(1).find_map(|suffix| self.nodes.get_key_value(suffix)) else {
            return Found::Nothing;
        };
        match self.wildcard_under(encloser.as_wire()) {
            Some(node) => Found::Wildcard(node, encloser.as_wire()),
            None => Found::Nothing,
        }
    }

    /// The topmost name on the way down to `name` at which the zone ends, in front of which the name has this many bytes. A DNAME
    /// only counts for what is below it, and of a delegation DS is the zone's own to tell (RFC 4035, 3.1.4.1).
    pub(crate) fn end_above(&self, name: &[u8], rtype: Rtype) -> Option<(usize, &Node, &End)> {
        if !self.has_ends {
            return None;
        }
        let mut topmost = None;
        for suffix in suffixes(name) {
            let front = name.len() - suffix.len();
            let node = self.nodes.get(suffix);
            topmost = node
                .and_then(|node| Some((front, node, node.end.as_deref()?)))
                .filter(|(_, _, end)| match end {
                    End::Dname(_) => front > 0,
                    End::Delegation(_) => front > 0 || rtype != Rtype::DS,
                })
                .or(topmost);
            if suffix == self.origin.as_wire() {
                break;
            }
        }
        topmost
    }

    fn wildcard_under(&self, encloser: &[u8]) -> Option<&Node> {
        let mut name = [0; MAX_NAME];
        name[..2].copy_from_slice(&[1, b'*']);
        name.get_mut(2..2 + encloser.len())?.copy_from_slice(encloser);
        self.nodes.get(&name[..2 + encloser.len()])
    }
}
