//! A snapshot: the plane's whole state at one log entry, as one blob.
//!
//! ```text
//! "ATPL"  version (1 byte)  xxh3-64 of the rest (8 bytes, little endian)  JSON { applied, membership, state }
//! ```
//!
//! The same bytes lie on disk and travel to a member that is too far behind for the log.

use bytes::Bytes;
use decision::PlaneState;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    codec::CodecError,
    types::{LogId, SnapshotMeta, StoredMembership},
    wire::{WireLogId, WireStoredMembership},
};

const MAGIC: &[u8; 4] = b"ATPL";
const VERSION: u8 = 1;
const HEAD: usize = 13;

/// The largest snapshot that is accepted from a peer, bytes.
pub(crate) const MAX_BYTES: usize = 16 << 20;

// The largest World in force, the replaced ones beside it, and all that is decided must fit.
const _: () = assert!(MAX_BYTES >= model::World::JSON_MAX + decision::Worlds::BYTES_KEPT + (2 << 20));

/// Why a blob is not a snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("it does not begin as a snapshot does")]
    NotOne,
    #[error("it has format {found}, this program reads format {VERSION}: a newer atoll wrote it")]
    Format { found: u8 },
    #[error("its checksum is wrong: it was damaged after it was written")]
    Checksum,
    #[error("its body does not parse: {0}")]
    Body(#[from] serde_json::Error),
    #[error("its membership is not one: {0}")]
    Membership(#[from] CodecError),
}

impl From<SnapshotError> for std::io::Error {
    fn from(error: SnapshotError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, format!("snapshot of the plane: {error}"))
    }
}

/// The state machine's whole memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    /// The last entry that is in it.
    pub(crate) applied: Option<LogId>,
    /// The last membership that is in it.
    pub(crate) membership: StoredMembership,
    /// Everything else.
    pub(crate) state: PlaneState,
}

#[derive(Serialize)]
struct BodyOut<'a> {
    applied: Option<WireLogId>,
    membership: WireStoredMembership,
    state: &'a PlaneState,
}

#[derive(Deserialize)]
struct BodyIn {
    applied: Option<WireLogId>,
    membership: WireStoredMembership,
    state: PlaneState,
}

impl Image {
    /// As openraft describes a snapshot.
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() }
    }

    /// The blob.
    pub(crate) fn encode(&self) -> Result<Bytes, SnapshotError> {
        let applied = self.applied.map(Into::into);
        let body = BodyOut { applied, membership: (&self.membership).into(), state: &self.state };
        let mut blob = vec![0; HEAD];
        serde_json::to_writer(&mut blob, &body)?;
        let sum = xxh3_64(&blob[HEAD..]);
        blob[..4].copy_from_slice(MAGIC);
        blob[4] = VERSION;
        blob[5..HEAD].copy_from_slice(&sum.to_le_bytes());
        Ok(blob.into())
    }

    /// The image in a blob, verified.
    pub(crate) fn decode(blob: &[u8]) -> Result<Self, SnapshotError> {
        let (head, body) = blob.split_at_checked(HEAD).ok_or(SnapshotError::NotOne)?;
        if head[..4] != MAGIC[..] {
            return Err(SnapshotError::NotOne);
        }
        if head[4] != VERSION {
            return Err(SnapshotError::Format { found: head[4] });
        }
        if head[5..] != xxh3_64(body).to_le_bytes() {
            return Err(SnapshotError::Checksum);
        }
        let body: BodyIn = serde_json::from_slice(body)?;
        let membership = body.membership.try_into()?;
        Ok(Self { applied: body.applied.map(Into::into), membership, state: body.state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_image_comes_back_and_a_flipped_byte_anywhere_is_noticed() {
        let blob = Image::default().encode().expect("encodes");
        let back = Image::decode(&blob).expect("decodes");
        assert_eq!(back.applied, None);
        assert_eq!(back.state, PlaneState::new());
        for at in 0..blob.len() {
            let mut bad = blob.to_vec();
            bad[at] ^= 0x10;
            assert!(Image::decode(&bad).is_err(), "byte {at}");
        }
        assert!(matches!(Image::decode(b"ATPL"), Err(SnapshotError::NotOne)));
    }
}
