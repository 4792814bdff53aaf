//! One record of a file: how it is framed, and how a reader tells a whole one from a damaged one.
//!
//! ```text
//! marker u16 | kind u8 | 0 u8 | length u32 | xxh3 of the payload, seeded with kind and length: u64 | payload
//! ```
//! Little-endian. The marker lets a reader look for records behind a damaged place without hashing at every byte.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes in front of each payload.
pub(crate) const HEADER: usize = 16;
const MARKER: u16 = 0xA7C1;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One delta, of this region or another.
    Delta = 1,
    /// One catch-up of one partition, from a peer.
    CatchUp = 2,
    /// The watermarks of other regions at this point of the journal.
    Watermarks = 3,
    /// One partition whole (checkpoints of format 2 and before).
    Partition = 4,
    /// The end of a checkpoint (checkpoints only).
    End = 5,
    /// Everything before this position was durable when the record was written: u64.
    Synced = 6,
    /// A piece of one partition (checkpoints only).
    Piece = 7,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Delta, Self::CatchUp, Self::Watermarks, Self::Partition, Self::End, Self::Synced, Self::Piece]
            .into_iter()
            .find(|k| *k as u8 == byte)
    }
}

/// A record as a reader sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes of the record in the file.
    pub(crate) fn len(&self) -> usize {
        HEADER + self.payload.len()
    }

    /// What a [`Kind::Synced`] record says.
    pub(crate) fn synced(&self) -> Option<u64> {
        let payload = <[u8; 8]>::try_from(self.payload).ok()?;
        (self.kind == Kind::Synced).then(|| u64::from_le_bytes(payload))
    }
}

fn seed(kind: u8, length: u32) -> u64 {
    u64::from(kind) << 32 | u64::from(length)
}

/// Appends one record; `write` appends its payload. Returns where the payload lies in `buf`.
pub(crate) fn append(buf: &mut Vec<u8>, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> std::ops::Range<usize> {
    let at = buf.len();
    buf.extend_from_slice(&[0; HEADER]);
    let start = buf.len();
    write(buf);
    let length =
        u32::try_from(buf.len() - start).expect("a payload is far below 4 GiB: keys, values and frames are bounded");
    let sum = xxh3_64_with_seed(&buf[start..], seed(kind as u8, length));
    let header = &mut buf[at..start];
    header[..2].copy_from_slice(&MARKER.to_le_bytes());
    header[2] = kind as u8;
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..].copy_from_slice(&sum.to_le_bytes());
    start..buf.len()
}

/// Reads the record at the start of `bytes`, or says what is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Err("a record's header is cut off") };
    if header[..2] != MARKER.to_le_bytes() || header[3] != 0 {
        return Err("there is no record where one should begin");
    }
    let kind = Kind::of(header[2]).ok_or("a record of an unknown kind")?;
    let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let payload = rest.get(..length as usize).ok_or("a record is cut off")?;
    let sum = xxh3_64_with_seed(payload, seed(header[2], length));
    if header[8..] != sum.to_le_bytes() {
        return Err("a record's checksum does not match");
    }
    Ok(Record { kind, payload })
}

/// Every whole record that begins somewhere in `bytes`, wherever that is.
pub(crate) fn all_whole(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let marker = MARKER.to_le_bytes();
    let begins = (0..bytes.len().saturating_sub(HEADER - 1)).filter(move |at| bytes[*at..at + 2] == marker);
    begins.filter_map(|at| read(&bytes[at..]).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_and_any_flipped_bit_is_seen() {
        let mut buf = Vec::new();
        append(&mut buf, Kind::Delta, |b| b.extend_from_slice(b"hello"));
        let record = read(&buf).unwrap();
        assert_eq!((record.kind, record.payload, record.len()), (Kind::Delta, &b"hello"[..], buf.len()));
        for bit in 0..buf.len() * 8 {
            let mut bad = buf.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..buf.len() {
            assert!(read(&buf[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_whole_record_is_found_behind_noise() {
        let mut buf = vec![0xA7, 0xC1, 0xA7];
        assert_eq!(all_whole(&buf).count(), 0);
        append(&mut buf, Kind::End, |_| {});
        assert_eq!(all_whole(&buf).count(), 1);
        assert_eq!(all_whole(&buf[4..]).count(), 0);
    }
}
