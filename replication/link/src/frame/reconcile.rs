//! Bodies of the frames by which two regions find out what is gone by comparing sums (see core's `reconcile.rs`).
//!
//! ```text
//! bucket    index of the replica in a table │ number
//! live      0, gaps between numbers …  or  1, a bitmap: whichever is shorter
//! ```

use std::collections::BTreeSet;

use replication_core::{
    Bucket, BucketSum, LEAST_SHIFT, LiveBucket, LiveSums, MAX_SEQ, MOST_SHIFT, ReplicaId, VersionVector,
};

use crate::vectors::{self, Malformed, Reader, put_varint};

/// The most live numbers that one frame lists: a bitmap takes much less room than the numbers in it.
pub(crate) const MOST_NUMBERS: usize = 1 << 20;

/// Sums over what lives at the speaker, of what the listener's context covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) partition: u16,
    pub(crate) since: VersionVector,
    pub(crate) sums: LiveSums,
}

/// The buckets in which the speaker holds something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Differing {
    pub(crate) partition: u16,
    pub(crate) shift: u8,
    pub(crate) buckets: Vec<Bucket>,
}

/// What lives at the speaker in those buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) partition: u16,
    pub(crate) since: VersionVector,
    pub(crate) shift: u8,
    pub(crate) live: Vec<LiveBucket>,
}

impl Sums {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        vectors::encode(out, &[(self.partition, self.since.clone())]);
        out.push(self.sums.shift);
        let replicas = put_replicas(out, self.sums.buckets.iter().map(|(bucket, _)| bucket));
        put_varint(out, self.sums.buckets.len() as u64);
        for (bucket, sum) in &self.sums.buckets {
            put_bucket(out, &replicas, bucket);
            put_varint(out, sum.count);
            out.extend_from_slice(&sum.sum.to_le_bytes());
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (partition, since) = vectors::decode_one(reader)?;
        let shift = read_shift(reader)?;
        let replicas = vectors::decode_replicas(reader)?;
        let mut buckets = Vec::new();
        for _ in 0..reader.count(11)? {
            let bucket = read_bucket(reader, &replicas, shift)?;
            let count = reader.varint()?;
            buckets.push((bucket, BucketSum { count, sum: u64::from_le_bytes(reader.array()?) }));
        }
        Ok(Self { partition, since, sums: LiveSums { shift, buckets } })
    }
}

impl Differing {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.partition));
        out.push(self.shift);
        let replicas = put_replicas(out, self.buckets.iter());
        put_varint(out, self.buckets.len() as u64);
        self.buckets.iter().for_each(|bucket| put_bucket(out, &replicas, bucket));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let partition = reader.partition()?;
        let shift = read_shift(reader)?;
        let replicas = vectors::decode_replicas(reader)?;
        let mut buckets: Vec<Bucket> = Vec::new();
        for _ in 0..reader.count(2)? {
            let bucket = read_bucket(reader, &replicas, shift)?;
            if buckets.last().is_some_and(|last| *last >= bucket) {
                return Err(Malformed("buckets out of order"));
            }
            buckets.push(bucket);
        }
        Ok(Self { partition, shift, buckets })
    }
}

impl Live {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        vectors::encode(out, &[(self.partition, self.since.clone())]);
        out.push(self.shift);
        let replicas = put_replicas(out, self.live.iter().map(|live| &live.bucket));
        put_varint(out, self.live.len() as u64);
        for live in &self.live {
            put_bucket(out, &replicas, &live.bucket);
            put_seqs(out, live, self.shift);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (partition, since) = vectors::decode_one(reader)?;
        let shift = read_shift(reader)?;
        let replicas = vectors::decode_replicas(reader)?;
        let (mut live, mut numbers) = (Vec::new(), 0);
        for _ in 0..reader.count(4)? {
            let bucket = read_bucket(reader, &replicas, shift)?;
            let seqs = read_seqs(reader, bucket.number, shift)?;
            numbers += seqs.len();
            if numbers > MOST_NUMBERS {
                return Err(Malformed("more numbers than a frame may have"));
            }
            live.push(LiveBucket { bucket, seqs });
        }
        Ok(Self { partition, since, shift, live })
    }
}

const GAPS: u8 = 0;
const BITMAP: u8 = 1;

fn put_seqs(out: &mut Vec<u8>, live: &LiveBucket, shift: u8) {
    let first = live.bucket.number << shift;
    let mut gaps = Vec::new();
    put_varint(&mut gaps, live.seqs.len() as u64);
    live.seqs.iter().fold(first, |last, seq| {
        put_varint(&mut gaps, seq - last);
        *seq
    });
    let bytes = live.seqs.last().map_or(0, |last| ((last - first) / 8 + 1) as usize);
    if gaps.len() <= bytes {
        out.push(GAPS);
        out.extend_from_slice(&gaps);
        return;
    }
    out.push(BITMAP);
    put_varint(out, bytes as u64);
    let mut bits = vec![0_u8; bytes];
    live.seqs.iter().for_each(|seq| bits[((seq - first) / 8) as usize] |= 1 << ((seq - first) % 8));
    out.extend_from_slice(&bits);
}

fn read_seqs(reader: &mut Reader<'_>, number: u64, shift: u8) -> Result<Vec<u64>, Malformed> {
    let outside = Malformed("a number outside its bucket");
    let first = number << shift;
    let mut seqs = Vec::new();
    match reader.array()? {
        [GAPS] => {
            let mut last = first;
            for _ in 0..reader.count(1)? {
                last = last.checked_add(reader.varint()?).ok_or(outside)?;
                seqs.push(last);
            }
        }
        [BITMAP] => {
            let bytes = reader.count(1)?;
            if bytes > MOST_NUMBERS {
                return Err(Malformed("a bitmap that is too long"));
            }
            for (at, byte) in reader.bytes(bytes)?.iter().enumerate() {
                let base = first + at as u64 * 8;
                seqs.extend((0..8).filter(|bit| byte & (1 << bit) != 0).map(|bit| base + bit));
            }
        }
        _ => return Err(Malformed("an unknown kind of list")),
    }
    let inside = seqs.last().is_none_or(|last| last >> shift == number && *last <= MAX_SEQ);
    if inside { Ok(seqs) } else { Err(outside) }
}

fn put_replicas<'a>(out: &mut Vec<u8>, buckets: impl Iterator<Item = &'a Bucket>) -> Vec<ReplicaId> {
    let replicas: BTreeSet<ReplicaId> = buckets.map(|bucket| bucket.replica).collect();
    let replicas: Vec<ReplicaId> = replicas.into_iter().collect();
    vectors::encode_replicas(out, &replicas);
    replicas
}

fn put_bucket(out: &mut Vec<u8>, replicas: &[ReplicaId], bucket: &Bucket) {
    // Always found: the table was made of these very buckets.
    put_varint(out, replicas.binary_search(&bucket.replica).unwrap_or_default() as u64);
    put_varint(out, bucket.number);
}

fn read_bucket(reader: &mut Reader<'_>, replicas: &[ReplicaId], shift: u8) -> Result<Bucket, Malformed> {
    let replica = *replicas.get(reader.varint()? as usize).ok_or(Malformed("no such replica"))?;
    let number = reader.varint()?;
    if number > MAX_SEQ >> shift {
        return Err(Malformed("a bucket beyond the last number"));
    }
    Ok(Bucket { replica, number })
}

fn read_shift(reader: &mut Reader<'_>) -> Result<u8, Malformed> {
    let [shift] = reader.array()?;
    if (LEAST_SHIFT..=MOST_SHIFT).contains(&shift) { Ok(shift) } else { Err(Malformed("buckets of a strange width")) }
}
