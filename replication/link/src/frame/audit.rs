//! Bodies of the frames by which two regions compare what they hold: per partition, then per bucket of keys, then per key.
//! Each sum comes with a hash of the context at which it holds; only sums at equal contexts are compared.

use replication_core::KEY_BUCKETS;

use crate::vectors::{Malformed, Reader, put_varint};

/// The most keys that one frame names.
pub(crate) const MOST_KEYS: usize = 512;
/// The longest part of a key that is named, in bytes.
pub(crate) const MOST_KEY_BYTES: usize = 256;

/// One partition at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) partition: u16,
    pub(crate) context: u64,
    pub(crate) sum: u64,
}

/// The sums of a partition's key buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketSums {
    pub(crate) partition: u16,
    pub(crate) context: u64,
    /// One for each of [`KEY_BUCKETS`] buckets.
    pub(crate) sums: Vec<u64>,
}

/// A question for the keys of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AskKeys {
    pub(crate) partition: u16,
    pub(crate) bucket: u8,
}

/// Keys of one bucket with their sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySums {
    pub(crate) partition: u16,
    pub(crate) context: u64,
    pub(crate) bucket: u8,
    /// The keys' beginnings, the keys' hashes, their sums.
    pub(crate) keys: Vec<(Vec<u8>, u64, u64)>,
}

pub(super) fn encode_digests(out: &mut Vec<u8>, digests: &[Digest]) {
    put_varint(out, digests.len() as u64);
    for digest in digests {
        put_varint(out, u64::from(digest.partition));
        put_words(out, &[digest.context, digest.sum]);
    }
}

pub(super) fn decode_digests(reader: &mut Reader<'_>) -> Result<Vec<Digest>, Malformed> {
    let mut digests = Vec::new();
    for _ in 0..reader.count(17)? {
        digests.push(Digest { partition: reader.partition()?, context: word(reader)?, sum: word(reader)? });
    }
    Ok(digests)
}

impl BucketSums {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.partition));
        put_words(out, &[self.context]);
        put_words(out, &self.sums);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (partition, context) = (reader.partition()?, word(reader)?);
        let sums = (0..KEY_BUCKETS).map(|_| word(reader)).collect::<Result<_, _>>()?;
        Ok(Self { partition, context, sums })
    }
}

impl AskKeys {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.partition));
        out.push(self.bucket);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { partition: reader.partition()?, bucket: bucket(reader)? })
    }
}

impl KeySums {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.partition));
        put_words(out, &[self.context]);
        out.push(self.bucket);
        put_varint(out, self.keys.len() as u64);
        for (key, hash, sum) in &self.keys {
            put_varint(out, key.len() as u64);
            out.extend_from_slice(key);
            put_words(out, &[*hash, *sum]);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (partition, context, bucket) = (reader.partition()?, word(reader)?, bucket(reader)?);
        let count = reader.count(17)?;
        if count > MOST_KEYS {
            return Err(Malformed("more keys than a frame may name"));
        }
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let length = reader.varint()? as usize;
            if length > MOST_KEY_BYTES {
                return Err(Malformed("a key that is too long to be named"));
            }
            keys.push((reader.bytes(length)?.to_vec(), word(reader)?, word(reader)?));
        }
        Ok(Self { partition, context, bucket, keys })
    }
}

fn put_words(out: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

fn word(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    reader.array().map(u64::from_le_bytes)
}

fn bucket(reader: &mut Reader<'_>) -> Result<u8, Malformed> {
    let [bucket] = reader.array()?;
    if bucket < KEY_BUCKETS { Ok(bucket) } else { Err(Malformed("no such bucket")) }
}
