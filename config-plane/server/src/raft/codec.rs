//! Bytes on disk and on the wire: one version byte, then JSON.
//!
//! openraft says of its derived serde that it promises no stable format, so nothing of openraft is ever serialised: `wire.rs`
//! has our own shape of each message, and this file frames it. JSON because it names its fields: a reader of the next version
//! understands the records of this one, and a person can read a log entry. The plane writes a few records a second at most.

use serde::{Serialize, de::DeserializeOwned};

/// The format that this program writes.
pub(crate) const VERSION: u8 = 1;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("the record is empty")]
    Empty,
    #[error(
        "the record has format {found}; this program reads format {VERSION}: a newer atoll wrote it, or it is damaged"
    )]
    Format { found: u8 },
    #[error("the record does not parse: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// One record as bytes.
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record)?;
    Ok(bytes)
}

/// The record in the bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        None => Err(CodecError::Empty),
        Some((&VERSION, body)) => Ok(serde_json::from_slice(body)?),
        Some((&found, _)) => Err(CodecError::Format { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_everything_else_is_refused_by_name() {
        let bytes = encode(&("vote", 7)).expect("encodes");
        assert_eq!(bytes, b"\x01[\"vote\",7]");
        assert_eq!(decode::<(String, u8)>(&bytes).expect("decodes"), ("vote".into(), 7));
        assert!(matches!(decode::<u8>(b""), Err(CodecError::Empty)));
        assert!(matches!(decode::<u8>(b"\x027"), Err(CodecError::Format { found: 2 })));
        assert!(matches!(decode::<u8>(b"\x01seven"), Err(CodecError::Json(_))));
    }
}
