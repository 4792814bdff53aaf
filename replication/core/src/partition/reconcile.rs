//! Which of a peer's elements are gone, where the removal log has forgotten: found by comparing sums over dots.
//!
//! ```text
//! maker                                                        taker (context `since`)
//! sums over its live elements in `since`, bucket by bucket ──►  compares with its own
//!                                                          ◄──  the buckets that differ
//! the live numbers in those buckets ────────────────────────►  its elements there that are not among them are gone
//! ```
//! A bucket is a range of 2^shift sequence numbers of one replica. Identity is a small dense number here, so a sum and a list
//! of numbers say what trees of hashes or sketches would say in more bytes. Where live elements are sparse, buckets are made
//! wider, so that there is about one for each sixteen elements at most.
//!
//! What the maker removes between the two answers is in its removal log and is named as well ([`Partition::catch_up_compared`]).

use std::collections::{BTreeMap, BTreeSet};

use super::Partition;
use super::digest::element_hash;
use crate::{Dot, ReplicaId, VersionVector};

/// The narrowest bucket: 4096 sequence numbers.
pub const LEAST_SHIFT: u8 = 12;
/// The widest.
pub const MOST_SHIFT: u8 = 47;
/// Live elements for each bucket, at least, before buckets are made wider.
const SPREAD: usize = 16;

/// A range of `2^shift` sequence numbers of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// Whose numbers.
    pub replica: ReplicaId,
    /// The numbers' upper bits.
    pub number: u64,
}

/// What lives in a bucket, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketSum {
    /// How many elements.
    pub count: u64,
    /// The sum of their hashes.
    pub sum: u64,
}

/// Sums over the live elements of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveSums {
    /// Width of the buckets, as a power of two.
    pub shift: u8,
    /// The buckets in which something lives, in order.
    pub buckets: Vec<(Bucket, BucketSum)>,
}

/// The live numbers of one bucket, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveBucket {
    /// The bucket.
    pub bucket: Bucket,
    /// Whole sequence numbers, all within the bucket.
    pub seqs: Vec<u64>,
}

impl Partition {
    /// Whether the removal log still tells what of `since` is gone.
    pub fn removals_known_since(&self, since: &VersionVector) -> bool {
        self.tracks
            .iter()
            .enumerate()
            .all(|(index, track)| track.removals_after(since.get(self.replicas.id(index as u16))).is_some())
    }

    /// Which of the dots in `since` were removed by changes after it, from the removal log; `None` if it has forgotten some.
    pub(super) fn removals_since(&self, since: &VersionVector) -> Option<Vec<Dot>> {
        let mut gone = Vec::new();
        for (index, track) in self.tracks.iter().enumerate() {
            let removals = track.removals_after(since.get(self.replicas.id(index as u16)))?;
            gone.extend(removals.map(|dot| self.replicas.unpack(dot)).filter(|dot| since.covers(*dot)));
        }
        gone.sort_unstable();
        gone.dedup();
        Some(gone)
    }

    /// Sums over the live elements in `since`, in buckets as wide as they are sparse.
    pub fn live_sums(&self, since: &VersionVector) -> LiveSums {
        let mut shift = LEAST_SHIFT;
        let (mut sums, mut elements) = (BTreeMap::new(), 0);
        self.each_live(since, |dot, hash| {
            elements += 1;
            add(&mut sums, Bucket::of(dot, shift), BucketSum { count: 1, sum: hash });
        });
        while sums.len() > elements / SPREAD + 1 && shift < MOST_SHIFT {
            shift += 1;
            let mut wider = BTreeMap::new();
            for (bucket, sum) in sums {
                add(&mut wider, Bucket { number: bucket.number >> 1, ..bucket }, sum);
            }
            // One bucket for each replica is as wide as it gets.
            let as_wide_as_can_be = wider.len() == wider.keys().map(|b| b.replica).collect::<BTreeSet<_>>().len();
            sums = wider;
            if as_wide_as_can_be {
                break;
            }
        }
        LiveSums { shift, buckets: sums.into_iter().collect() }
    }

    /// The buckets in which something lives here, and not exactly what `theirs` sums up.
    pub fn differing(&self, since: &VersionVector, theirs: &LiveSums) -> Vec<Bucket> {
        let mut own = BTreeMap::new();
        self.each_live(since, |dot, hash| {
            add(&mut own, Bucket::of(dot, theirs.shift), BucketSum { count: 1, sum: hash });
        });
        let theirs: BTreeMap<Bucket, BucketSum> = theirs.buckets.iter().copied().collect();
        own.into_iter().filter(|(bucket, sum)| theirs.get(bucket) != Some(sum)).map(|(bucket, _)| bucket).collect()
    }

    /// The live numbers in some buckets, in the order of `buckets`, which must be sorted; empty ones included.
    pub fn live_in(&self, since: &VersionVector, shift: u8, buckets: &[Bucket]) -> Vec<LiveBucket> {
        let mut live: Vec<LiveBucket> =
            buckets.iter().map(|bucket| LiveBucket { bucket: *bucket, seqs: Vec::new() }).collect();
        self.each_live_dot(since, |dot| {
            if let Ok(at) = buckets.binary_search(&Bucket::of(dot, shift)) {
                live[at].seqs.push(dot.seq);
            }
        });
        live.iter_mut().for_each(|bucket| bucket.seqs.sort_unstable());
        live
    }

    /// The elements here that live in one of those buckets and are not among their live numbers: they are gone.
    pub fn gone_by(&self, since: &VersionVector, shift: u8, live: &[LiveBucket]) -> Vec<Dot> {
        let live: BTreeMap<Bucket, &[u64]> = live.iter().map(|live| (live.bucket, &live.seqs[..])).collect();
        let mut gone = Vec::new();
        self.each_live_dot(since, |dot| {
            let seqs = live.get(&Bucket::of(dot, shift));
            if seqs.is_some_and(|seqs| seqs.binary_search(&dot.seq).is_err()) {
                gone.push(dot);
            }
        });
        gone.sort_unstable();
        gone
    }

    fn each_live(&self, since: &VersionVector, mut visit: impl FnMut(Dot, u64)) {
        for slot in 0..self.keys.slots() {
            self.keys.body(slot).for_each(&self.replicas, &mut |element| {
                let dot = self.replicas.unpack(element.dot);
                if since.covers(dot) {
                    visit(dot, element_hash(self.keys.key(slot), element.part, dot, element.value));
                }
            });
        }
    }

    pub(super) fn each_live_dot(&self, since: &VersionVector, mut visit: impl FnMut(Dot)) {
        for slot in 0..self.keys.slots() {
            self.keys.body(slot).for_each(&self.replicas, &mut |element| {
                let dot = self.replicas.unpack(element.dot);
                if since.covers(dot) {
                    visit(dot);
                }
            });
        }
    }
}

impl Bucket {
    fn of(dot: Dot, shift: u8) -> Self {
        Self { replica: dot.replica, number: dot.seq >> shift }
    }
}

fn add(sums: &mut BTreeMap<Bucket, BucketSum>, bucket: Bucket, more: BucketSum) {
    let sum = sums.entry(bucket).or_default();
    sum.count += more.count;
    sum.sum = sum.sum.wrapping_add(more.sum);
}
