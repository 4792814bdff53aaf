//! How far the journal had got, noted in a file beside it.
//!
//! A journal that ends too early looks as whole as any other: a copy of an older one put back, a tail that somebody cut
//! off between two records. Behind every sync the position is therefore noted here. The note itself is not synced: as
//! long as the machine has not stopped it is there, and if it has, the name is given up anyway.
//!
//! ```text
//! position u64 | 1 if a sync failed and no checkpoint has made it good, else 0: u64 | xxh3 u64
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{Access, Files, OpenError, OpenFile};

const LENGTH: usize = 24;

/// What the note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Everything before this position was in the journal, durably.
    pub(crate) position: u64,
    /// A sync failed, and what it should have written is in doubt.
    pub(crate) sync_lost: bool,
}

impl Reached {
    fn encode(self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        out[..8].copy_from_slice(&self.position.to_le_bytes());
        out[8] = u8::from(self.sync_lost);
        let sum = xxh3_64(&out[..16]);
        out[16..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let reached = Self { position: u64::from_le_bytes(*bytes.first_chunk()?), sync_lost: bytes[8] != 0 };
        (reached.encode() == *bytes).then_some(reached)
    }

    /// Reads the note of a directory; `None` if there is none that can be read.
    pub(crate) fn load(files: &dyn Files, dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = path(dir);
        match files.read(&path) {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(OpenError::io("read", &path)(e)),
        }
    }
}

/// The open note.
#[derive(Debug)]
pub(crate) struct Note(Arc<dyn OpenFile>);

impl Note {
    /// Begins the note anew.
    pub(crate) fn begin(files: &dyn Files, dir: &Path, reached: Reached) -> Result<Self, OpenError> {
        let path = path(dir);
        let begin = || -> io::Result<Self> {
            let file = files.open(&path, Access::Create)?;
            file.write_at(0, &reached.encode())?;
            Ok(Self(file))
        };
        begin().map_err(OpenError::io("write", &path))
    }

    /// Notes how far the journal has got.
    pub(crate) fn write(&self, reached: Reached) {
        // Without a new note the old one stands: it notices less, and nothing it says is false.
        if let Err(error) = self.0.write_at(0, &reached.encode()) {
            tracing::warn!(%error, "the journal's position could not be noted");
        }
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("reached")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_a_torn_one_is_none() {
        let reached = Reached { position: 77, sync_lost: true };
        assert_eq!(Reached::decode(&reached.encode()), Some(reached));
        for cut in 0..LENGTH {
            assert_eq!(Reached::decode(&reached.encode()[..cut]), None);
        }
        let mut bad = reached.encode();
        bad[0] ^= 1;
        assert_eq!(Reached::decode(&bad), None);
    }
}
