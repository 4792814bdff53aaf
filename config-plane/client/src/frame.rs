//! Framing of the follower stream: a length of four bytes, big-endian, then that many bytes of JSON.
//!
//! Law: a frame that is announced longer than [`MOST`] is never buffered. A frame that cannot be decoded costs only itself:
//! the next one is read as if nothing had happened.

use bytes::{Buf, Bytes, BytesMut};

use xxhash_rust::xxh3::xxh3_64;

use crate::{api::Follow, splice::LastWorld};

/// The longest message, bytes. A Plan is a few kilobytes where a World is small.
pub const MOST: usize = 8 << 20;

// The largest World, and all that is decided about it, must reach every follower.
const _: () = assert!(MOST >= model::World::JSON_MAX + (2 << 20));

/// Why a message cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The stream cannot be read any further.
    #[error("a message of {0} bytes was announced, more than the {MOST} that are allowed")]
    TooLong(usize),
    /// This message is lost, the next ones are not.
    #[error("a message is not understood: {0}")]
    Undecodable(String),
}

/// A message as bytes.
pub fn encode(message: &Follow) -> Result<Bytes, FrameError> {
    let content = serde_json::to_vec(message).map_err(|e| FrameError::Undecodable(e.to_string()))?;
    of_parts(&[&content])
}

/// A frame of a content that is there already, in parts.
pub fn of_parts(content: &[&[u8]]) -> Result<Bytes, FrameError> {
    let length = content.iter().map(|part| part.len()).sum();
    let head = u32::try_from(length).ok().filter(|_| length <= MOST).ok_or(FrameError::TooLong(length))?;
    let mut frame = Vec::with_capacity(4 + length);
    frame.extend_from_slice(&head.to_be_bytes());
    content.iter().for_each(|part| frame.extend_from_slice(part));
    Ok(frame.into())
}

/// The content of a whole frame: what follows its length.
pub fn content(frame: &[u8]) -> &[u8] {
    frame.get(4..).unwrap_or_default()
}

/// The sum of a content, XXH3 in 16 hexadecimal digits: of the bytes as they travel, since a reader of another version may not
/// know all that stands in them.
pub fn sum(content: &[u8]) -> String {
    format!("{:016x}", xxh3_64(content))
}

/// Collects bytes and gives messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    last_sum: Option<String>,
    last_world: LastWorld,
}

impl Decoder {
    /// Takes bytes as they come. At most one message, one chunk and the last World are held, if messages are taken in between.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The sum of the content of the message that was taken last.
    pub fn last_sum(&self) -> Option<&str> {
        self.last_sum.as_deref()
    }

    /// The next whole message, or nothing yet.
    pub fn take(&mut self) -> Result<Option<Follow>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > MOST {
            return Err(FrameError::TooLong(length));
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        let json = self.buffer.split_to(length);
        self.last_sum = Some(sum(&json));
        self.last_world.decode(&json).map(Some)
    }
}
