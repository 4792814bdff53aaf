//! The audit, always on: where two regions have seen the same, they must hold the same.
//!
//! ```text
//! per partition   (hash of the context, sum)       sent when it has changed; compared where the contexts agree
//!   differs  →    64 sums over buckets of keys     asked for, compared
//!   differs  →    sums of that bucket's keys       asked for: the mismatch names partition, bucket and keys
//! ```
//! A sum and its context are read under one lock on either side, so equal contexts with unequal sums are never a race:
//! nothing false is reported under load. What does not agree in context is compared later. Each side judges for itself.
//! A partition that agrees again is struck off.

use std::collections::{BTreeMap, HashMap};

use replication_core::PARTITIONS;
use xxhash_rust::xxh3::xxh3_64;

use super::{Context, conn::Conn, lanes::Lane};
use crate::{
    frame::{AskKeys, BucketSums, Digest, Frame, KeySums, MOST_KEY_BYTES, MOST_KEYS},
    status::{Divergence, MOST_NAMED},
};

/// How often sums are sent and what was heard is compared, in milliseconds.
const EVERY_MS: u64 = 500;
/// How many partitions are told of at a time: each in its turn.
const AT_ONCE: usize = 128;
/// How many partitions are looked into at a time.
const SUSPECTS: usize = 4;

/// The audit of one connection.
#[derive(Debug)]
pub(crate) struct Audit {
    due_ms: u64,
    /// The store's change counts when a partition was last told of.
    told: Vec<u32>,
    /// Partitions that have changed since, in turn.
    to_tell: Vec<u16>,
    /// What the peer told last, as long as it has not been compared.
    heard: BTreeMap<u16, Digest>,
    /// Partitions that differ, with the buckets that do.
    divergent: BTreeMap<u16, BTreeMap<u8, Vec<Vec<u8>>>>,
}

impl Audit {
    /// Begins with all partitions in which anything has happened; `told` are the change counts of that moment.
    pub(crate) fn new(now_ms: u64, told: Vec<u32>, to_tell: Vec<u16>) -> Self {
        Self { due_ms: now_ms + EVERY_MS, told, to_tell, heard: BTreeMap::new(), divergent: BTreeMap::new() }
    }

    pub(crate) fn wake_at(&self) -> u64 {
        self.due_ms
    }

    fn show(&self, cx: &Context<'_>) {
        let mut named = Vec::new();
        for (partition, buckets) in &self.divergent {
            for (bucket, keys) in buckets {
                named.push(Divergence { partition: *partition, bucket: *bucket, keys: keys.clone() });
            }
        }
        cx.gauges.diverge(named);
    }
}

impl Conn {
    /// Tells what has changed, and compares what was heard, when it is time.
    pub(crate) fn work_audit(&mut self, cx: &Context<'_>) {
        if self.version < 2 || self.audit.due_ms > cx.now_ms {
            return;
        }
        self.audit.due_ms = cx.now_ms + EVERY_MS;
        for partition in cx.store.changed_partitions(&mut self.audit.told) {
            if !self.audit.to_tell.contains(&partition) {
                self.audit.to_tell.push(partition);
            }
        }
        let tell = self.audit.to_tell.len().min(AT_ONCE);
        if tell > 0 && self.lanes.room(Lane::Control) {
            let partitions: Vec<u16> = self.audit.to_tell.drain(..tell).collect();
            let digests = partitions.into_iter().map(|partition| digest(cx, partition)).collect();
            self.say(Lane::Control, &Frame::Digests(digests), None);
        }
        let suspects: Vec<u16> = self.audit.divergent.keys().copied().take(SUSPECTS).collect();
        suspects.into_iter().for_each(|partition| self.suspect(partition));
        let heard: Vec<Digest> = self.audit.heard.values().copied().collect();
        heard.into_iter().for_each(|digest| self.compare(cx, digest));
    }

    pub(crate) fn on_digests(&mut self, cx: &Context<'_>, digests: Vec<Digest>) {
        digests.into_iter().for_each(|digest| self.compare(cx, digest));
    }

    fn compare(&mut self, cx: &Context<'_>, theirs: Digest) {
        let partition = theirs.partition;
        let ours = digest(cx, partition);
        if ours.context != theirs.context {
            self.audit.heard.insert(partition, theirs);
            return;
        }
        self.audit.heard.remove(&partition);
        if ours.sum != theirs.sum {
            if self.audit.divergent.insert(partition, BTreeMap::new()).is_none() {
                tracing::error!(peer = %cx.peer.name, partition, "regions that have seen the same hold different state");
            }
            self.suspect(partition);
        } else if self.audit.divergent.remove(&partition).is_some() {
            self.audit.show(cx);
        }
    }

    fn suspect(&mut self, partition: u16) {
        if self.lanes.room(Lane::Control) {
            self.say(Lane::Control, &Frame::AskBuckets(partition), None);
        }
    }

    pub(crate) fn on_ask_buckets(&mut self, cx: &Context<'_>, partition: u16) {
        if !self.lanes.room(Lane::Control) {
            return; // asked again
        }
        let (context, sums) = cx.store.look(partition, |state| (state.audit_sum().0, state.key_bucket_sums()));
        self.say(Lane::Control, &Frame::Buckets(BucketSums { partition, context, sums }), None);
    }

    pub(crate) fn on_buckets(&mut self, cx: &Context<'_>, theirs: &BucketSums) {
        let partition = theirs.partition;
        let (context, sums) = cx.store.look(partition, |state| (state.audit_sum().0, state.key_bucket_sums()));
        if context != theirs.context {
            return; // asked again
        }
        let Some(known) = self.audit.divergent.get_mut(&partition) else { return };
        let differ: Vec<u8> =
            (0..).zip(sums.iter().zip(&theirs.sums)).filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
        known.retain(|bucket, _| differ.contains(bucket));
        for bucket in &differ {
            known.entry(*bucket).or_default();
        }
        if differ.is_empty() {
            self.audit.divergent.remove(&partition);
        }
        self.audit.show(cx);
        for bucket in differ.into_iter().take(SUSPECTS) {
            if self.lanes.room(Lane::Control) {
                self.say(Lane::Control, &Frame::AskKeys(AskKeys { partition, bucket }), None);
            }
        }
    }

    pub(crate) fn on_ask_keys(&mut self, cx: &Context<'_>, ask: AskKeys) {
        if !self.lanes.room(Lane::Control) {
            return; // asked again
        }
        let AskKeys { partition, bucket } = ask;
        let (context, keys) = key_sums(cx, partition, bucket);
        self.say(Lane::Control, &Frame::Keys(KeySums { partition, context, bucket, keys }), None);
    }

    pub(crate) fn on_keys(&mut self, cx: &Context<'_>, theirs: KeySums) {
        let KeySums { partition, context, bucket, keys } = theirs;
        let (our_context, ours) = key_sums(cx, partition, bucket);
        if context != our_context {
            return; // asked again
        }
        let whole = ours.len() < MOST_KEYS && keys.len() < MOST_KEYS;
        let Some(named) = self.audit.divergent.get_mut(&partition).and_then(|buckets| buckets.get_mut(&bucket)) else {
            return;
        };
        let mut open: HashMap<u64, (Vec<u8>, u64)> =
            ours.into_iter().map(|(key, hash, sum)| (hash, (key, sum))).collect();
        let mut wrong = Vec::new();
        for (key, hash, sum) in keys {
            match open.remove(&hash) {
                Some((_, ours)) if ours == sum => {}
                Some(_) => wrong.push(key),
                // Of more keys than one frame names, those that only one side named may well be at both.
                None if whole => wrong.push(key),
                None => {}
            }
        }
        wrong.extend(open.into_values().filter(|_| whole).map(|(key, _)| key));
        wrong.sort_unstable();
        wrong.truncate(MOST_NAMED);
        *named = wrong;
        self.audit.show(cx);
    }
}

fn digest(cx: &Context<'_>, partition: u16) -> Digest {
    debug_assert!(partition < PARTITIONS, "partitions off the wire are checked there");
    let (context, sum) = cx.store.look(partition, replication_core::Partition::audit_sum);
    Digest { partition, context, sum }
}

/// The context, and of each key of a bucket its beginning, its hash and its sum.
fn key_sums(cx: &Context<'_>, partition: u16, bucket: u8) -> (u64, Vec<(Vec<u8>, u64, u64)>) {
    let (context, keys) = cx.store.look(partition, |state| (state.audit_sum().0, state.key_sums(bucket, MOST_KEYS)));
    let named = |(key, sum): (bytes::Bytes, u64)| (key[..key.len().min(MOST_KEY_BYTES)].to_vec(), xxh3_64(&key), sum);
    (context, keys.into_iter().map(named).collect())
}
