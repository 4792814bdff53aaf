//! The machine over one partition's state.

use bytes::Bytes;

use crate::{DecodeError, Delta, Explanation, Hlc, Op, ReplicaId, Reply, VersionVector};

/// The caller's time.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock, milliseconds since 1970: what deadlines are compared with.
    pub wall_ms: u64,
    /// The stamp for what is written now; ignored by reads ([`Op::is_write`]).
    pub stamp: Hlc,
}

/// What an op did.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The answer, to be sent only once `delta` is persisted.
    pub reply: Reply,
    /// The change to persist and ship, if there was one.
    pub delta: Option<Delta>,
}

/// What became of a remote delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It is part of the state now.
    Applied,
    /// The state already covered it.
    Duplicate,
    /// Changes of the same replica before it are missing: nothing was done, catch up first.
    Gap {
        /// The replica's last change here.
        have: u64,
        /// The first change of the refused delta.
        got: u64,
    },
}

/// What a peer lacks of this partition.
#[derive(Clone, Debug)]
pub struct CatchUp {
    /// The partition it belongs to.
    pub partition: u16,
    /// The context the peer has once it is applied.
    pub vv: VersionVector,
}

/// What a catch-up changed here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Elements that came.
    pub added: usize,
    /// Elements that went.
    pub removed: usize,
}

/// All state of one partition.
pub struct Partition {}

#[expect(missing_docs, clippy::missing_errors_doc, reason = "signatures first")]
impl Partition {
    pub fn new(_id: u16, _me: ReplicaId) -> Self {
        unimplemented!()
    }
    pub fn id(&self) -> u16 {
        unimplemented!()
    }
    pub fn me(&self) -> ReplicaId {
        unimplemented!()
    }
    /// Runs one command of a client of this region.
    pub fn execute(&mut self, _op: &Op, _now: Now) -> Executed {
        unimplemented!()
    }
    /// Takes a delta of another replica, or one of our own from the journal at recovery.
    pub fn merge(&mut self, _delta: &Delta) -> Merged {
        unimplemented!()
    }
    pub fn vv(&self) -> &VersionVector {
        unimplemented!()
    }
    pub fn catch_up_since(&self, _peer: &VersionVector) -> CatchUp {
        unimplemented!()
    }
    pub fn apply_catch_up(&mut self, _catch_up: &CatchUp) -> CaughtUp {
        unimplemented!()
    }
    /// Wrapping sum over live elements: equal contexts have equal digests.
    pub fn digest(&self) -> u64 {
        unimplemented!()
    }
    /// Next page of visible keys: appends about `count` keys to `out`; cursor 0 starts, a returned 0 ends.
    pub fn scan(&self, _cursor: u64, _count: usize, _now_ms: u64, _out: &mut Vec<Bytes>) -> u64 {
        unimplemented!()
    }
    /// Every live element of a key; `None` if there is none.
    pub fn explain(&self, _key: &[u8], _now_ms: u64) -> Option<Explanation> {
        unimplemented!()
    }
    /// Keys held (some may be past their deadline and not purged yet).
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Settles counters and purges expired keys, looking at no more than `budget` keys. One delta to persist and ship, if anything was done.
    pub fn housekeeping(&mut self, _now: Now, _budget: usize) -> Option<Delta> {
        unimplemented!()
    }
    /// Forgets which removals happened before `acked`, which every attached peer has confirmed.
    pub fn prune_removals(&mut self, _acked: &VersionVector) {
        unimplemented!()
    }
    /// Appends one checksummed frame with the whole state, for checkpoints.
    pub fn encode_state(&self, _out: &mut Vec<u8>) {
        unimplemented!()
    }
    /// Reads such a frame from the head of `bytes`; `me` may be a new incarnation. Gives the bytes it took.
    pub fn decode_state(_bytes: &[u8], _me: ReplicaId) -> Result<(Self, usize), DecodeError> {
        unimplemented!()
    }
}
impl CatchUp {
    /// Appends one frame to `out`.
    pub fn encode(&self, _out: &mut Vec<u8>) {
        unimplemented!()
    }
    /// Reads one frame from the head of `bytes`; `Ok(None)` means the frame is not complete yet. Gives the bytes it took.
    pub fn decode(_bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        unimplemented!()
    }
}
