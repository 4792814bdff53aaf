//! The running sum over live elements that shows at a glance whether two regions hold the same; and, where they do not, sums
//! over fewer keys and in the end over one, computed when asked for.

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Partition;
use crate::types::{HeldRef, PartRef};
use crate::{Dot, VersionVector};

/// Into how many buckets the keys of a partition fall for [`Partition::key_bucket_sums`].
pub const KEY_BUCKETS: u8 = 64;

impl Partition {
    /// What two regions compare: where the first number, that of the context, is equal, the second must be.
    pub fn audit_sum(&self) -> (u64, u64) {
        (context_hash(&self.vv), self.digest)
    }

    /// The sum over live elements, split by key.
    pub fn key_bucket_sums(&self) -> Vec<u64> {
        let mut sums = vec![0_u64; usize::from(KEY_BUCKETS)];
        for slot in self.occupied() {
            let sum = &mut sums[usize::from(key_bucket(self.keys.key(slot)))];
            *sum = sum.wrapping_add(self.sum(slot, self.keys.body(slot)));
        }
        sums
    }

    /// The keys of one bucket with their sums, at most `most` of them; in no order.
    pub fn key_sums(&self, bucket: u8, most: usize) -> Vec<(Bytes, u64)> {
        let of_bucket = self.occupied().filter(|slot| key_bucket(self.keys.key(*slot)) == bucket);
        let sum = |slot| (Bytes::copy_from_slice(self.keys.key(slot)), self.sum(slot, self.keys.body(slot)));
        of_bucket.take(most).map(sum).collect()
    }

    fn occupied(&self) -> impl Iterator<Item = u32> {
        (0..self.keys.slots()).filter(|slot| !self.keys.body(*slot).is_empty())
    }
}

/// The bucket of a key.
fn key_bucket(key: &[u8]) -> u8 {
    (xxh3_64(key) % u64::from(KEY_BUCKETS)) as u8
}

fn context_hash(vv: &VersionVector) -> u64 {
    vv.iter().fold(vv.len() as u64, |hash, (replica, seq)| mix(hash, bound(Some(Dot { replica, seq }))))
}

/// A hash of one live element: where it is, who wrote it, what it says. The dot alone would name it; the rest makes the sum see
/// damaged memory and reused identities too.
pub(super) fn element_hash(key: &[u8], part: PartRef<'_>, dot: Dot, value: HeldRef<'_>) -> u64 {
    let place = match part {
        PartRef::Cell => 1,
        PartRef::Field(field) => mix(xxh3_64(field), 2),
        PartRef::Member(member) => mix(xxh3_64(member), 3),
        PartRef::Deadline => 4,
        PartRef::FieldDeadline(field) => mix(xxh3_64(field), 5),
        PartRef::Rated(member) => mix(xxh3_64(member), 6),
        PartRef::Item(position) => mix(xxh3_64(position), 7),
        PartRef::Sketch => 8,
        PartRef::Key => 9,
    };
    let value = match value {
        HeldRef::Text(text) => xxh3_64(text.as_slice()),
        HeldRef::Member => 1,
        HeldRef::Revoked => 2,
        HeldRef::Score(score) => mix(score.0.to_bits(), 3),
        HeldRef::Deadline(deadline) => mix(deadline.at_ms, bound(deadline.bound)),
        HeldRef::Count(count) => {
            let sums = mix(wide(count.sum), wide(count.base_sum));
            mix(sums, mix(count.last, count.base_seq))
        }
        HeldRef::Floor(floor) => mix(replica(floor.owner), mix(floor.seq, wide(floor.sum))),
    };
    xxh3_64_with_seed(key, mix(mix(place, value), bound(Some(dot))))
}

fn bound(dot: Option<Dot>) -> u64 {
    dot.map_or(0, |dot| mix(replica(dot.replica), dot.seq))
}

fn replica(id: crate::ReplicaId) -> u64 {
    u64::from(id.region) << 32 | u64::from(id.incarnation)
}

fn wide(n: i128) -> u64 {
    mix(n as u64, (n >> 64) as u64)
}

/// Two words into one, order-sensitive (the finalizer of splitmix64 over an odd combination).
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ b.wrapping_add(0x2545_f491_4f6c_dd1d);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
