//! Every change ever made, and what each context makes of them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use replication_core::{CatchUp, Dot, Gone, Hlc, Part, Put, ReplicaId, Value, VersionVector};

use super::{Rule, Violation};

/// What one change put somewhere.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Element {
    /// The key.
    pub(crate) key: Bytes,
    /// Where in the key.
    pub(crate) part: Part,
    /// The stamp.
    pub(crate) hlc: Hlc,
    /// The value.
    pub(crate) value: Value,
}

/// A place that can be counted on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// The string.
    Text,
    /// A hash field.
    Field(Bytes),
    /// A sorted set member.
    Member(Bytes),
}

/// One increment of a counter, as the client asked for it.
#[derive(Debug, Clone)]
pub(crate) struct Increment {
    /// The key.
    pub(crate) key: Bytes,
    /// Where in the key.
    pub(crate) spot: Spot,
    /// By how much, in hundredths.
    pub(crate) hundredths: i128,
}

/// How much of a key a command resets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it.
    Key,
    /// All hash fields.
    Hash,
    /// All sorted set members.
    Zset,
    /// One place.
    Spot(Spot),
}

/// A reset, as the client asked for it: it takes away what its maker had seen.
#[derive(Debug, Clone)]
pub(crate) struct Reset {
    /// The key.
    pub(crate) key: Bytes,
    /// How much of it.
    pub(crate) scope: Scope,
}

/// A change as it is made, seen from outside.
#[derive(Debug)]
pub(crate) struct Deed<'a> {
    /// Who made it.
    pub(crate) maker: ReplicaId,
    /// What its maker had seen before.
    pub(crate) before: &'a VersionVector,
    /// The maker's last change number afterwards.
    pub(crate) last_seq: u64,
    /// What it put and removed: what somebody with the context `before` lacks now.
    pub(crate) news: &'a CatchUp,
    /// Increments that it consists of.
    pub(crate) increments: Vec<Increment>,
    /// Resets that it consists of.
    pub(crate) resets: Vec<Reset>,
}

/// A partition as a region holds it.
#[derive(Debug)]
pub(crate) struct StateSeen<'a> {
    /// The region.
    pub(crate) region: u16,
    /// Its context.
    pub(crate) vv: &'a VersionVector,
    /// Its digest.
    pub(crate) digest: u64,
    /// Its live elements.
    pub(crate) elements: &'a [Put],
}

#[derive(Debug)]
struct Counted {
    dot: Dot,
    increment: Increment,
}

#[derive(Debug)]
struct ResetBy {
    dot: Dot,
    observed: VersionVector,
    reset: Reset,
}

/// One partition's past.
#[derive(Debug, Default)]
struct Past {
    elements: BTreeMap<Dot, Element>,
    removed_by: BTreeMap<Dot, Vec<Dot>>,
    /// The last change of each replica that was ever made.
    made: VersionVector,
    counted: Vec<Counted>,
    resets: Vec<ResetBy>,
    /// The digest that each context was seen with.
    digests: HashMap<VersionVector, u64>,
}

/// The past of the whole world.
#[derive(Debug, Default)]
pub(crate) struct History {
    partitions: BTreeMap<u16, Past>,
}

impl History {
    /// Notes a change as it is made.
    ///
    /// # Errors
    /// It bears the name of an earlier change, or removes what its maker cannot have seen.
    pub(crate) fn note(&mut self, deed: Deed<'_>) -> Result<(), Violation> {
        let past = self.partitions.entry(deed.news.partition).or_default();
        let first_seq = deed.before.get(deed.maker) + 1;
        let taken = past.made.get(deed.maker);
        if first_seq <= taken {
            let what = format!("{}:{first_seq} is made again, it was made up to {taken} before", deed.maker);
            return Err(Violation::new(Rule::DotsAreUnique, what));
        }
        let by = Dot { replica: deed.maker, seq: deed.last_seq };
        past.made.raise(deed.maker, deed.last_seq);
        for put in &deed.news.puts {
            let Put { key, part, hlc, value, .. } = put.clone();
            past.elements.insert(put.dot, Element { key, part, hlc, value });
        }
        match &deed.news.gone {
            Gone::These(dots) => dots.iter().for_each(|dot| past.removed_by.entry(*dot).or_default().push(by)),
            Gone::AllBut(kept) => {
                let gone: Vec<Dot> =
                    past.live(deed.before).map(|(dot, _)| dot).filter(|dot| !kept.contains(dot)).collect();
                gone.into_iter().for_each(|dot| past.removed_by.entry(dot).or_default().push(by));
            }
        }
        past.counted.extend(deed.increments.into_iter().map(|increment| Counted { dot: by, increment }));
        let observed = deed.before;
        past.resets.extend(deed.resets.into_iter().map(|reset| ResetBy { dot: by, observed: observed.clone(), reset }));
        Ok(())
    }

    /// A crash took changes that had never been written, and their names are free again.
    pub(crate) fn forget(&mut self, partition: u16, replica: ReplicaId, kept_seq: u64) {
        let Some(past) = self.partitions.get_mut(&partition) else { return };
        let made: VersionVector = past.made.iter().filter(|(id, _)| *id != replica).collect();
        past.made = made;
        past.made.raise(replica, kept_seq);
        let stays = |dot: &Dot| dot.replica != replica || dot.seq <= kept_seq;
        past.elements.retain(|dot, _| stays(dot));
        past.removed_by.values_mut().for_each(|by| by.retain(stays));
        past.counted.retain(|counted| stays(&counted.dot));
        past.resets.retain(|reset| stays(&reset.dot));
        past.digests.retain(|vv, _| vv.get(replica) <= kept_seq);
    }

    /// The last change of a replica in a partition.
    pub(crate) fn made(&self, partition: u16, replica: ReplicaId) -> u64 {
        self.partitions.get(&partition).map_or(0, |past| past.made.get(replica))
    }

    /// What a dot put, if anything did.
    pub(crate) fn element(&self, partition: u16, dot: Dot) -> Option<&Element> {
        self.partitions.get(&partition)?.elements.get(&dot)
    }

    /// The live elements of one key in a context.
    pub(crate) fn elements<'a>(
        &'a self,
        partition: u16,
        vv: &'a VersionVector,
        key: &'a [u8],
    ) -> Vec<(Dot, &'a Element)> {
        let past = self.partitions.get(&partition).into_iter();
        past.flat_map(|past| past.live(vv)).filter(|(_, element)| element.key == key).collect()
    }

    /// The sum of the increments in a context that no reset in it has observed, in hundredths; `None` if there is none.
    pub(crate) fn counted(&self, partition: u16, vv: &VersionVector, key: &[u8], spot: &Spot) -> Option<i128> {
        let past = self.partitions.get(&partition)?;
        let here = |counted: &&Counted| {
            vv.covers(counted.dot) && counted.increment.key == key && counted.increment.spot == *spot
        };
        let live = past.counted.iter().filter(here).filter(|counted| !past.is_reset(counted, vv));
        live.map(|counted| counted.increment.hundredths).reduce(|a, b| a + b)
    }

    /// Compares a state with what its context says it is.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn check(&mut self, partition: u16, seen: &StateSeen<'_>) -> Result<(), Violation> {
        let past = self.partitions.entry(partition).or_default();
        let place = format!("partition {partition} of region {} at [{}]", seen.region, seen.vv);
        if let Some((replica, seq)) = seen.vv.iter().find(|(replica, seq)| *seq > past.made.get(*replica)) {
            let what = format!("{place} covers {replica}:{seq}, which nobody has made");
            return Err(Violation::new(Rule::ContextsAreTrue, what));
        }
        past.compare(seen, &place)?;
        let before = *past.digests.entry(seen.vv.clone()).or_insert(seen.digest);
        if before != seen.digest {
            let what = format!("{place} has digest {:016x}, the same context had {before:016x}", seen.digest);
            return Err(Violation::new(Rule::EqualContextsEqualStates, what));
        }
        Ok(())
    }
}

impl Past {
    fn live<'a>(&'a self, vv: &'a VersionVector) -> impl Iterator<Item = (Dot, &'a Element)> {
        self.elements.iter().filter(|(dot, _)| vv.covers(**dot) && !self.is_removed(dot, vv)).map(|(dot, e)| (*dot, e))
    }

    fn is_removed(&self, dot: &Dot, vv: &VersionVector) -> bool {
        self.removed_by.get(dot).is_some_and(|by| by.iter().any(|remover| vv.covers(*remover)))
    }

    fn is_reset(&self, counted: &Counted, vv: &VersionVector) -> bool {
        let Increment { key, spot, .. } = &counted.increment;
        let within = |scope: &Scope| match scope {
            Scope::Key => true,
            Scope::Hash => matches!(spot, Spot::Field(_)),
            Scope::Zset => matches!(spot, Spot::Member(_)),
            Scope::Spot(reset) => reset == spot,
        };
        self.resets.iter().any(|by| {
            vv.covers(by.dot) && by.reset.key == *key && within(&by.reset.scope) && by.observed.covers(counted.dot)
        })
    }

    fn compare(&self, seen: &StateSeen<'_>, place: &str) -> Result<(), Violation> {
        let mut expected: BTreeMap<Dot, &Element> = self.live(seen.vv).collect();
        for put in seen.elements {
            let Some(element) = expected.remove(&put.dot) else {
                return Err(self.surplus(put, seen.vv, place));
            };
            if element.hlc != put.hlc {
                let what =
                    format!("{place} holds {} with stamp {}, it was made with {}", put.dot, put.hlc, element.hlc);
                return Err(Violation::new(Rule::ConflictRulesHold, what));
            }
            if element.key != put.key || element.part != put.part || element.value != put.value {
                let what = format!("{place} holds {} as {put:?}, it was made as {element:?}", put.dot);
                return Err(Violation::new(Rule::DotsAreUnique, what));
            }
        }
        match expected.first_key_value() {
            None => Ok(()),
            Some((dot, element)) => {
                let what =
                    format!("{place} covers {dot} and does not hold it, though nothing there removed it: {element:?}");
                Err(Violation::new(Rule::NoLostUpdate, what))
            }
        }
    }

    fn surplus(&self, put: &Put, vv: &VersionVector, place: &str) -> Violation {
        if !self.elements.contains_key(&put.dot) {
            return Violation::new(Rule::DotsAreUnique, format!("{place} holds {put:?}, which nobody has made"));
        }
        if !vv.covers(put.dot) {
            return Violation::new(Rule::ContextsAreTrue, format!("{place} holds {put:?}, which it does not cover"));
        }
        let by: Vec<String> = self.removed_by.get(&put.dot).into_iter().flatten().map(ToString::to_string).collect();
        Violation::new(Rule::NoResurrection, format!("{place} holds {put:?}, which was removed by {}", by.join(", ")))
    }
}
