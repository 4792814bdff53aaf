//! Bytes on disk and on the wire: a version byte, on disk a checksum, then JSON.
//!
//! | format | layout | written | read |
//! |---|---|---|---|
//! | 1 | `01`, JSON | on the wire | yes: every member of the first release writes it, and so do its logs |
//! | 2 | `02`, xxh3-64 of the JSON (8 bytes, little endian), JSON | on disk | yes |
//!
//! The wire is written in the oldest format that a member of the release before this one reads, so that members can be upgraded
//! one after another; TLS guards its bytes. The disk is written in the newest: a database's own checksums guard its pages
//! only while it repairs itself, and a flipped bit in a log entry would make this member's state differ from the others' in
//! silence. Anything of a later format is refused by its number.
//!
//! openraft says of its derived serde that it promises no stable format, so nothing of openraft is ever serialised: `wire.rs`
//! has our own shape of each message, and this file frames it. JSON because it names its fields: a reader of the next version
//! understands the records of this one, and a person can read a log entry. The plane writes a few records a second at most.

use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_64;

/// The format of messages.
const WIRE: u8 = 1;
/// The format of records, and the newest that this program reads.
const DISK: u8 = 2;
/// Version byte and checksum of a record.
const HEAD: usize = 9;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("the record is empty")]
    Empty,
    #[error(
        "the record has format {found}; this program reads formats {WIRE} to {DISK}: a newer atoll wrote it, or it is damaged"
    )]
    Format { found: u8 },
    #[error("the record's checksum is wrong: it was damaged after it was written")]
    Checksum,
    #[error("the record does not parse: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// One message as bytes.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![WIRE];
    serde_json::to_writer(&mut bytes, message)?;
    Ok(bytes)
}

/// One record of the disk as bytes.
pub(crate) fn seal<T: Serialize>(record: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![0; HEAD];
    serde_json::to_writer(&mut bytes, record)?;
    let sum = xxh3_64(&bytes[HEAD..]);
    bytes[0] = DISK;
    bytes[1..HEAD].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// The message or record in the bytes, of any format that this program knows.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        None => Err(CodecError::Empty),
        Some((&WIRE, body)) => Ok(serde_json::from_slice(body)?),
        Some((&DISK, rest)) => {
            let (sum, body) = rest.split_first_chunk::<8>().ok_or(CodecError::Checksum)?;
            if u64::from_le_bytes(*sum) != xxh3_64(body) {
                return Err(CodecError::Checksum);
            }
            Ok(serde_json::from_slice(body)?)
        }
        Some((&found, _)) => Err(CodecError::Format { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_and_everything_else_is_refused_by_name() {
        let bytes = encode(&("vote", 7)).expect("encodes");
        assert_eq!(bytes, b"\x01[\"vote\",7]");
        assert_eq!(decode::<(String, u8)>(&bytes).expect("decodes"), ("vote".into(), 7));
        assert!(matches!(decode::<u8>(b""), Err(CodecError::Empty)));
        assert!(matches!(decode::<u8>(b"\x01seven"), Err(CodecError::Json(_))));
        for found in [0, 3, 255] {
            let refused = decode::<u8>(&[found, b'7']).expect_err("no such format");
            assert!(matches!(refused, CodecError::Format { found: f } if f == found));
            assert!(refused.to_string().contains(&format!("format {found};")), "{refused}");
        }
    }

    #[test]
    fn a_record_comes_back_and_no_flipped_bit_or_cut_goes_unnoticed() {
        let bytes = seal(&("vote", 7)).expect("encodes");
        assert_eq!(decode::<(String, u8)>(&bytes).expect("decodes"), ("vote".into(), 7));
        for at in 1..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(matches!(decode::<(String, u8)>(&bad), Err(CodecError::Checksum)), "byte {at}, bit {bit}");
            }
            assert!(decode::<(String, u8)>(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
