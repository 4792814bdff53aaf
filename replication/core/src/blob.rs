//! Bytes at rest, in 24 bytes: short ones inside, middling ones in one allocation, long ones shared with their readers.

use bytes::Bytes;

const INLINE: usize = 22;
/// From here on a reader gets a reference instead of a copy, so that a GET of a megabyte does not copy it under a lock.
const SHARED: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) enum Blob {
    Inline { len: u8, bytes: [u8; INLINE] },
    Owned(Box<[u8]>),
    Shared(Box<Bytes>),
}

impl Blob {
    /// Copies: a network buffer must not stay in memory for one short value in it.
    pub(crate) fn new(source: &[u8]) -> Self {
        if source.len() <= INLINE {
            let mut bytes = [0; INLINE];
            bytes[..source.len()].copy_from_slice(source);
            Self::Inline { len: source.len() as u8, bytes }
        } else if source.len() < SHARED {
            Self::Owned(source.into())
        } else {
            Self::Shared(Box::new(Bytes::copy_from_slice(source)))
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Inline { .. } | Self::Owned(_) => Bytes::copy_from_slice(self.as_slice()),
            Self::Shared(bytes) => Bytes::clone(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_three_words_and_keeps_what_it_was_given() {
        assert_eq!(size_of::<Blob>(), 24);
        for len in [0, 1, 21, 22, 23, 24, 1023, 1024, 5000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let blob = Blob::new(&bytes);
            assert_eq!(blob.as_slice(), bytes);
            assert_eq!(blob.to_bytes(), bytes);
        }
    }
}
