//! Reads a database in MaxMind's format into a layer: country, city and ASN databases, and flat ones such as ip-location-db's.
//!
//! The crate `maxminddb` knows the format: it checks the head and decodes records, each within bounds of depth, of values and of
//! bytes, so that no damage makes it panic or run away. The tree of networks is walked here, since the crate's walk takes as long
//! as a damaged tree tells it to: a tree has each node once, so that a node met again ends the walk. (IPv4 space under other
//! names, as databases link it, is met again where it is looked up as IPv4 anyway, and passed over.)
//!
//! Whatever is wrong with a file is an error of the whole file: half a database sends half of the users to the wrong place.

use maxminddb::Reader;

use super::{
    fold::FOLDED_SPACE,
    layer::{Facts, Layer, Numbers, Tilers, last_of},
    record::Record,
};

/// Why a file is no database.
#[derive(Debug, thiserror::Error)]
pub enum MmdbError {
    /// Its head is not MaxMind's, or a record cannot be read.
    #[error("not a sound MaxMind database: {0}")]
    Format(#[from] maxminddb::MaxMindDbError),
    /// Networks lead in a circle, or to each other.
    #[error("not a sound MaxMind database: its networks are no tree at node {node}")]
    NoTree {
        /// The node that is reached by two ways.
        node: u32,
    },
    /// A record that is none.
    #[error("not a sound MaxMind database: a network leads to no record, pointer {pointer}")]
    NoRecord {
        /// Where it leads.
        pointer: u32,
    },
    /// Records are there, and none says where anything is.
    #[error("its records have no field that is known here (country, city, location, autonomous system)")]
    NothingKnown,
}

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MmdbHead {
    /// Its kind, as its maker calls it: `DBIP-City-Lite`.
    pub kind: String,
    /// When it was built, seconds since 1970.
    pub build_epoch: u64,
}

/// Reads a database. `source` is what it is called when it is asked where a place comes from.
pub fn read_mmdb(bytes: &[u8], source: &str) -> Result<(Layer, MmdbHead), MmdbError> {
    let reader = Reader::from_source(bytes)?;
    let head = MmdbHead {
        kind: reader.metadata().database_type.chars().filter(|c| !c.is_control()).take(64).collect(),
        build_epoch: reader.metadata().build_epoch,
    };
    let mut records = Records { reader: &reader, numbers: Numbers::new(), facts: Vec::new(), any: false };
    let mut tilers = Tilers::new();
    Tree::of(&reader, bytes).walk(|network, pointer| {
        let facts = records.number(network, pointer)?;
        if facts > 0 {
            put(network, facts, &mut tilers);
        }
        Ok(())
    })?;
    if records.facts.is_empty() && records.any {
        return Err(MmdbError::NothingKnown);
    }
    Ok((tilers.finish(source, records.facts), head))
}

/// A network of the tree.
#[derive(Debug, Clone, Copy)]
struct Network {
    /// Whether the tree is one of IPv4 only.
    v4_tree: bool,
    /// Its first address: IPv4 in the upper bits of a tree of IPv4 only.
    first: u128,
    /// How many bits its addresses share.
    depth: u8,
}

impl Network {
    fn child(self, right: bool) -> Self {
        let bit = if right { 1 << (127 - self.depth) } else { 0 };
        Self { first: self.first | bit, depth: self.depth + 1, ..self }
    }

    /// Its first IPv4 address and prefix length, if it is one of IPv4.
    fn v4(self) -> Option<(u32, u8)> {
        if self.v4_tree {
            Some(((self.first >> 96) as u32, self.depth))
        } else {
            let depth = self.depth.checked_sub(96)?;
            (self.first >> 32 == 0).then_some((self.first as u32, depth))
        }
    }

    /// Whether it lies in space that is looked up as IPv4.
    fn is_folded(self) -> bool {
        let half = (self.first >> 64) as u64;
        !self.v4_tree && FOLDED_SPACE.iter().any(|&(first, last)| (first..=last).contains(&half)) && self.depth >= 16
    }
}

fn put(network: Network, facts: u32, tilers: &mut Tilers) {
    if let Some((first, prefix)) = network.v4() {
        tilers.put_v4(first.into(), last_of::<u32>(first.into(), prefix), facts);
    } else {
        // Of networks longer than /64 the first one speaks for the /64.
        let first = (network.first >> 64) as u64;
        tilers.put_v6(first, last_of::<u64>(first, network.depth.min(64)), facts);
    }
}

/// The tree of networks, which stands at the beginning of the file.
struct Tree<'b> {
    bytes: &'b [u8],
    nodes: u32,
    node_bytes: usize,
    bits: u8,
}

impl<'b> Tree<'b> {
    fn of(reader: &Reader<&'b [u8]>, bytes: &'b [u8]) -> Self {
        let head = reader.metadata();
        let bits = if head.ip_version == 4 { 32 } else { 128 };
        Self { bytes, nodes: head.node_count, node_bytes: usize::from(head.record_size) / 4, bits }
    }

    /// Calls for each network with a record, in order.
    fn walk(&self, mut each: impl FnMut(Network, u32) -> Result<(), MmdbError>) -> Result<(), MmdbError> {
        let mut seen = vec![0_u64; (self.nodes as usize).div_ceil(64)];
        let mut rest = vec![(0_u32, Network { v4_tree: self.bits == 32, first: 0, depth: 0 })];
        while let Some((node, network)) = rest.pop() {
            if node > self.nodes {
                each(network, node)?;
                continue;
            }
            let Some(word) = seen.get_mut(node as usize / 64).filter(|_| node < self.nodes) else { continue };
            if *word & 1 << (node % 64) != 0 {
                if network.is_folded() {
                    continue;
                }
                return Err(MmdbError::NoTree { node });
            }
            *word |= 1 << (node % 64);
            if network.depth >= self.bits {
                return Err(MmdbError::NoTree { node });
            }
            let (left, right) = self.children(node).ok_or(MmdbError::NoTree { node })?;
            rest.push((right, network.child(true)));
            rest.push((left, network.child(false)));
        }
        Ok(())
    }

    /// Both records of a node: of 24, 28 or 32 bits each.
    fn children(&self, node: u32) -> Option<(u32, u32)> {
        let at = node as usize * self.node_bytes;
        let bytes = self.bytes.get(at..at + self.node_bytes)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n: u32, &b| n << 8 | u32::from(b));
        match *bytes {
            // The half bytes in the middle are the upper ones.
            [a, b, c, middle, d, e, f] => {
                let (left, right) = (u32::from(middle >> 4) << 24, u32::from(middle & 15) << 24);
                Some((left | number(&[a, b, c]), right | number(&[d, e, f])))
            }
            _ => {
                let (left, right) = bytes.split_at(self.node_bytes / 2);
                Some((number(left), number(right)))
            }
        }
    }
}

/// The records that networks lead to.
struct Records<'r, 'b> {
    reader: &'r Reader<&'b [u8]>,
    /// By pointer: many networks lead to the same.
    numbers: Numbers<u32>,
    facts: Vec<Facts>,
    /// Whether there are any at all.
    any: bool,
}

impl Records<'_, '_> {
    /// The number of what the record says; 0 if that is nothing.
    fn number(&mut self, network: Network, pointer: u32) -> Result<u32, MmdbError> {
        self.any = true;
        let (reader, facts) = (self.reader, &mut self.facts);
        self.numbers.get(pointer, || {
            let addr = match network.v4() {
                Some((first, _)) => std::net::IpAddr::V4(first.into()),
                None => std::net::IpAddr::V6(network.first.into()),
            };
            let record: Option<Record> = reader.lookup(addr)?.decode()?;
            let found = record.ok_or(MmdbError::NoRecord { pointer })?.facts();
            if found == Facts::default() {
                return Ok(0);
            }
            facts.push(found);
            Ok(facts.len() as u32)
        })
    }
}
